//! Other machines: their real loaders, run by qemu, use the cache that is written for them, and load what the walk finds.
//!
//! Needs Debian's packages `qemu-user-static`, `libc6-arm64-cross` and `libc6-s390x-cross`.

use minimg::closure::ldcache;
use minimg::closure::loader::CacheSource::{Computed, Shipped};

use super::lab::Lab;

/// A root in which the C library lies where only the cache leads.
fn agree(qemu: &str, cross: &str, loader: &str) {
    let lab = Lab::empty();
    let read = |path: &str| std::fs::read(path).unwrap_or_else(|error| panic!("this test needs {path}: {error}"));
    lab.executable("/qemu", read(&format!("/usr/bin/{qemu}")));
    lab.executable(&format!("/lib/{loader}"), read(&format!("{cross}/{loader}")));
    lab.executable("/opt/libc.so.6", read(&format!("{cross}/libc.so.6")));
    lab.executable("/bin/libm.so.6", read(&format!("{cross}/libm.so.6")));
    lab.file("/etc/ld.so.conf", "/opt\n");
    let list = || {
        let output = lab.chroot_with(&["/qemu", &format!("/lib/{loader}"), "--list", "/bin/libm.so.6"]);
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let before = list();
    assert!(!before.0.contains("/opt/libc.so.6"), "the loader finds it without a cache: {before:?}");
    let tree = lab.tree();
    lab.file("/etc/ld.so.cache", ldcache::for_tree(&tree, &tree).unwrap().expect("the tree has a loader"));
    let after = list();
    assert!(after.0.contains("libc.so.6 => /opt/libc.so.6"), "{after:?}");
    for cache in [Shipped, Computed] {
        assert_eq!(lab.walk("/bin/libm.so.6", cache).into_iter().collect::<Vec<_>>(), ["/opt/libc.so.6"]);
    }
}

#[test]
fn aarch64() {
    agree("qemu-aarch64-static", "/usr/aarch64-linux-gnu/lib", "ld-linux-aarch64.so.1");
}

#[test]
fn s390x_has_the_other_byte_order() {
    agree("qemu-s390x-static", "/usr/s390x-linux-gnu/lib", "ld64.so.1");
}
