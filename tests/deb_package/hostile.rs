//! Packages that nobody should trust.

use std::io::Read;

use minimg::Class;
use minimg::backends::deb::{Listing, read};
use proptest::prelude::*;

use super::support::{Deb, World, container};

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
        (deb().hardlink("./h", "./usr"), "/h in the archive is a hard link to /usr, which is not a file"),
        (
            deb().symlink("./s", "/etc").hardlink("./h", "./s").file("./h/passwd", "x"),
            "/h/passwd in the archive lies below /h",
        ),
        (deb().symlink("./s", "/etc").file("./s/passwd", "x"), "/s/passwd in the archive lies below /s"),
        (deb().file("./usr/f/g", "x"), "/usr/f/g in the archive lies below /usr/f"),
        (deb().file("./usr", "x"), "/usr is in the archive twice"),
        (deb().file("./usr/f", "other"), "/usr/f is in the archive twice"),
        (deb().symlink("./usr/f", "g"), "/usr/f is in the archive twice"),
        (deb().file(".", "x"), "/ is in the archive twice"),
        (deb().symlink("./s", ""), "has an invalid target"),
        (deb().entry("./sparse", GNUSparse, 0o644, "", b"x"), "the map of the sparse file"),
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
        (container(&[("debian-binary", b"2.0\n"), ("control.tar.lz4", b"")]), "has an unknown compression"),
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
fn a_package_that_ends_within_its_last_member_is_refused() {
    let sample = || Deb::new("p").file("./usr/f", "f");
    let control = zstd::encode_all(&*sample().control_tar(), 1).unwrap();
    let members = |name: &str, data: &[u8]| {
        container(&[("debian-binary", b"2.0\n"), ("control.tar.zst", &control), (name, data)])
    };
    // What a package says of the length of its last member, which the last header has.
    let claiming = |mut package: Vec<u8>, header: usize, size: usize| {
        package[header + 48..header + 58].copy_from_slice(format!("{size:<10}").as_bytes());
        package
    };
    let plain = sample().tar();
    let packed = zstd::encode_all(&*plain, 1).unwrap();
    for (name, data) in [("data.tar", &plain), ("data.tar.zst", &packed)] {
        let good = members(name, data);
        let header = good.len() - 60 - data.len().next_multiple_of(2);
        let cases = [
            (good[..good.len() - data.len() % 2 - 1].to_vec(), true),
            (good[..good.len() - data.len() % 2 - 600.min(data.len() / 2)].to_vec(), true),
            (claiming(good.clone(), header, data.len() + 5000), true),
            (claiming(good.clone(), header, data.len() * 1000), true),
            (claiming(good.clone(), header, data.len() / 2), true),
            (good, false),
        ];
        for (number, (package, is_refused)) in cases.into_iter().enumerate() {
            let mut world = World::new();
            world.pin("p", &package);
            if !is_refused {
                world.tree();
                continue;
            }
            let error = world.error();
            assert_eq!(error.class(), Class::Malformed, "{name} {number}: {error}");
            assert!(error.to_string().starts_with("p 1.0-1 amd64: "), "{name} {number}: {error}");
        }
    }
}

/// Reads all of a package; only that it ends, without a panic, is asked for.
fn read_to_the_end(bytes: &[u8]) -> Result<u64, String> {
    let (_, mut data) = read(bytes).map_err(|e| e.to_string())?;
    let mut size = 0;
    while let Some(entry) = data.next_entry().map_err(|e| e.to_string())? {
        size += entry.size;
        std::io::copy(&mut data.by_ref().take(1 << 20), &mut std::io::sink()).map_err(|e| e.to_string())?;
    }
    data.drain().map_err(|e| e.to_string())?;
    Ok(size)
}

fn sample() -> Deb {
    Deb::new("sample")
        .directory("./usr/")
        .file("./usr/f", vec![b'f'; 3000])
        .symlink("./usr/l", "f")
        .hardlink("./usr/h", "./usr/f")
}

proptest! {
    #[test]
    fn mutated_packages_end_in_an_error_or_a_tree(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let good = sample().build();
        prop_assert_eq!(read_to_the_end(&good), Ok(3000));
        let mut mutated = good.clone();
        let at = at.index(mutated.len());
        mutated[at] = byte;
        let _ = read_to_the_end(&mutated);
        // The last byte may be padding of the last member.
        let cut = cut.index(good.len() - 1);
        prop_assert!(read_to_the_end(&good[..cut]).is_err());
    }

    #[test]
    fn mutated_tar_archives_end_in_an_error_or_a_tree(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..12)) {
        let mut tar = sample().tar();
        let at = at.index(tar.len() - bytes.len());
        tar[at..at + bytes.len()].copy_from_slice(&bytes);
        let package = container(&[("debian-binary", b"2.0\n"), ("control.tar", &Deb::new("x").control_tar()), ("data.tar", &tar)]);
        let _ = read_to_the_end(&package);
    }

    #[test]
    fn any_bytes_are_no_package(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read_to_the_end(&bytes).is_err());
        prop_assert!(Listing::decode(bytes.into()).is_none());
    }
}
