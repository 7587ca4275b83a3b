//! Sparse files, as GNU tar writes them in each of its formats: in root tars, and in layers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use minimg::rootfs;
use minimg::store::Store;
use minimg::tree::{Kind, RootTree};

use crate::common::{succeed, tool};
use crate::support::samples::path;

/// The options of each format.
const FORMATS: [&[&str]; 4] = [
    &["--format=gnu"],
    &["--format=pax", "--sparse-version=0.0"],
    &["--format=pax", "--sparse-version=0.1"],
    &["--format=pax", "--sparse-version=1.0"],
];

/// A file of this length with some bytes at each of these places.
fn sparse(directory: &Path, name: &str, length: u64, places: impl Iterator<Item = u64>) {
    let file = File::create(directory.join(name)).unwrap();
    file.set_len(length).unwrap();
    places.for_each(|place| file.write_all_at(format!("at {place}").as_bytes(), place).unwrap());
}

fn content(tree: &RootTree, name: &str) -> Vec<u8> {
    let Kind::File(content) = &tree.get(&path(name)).unwrap().kind else { panic!("{name} is not a file") };
    content.map().unwrap().to_vec()
}

#[test]
fn every_format_gives_the_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let kib = |count: u64| count << 10;
    sparse(&root, "holes-around", kib(1024), [kib(64), kib(512)].into_iter());
    sparse(&root, "nothing-but-a-hole", kib(300), std::iter::empty());
    sparse(&root, "no-hole-at-the-end", kib(200) + 5, std::iter::once(kib(200)));
    // More parts than a header has room for, and than a block that follows it.
    sparse(&root, "many-parts", kib(8192), (0..60).map(|at| kib(at * 128)));
    std::fs::write(root.join("plain"), "plain").unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    for format in FORMATS {
        let archive = directory.path().join("root.tar");
        let mut tar = tool("tar", "tar");
        tar.args(format).arg("--sparse").arg("-cf").arg(&archive).arg("-C").arg(&root).arg(".");
        succeed(&mut tar);
        assert!(archive.metadata().unwrap().len() < kib(2048), "{format:?}: it is written as a sparse file");
        let tree = rootfs::open(&archive, None, &store).unwrap().tree;
        for name in ["holes-around", "nothing-but-a-hole", "no-hole-at-the-end", "many-parts", "plain"] {
            assert!(content(&tree, name) == std::fs::read(root.join(name)).unwrap(), "{format:?}: {name}");
        }
        assert_eq!(tree.len(), 5, "{format:?}");
    }
}
