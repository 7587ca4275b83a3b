//! The check of versions and symbols, compared with what the real loader says when a program starts.

use minimg::closure::check::{CheckSettings, check};
use minimg::closure::{Finding, Severity};
use minimg::tree::DirectoryRoot;

use super::lab::Lab;

fn findings(lab: &Lab) -> Vec<Finding> {
    check(&DirectoryRoot::new(lab.root()).unwrap(), &CheckSettings::default()).unwrap()
}

fn has(findings: &[Finding], severity: Severity, text: &str) -> bool {
    findings.iter().any(|finding| finding.severity == severity && finding.message.contains(text))
}

/// A root with glibc and a program that calls `f` of a library, which is then replaced.
fn lab(first: &str, second: &str, flags: &[&str]) -> Lab {
    let lab = Lab::new();
    lab.copy("/lib/x86_64-linux-gnu/libc.so.6");
    let map = lab.host("/map");
    std::fs::write(&map, "V1 { global: f; local: *; };").unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    let shared = |source: &str, versioned: bool| {
        let mut flags = vec!["-shared", "-Wl,-soname,liba.so"];
        flags.extend(versioned.then_some(script.as_str()));
        lab.compile("/lib/liba.so", source, &flags);
    };
    shared(first, first.contains('f'));
    let library = lab.host("/usr/lib/liba.so");
    let mut link = vec![library.to_str().unwrap()];
    link.extend(flags);
    lab.compile("/usr/bin/p", "int f(void);\nint main(void) { return f(); }\n", &link);
    shared(second, false);
    lab
}

const F: &str = "int f(void) { return 0; }\n";
const G: &str = "int g(void) { return 0; }\n";

#[test]
fn a_whole_root_has_no_findings() {
    let lab = Lab::new();
    lab.copy("/lib/x86_64-linux-gnu/libc.so.6");
    lab.copy("/lib/x86_64-linux-gnu/libtinfo.so.6");
    lab.copy("/usr/bin/bash");
    assert_eq!(findings(&lab), []);
}

#[test]
fn a_symbol_that_is_gone_is_an_error_when_bound_at_the_start() {
    let lab = lab(F, G, &["-Wl,-z,now"]);
    assert!(!lab.chroot("/usr/bin/p", &[]).status.success());
    assert!(has(&findings(&lab), Severity::Error, "nothing defines f"), "{:?}", findings(&lab));
}

#[test]
fn and_a_warning_when_bound_at_the_first_call() {
    let lab = lab(F, G, &["-Wl,-z,lazy"]);
    assert!(has(&findings(&lab), Severity::Warning, "nothing defines f"), "{:?}", findings(&lab));
}

#[test]
fn a_library_that_stopped_to_define_versions_serves_but_is_worth_a_warning() {
    let needs_versions = "int getpid(void);\nint f(void) { return getpid() < 0; }\n";
    let lab = lab(F, needs_versions, &["-Wl,-z,now"]);
    let output = lab.chroot("/usr/bin/p", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no version information available"));
    let findings = findings(&lab);
    assert!(has(&findings, Severity::Warning, "has no versions"), "{findings:?}");
    assert!(!findings.iter().any(|finding| finding.severity == Severity::Error), "{findings:?}");
}

/// Without any table of versions the loader's own assertion fails (`check_match` in `elf/dl-lookup.c`).
#[test]
fn a_library_without_any_versions_aborts_the_program() {
    let lab = lab(F, F, &["-Wl,-z,now"]);
    let output = lab.chroot("/usr/bin/p", &[]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("Assertion"), "{output:?}");
    assert!(has(&findings(&lab), Severity::Error, "has no versions"), "{:?}", findings(&lab));
}

#[test]
fn a_version_that_is_gone_is_an_error() {
    let lab = lab(F, F, &["-Wl,-z,now"]);
    let map = lab.host("/map");
    std::fs::write(&map, "V2 { global: f; };").unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    lab.compile("/lib/liba.so", F, &["-shared", "-Wl,-soname,liba.so", &script]);
    assert!(!lab.chroot("/usr/bin/p", &[]).status.success());
    assert!(has(&findings(&lab), Severity::Error, "the version V1 is not in"), "{:?}", findings(&lab));
}

#[test]
fn missing_libraries_and_interpreters_of_scripts_are_errors() {
    let lab = Lab::new();
    lab.program("/usr/bin/p", &["libnone.so"], &[]);
    lab.executable("/usr/bin/script", "#!/bin/none\n");
    lab.executable("/usr/share/doc/example", "#!/bin/none\n");
    let findings = findings(&lab);
    assert!(has(&findings, Severity::Error, "the library libnone.so is missing, needed by /usr/bin/p"));
    assert!(has(&findings, Severity::Error, "its interpreter /bin/none is missing"));
    assert_eq!(findings.iter().filter(|finding| finding.severity == Severity::Warning).count(), 1, "{findings:?}");
}

#[test]
fn plugins_are_checked_in_the_scope_of_who_may_open_them() {
    let lab = Lab::new();
    lab.copy("/lib/x86_64-linux-gnu/libc.so.6");
    let host = "int provided(void) { return 0; }\nint main(void) { return 0; }\n";
    lab.compile("/usr/bin/host", host, &["-rdynamic"]);
    lab.compile("/usr/lib/good.so", "int provided(void);\nint run(void) { return provided(); }\n", &["-shared"]);
    assert_eq!(findings(&lab), []);
    lab.compile("/usr/lib/bad.so", "int nobody(void);\nint run(void) { return nobody(); }\n", &["-shared"]);
    let findings = findings(&lab);
    assert!(findings.len() == 1 && has(&findings, Severity::Note, "nothing defines nobody"), "{findings:?}");
}
