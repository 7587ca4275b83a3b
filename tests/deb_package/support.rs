//! Package files made by the tests, and a store that they are pinned in.

use std::io::Write;
use std::sync::{Arc, Mutex};

use minimg::backend::{Context, PinnedPackage, Pins, Produced, Request, Source};
use minimg::backends::deb::{Unpacker, produce};
use minimg::board::{ArchNames, Board, Platform};
use minimg::package::Fetch;
use minimg::report::{Event, Reporter, Silent};
use minimg::store::Store;
use minimg::tree::{RootPath, RootTree};
use minimg::{Class, Error};

/// A package file in the making.
pub(crate) struct Deb {
    pub(crate) control: String,
    control_files: Vec<(&'static str, String)>,
    data: tar::Builder<Vec<u8>>,
}

pub(crate) fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
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
pub(crate) fn set_raw_name(header: &mut tar::Header, name: &str) {
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
}

impl Deb {
    pub(crate) fn new(name: &str) -> Self {
        let control =
            format!("Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\nDescription: a test\n of packages\n");
        Self { control, control_files: Vec::new(), data: tar::Builder::new(Vec::new()) }
    }

    pub(crate) fn with_field(mut self, field: &str) -> Self {
        self.control += &format!("{field}\n");
        self
    }

    pub(crate) fn with_control(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.control_files.push((name, text.into()));
        self
    }

    pub(crate) fn entry(mut self, name: &str, kind: tar::EntryType, mode: u32, link: &str, body: &[u8]) -> Self {
        let mut header = header(kind, mode, body.len());
        set_raw_name(&mut header, name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.data.append(&header, body).unwrap();
        self
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Directory, 0o755, "", b"")
    }

    pub(crate) fn file(self, name: &str, body: impl AsRef<[u8]>) -> Self {
        self.entry(name, tar::EntryType::Regular, 0o644, "", body.as_ref())
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Symlink, 0o777, target, b"")
    }

    pub(crate) fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Link, 0o644, target, b"")
    }

    /// The control archive, not compressed.
    pub(crate) fn control_tar(&self) -> Vec<u8> {
        let mut control = tar::Builder::new(Vec::new());
        let files = [("control", &self.control)].into_iter().chain(self.control_files.iter().map(|(n, t)| (*n, t)));
        for (name, text) in files {
            let mut header = header(tar::EntryType::Regular, 0o644, text.len());
            set_raw_name(&mut header, &format!("./{name}"));
            header.set_cksum();
            control.append(&header, text.as_bytes()).unwrap();
        }
        control.into_inner().unwrap()
    }

    /// The files' archive, not compressed.
    pub(crate) fn tar(self) -> Vec<u8> {
        self.data.into_inner().unwrap()
    }

    pub(crate) fn build(self) -> Vec<u8> {
        let control = zstd::encode_all(&*self.control_tar(), 1).unwrap();
        let mut data = xz2::write::XzEncoder::new(Vec::new(), 1);
        data.write_all(&self.tar()).unwrap();
        container(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.zst", &control),
            ("data.tar.xz", &data.finish().unwrap()),
        ])
    }
}

pub(crate) fn container(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ar::Builder::new(Vec::new());
    for (name, body) in members {
        archive.append(&ar::Header::new(name.as_bytes().to_vec(), body.len() as u64), *body).unwrap();
    }
    archive.into_inner().unwrap()
}

pub(crate) fn request() -> Request {
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
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) pins: Pins,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self {
            directory,
            store,
            pins: Pins { archives: Vec::new(), packages: Vec::new(), epoch: 1_750_000_000, root: None },
        }
    }

    pub(crate) fn of(packages: Vec<Deb>) -> Self {
        let mut world = Self::new();
        for package in packages {
            let name = package.control.lines().next().unwrap().strip_prefix("Package: ").unwrap().to_owned();
            world.pin(&name, &package.build());
        }
        world
    }

    pub(crate) fn pin(&mut self, name: &str, bytes: &[u8]) {
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

    pub(crate) fn forget_packages(&self) {
        for package in &self.pins.packages {
            std::fs::remove_file(self.store.blob_path(&package.sha256)).unwrap();
        }
    }

    pub(crate) fn produce(&self) -> Result<Produced, Error> {
        self.produce_telling(Arc::new(Silent))
    }

    pub(crate) fn produce_telling(&self, reporter: Arc<dyn Reporter>) -> Result<Produced, Error> {
        let context = Context::new(self.store.clone()).with_reporter(reporter).with_offline(true);
        let fetch: Fetch = Arc::new(|pins, _, _| {
            Err(Error::new(Class::Network, format!("{} is not in the store", pins.packages[0].name)))
        });
        produce(&request(), &self.pins, Unpacker::new(&self.store), &context, &fetch)
    }

    pub(crate) fn tree(&self) -> RootTree {
        self.produce().unwrap().tree
    }

    /// What those are told who asked for details.
    pub(crate) fn details(&self) -> Vec<String> {
        let details = Arc::new(Details::default());
        self.produce_telling(details.clone()).unwrap();
        std::mem::take(&mut *details.0.lock().unwrap())
    }

    pub(crate) fn error(&self) -> Error {
        self.produce().map(|produced| produced.tree.dump()).expect_err("the packages are wrong")
    }
}

#[derive(Default)]
struct Details(Mutex<Vec<String>>);

impl Reporter for Details {
    fn event(&self, event: Event<'_>) {
        if let Event::Detail(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

/// The lines of a dump below the directories that packages have, without what every tree has.
pub(crate) fn shown(tree: &RootTree, below: &str) -> String {
    let directory = RootPath::new(below).unwrap();
    let subset = tree.subset(|path, _| path.starts_with(&directory) && *path != directory);
    let text = subset.dump().unwrap();
    text.lines().filter(|line| line.contains(&format!("/{below}/"))).map(|line| format!("{line}\n")).collect()
}
