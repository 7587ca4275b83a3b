use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use minimg_base::report::Silent;
use minimg_tree::{Content, ContentSource, Kind, Node};

const EPOCH: i64 = 1_700_000_000;

fn path(name: &str) -> RootPath {
    RootPath::new(name).expect("a good path")
}

fn options(compression: Compression) -> Options<'static> {
    Options { epoch: EPOCH, compression, created_by: "test", jobs: 2, reporter: &Silent }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

fn tree_of(nodes: Vec<(&str, Node)>) -> RootTree {
    let mut tree = RootTree::new();
    for (name, node) in nodes {
        tree.insert(path(name), node);
    }
    tree
}

fn tar_of(tree: &RootTree) -> Vec<u8> {
    let mut tar = Vec::new();
    write_tar_to(tree, EPOCH, &mut tar).unwrap();
    tar
}

/// One line for each entry: type, mode, owner, time relative to the epoch, path, link.
fn listed(tar: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in ::tar::Archive::new(tar).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let link = entry.link_name_bytes().map(|link| format!(" > {}", String::from_utf8_lossy(&link)));
        lines.push(format!(
            "{} {:04o} {}:{} {} {}{}",
            char::from(header.entry_type().as_byte()),
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap().cast_signed() - EPOCH,
            String::from_utf8_lossy(&entry.path_bytes()),
            link.unwrap_or_default()
        ));
    }
    lines
}

#[test]
fn entries_are_sorted_by_bytes_and_times_are_clamped() {
    let tree = tree_of(vec![
        ("a", Node::directory(0o755).at(EPOCH - 1000)),
        ("a/b", Node::file(0o644, "x").at(EPOCH - 3)),
        ("a/c", Node::file(0o644, "x").at(EPOCH - 2)),
        ("a-b", Node::file(0o4755, "x").owned_by(5, 6).at(EPOCH + 100)),
        ("empty", Node::directory(0o1777).at(EPOCH - 7)),
        ("l", Node { meta: minimg_tree::Meta { mode: 0o600, ..Default::default() }, ..Node::symlink("a/b") }),
        ("old", Node::file(0o600, "").at(-5)),
    ]);
    assert_eq!(
        listed(&tar_of(&tree)),
        [
            "5 0755 0:0 -2 a/".to_owned(),
            "0 4755 5:6 0 a-b".to_owned(),
            "0 0644 0:0 -3 a/b".to_owned(),
            "0 0644 0:0 -2 a/c".to_owned(),
            "5 1777 0:0 -7 empty/".to_owned(),
            format!("2 0777 0:0 -{EPOCH} l > a/b"),
            format!("0 0600 0:0 -{EPOCH} old"),
        ]
    );
}

#[test]
fn the_first_name_of_a_file_has_its_content() {
    let link = || Node::new(Kind::Hardlink(path("m/file")), 0);
    let tree = tree_of(vec![
        ("b", link()),
        ("m", Node::directory(0o755)),
        ("m/file", Node::file(0o4711, "content").owned_by(1, 2).at(EPOCH - 9)),
        ("z", Node::directory(0o755)),
        ("z/link", link()),
    ]);
    assert_eq!(
        listed(&tar_of(&tree)),
        [
            "0 4711 1:2 -9 b",
            "5 0755 0:0 -9 m/",
            "1 4711 1:2 -9 m/file > b",
            "5 0755 0:0 -9 z/",
            "1 4711 1:2 -9 z/link > b"
        ]
    );
}

#[test]
fn trees_that_are_no_layers_are_refused() {
    let (_directory, store) = store();
    for (nodes, expected) in [
        (vec![("a", Node::new(Kind::Hardlink(path("b")), 0))], "/a is a hard link to /b, which is not a regular file"),
        (
            vec![("a", Node::new(Kind::Hardlink(path("b")), 0)), ("b", Node::directory(0o755))],
            "/a is a hard link to /b, which is not a regular file",
        ),
        (
            vec![("lib", Node::symlink("usr/lib")), ("lib/x", Node::file(0o644, ""))],
            "/lib/x cannot be in the layer because /lib is not a directory",
        ),
        (vec![("d", Node::new(Kind::CharDevice { major: u32::MAX, minor: 0 }, 0))], "cannot write /d into the layer: "),
    ] {
        let error = write(&tree_of(nodes), &options(Compression::Gzip), &store).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.class(), Class::Malformed);
    }
}

/// Gives so many bytes, or fails, and counts how often it is asked.
struct Counting {
    asked: AtomicU64,
    bytes: Option<Vec<u8>>,
}

impl ContentSource for Counting {
    fn map(&self, _: u64) -> io::Result<bytes::Bytes> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .clone()
            .map(Into::into)
            .ok_or_else(|| io::Error::other(Error::new(Class::Verification, "bad package")))
    }
}

#[test]
fn content_that_cannot_be_had_is_named() {
    let (_directory, store) = store();
    for (bytes, expected, class) in [
        (None, "cannot read the content of /f: bad package", Class::Verification),
        (Some(vec![0; 3]), "cannot read the content of /f: the content has 3 bytes instead of 4", Class::Machine),
    ] {
        let source = Arc::new(Counting { asked: AtomicU64::new(0), bytes });
        let tree = tree_of(vec![("f", Node::new(Kind::File(Content::lazy(source, 0, 4)), 0o644))]);
        let error = write(&tree, &options(Compression::Gzip), &store).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), (expected, class));
    }
}

/// A writer that takes so many bytes and then is full.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(data.len()).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_not_taken_for_bad_content() {
    let tree = tree_of(vec![("f", Node::file(0o644, vec![1; 5000]))]);
    for room in [0, 512, 1000, 5800, 6600] {
        let error = write_tar_to(&tree, EPOCH, Full(room)).unwrap_err();
        assert!(error.to_string().starts_with("cannot store the layer: "), "{room}: {error}");
        assert_eq!(error.class(), Class::Machine);
    }
}

/// Says in the order of events whether the layer was reused.
#[derive(Default)]
struct Noting(std::sync::Mutex<Vec<&'static str>>);

impl Reporter for Noting {
    fn event(&self, event: Event<'_>) {
        let word = match event {
            Event::Reused { .. } => "reused",
            Event::Missed { .. } => "missed",
            _ => "other",
        };
        self.0.lock().unwrap().push(word);
    }
}

#[test]
fn a_tar_is_compressed_once() {
    let (_directory, store) = store();
    let source = Arc::new(Counting { asked: AtomicU64::new(0), bytes: Some(vec![7; 100_000]) });
    let tree = tree_of(vec![("f", Node::new(Kind::File(Content::lazy(source.clone(), 0, 100_000)), 0o644))]);
    let noting = Noting::default();
    let write = |compression| write(&tree, &Options { reporter: &noting, ..options(compression) }, &store).unwrap();
    let first = write(Compression::Gzip);
    assert_eq!(source.asked.load(Ordering::Relaxed), 2, "hashed, then compressed");
    assert_eq!(write(Compression::Gzip), first);
    assert_eq!(source.asked.load(Ordering::Relaxed), 3, "hashed only");
    assert_ne!(write(Compression::Zstd).digest, first.digest);
    std::fs::write(store.blob_path(&first.digest), "damaged").unwrap();
    assert_eq!(write(Compression::Gzip), first);
    assert_eq!(*noting.0.lock().unwrap(), ["missed", "reused", "missed", "missed"]);
    assert!(store.blob(&first.digest).unwrap().is_some());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    // Compressible, larger than several pieces of every format, and not a multiple of any.
    let content: Vec<u8> = (0..20_000_003_u32).map(|n| (n.wrapping_mul(n) >> 13) as u8 & 0x1f).collect();
    for (compression, size) in
        [(Compression::Gzip, content.len()), (Compression::None, 1000), (Compression::Zstd, 9_000_000)]
    {
        let tree = tree_of(vec![("f", Node::file(0o644, content[..size].to_vec()))]);
        let digests: Vec<_> = [1, 2, 5]
            .into_iter()
            .map(|jobs| {
                let (_directory, store) = store();
                let layer = write(&tree, &Options { jobs, ..options(compression) }, &store).unwrap();
                let (diff_id, size) = Digest::of_reader(open(&layer, &store).unwrap()).unwrap();
                assert_eq!((diff_id, size), (layer.diff_id, layer.diff_size));
                assert_eq!(store.blob(&layer.digest).unwrap().unwrap().len() as u64, layer.size);
                layer.digest
            })
            .collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{compression:?}: {digests:?}");
    }
}

#[test]
fn a_gzip_layer_is_one_member() {
    let mut random = fastrand::Rng::with_seed(1);
    // Nothing but the end of the tar, a part of a piece, exactly one piece, and several of which the last is small.
    for size in [0, 1000, 1664 * 1024 - 2048, 7_000_000] {
        let content: Vec<u8> = (0..size).map(|n: usize| if n.is_multiple_of(3) { random.u8(..) } else { 7 }).collect();
        let tree = tree_of(vec![("f", Node::file(0o644, content))]);
        let tree = if size == 0 { RootTree::new() } else { tree };
        let (_directory, store) = store();
        let layer = write(&tree, &options(Compression::Gzip), &store).unwrap();
        let blob = store.blob(&layer.digest).unwrap().unwrap();
        // This reader stops behind the first member, and checks its sum and length.
        let mut reader = flate2::bufread::GzDecoder::new(&blob[..]);
        assert_eq!(Digest::of_reader(&mut reader).unwrap(), (layer.diff_id, layer.diff_size), "{size}");
        assert!(reader.into_inner().is_empty(), "{size}: nothing comes behind it");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let (_directory, store) = store();
    let tree = tree_of(vec![
        ("etc", Node::directory(0o755)),
        ("etc/passwd", Node::file(0o644, "root:x:0:0::/:").owned_by(1, 2).at(5)),
    ]);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz] {
        for tree in [&tree, &RootTree::new()] {
            let layer = write(tree, &options(compression), &store).unwrap();
            assert_eq!(read(&layer, &store).unwrap().dump().unwrap(), tree.dump().unwrap(), "{compression:?}");
        }
    }
}

#[test]
fn lost_and_damaged_layers_are_named() {
    let (_directory, store) = store();
    let layer = write(&tree_of(vec![("f", Node::file(0o644, "x"))]), &options(Compression::Gzip), &store).unwrap();
    std::fs::write(store.blob_path(&layer.digest), "damaged").unwrap();
    for _ in 0..2 {
        let error = read(&layer, &store).unwrap_err();
        assert_eq!(error.class(), Class::Verification);
        assert!(error.to_string().contains("is not in the store, or was damaged"), "{error}");
    }
    let digest = store.put_blob(b"this is no gzip at all").unwrap();
    let error = read(&Layer { digest, ..layer }, &store).unwrap_err();
    assert_eq!(error.class(), Class::Malformed);
}

#[test]
fn layers_are_stacked_as_the_specification_says() {
    let (_directory, store) = store();
    let file = |text: &str| Node::file(0o644, text.to_owned());
    let directory = || Node::directory(0o755);
    let lower = tree_of(vec![
        ("dir", directory()),
        ("dir/gone", file("1")),
        ("dir/stays", file("2")),
        ("file-to-dir", file("3")),
        ("dir-to-file", directory()),
        ("dir-to-file/x", file("4")),
        ("opaque", directory()),
        ("opaque/old", file("5")),
        ("hard-a", file("6")),
        ("hard-b", Node::new(Kind::Hardlink(path("hard-a")), 0)),
        ("hard-c", Node::new(Kind::Hardlink(path("hard-a")), 0)),
    ]);
    let upper = tree_of(vec![
        ("dir", directory()),
        ("dir/.wh.gone", file("")),
        ("file-to-dir", directory()),
        ("file-to-dir/new", file("7")),
        ("dir-to-file", file("8")),
        ("opaque", Node::directory(0o700)),
        ("opaque/.wh..wh..opq", file("")),
        ("opaque/new", file("9")),
        ("hard-a", file("10")),
        (".wh.not-there", file("")),
        (".wh.", file("")),
        (".wh...", file("")),
    ]);
    let layers = [&lower, &upper].map(|tree| write(tree, &options(Compression::Gzip), &store).unwrap());
    let lines = flatten(&layers, &store).unwrap().dump().unwrap();
    let names: Vec<_> = lines.lines().map(|line| line.rsplit_once(" 0:0 ").unwrap().1).collect();
    let digest = |text: &str| Digest::of(text).short();
    assert_eq!(
        names,
        [
            "/dir/".to_owned(),
            format!("/dir-to-file 1 {}", digest("8")),
            format!("/dir/stays 1 {}", digest("2")),
            "/file-to-dir/".to_owned(),
            format!("/file-to-dir/new 1 {}", digest("7")),
            format!("/hard-a 2 {}", digest("10")),
            format!("/hard-b 1 {}", digest("6")),
            "/hard-c = /hard-b".to_owned(),
            "/opaque/".to_owned(),
            format!("/opaque/new 1 {}", digest("9")),
        ]
    );
    assert!(lines.contains("d 0700 0:0 /opaque/"), "{lines}");
}
