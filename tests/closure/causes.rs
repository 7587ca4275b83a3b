//! What makes the loader load something stays with it, and nothing is assumed that the root itself says.

use minimg::closure::check::{CheckSettings, check};
use minimg::closure::loader::CacheSource::{Computed, Shipped};
use minimg::closure::{Closure, ClosureError, ClosureOptions, Severity, closure_of};
use minimg::profile::{Keep, Pattern};
use minimg::tree::{DirectoryRoot, RootPath};

use super::bytes::{Elf, Machine, NEEDED, SONAME};
use super::lab::Lab;

const X86_64: Machine = Machine { wide: true, big: false, number: 62, flags: 0 };
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn close(lab: &Lab, programs: &[&str], globs: &[&str]) -> Result<Closure, ClosureError> {
    let pattern = |glob: &&str| Pattern { glob: (*glob).to_owned(), reason: "a test".to_owned() };
    let keep = Keep {
        programs: programs.iter().map(ToString::to_string).collect(),
        keep: globs.iter().map(pattern).collect(),
        ..Keep::default()
    };
    closure_of(&lab.tree(), &keep, ClosureOptions { env: lab.env.clone(), ..ClosureOptions::default() })
}

fn keeps(closure: &Closure, path: &str) -> bool {
    closure.kept.contains_key(&RootPath::new(path).unwrap())
}

#[test]
fn the_list_of_preloaded_libraries_stays_with_them() {
    let lab = Lab::new();
    lab.lib("/lib/libpre.so", &[], &[]);
    lab.program("/bin/p", &[], &[]);
    for (list, is_kept) in [("/lib/libpre.so\n", true), ("# nothing\n", false), ("/lib/libnone.so\n", false)] {
        lab.file("/etc/ld.so.preload", list);
        let closure = close(&lab, &["/bin/p"], &[]).unwrap();
        assert_eq!(keeps(&closure, "etc/ld.so.preload"), is_kept, "{list}");
        assert_eq!(keeps(&closure, "usr/lib/libpre.so"), is_kept, "{list}");
        if is_kept {
            lab.pruned(&closure).agree("/bin/p", Shipped, &["/lib/libpre.so"]);
        }
    }
}

#[test]
fn musls_list_of_directories_stays() {
    let lab = Lab::new();
    lab.copy(MUSL);
    lab.lib("/opt/liba.so", &[], &[]);
    lab.file("/etc/ld-musl-x86_64.path", "/opt\n");
    lab.program("/bin/p", &["liba.so"], &["-dynamic-linker", MUSL]);
    let closure = close(&lab, &["/bin/p"], &[]).unwrap();
    let listed = lab.pruned(&closure).chroot_with(&[MUSL, "--list", "/bin/p"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("/opt/liba.so"), "{listed:?}");
}

#[test]
fn a_loader_reads_the_cache_that_it_was_built_for() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so.1", &[], &["-soname", "liba.so.1"]);
    lab.lib("/wrong/liba.so.1", &[], &["-soname", "liba.so.1"]);
    lab.program("/bin/p", &["liba.so.1"], &[]);
    lab.file("/etc/ld.so.conf", "/wrong\n");
    lab.write_caches(&lab.tree());
    lab.agree("/bin/p", Shipped, &["/wrong/liba.so.1"]);
    // What a loader has that was configured with --sysconfdir=/pre.
    lab.patch("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", |bytes| {
        let (from, to) = (b"/etc/ld.so.cache\0", b"/pre/ld.so.cache\0");
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
    });
    lab.agree("/bin/p", Shipped, &["liba.so.1 => missing"]);
    let root = DirectoryRoot::new(lab.root()).unwrap();
    let errors = check(&root, &CheckSettings::default()).unwrap();
    assert!(errors.iter().any(|found| found.severity == Severity::Error && found.message.contains("liba.so.1")));

    lab.file("/pre/ld.so.conf", "/opt\n");
    lab.write_caches(&lab.tree());
    for cache in [Shipped, Computed] {
        lab.agree("/bin/p", cache, &["/opt/liba.so.1"]);
    }
    let pruned = lab.pruned(&close(&lab, &["/bin/p"], &[]).unwrap());
    pruned.agree("/bin/p", Shipped, &["/opt/liba.so.1"]);
    assert!(!pruned.host("/etc/ld.so.cache").exists());
}

#[test]
fn the_interpreter_of_a_library_is_needed_by_nobody() {
    let library = || Elf { interpreter: Some("/nowhere/ld.so.9".to_owned()), ..Elf::new(X86_64) };
    for (path, elf) in [
        ("/lib/liba.so", library().with(SONAME, "liba.so")),
        ("/lib/liba.so", library()),
        ("/lib/plugin.so", library().with(NEEDED, "liba.so")),
        ("/lib/plugin.node", library().with(SONAME, "plugin")),
    ] {
        let lab = Lab::new();
        lab.executable(path, elf.bytes());
        if path != "/lib/liba.so" {
            lab.lib("/lib/liba.so", &[], &[]);
        }
        lab.program("/bin/p", &["liba.so"], &[]);
        let closure = close(&lab, &["/bin/p"], &[path]).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(closure.findings, [], "{path}");
        let root = DirectoryRoot::new(lab.root()).unwrap();
        assert_eq!(check(&root, &CheckSettings { symbols: false, ..CheckSettings::default() }).unwrap(), [], "{path}");
        // Whoever names it as a program wants it to start.
        let error = close(&lab, &["/bin/p", path], &[]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ld.so.9"), "{path}: {error}");
    }
}
