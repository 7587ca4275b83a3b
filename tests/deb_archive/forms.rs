//! Archives that are written in other ways than Debian's own, all of which apt takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha512};

use super::*;

const RELEASE: &str = "/dists/trixie/InRelease";

/// A machine with an archive whose Release file, and whose files, were changed.
fn bench(repository: &Repository, release: &str, files: BTreeMap<String, Vec<u8>>) -> Bench {
    let bench = Bench::new(repository);
    bench.server.remove("Packages");
    bench.server.remove("by-hash");
    bench.server.put_all(files);
    bench.server.put(RELEASE, sign(&repository.key, release));
    bench
}

fn names(pins: &Pins) -> Vec<&str> {
    pins.packages.iter().map(|package| package.name.as_str()).collect()
}

fn sha512(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// The archive with SHA-512 digests in place of the others, in its by-hash directory too.
fn with_sha512(repository: &Repository) -> (String, BTreeMap<String, Vec<u8>>) {
    let mut files = repository.files();
    let release = repository.release();
    let (head, list) = release.split_once("SHA256:\n").unwrap();
    let mut text = format!("{head}SHA512:\n");
    for path in list.lines().filter_map(|line| line.split(' ').next_back()) {
        let bytes = files[&format!("/dists/trixie/{path}")].clone();
        writeln!(text, " {} {} {path}", sha512(&bytes), bytes.len()).unwrap();
        files.insert(format!("/dists/trixie/main/binary-amd64/by-hash/SHA512/{}", sha512(&bytes)), bytes);
    }
    files.retain(|path, _| !path.contains("/by-hash/SHA256/"));
    (text, files)
}

#[test]
fn sha_512_is_enough() {
    for by_hash in [true, false] {
        let repository = Repository { by_hash, ..Repository::new() };
        let (release, mut files) = with_sha512(&repository);
        let good = bench(&repository, &release, files.clone());
        let pins = good.resolve().unwrap();
        assert_eq!(good.fetch(&pins).unwrap(), ["a 300000", "b 70000"]);
        assert_eq!(good.server.log().iter().any(|line| line.contains("by-hash/SHA512")), by_hash);
        assert_eq!(good.resolve().unwrap(), pins, "out of the store");
        for (_, bytes) in files.iter_mut().filter(|(path, _)| path.contains("binary-amd64")) {
            *bytes.last_mut().unwrap() ^= 1;
        }
        let damaged = bench(&repository, &release, files);
        assert_failure(damaged.failure(), Class::Verification, "has the digest sha512:");
    }
}

#[test]
fn a_release_file_may_be_written_in_other_ways() {
    let repository = Repository::new();
    let text = repository.release();
    for (from, to) in [
        ("\n", "\r\n"),
        ("Codename:", "codename:"),
        ("SHA256:", "sha256:"),
        ("Sat, 12 Sep 2026 07:55:41 UTC", "Sat, 12 Sep 2026 7:55:41 UTC"),
        ("Components: main\n", "Components: main\nstray line\n"),
    ] {
        assert!(text.contains(from), "{from}");
        let bench = bench(&repository, &text.replace(from, to), repository.files());
        let pins = bench.resolve().unwrap();
        assert_eq!((names(&pins), &*pins.archives[0].date), (vec!["a", "b"], "2026-09-12T07:55:41Z"), "{to}");
        assert!(bench.warnings().is_empty(), "{to}");
    }
    let undated =
        text.lines().filter(|line| !line.starts_with("Date:")).fold(String::new(), |text, line| text + line + "\n");
    let bench = bench(&repository, &undated, repository.files());
    assert_eq!(bench.resolve().unwrap().archives[0].date, "1970-01-01T00:00:00Z");
    assert!(bench.warnings()[0].contains("has no date"), "{:?}", bench.warnings());
}

#[test]
fn a_component_may_have_packages_for_all_architectures_alone() {
    let repository = Repository { by_hash: false, ..Repository::new() };
    let files = repository.files().into_iter().map(|(path, bytes)| (path.replace("binary-amd64", "binary-all"), bytes));
    let release = repository.release().replace("binary-amd64", "binary-all");
    let all = bench(&repository, &release, files.collect());
    assert_eq!(names(&all.resolve().unwrap()), ["a", "b"]);
    // One that has packages for another architecture lacks those for this one.
    let other = release.clone() + &format!(" {} 1 main/binary-arm64/Packages\n", "0".repeat(64));
    let bench = bench(&repository, &other, repository.files());
    assert_failure(bench.failure(), Class::Unsatisfiable, "has no packages of the component main for amd64");
}

#[test]
fn another_suite_is_taken_when_that_is_allowed() {
    let other = Repository { codename: "kali-rolling".into(), ..Repository::new() };
    let files = other.files().into_iter().map(|(path, bytes)| (path.replace("kali-rolling", "trixie"), bytes));
    let mut bench = bench(&other, &other.release(), files.collect());
    let (class, text) = bench.failure();
    assert!(class == Class::Verification && text.contains("allow it with --allow-other-suite"), "{class:?}: {text}");
    bench.source.allow_other_suite = true;
    assert_eq!(names(&bench.resolve().unwrap()), ["a", "b"]);
    let warnings = bench.warnings();
    assert!(warnings[0].contains("is the index of kali-rolling instead of trixie, and is used"), "{warnings:?}");
}
