//! The parsers of foreign bytes, each as a function that must neither panic nor run away, whatever it is given. The fuzzer runs them, and
//! `tests/fuzz_targets.rs` runs them on mutated samples in every test run.

use std::io::Read;
use std::path::PathBuf;
use std::sync::LazyLock;

use minimg::archive::{Codec, Limits, tar};
use minimg::backends::deb::{self, Listing};
use minimg::backends::tarball::check_digests;
use minimg::board::Boards;
use minimg::closure::elf::{Facts, SymbolTable, dlopen_notes, referenced_symbols};
use minimg::closure::{Shebang, ldcache};
use minimg::lock::Lock;
use minimg::ownership::{apk, dpkg, portage, rpm};
use minimg::profile::Catalogue;
use minimg::rootfs;
use minimg::store::Store;
use minimg_apt::{check_openpgp, check_packages, check_release, sources};
use minimg_deb822::Control;

/// A parser that takes bytes.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("elf", elf),
    ("ldcache", |data| drop(ldcache::read(data))),
    ("shebang", |data| drop(Shebang::parse(data))),
    ("deb", deb),
    ("tar", tar_archive),
    ("compressed", compressed),
    ("listing", |data| drop(Listing::decode(data.to_vec().into()))),
    ("control", |data| drop(Control::parse(&String::from_utf8_lossy(data)))),
    ("packages", |data| drop(check_packages(data))),
    ("release", |data| drop(check_release(data))),
    ("openpgp", |data| _ = check_openpgp(data)),
    ("digests", |data| _ = check_digests("a", &String::from_utf8_lossy(data))),
    ("sources", |data| drop(sources::parse(&String::from_utf8_lossy(data)))),
    ("ownership", ownership),
    ("rpm", rpm_database),
    ("lock", |data| drop(Lock::parse(data))),
    ("profile", profile),
    ("board", board),
    ("image", image),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(data),
        None => panic!("there is no target {name}"),
    }
}

/// A file of this process with these bytes; what reads a file looks at its kind and place too.
fn file(name: &str, data: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("minimg-fuzz-{}-{name}", std::process::id()));
    std::fs::write(&path, data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

fn profile(data: &[u8]) {
    static KNOWN: LazyLock<Catalogue> = LazyLock::new(Catalogue::built_in);
    let path = file("profile.toml", data);
    if let Ok(definition) = KNOWN.get(&path.to_string_lossy()) {
        drop(definition.profile(Some("bookworm"), None).explain());
    }
    let _ = std::fs::remove_file(path);
}

fn board(data: &[u8]) {
    static KNOWN: LazyLock<Boards> = LazyLock::new(Boards::built_in);
    let path = file("board.toml", data);
    drop(KNOWN.get(&path.to_string_lossy()));
    let _ = std::fs::remove_file(path);
}

fn image(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("minimg-fuzz-{}-store", std::process::id()));
    if let Ok(store) = Store::open(&path) {
        drop(rootfs::read(data, None, &store));
    }
    let _ = std::fs::remove_dir_all(path);
}

fn elf(data: &[u8]) {
    let Ok(facts) = Facts::parse(data) else { return };
    drop(dlopen_notes(data, &facts));
    drop(referenced_symbols(data, &facts));
    if let Some(symbols) = SymbolTable::new(data, &facts) {
        symbols.undefined().take(10_000).for_each(drop);
        drop(symbols.requirements());
    }
}

fn rpm_database(data: &[u8]) {
    drop(rpm::Header::parse(data));
    for blob in rpm::blobs(data).unwrap_or_default() {
        drop(rpm::Header::parse(blob));
    }
    drop(rpm::of_sqlite(&data.to_vec().into()));
}

fn ownership(data: &[u8]) {
    drop(dpkg::paragraphs(data));
    dpkg::listing(data).for_each(drop);
    dpkg::sums(data).for_each(drop);
    drop(dpkg::diversions(data));
    drop(apk::parse(data));
    drop(portage::parse(data));
    let _ = portage::split(&String::from_utf8_lossy(data));
}

fn deb(data: &[u8]) {
    if let Ok((_, members)) = deb::read(data) {
        entries(members);
    }
}

fn tar_archive(data: &[u8]) {
    entries(tar::Reader::new(data));
}

fn entries<R: Read>(mut reader: tar::Reader<R>) {
    while let Ok(Some(entry)) = reader.next_entry() {
        let _ = std::io::copy(&mut (&mut reader).take(entry.size), &mut std::io::sink());
    }
}

fn compressed(data: &[u8]) {
    let limits = Limits { output: 1 << 20, ratio: 500, ratio_from: 1 << 16 };
    if let Ok(mut decoder) = Codec::detect(data).decode(data, limits) {
        let _ = std::io::copy(&mut decoder, &mut std::io::sink());
    }
}
