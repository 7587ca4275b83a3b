//! musl's rules, compared with its real loader. Needs Debian's package `musl`.

use std::collections::BTreeSet;

use minimg::closure::loader::CacheSource::Computed;

use super::lab::Lab;

const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.copy(MUSL);
    lab
}

fn program(lab: &Lab, path: &str, needs: &[&str], flags: &[&str]) {
    lab.program(path, needs, &[&["-dynamic-linker", MUSL], flags].concat());
}

/// What musl's loader lists, in the words of [`Lab::walk`].
fn oracle(lab: &Lab, program: &str) -> BTreeSet<String> {
    let output = lab.chroot_with(&[MUSL, "--list", program]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut found = BTreeSet::new();
    for line in out.lines().map(str::trim) {
        let line = line.rsplit_once(" (0x").map_or(line, |(line, _)| line);
        let path = line.split(" => ").last().unwrap_or(line);
        if !path.contains("ld-musl") {
            found.insert(path.to_owned());
        }
    }
    for line in err.lines() {
        if let Some((_, rest)) = line.split_once("Error loading shared library ") {
            found.insert(format!("{} => missing", rest.split(':').next().unwrap_or_default()));
        }
    }
    found
}

fn agree(lab: &Lab, program: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(oracle(lab, program), expected, "musl does something else than expected");
    assert_eq!(lab.walk(program, Computed), expected, "the walk does something else than musl");
}

#[test]
fn runpath_is_inherited() {
    let lab = lab();
    lab.lib("/opt/liba.so", &["libb.so"], &["-soname", "other.so"]);
    lab.lib("/opt/libb.so", &["libnone.so"], &[]);
    program(&lab, "/bin/p", &["liba.so"], &["-rpath", "$ORIGIN/../opt", "--enable-new-dtags"]);
    agree(&lab, "/bin/p", &["/bin/../opt/liba.so", "/bin/../opt/libb.so", "libnone.so => missing"]);
}

#[test]
fn the_usual_path_the_path_file_and_void_lists() {
    let lab = lab();
    lab.lib("/usr/local/lib/liba.so", &[], &[]);
    lab.lib("/opt/libb.so", &[], &[]);
    program(&lab, "/bin/p", &["liba.so", "libb.so"], &["-rpath", "/opt:$LIB", "--enable-new-dtags"]);
    agree(&lab, "/bin/p", &["/usr/local/lib/liba.so", "libb.so => missing"]);
    lab.file("/etc/ld-musl-x86_64.path", "/nowhere\n/opt\n");
    agree(&lab, "/bin/p", &["/opt/libb.so", "liba.so => missing"]);
}

#[test]
fn parts_of_the_c_library_are_the_loader() {
    let lab = lab();
    lab.lib("/lib/libm.so.6", &[], &[]);
    program(&lab, "/bin/p", &["libc.so", "libm.so.6", "libc.musl-x86_64.so.1", "libpthread.so.0"], &[]);
    agree(&lab, "/bin/p", &[]);
}

#[test]
fn sonames_do_not_match_but_files_do() {
    let lab = lab();
    lab.lib("/opt/liba.so", &[], &["-soname", "libb.so"]);
    lab.lib("/lib/libb.so", &[], &[]);
    lab.link("libb.so", "/lib/libc1.so");
    program(&lab, "/bin/p", &["/opt/liba.so", "libb.so", "libc1.so"], &[]);
    agree(&lab, "/bin/p", &["/opt/liba.so", "/lib/libb.so"]);
}

#[test]
fn a_root_with_musl_is_checked_by_its_rules() {
    use minimg::closure::check::{CheckSettings, check_counted};
    let lab = lab();
    lab.lib("/lib/liba.so", &["libgone.so"], &[]);
    program(&lab, "/bin/p", &["liba.so", "libc.musl-x86_64.so.1"], &[]);
    let root = minimg::tree::DirectoryRoot::new(lab.root()).unwrap();
    let messages = || {
        let checked = check_counted(&root, &CheckSettings::default()).unwrap();
        checked.findings.iter().map(|finding| format!("{:?} {}", finding.severity, finding.message)).collect::<Vec<_>>()
    };
    let before = messages();
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(
        before[0].starts_with("Error the library libgone.so is missing, needed by /bin/p -> /usr/lib/liba.so"),
        "{before:?}"
    );
    lab.lib("/usr/local/lib/libgone.so", &[], &[]);
    assert_eq!(messages(), Vec::<String>::new());
}
