//! Whatever the tree, its tar says the same to other programs, and the same tree gives the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use minimg::digest::Digest;
use minimg::image::Compression;
use minimg::layer;
use minimg::store::Store;
use minimg::tree::{Kind, Meta, Node, RootPath, RootTree, read_directory};
use proptest::prelude::*;

use crate::support::samples::{EPOCH, layer_of, odd_tree, path};
use crate::support::{command, run, tool};

/// All that matters of a path, with hard links told by the first name of their file.
fn facts(tree: &RootTree, with_xattrs: bool) -> BTreeMap<RootPath, String> {
    let mut first_names: BTreeMap<RootPath, RootPath> = BTreeMap::new();
    for (path, node) in tree {
        if let Kind::Hardlink(target) = &node.kind {
            let first = first_names.entry(target.clone()).or_insert_with(|| target.clone());
            *first = path.min(first).clone();
        }
    }
    let of = |path: &RootPath, node: &Node| {
        let (file, node) = match &node.kind {
            Kind::Hardlink(target) => (target, tree.get(target).unwrap()),
            _ => (path, node),
        };
        let kind = match &node.kind {
            Kind::File(content) => {
                let first = first_names.get(file).unwrap_or(file);
                format!("file {} {first}", Digest::of(content.map().unwrap()).short())
            }
            other => format!("{other:?}"),
        };
        let Meta { mode, uid, gid, .. } = node.meta;
        let mode = if matches!(node.kind, Kind::Symlink(_)) { 0o777 } else { mode };
        let xattrs = if with_xattrs { format!("{:?}", node.meta.xattrs) } else { String::new() };
        format!("{kind} {mode:o} {uid}:{gid} {xattrs}")
    };
    tree.iter().map(|(path, node)| (path.clone(), of(path, node))).collect()
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-c]{1,2}".prop_map(String::into_bytes),
        2 => "[a-z .\\-ü\\\\\"\n]{1,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 1..8),
        1 => (90_usize..255).prop_map(|length| vec![b'n'; length]),
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0_u32..2, 1 => any::<u16>().prop_map(u32::from), 1 => any::<u32>().prop_map(|n| n / 2)]
}

fn node() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..1500).prop_map(|bytes| Node::file(0, bytes).kind),
        2 => Just(Kind::Directory),
        2 => proptest::collection::vec(1_u8.., 1..300).prop_map(|target| Node::symlink(target).kind),
        1 => Just(Kind::Fifo),
        1 => (0_u32..255, 0_u32..255).prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        1 => (0_u32..255, 0_u32..255).prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ];
    let xattrs =
        proptest::collection::btree_map("user\\.[a-z\n.]{1,9}", proptest::collection::vec(any::<u8>(), 0..40), 0..2);
    (kind, 0_u32..0o10000, number(), number(), -5_i64..EPOCH * 2, xattrs).prop_map(
        |(kind, mode, uid, gid, mtime, xattrs)| Node {
            kind,
            meta: Meta { mode, uid, gid, mtime, xattrs },
            package: None,
        },
    )
}

/// Trees in which every path has a directory above it; some files have several names.
fn tree() -> impl Strategy<Value = RootTree> {
    let entry = (proptest::collection::vec(component(), 1..4), node(), proptest::option::weighted(0.2, component()));
    proptest::collection::vec(entry, 0..25).prop_map(|entries| {
        let mut tree = RootTree::new();
        for (components, node, link) in entries {
            let Ok(name) = RootPath::new(components.join(&b'/')) else { continue };
            let real = |tree: &RootTree, path: &RootPath| {
                path.ancestors().all(|above| tree.get(&above).is_none_or(|node| matches!(node.kind, Kind::Directory)))
            };
            if name.is_root() || tree.contains(&name) || !real(&tree, &name) {
                continue;
            }
            let is_file = matches!(node.kind, Kind::File(_));
            tree.insert(name.clone(), node);
            tree.add_missing_parents();
            if let Some(Ok(other)) = link.map(RootPath::new)
                && is_file
                && !tree.contains(&other)
            {
                tree.insert(other, Node::new(Kind::Hardlink(name), 0));
            }
        }
        tree.add_missing_parents();
        tree
    })
}

fn tar_file(tree: &RootTree) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    layer::write_tar_to(tree, EPOCH, &mut file).unwrap();
    file.flush().unwrap();
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn another_reader_sees_the_same_tree(tree in tree()) {
        let file = tar_file(&tree);
        let back = layer::read_tar(File::open(file.path()).unwrap(), file.path()).unwrap();
        prop_assert_eq!(facts(&back, true), facts(&tree, true));
        // And what was read gives the same bytes again.
        let again = tar_file(&back);
        prop_assert_eq!(std::fs::read(again.path()).unwrap(), std::fs::read(file.path()).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn gnu_tar_extracts_the_same_tree(tree in tree()) {
        let file = tar_file(&tree);
        let directory = tempfile::tempdir().unwrap();
        let mut extract = command(tool("tar", "tar"), &["--extract", "--numeric-owner", "--same-owner", "--preserve-permissions"]);
        run(extract.arg("--file").arg(file.path()).arg("--directory").arg(directory.path()));
        let extracted = read_directory(directory.path()).unwrap();
        prop_assert_eq!(facts(&extracted, false), facts(&tree, false));
    }

    #[test]
    fn a_damaged_tar_is_an_error_or_a_tree(tree in tree(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = std::fs::read(tar_file(&tree).path()).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        // Neither panics; that is all that can be said of damaged bytes.
        if let Ok(tree) = layer::read_tar(File::open(file.path()).unwrap(), file.path()) {
            let _ = tree.dump();
        }
    }
}

#[test]
fn large_numbers_are_in_pax_records() {
    let mut tree = RootTree::new();
    tree.insert(path("f"), Node::file(0o644, "x").owned_by(0o7_777_777, 0o7_777_777).at(1 << 33));
    let mut small = Vec::new();
    layer::write_tar_to(&tree, EPOCH, &mut small).unwrap();
    assert_eq!(small.len(), 512 * 4, "a header, a block of content and two of zeros");
    tree.insert(path("f"), Node::file(0o644, "x").owned_by(0o10_000_000, u32::MAX).at(1 << 33));
    let mut large = Vec::new();
    layer::write_tar_to(&tree, 1 << 33, &mut large).unwrap();
    assert_eq!(&large[512..562], b"18 gid=4294967295\n20 mtime=8589934592\n15 uid=2097152\n"[..50].to_vec().as_slice());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&large).unwrap();
    let back = layer::read_tar(File::open(file.path()).unwrap(), file.path()).unwrap();
    let meta = &back.get(&path("f")).unwrap().meta;
    assert_eq!((meta.uid, meta.gid, meta.mtime), (0o10_000_000, u32::MAX, 1 << 33));
}

/// These change with the writer or a compressor. Then [`layer::WRITER_VERSION`] changes too, or the compressor's name, and users are
/// told that digests differ from those of the version before.
#[test]
fn digests_are_pinned() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let digests: Vec<_> = [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz]
        .map(|compression| (layer::compressor(compression), layer_of(&odd_tree(), compression, &store).digest.short()))
        .into();
    let expected = [
        ("none", "0c9448234de9"),
        ("libdeflate 1.26 level 8, 6 from piece 3 on, one gzip member of pieces of 1703936 bytes", "3b2a8faa6300"),
        ("libzstd 1.5.7 level 19, frames of 4194304 bytes", "75e45b734f48"),
        ("liblzma preset 6, streams of 4194304 bytes", "fac19136cea7"),
    ];
    assert_eq!(digests, expected.map(|(name, digest)| (name.to_owned(), digest.to_owned())));
}
