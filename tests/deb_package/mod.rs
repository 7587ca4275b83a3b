//! The deb backend's packages: from package files made here to root trees, with a real store.

mod hostile;
mod rules;
mod support;

use std::io::Write as _;

use minimg::Class;
use minimg::digest::Digest;
use minimg::tree::RootPath;
use minimg::tree::RootTree;
use support::{Deb, World, container, shown};

#[test]
fn a_package_becomes_a_tree_with_merged_usr() {
    let world = World::of(vec![
        Deb::new("tool")
            .with_control("md5sums", "00000000000000000000000000000000  bin/tool\n")
            .with_control("prerm", "exit 1")
            .directory("./")
            .directory("./bin/")
            .file("./bin/tool", "a tool")
            .hardlink("./bin/tool2", "./bin/tool")
            .symlink("./usr/bin/tool", "/bin/tool")
            .directory("./lib64/")
            .symlink("./lib64/ld.so", "../lib/ld.so"),
    ]);
    let tree = world.tree();
    insta::assert_snapshot!(shown(&tree, "usr"), @r"
    d 0755 0:0 /usr/
    d 0755 0:0 /usr/bin/
    f 0644 0:0 /usr/bin/tool 6 38af692dd9d8
    h 0644 0:0 /usr/bin/tool2 = /usr/bin/tool
    d 0755 0:0 /usr/lib/
    f 0644 0:0 /usr/lib/os-release 145 a91830abc512
    d 0755 0:0 /usr/lib64/
    l 0777 0:0 /usr/lib64/ld.so -> ../lib/ld.so
    d 0755 0:0 /usr/sbin/
    ");
    let link = |name: &str| tree.get(&RootPath::new(name).unwrap()).map(|node| format!("{:?}", node.kind));
    assert!(link("lib32").is_none());
    assert!(link("lib64").is_some() && link("bin").is_some());
    let status = tree.get(&RootPath::new("var/lib/dpkg/status.d/tool").unwrap()).unwrap();
    assert_eq!(tree.package_of(status).unwrap().name, "tool");
    let minimg::tree::Kind::File(content) = &status.kind else { panic!("a file") };
    insta::assert_snapshot!(String::from_utf8_lossy(&content.map().unwrap()), @r"
    Package: tool
    Status: install ok installed
    Version: 1.0-1
    Architecture: amd64
    Description: a test
     of packages
    ");
    assert!(tree.contains(&RootPath::new("var/lib/dpkg/status.d/tool.md5sums").unwrap()));
}

/// The members of a package may be compressed in other ways than usual, that of old packages too.
#[test]
fn members_are_compressed_in_many_ways() {
    let lzma = |data: &[u8]| {
        let options = xz2::stream::LzmaOptions::new_preset(6).unwrap();
        let stream = xz2::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut encoder = xz2::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let plain = |data: &[u8]| data.to_vec();
    for (ending, compress) in [(".lzma", &lzma as &dyn Fn(&[u8]) -> Vec<u8>), ("", &plain)] {
        let package = Deb::new("old").file("./usr/old", "what is in it");
        let control = compress(&package.control_tar());
        let data = compress(&package.tar());
        let mut world = World::new();
        let members = [
            ("debian-binary", &b"2.0\n"[..]),
            (&format!("control.tar{ending}"), &control),
            (&format!("data.tar{ending}"), &data),
        ];
        world.pin("old", &container(&members));
        assert!(shown(&world.tree(), "usr").contains("f 0644 0:0 /usr/old 13 "), "{ending}");
    }
}

#[test]
fn what_was_kept_is_had_without_the_package() {
    let body = vec![7u8; 300_000];
    let world = World::of(vec![
        Deb::new("one").file("./usr/a", "a").file("./usr/big", &body).file("./usr/c", "c"),
        Deb::new("two").file("./usr/d", "d"),
    ]);
    let first = world.produce().unwrap();
    let kept = first.tree.subset(|path, _| path.to_string() == "/usr/big");
    first.retain.unwrap().retain(&kept).unwrap();
    world.forget_packages();

    let again = world.produce().unwrap();
    let read = |tree: &RootTree, name: &str| match &tree.get(&RootPath::new(name).unwrap()).unwrap().kind {
        minimg::tree::Kind::File(content) => content.map().map(|bytes| Digest::of(&bytes)).map_err(|e| e.to_string()),
        _ => panic!("a file"),
    };
    assert_eq!(read(&again.tree, "usr/big"), Ok(Digest::of(&body)));
    assert_eq!(read(&again.tree, "usr/a"), Err("one is not in the store".into()));

    // A damaged pack counts as none.
    let pack = std::fs::read_dir(world.directory.path().join("v1/blobs")).unwrap();
    for directory in pack {
        for file in std::fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(byte) = bytes.get_mut(1000) {
                *byte ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
        }
    }
    assert_eq!(read(&world.produce().unwrap().tree, "usr/big"), Err("one is not in the store".into()));
}

#[test]
fn another_package_than_the_pinned_one_is_refused() {
    let mut world = World::new();
    world.pin("expected", &Deb::new("other").build());
    let error = world.error();
    assert_eq!(
        error.to_string(),
        "expected 1.0-1 amd64: it says that it is other 1.0-1 amd64; the index or lock is wrong; resolve again"
    );
    assert_eq!(error.class(), Class::Verification);
}

#[test]
fn two_packages_with_one_path() {
    let deb = |name: &str, body: &str| {
        Deb::new(name).directory("./usr").file("./usr/x", body).hardlink("./usr/y-{name}", "./usr/x")
    };
    let content = |world: &World| {
        let tree = world.tree();
        let node = tree.get(&RootPath::new("usr/x").unwrap()).cloned().unwrap();
        let owner = tree.package_of(&node).unwrap().name.clone();
        match node.kind {
            minimg::tree::Kind::File(content) => (owner, String::from_utf8_lossy(&content.map().unwrap()).into_owned()),
            _ => panic!("a file"),
        }
    };
    let owned = |owner: &str, body: &str| (owner.to_owned(), body.to_owned());
    assert_eq!(content(&World::of(vec![deb("a", "same"), deb("b", "same")])), owned("a", "same"));
    let newer = deb("b", "newer").with_field("Replaces: a (<< 2)");
    assert_eq!(content(&World::of(vec![deb("a", "older"), newer])), owned("b", "newer"));
    let newer = deb("a", "newer").with_field("Replaces: c, b");
    assert_eq!(content(&World::of(vec![newer, deb("b", "older")])), owned("a", "newer"));
    let error = World::of(vec![deb("a", "one"), deb("b", "other").with_field("Replaces: a (>> 2)")]).error();
    let expected =
        "b 1.0-1 amd64: it ships /usr/x, which a ships too, and neither replaces the other; leave one of them out";
    assert_eq!((error.to_string().as_str(), error.class()), (expected, Class::Unsatisfiable));
}

#[test]
fn directories_that_are_links_in_another_package_are_followed() {
    let world = World::of(vec![
        Deb::new("base-files").directory("./run").symlink("./var/run", "/run").symlink("./usr/share/doc/z", "a"),
        Deb::new("a").directory("./var/run/a").file("./var/run/a/f", "f").directory("./usr/share/doc/z/"),
        Deb::new("z").directory("./usr/share/doc/z").file("./usr/share/doc/z/f", "f"),
    ]);
    let tree = world.tree();
    insta::assert_snapshot!(shown(&tree, "run") + &shown(&tree, "usr/share"), @r"
    d 0755 0:0 /run/
    d 0755 0:0 /run/a/
    f 0644 0:0 /run/a/f 1 252f10c83610
    d 1777 0:0 /run/lock/
    d 0755 0:0 /usr/share/
    d 0755 0:0 /usr/share/doc/
    d 0755 0:0 /usr/share/doc/a/
    f 0644 0:0 /usr/share/doc/a/f 1 252f10c83610
    l 0777 0:0 /usr/share/doc/z -> a
    ");
}
