//! The deb backend's packages: from package files made here to root trees, with a real store.

use std::io::Write;

use minimg::backend::{Context, PinnedPackage, Pins, Produced, Request, Settings, Source};
use minimg::backends::deb::package::produce;
use minimg::board::{ArchNames, Board, Platform};
use minimg::digest::Digest;
use minimg::report::Silent;
use minimg::store::Store;
use minimg::tree::{RootPath, RootTree};
use minimg::{Class, Error};

/// A package file in the making.
struct Deb {
    control: String,
    control_files: Vec<(&'static str, String)>,
    data: tar::Builder<Vec<u8>>,
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size as u64);
    header
}

/// Sets a name as it is, however hostile.
fn set_raw_name(header: &mut tar::Header, name: &str) {
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
}

impl Deb {
    fn new(name: &str) -> Self {
        let control =
            format!("Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\nDescription: a test\n of packages\n");
        Self { control, control_files: Vec::new(), data: tar::Builder::new(Vec::new()) }
    }

    fn with_field(mut self, field: &str) -> Self {
        self.control += &format!("{field}\n");
        self
    }

    fn with_control(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.control_files.push((name, text.into()));
        self
    }

    fn entry(mut self, name: &str, kind: tar::EntryType, mode: u32, link: &str, body: &[u8]) -> Self {
        let mut header = header(kind, mode, body.len());
        set_raw_name(&mut header, name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.data.append(&header, body).unwrap();
        self
    }

    fn directory(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Directory, 0o755, "", b"")
    }

    fn file(self, name: &str, body: impl AsRef<[u8]>) -> Self {
        self.entry(name, tar::EntryType::Regular, 0o644, "", body.as_ref())
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Symlink, 0o777, target, b"")
    }

    fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Link, 0o644, target, b"")
    }

    fn build(self) -> Vec<u8> {
        let mut control = tar::Builder::new(Vec::new());
        let files = [("control", self.control)].into_iter().chain(self.control_files);
        for (name, text) in files {
            let mut header = header(tar::EntryType::Regular, 0o644, text.len());
            set_raw_name(&mut header, &format!("./{name}"));
            header.set_cksum();
            control.append(&header, text.as_bytes()).unwrap();
        }
        let control = zstd::encode_all(&*control.into_inner().unwrap(), 1).unwrap();
        let mut data = xz2::write::XzEncoder::new(Vec::new(), 1);
        data.write_all(&self.data.into_inner().unwrap()).unwrap();
        container(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.zst", &control),
            ("data.tar.xz", &data.finish().unwrap()),
        ])
    }
}

fn container(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ar::Builder::new(Vec::new());
    for (name, body) in members {
        archive.append(&ar::Header::new(name.as_bytes().to_vec(), body.len() as u64), *body).unwrap();
    }
    archive.into_inner().unwrap()
}

fn request() -> Request {
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let names = ArchNames { deb: Some("amd64".into()), ..ArchNames::default() };
    let board = Board {
        name: "amd64".into(),
        description: String::new(),
        platform,
        names,
        cpu_level: None,
        qemu: None,
        buildroot_defconfig: None,
        size_budget: None,
    };
    let source = Source { distribution: "debian".into(), suite: "bookworm".into(), ..Source::default() };
    Request { board, source, packages: Vec::new() }
}

/// A store, and packages that are pinned in it.
struct World {
    directory: tempfile::TempDir,
    store: Store,
    pins: Pins,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { directory, store, pins: Pins { archives: Vec::new(), packages: Vec::new(), epoch: 1_750_000_000 } }
    }

    fn of(packages: Vec<Deb>) -> Self {
        let mut world = Self::new();
        for package in packages {
            let name = package.control.lines().next().unwrap().strip_prefix("Package: ").unwrap().to_owned();
            world.pin(&name, &package.build());
        }
        world
    }

    fn pin(&mut self, name: &str, bytes: &[u8]) {
        let sha256 = self.store.put_blob(bytes).unwrap();
        self.pins.packages.push(PinnedPackage {
            name: name.to_owned(),
            version: "1.0-1".into(),
            architecture: "amd64".into(),
            archive: 0,
            path: String::new(),
            size: bytes.len() as u64,
            sha256,
        });
    }

    fn forget_packages(&self) {
        for package in &self.pins.packages {
            std::fs::remove_file(self.store.blob_path(&package.sha256)).unwrap();
        }
    }

    fn produce(&self) -> Result<Produced, Error> {
        let settings = Settings::default();
        let context = Context { store: &self.store, reporter: &Silent, offline: true, settings: &settings };
        produce(&request(), &self.pins, &context, |pins, _, _| {
            Err(Error::new(Class::Network, format!("{} is not in the store", pins.packages[0].name)))
        })
    }

    fn tree(&self) -> RootTree {
        self.produce().unwrap().tree
    }

    fn error(&self) -> Error {
        self.produce().map(|produced| produced.tree.dump()).expect_err("the packages are wrong")
    }
}

/// The lines of a dump below the directories that packages have, without what every tree has.
fn shown(tree: &RootTree, below: &str) -> String {
    let directory = RootPath::new(below).unwrap();
    let subset = tree.subset(|path, _| path.starts_with(&directory) && *path != directory);
    let text = subset.dump().unwrap();
    text.lines().filter(|line| line.contains(&format!("/{below}/"))).map(|line| format!("{line}\n")).collect()
}

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
fn hostile_files_of_packages_are_refused() {
    use tar::EntryType::{Block, Continuous, GNUSparse, Regular};
    let deb = || Deb::new("evil").file("./usr/f", "f");
    let cases: Vec<(Deb, &str)> = vec![
        (deb().file("../etc/passwd", "x"), "has a `..` component"),
        (deb().file("./usr/../../x", "x"), "has a `..` component"),
        (deb().hardlink("./h", "../../etc/shadow"), "has a `..` component"),
        (deb().hardlink("./h", "./none"), "/h in the archive is a hard link to /none, which is not a file"),
        (deb().hardlink("./h", "./h"), "/h in the archive is a hard link to /h, which is not a file"),
        (deb().symlink("./s", "/etc").hardlink("./h", "./s"), "is a hard link to /s, which is not a file"),
        (deb().symlink("./s", "/etc").file("./s/passwd", "x"), "/s/passwd in the archive lies below /s"),
        (deb().file("./usr/f/g", "x"), "/usr/f/g in the archive lies below /usr/f"),
        (deb().file("./usr", "x"), "/usr is in the archive twice"),
        (deb().file("./usr/f", "other"), "/usr/f is in the archive twice"),
        (deb().symlink("./usr/f", "g"), "/usr/f is in the archive twice"),
        (deb().file(".", "x"), "/ is in the archive twice"),
        (deb().symlink("./s", ""), "has a target that no system accepts"),
        (deb().entry("./sparse", GNUSparse, 0o644, "", b""), "sparse file"),
        (deb().entry("./odd", tar::EntryType::new(b'Z'), 0o644, "", b""), "unknown entry type 'Z'"),
    ];
    for (deb, message) in cases {
        let error = World::of(vec![deb]).error();
        assert!(error.to_string().contains(message), "{error} should say {message}");
        assert!(error.to_string().starts_with("evil 1.0-1 amd64: "), "{error}");
        assert_eq!(error.class(), Class::Malformed, "{error}");
    }
    let tree = World::of(vec![
        deb()
            .entry("/abs", Regular, 0o4755, "", b"x")
            .entry("./c", Continuous, 0o644, "", b"")
            .entry("d", Block, 0o600, "", b""),
    ]);
    let names: Vec<String> = tree.tree().iter().map(|(path, _)| path.to_string()).collect();
    assert!(
        names.contains(&"/abs".into()) && names.contains(&"/d".into()),
        "absolute names and devices are inside the root"
    );
}

#[test]
fn containers_that_are_no_packages_are_refused() {
    let good = Deb::new("p").file("./usr/f", "f").build();
    let control = zstd::encode_all(&b""[..], 1).unwrap();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "does not begin as an ar archive"),
        (b"!<arch>\n".to_vec(), "first member is not debian-binary"),
        (container(&[("data.tar", b"")]), "first member is not debian-binary"),
        (container(&[("debian-binary", b"3.0\n")]), "its format is \"3.0\""),
        (container(&[("debian-binary", b"2.0\n")]), "has no files' archive"),
        (container(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]), "no control archive before"),
        (container(&[("debian-binary", b"2.0\n"), ("control.tar.lz4", b"")]), "compressed in a way that is not known"),
        (container(&[("debian-binary", b"2.0\n"), ("evil", b"")]), "unknown member \"evil\""),
        (
            container(&[("debian-binary", b"2.0\n"), ("control.tar.zst", &control)]),
            "control.tar: the archive is truncated",
        ),
        (good[..good.len() / 2].to_vec(), "p 1.0-1 amd64: "),
    ];
    for (bytes, message) in cases {
        let mut world = World::new();
        world.pin("p", &bytes);
        let error = world.error();
        assert!(error.to_string().contains(message), "{error} should say {message}");
        assert_eq!(error.class(), Class::Malformed, "{error}");
    }
}

#[test]
fn another_package_than_the_pinned_one_is_refused() {
    let mut world = World::new();
    world.pin("expected", &Deb::new("other").build());
    let error = world.error();
    assert_eq!(
        error.to_string(),
        "expected 1.0-1 amd64: it says that it is other 1.0-1 amd64; the index or lock is wrong, resolve anew"
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
    d 0755 0:0 /usr/share/
    d 0755 0:0 /usr/share/doc/
    d 0755 0:0 /usr/share/doc/a/
    f 0644 0:0 /usr/share/doc/a/f 1 252f10c83610
    l 0777 0:0 /usr/share/doc/z -> a
    ");
}
