//! From a profile's `[keep]` to reasons, findings and explanations.

use std::collections::BTreeMap;

use minimg::closure::explain::{Fate, library_tree, why, why_not};
use minimg::closure::{Closure, ClosureError, ClosureOptions, Severity, WalkSettings, closure_of, walk};
use minimg::profile::{Keep, Pattern, Policy};
use minimg::tree::{DirectoryRoot, RootPath};

use super::lab::Lab;

fn keep(programs: &[&str]) -> Keep {
    Keep { programs: programs.iter().map(ToString::to_string).collect(), ..Keep::default() }
}

fn closed(lab: &Lab, keep: &Keep) -> Result<Closure, ClosureError> {
    closure_of(&lab.tree(), keep, ClosureOptions { env: lab.env.clone(), ..ClosureOptions::default() })
}

fn listing(closure: &Closure) -> Vec<String> {
    let via = |via: &Option<RootPath>| via.as_ref().map(|via| format!(" <- {via}")).unwrap_or_default();
    closure.kept.iter().map(|(path, reason)| format!("{path}: {}{}", reason.why, via(&reason.via))).collect()
}

fn path(name: &str) -> RootPath {
    RootPath::new(name).unwrap()
}

fn pattern(glob: &str) -> Pattern {
    Pattern { glob: glob.to_owned(), reason: "a test".to_owned() }
}

#[test]
fn every_hop_has_its_reason() {
    let lab = Lab::new();
    lab.lib("/lib/liba.so.1.2", &[], &["-soname", "liba.so.1"]);
    lab.link("liba.so.1.2", "/lib/liba.so.1");
    lab.program("/usr/bin/p", &["liba.so.1"], &[]);
    lab.executable("/usr/bin/script", "#!/usr/bin/env -S VAR=1 p --flag\n");
    lab.executable("/usr/bin/env", "#!/usr/bin/p\n");
    lab.file("/usr/lib/unused", "");
    lab.link("script", "/usr/bin/entry");
    let closure = closed(&lab, &keep(&["entry"])).unwrap();
    assert_eq!(
        listing(&closure),
        [
            "/lib: the way leads through this link <- /usr/bin/p",
            "/lib64: the way leads through this link <- /usr/bin/p",
            "/usr/bin/entry: the profile names the program entry",
            "/usr/bin/env: the first line of the script names it <- /usr/bin/script",
            "/usr/bin/p: the first line of the script names it <- /usr/bin/env",
            "/usr/bin/script: the link leads to it <- /usr/bin/entry",
            "/usr/lib/liba.so.1: it is needed as liba.so.1 <- /usr/bin/p",
            "/usr/lib/liba.so.1.2: the link leads to it <- /usr/lib/liba.so.1",
            "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2: the link leads to it <- /usr/lib64/ld-linux-x86-64.so.2",
            "/usr/lib64/ld-linux-x86-64.so.2: it is the loader of the program <- /usr/bin/p",
        ]
    );
    let chain: Vec<String> =
        why(&closure, &path("usr/lib/liba.so.1.2")).iter().map(|step| step.path.to_string()).collect();
    assert_eq!(
        chain,
        [
            "/usr/bin/entry",
            "/usr/bin/script",
            "/usr/bin/env",
            "/usr/bin/p",
            "/usr/lib/liba.so.1",
            "/usr/lib/liba.so.1.2"
        ]
    );
    let json = serde_json::to_string(&closure).unwrap();
    assert_eq!(serde_json::from_str::<Closure>(&json).unwrap(), closure);
}

#[test]
fn the_walk_of_a_directory_keeps_the_same() {
    let lab = Lab::new();
    lab.lib("/lib/liba.so.1", &[], &[]);
    lab.program("/usr/bin/p", &["liba.so.1"], &[]);
    let root = DirectoryRoot::new(lab.root()).unwrap();
    let walked = walk(&root, &["p".to_owned()], WalkSettings::default()).unwrap();
    assert_eq!(walked, closed(&lab, &keep(&["p"])).unwrap());
}

#[test]
fn what_is_missing_is_named_with_the_chain_and_what_was_tried() {
    let lab = Lab::new();
    lab.lib("/lib/liba.so", &["libnone.so.3"], &[]);
    lab.file("/opt/libnone.so.3", "");
    lab.program("/usr/bin/p", &["liba.so"], &["-rpath", "/first", "--disable-new-dtags"]);
    let error = closed(&lab, &keep(&["p"])).unwrap_err().to_string();
    assert_eq!(
        error,
        "the image would not be complete: the library libnone.so.3 is missing, needed by /usr/bin/p -> /usr/lib/liba.so; tried \
         /first/libnone.so.3 (absent), /lib/x86_64-linux-gnu/libnone.so.3 (absent), \
         /usr/lib/x86_64-linux-gnu/libnone.so.3 (absent), /lib/libnone.so.3 (absent), /usr/lib/libnone.so.3 (absent); \
         the tree has /opt/libnone.so.3, where the loader does not look: name its directory in LD_LIBRARY_PATH or /etc/ld.so.conf"
    );
}

#[test]
fn wrong_names_get_the_nearest_right_one() {
    let lab = Lab::new();
    lab.program("/usr/bin/busybox", &[], &[]);
    let error = closed(&lab, &keep(&["busibox"])).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot keep the program busibox: it is not in PATH")
            && error.ends_with("did you mean busybox?"),
        "{error}"
    );
    let rules = Keep { rules: vec!["ca-certificate".to_owned()], ..Keep::default() };
    let error = closed(&lab, &rules).unwrap_err().to_string();
    assert!(error.contains("did you mean ca-certificates?"), "{error}");
    let glob = Keep { keep: vec![pattern("/usr/[")], ..Keep::default() };
    assert!(matches!(closed(&lab, &glob), Err(ClosureError::Glob { .. })));
    let optional = Keep { optional_programs: vec!["none".to_owned(), "busybox".to_owned()], ..Keep::default() };
    assert!(closed(&lab, &optional).unwrap().kept.contains_key(&path("usr/bin/busybox")));
}

#[test]
fn globs_keep_plugins_with_their_libraries_and_drop_wins() {
    let lab = Lab::new();
    lab.lib("/usr/lib/plugins/one.so", &["libone.so"], &[]);
    lab.lib("/usr/lib/plugins/two.so", &["libtwo.so"], &[]);
    lab.lib("/usr/lib/libone.so", &[], &[]);
    lab.lib("/usr/lib/libtwo.so", &[], &[]);
    let keep = Keep {
        keep: vec![pattern("/lib/plugins/*"), pattern("/nothing/**")],
        drop: vec![pattern("/usr/lib/plugins/two.so"), pattern("/usr/lib/libone.so")],
        ..Keep::default()
    };
    let closure = closed(&lab, &keep).unwrap();
    let kept: Vec<String> = closure.kept.keys().map(ToString::to_string).collect();
    assert_eq!(kept, ["/lib", "/usr/lib/plugins/one.so"]);
    let findings: Vec<_> = closure.findings.iter().map(|f| (f.severity, f.path.as_str())).collect();
    assert_eq!(findings, [(Severity::Error, "/usr/lib/libone.so"), (Severity::Warning, "/nothing/**")]);
    let answer = why_not(&lab.tree(), &closure, &keep, &path("usr/lib/plugins/two.so"));
    assert_eq!(answer.fate, Fate::Dropped("/usr/lib/plugins/two.so (a test)".to_owned()));
    assert_eq!(why_not(&lab.tree(), &closure, &keep, &path("usr/lib/libtwo.so")).fate, Fate::NotNeeded);
    assert_eq!(why_not(&lab.tree(), &closure, &keep, &path("lib")).fate, Fate::Kept);
    let elsewhere = why_not(&lab.tree(), &closure, &keep, &path("opt/libtwo.so"));
    assert_eq!(elsewhere.fate, Fate::Unknown(vec!["/usr/lib/libtwo.so".to_owned()]));
}

#[test]
fn the_library_tree_lists_everything_once() {
    let lab = Lab::new();
    lab.lib("/lib/liba.so", &["libb.so"], &["-soname", "liba.so"]);
    lab.lib("/lib/libb.so", &["liba.so", "libnone.so"], &["-soname", "libb.so"]);
    lab.program("/bin/p", &["liba.so", "libb.so"], &[]);
    let root = DirectoryRoot::new(lab.root()).unwrap();
    let tree = library_tree(&root, "/bin/p", &BTreeMap::new()).unwrap().unwrap();
    let a = &tree.needs[0];
    assert_eq!((a.name.as_str(), a.needs[0].name.as_str(), a.needs[0].needs[0].repeated), ("liba.so", "libb.so", true));
    assert_eq!(a.needs[0].needs[1].path, None);
    assert!(tree.needs[1].repeated);
}

/// A root with glibc in it.
fn glibc() -> Lab {
    let lab = Lab::new();
    for name in ["libc.so.6", "libgcc_s.so.1"] {
        lab.copy(&format!("/lib/x86_64-linux-gnu/{name}"));
    }
    lab
}

#[test]
fn libgcc_is_kept_where_threads_end() {
    let lab = glibc();
    let source = "#include <pthread.h>\nint main(void) { pthread_exit(0); }\n";
    lab.compile("/usr/bin/p", source, &[]);
    lab.compile("/usr/bin/plain", "int main(void) { return 0; }\n", &[]);
    let libgcc = path("usr/lib/x86_64-linux-gnu/libgcc_s.so.1");
    assert!(!closed(&lab, &keep(&["plain"])).unwrap().kept.contains_key(&libgcc));
    let closure = closed(&lab, &keep(&["p"])).unwrap();
    assert!(closure.kept.contains_key(&libgcc));
    // The real program agrees: it ends well in the closure, and is aborted without the library.
    assert!(lab.chroot("/usr/bin/p", &[]).status.success());
    std::fs::remove_file(lab.host("/usr/lib/x86_64-linux-gnu/libgcc_s.so.1")).unwrap();
    assert!(!lab.chroot("/usr/bin/p", &[]).status.success());
    let findings = closed(&lab, &keep(&["p"])).unwrap().findings;
    assert!(findings.iter().any(|f| f.severity == Severity::Warning && f.message.contains("libgcc_s")), "{findings:?}");
}

#[test]
fn name_services_of_nsswitch_are_kept() {
    let lab = glibc();
    let source = "#include <pwd.h>\nint main(void) { return getpwnam(\"x\") != 0; }\n";
    lab.compile("/usr/bin/p", source, &[]);
    lab.lib("/lib/x86_64-linux-gnu/libnss_own.so.2", &["libhelp.so"], &[]);
    lab.lib("/lib/libhelp.so", &[], &[]);
    lab.lib("/lib/x86_64-linux-gnu/libnss_other.so.2", &[], &[]);
    lab.file("/etc/nsswitch.conf", "passwd: files [NOTFOUND=return other] own # other\n");
    let closure = closed(&lab, &keep(&["p"])).unwrap();
    let kept = |name: &str| closure.kept.contains_key(&path(name));
    assert!(kept("usr/lib/x86_64-linux-gnu/libnss_own.so.2") && kept("usr/lib/libhelp.so"));
    assert!(!kept("usr/lib/x86_64-linux-gnu/libnss_other.so.2"));
}

#[test]
fn what_programs_open_by_name_is_reported_or_kept() {
    let lab = glibc();
    let source = "#include <dlfcn.h>\nint main(void) { return dlopen(\"libplug.so.1\", 1) != 0; }\n";
    lab.compile("/usr/bin/p", source, &[]);
    lab.lib("/lib/libplug.so.1", &[], &[]);
    let mut keep = keep(&["p"]);
    let closure = closed(&lab, &keep).unwrap();
    assert!(closure.findings.iter().any(|f| f.severity == Severity::Note && f.message.contains("libplug.so.1")));
    keep.closure.dlopen_strings = Policy::Keep;
    let closure = closed(&lab, &keep).unwrap();
    assert!(closure.kept.contains_key(&path("usr/lib/libplug.so.1")) && closure.findings.is_empty());
}

#[test]
fn notes_say_what_is_opened() {
    let lab = glibc();
    let json = "[{\"soname\":[\"libfirst.so\",\"libsecond.so\"],\"feature\":\"x\"},{\"soname\":[\"libmore.so\"],\"priority\":\"suggested\"},{\"soname\":[\"libmust.so\"],\"priority\":\"required\"}]";
    let escaped = json.replace('"', "\\\\\\\"");
    let source = format!(
        "__asm__(\".pushsection .note.dlopen,\\\"a\\\",%note\\n.balign 4\\n.long 4,2f-1f,0x407c0c0a\\n.asciz \\\"FDO\\\"\\n1: .asciz \\\"{escaped}\\\"\\n2: .balign 4\\n.popsection\");\nint main(void) {{ return 0; }}\n"
    );
    lab.compile("/usr/bin/p", &source, &[]);
    lab.lib("/lib/libsecond.so", &[], &[]);
    lab.lib("/lib/libmore.so", &[], &[]);
    let closure = closed(&lab, &keep(&["p"])).unwrap();
    assert!(closure.kept.contains_key(&path("usr/lib/libsecond.so")));
    assert!(!closure.kept.contains_key(&path("usr/lib/libmore.so")));
    assert!(closure.findings.iter().any(|f| f.severity == Severity::Error && f.message.contains("libmust.so")));
}

#[test]
fn rule_sets_keep_and_are_triggered() {
    let lab = Lab::new();
    lab.lib("/lib/libssl.so.3", &[], &[]);
    lab.lib("/lib/libmagic.so.1", &[], &[]);
    lab.file("/usr/lib/file/magic.mgc", "");
    lab.file("/etc/ssl/certs/ca-certificates.crt", "");
    lab.program("/usr/bin/p", &["libssl.so.3", "libmagic.so.1"], &[]);
    let mut keep = keep(&["p"]);
    let closure = closed(&lab, &keep).unwrap();
    assert!(closure.kept.contains_key(&path("usr/lib/file/magic.mgc")), "a certain trigger keeps by itself");
    assert!(!closure.kept.contains_key(&path("etc/ssl/certs/ca-certificates.crt")));
    assert_eq!(closure.findings.len(), 1);
    assert!(closure.findings[0].message.contains("ca-certificates"), "{:?}", closure.findings);
    keep.rules = vec!["ca-certificates".to_owned()];
    let closure = closed(&lab, &keep).unwrap();
    assert!(closure.kept.contains_key(&path("etc/ssl/certs/ca-certificates.crt")) && closure.findings.is_empty());
}
