//! A signed Debian archive, made of packages that are installed on this machine: real programs and libraries, and no mirror that may be slow,
//! behind, or out of reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use minimg::digest::{Digest, HashingReader};

use super::signing::{key, public, sign};

/// What the archive has, with all that these depend on.
const SEEDS: [&str; 8] = ["busybox", "base-files", "bash", "coreutils", "libc-bin", "ncurses-base", "perl", "tzdata"];
/// Changed with every change of what is made here.
const VERSION: u32 = 3;
/// What dpkg knows of this machine.
const STATUS: &str = "/var/lib/dpkg/status";

/// An archive in a directory.
pub(crate) struct Archive {
    /// Where it is: what stands for a mirror's address.
    pub(crate) path: PathBuf,
    /// The keyring that its signatures are checked against.
    pub(crate) keyring: PathBuf,
}

/// The archive of this machine's packages, for the suite that profiles name by default. It is made once, by the first test that asks for it.
pub(crate) fn of_this_machine() -> Archive {
    let status = fs::read_to_string(STATUS).expect("dpkg's status: the tests run on a Debian machine");
    let name = format!("archive-{}", Digest::of(format!("{VERSION}\n{status}")).short());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    let lock = File::create(path.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !path.is_dir() {
        let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        make(&status, new.path());
        fs::rename(new.keep(), &path).unwrap();
    }
    Archive { keyring: path.join("keyring.pgp"), path }
}

fn make(status: &str, directory: &Path) {
    let installed = installed(status);
    let pool = directory.join("pool");
    fs::create_dir(&pool).unwrap();
    let mut packages = String::new();
    let mut architecture = "all";
    for package in closure(&installed) {
        let file = pool.join(format!("{}.deb", package.name));
        repack(package, &file);
        let mut read = HashingReader::new(File::open(&file).unwrap());
        std::io::copy(&mut read, &mut std::io::sink()).unwrap();
        let (digest, size) = (read.finish(), file.metadata().unwrap().len());
        let fields = package.fields.iter().filter(|(name, _)| !["Status", "Conffiles"].contains(name));
        for (name, value) in fields {
            writeln!(packages, "{name}:{value}").unwrap();
        }
        writeln!(packages, "Filename: pool/{}.deb\nSize: {size}\nSHA256: {}\n", package.name, digest.hex()).unwrap();
        if package.field("Architecture") != "all" {
            architecture = package.field("Architecture");
        }
    }
    let key = key();
    fs::write(directory.join("keyring.pgp"), public(&key)).unwrap();
    for (suite, packages) in [("trixie", packages.as_str()), ("trixie-updates", ""), ("trixie-security", "")] {
        let suite = Suite { name: suite, architecture, directory: directory.join("dists").join(suite) };
        let release = suite.write(packages);
        fs::write(suite.directory.join("InRelease"), sign(&key, &release)).unwrap();
    }
}

struct Suite<'a> {
    name: &'a str,
    architecture: &'a str,
    directory: PathBuf,
}

impl Suite<'_> {
    /// Writes the list of packages in both its forms, and returns the Release file.
    fn write(&self, packages: &str) -> String {
        let Self { name, architecture, directory } = self;
        let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        compressed.write_all(packages.as_bytes()).unwrap();
        let mut release = format!(
            "Origin: Debian\nLabel: Debian\nSuite: {name}\nCodename: {name}\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
             Architectures: all {architecture}\nComponents: main\nSHA256:\n"
        );
        let list = format!("main/binary-{architecture}/Packages");
        fs::create_dir_all(directory.join(&list).parent().unwrap()).unwrap();
        for (form, bytes) in [("", packages.as_bytes()), (".gz", &compressed.finish().unwrap())] {
            fs::write(directory.join(format!("{list}{form}")), bytes).unwrap();
            writeln!(release, " {} {} {list}{form}", Digest::of(bytes).hex(), bytes.len()).unwrap();
        }
        release
    }
}

/// A package as dpkg's status has it.
struct Package<'s> {
    name: &'s str,
    /// Name and value of each field, whose lines of continuation are part of it.
    fields: Vec<(&'s str, &'s str)>,
}

impl<'s> Package<'s> {
    fn field(&self, name: &str) -> &'s str {
        self.fields.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value.trim())
    }

    /// What dpkg keeps beside the status: lists of files and scripts, by the name that it has there.
    fn info(&self, kind: &str) -> PathBuf {
        let info = Path::new("/var/lib/dpkg/info");
        let plain = info.join(format!("{}.{kind}", self.name));
        let qualified = info.join(format!("{}:{}.{kind}", self.name, self.field("Architecture")));
        if qualified.exists() { qualified } else { plain }
    }
}

fn installed(status: &str) -> BTreeMap<&str, Package<'_>> {
    let mut packages = BTreeMap::new();
    for stanza in status.split("\n\n").filter(|stanza| stanza.contains("Status: install ok installed")) {
        let mut fields = Vec::new();
        let mut rest = stanza.trim_end();
        while !rest.is_empty() {
            let mut breaks = rest.match_indices('\n').map(|(at, _)| at);
            let end = breaks.find(|at| !rest[at + 1..].starts_with(' ')).unwrap_or(rest.len());
            fields.extend(rest[..end].split_once(':'));
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        let package = Package { name: "", fields };
        packages.insert(package.field("Package"), Package { name: package.field("Package"), ..package });
    }
    packages
}

/// The seeds and what they depend on, by the alternative that is installed.
fn closure<'a, 's>(installed: &'a BTreeMap<&'s str, Package<'s>>) -> Vec<&'a Package<'s>> {
    let mut pending: Vec<&str> = SEEDS.to_vec();
    let mut found = BTreeSet::new();
    while let Some(name) = pending.pop() {
        let package = installed.get(name).unwrap_or_else(|| panic!("this test needs {name}: apt-get install {name}"));
        if found.insert(name) {
            let groups = ["Pre-Depends", "Depends"].iter().flat_map(|field| package.field(field).split(','));
            for group in groups {
                pending.extend(names(group, '|').find_map(|name| provider(installed, name)));
            }
        }
    }
    found.into_iter().map(|name| &installed[name]).collect()
}

/// The names in a list of relations.
fn names(list: &str, separator: char) -> impl Iterator<Item = &str> {
    list.split(separator).filter_map(|item| item.trim().split([' ', ':', '(']).next())
}

/// The installed package of this name, or one that provides it.
fn provider<'s>(installed: &BTreeMap<&'s str, Package<'s>>, name: &str) -> Option<&'s str> {
    let provides = |package: &&Package<'s>| names(package.field("Provides"), ',').any(|provided| provided == name);
    installed.get(name).or_else(|| installed.values().find(provides)).map(|package| package.name)
}

/// Puts the files of an installed package into a package again.
fn repack(package: &Package<'_>, file: &Path) {
    let mut control = tar::Builder::new(Vec::new());
    let fields = package.fields.iter().filter(|(name, _)| !["Status", "Conffiles"].contains(name));
    let text: String = fields.map(|(name, value)| format!("{name}:{value}\n")).collect();
    append(&mut control, "./control", text.as_bytes());
    for kind in ["conffiles", "md5sums", "preinst", "postinst"] {
        if let Ok(bytes) = fs::read(package.info(kind)) {
            append(&mut control, &format!("./{kind}"), &bytes);
        }
    }
    let mut data = tar::Builder::new(tempfile::tempfile().unwrap());
    data.follow_symlinks(false);
    let list = fs::read_to_string(package.info("list")).unwrap();
    let mut first_names: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for path in list.lines().filter(|path| *path != "/.") {
        // What is not there was left out when it was installed, as documentation is in small images.
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        let name = format!(".{path}");
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&meta);
        // The machine has made some of them its own, and the time of a copy is no package's.
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        let is_link_above = |path: &str| {
            let parents = Path::new(path).ancestors().skip(1);
            parents.into_iter().any(|parent| parent.is_symlink())
        };
        if meta.is_file() && meta.nlink() > 1 && !is_link_above(path) {
            if let Some(first) = first_names.get(&(meta.dev(), meta.ino())) {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                data.append_link(&mut header, &name, first).unwrap();
                continue;
            }
            first_names.insert((meta.dev(), meta.ino()), name.clone());
        }
        if meta.is_file() {
            data.append_data(&mut header, &name, File::open(path).unwrap()).unwrap();
        } else if meta.is_dir() {
            data.append_data(&mut header, &name, std::io::empty()).unwrap();
        } else if meta.is_symlink() && !is_merged(path) {
            data.append_link(&mut header, &name, fs::read_link(path).unwrap()).unwrap();
        } else {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            data.append_data(&mut header, &name, std::io::empty()).unwrap();
        }
    }
    let mut data = data.into_inner().unwrap();
    let size = data.seek(SeekFrom::End(0)).unwrap();
    data.rewind().unwrap();
    let mut package = ar::Builder::new(File::create(file).unwrap());
    let control = control.into_inner().unwrap();
    for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control)] {
        package.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes).unwrap();
    }
    package.append(&ar::Header::new(b"data.tar".to_vec(), size), data).unwrap();
}

/// Whether a link of this machine stands for a directory of the package: `/lib`, where `/usr` is merged.
fn is_merged(path: &str) -> bool {
    Path::new(path).parent() == Some(Path::new("/")) && Path::new(path).is_dir()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(bytes.len() as u64);
    header.set_mtime(1_700_000_000);
    archive.append_data(&mut header, name, bytes).unwrap();
}
