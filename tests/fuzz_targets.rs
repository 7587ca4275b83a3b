//! The fuzz targets on samples and their mutations: a bounded run of what `fuzz/` does without bounds.

use minimg_fuzz_targets as targets;

use std::io::Write;

/// One sound sample for each target, so that mutations get past the first check.
fn sample(target: &str) -> Vec<u8> {
    match target {
        "elf" => std::fs::read("/bin/true").expect("/bin/true"),
        "ldcache" => std::fs::read("/etc/ld.so.cache").expect("/etc/ld.so.cache"),
        "shebang" => b"#!/usr/bin/env -S VAR=1 python3 -u\n".to_vec(),
        "tar" => tar(),
        "deb" => deb(),
        "compressed" => xz(&tar()),
        "control" | "listing" => b"Package: a\nVersion: 1\nArchitecture: amd64\nReplaces: b (<< 2), c\n".to_vec(),
        "packages" => b"Package: a\nVersion: 1:2-3\nArchitecture: amd64\nDepends: b (>= 1) | c, d\nProvides: e (= 1)\nFilename: pool/a.deb\nSize: 3\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\nPackage: b\nVersion: 1\nArchitecture: all\nFilename: pool/b.deb\nSize: 3\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n".to_vec(),
        "release" => b"Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nValid-Until: Sat, 19 Sep 2026 07:55:41 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n".to_vec(),
        "openpgp" => std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/crates/apt/assets/debian-archive-keyring.pgp")).expect("a keyring"),
        "digests" => b"# SHA512 HASH\n12ab a\n# BLAKE2B HASH\n34cd *a\n# WHIRLPOOL HASH\n56ef a\n".to_vec(),
        "sources" => b"Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n".to_vec(),
        "ownership" => b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\nP:b\nV:1\nA:x86_64\nF:bin\nR:b\n\nobj /bin/c d41d8cd98f00b204e9800998ecf8427e 1\nsym /bin/d -> c 1\n".to_vec(),
        "rpm" => rpm_database(),
        "lock" => b"version = 1\nprofile = \"a\"\n[[target]]\nboard = \"amd64\"\n".to_vec(),
        "profile" => std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/nginx.toml")).expect("a profile"),
        "board" => b"description = \"a\"\nqemu = \"arm\"\nsize-budget = 3\n[platform]\narchitecture = \"arm\"\nvariant = \"v7\"\n[names]\ndeb = \"armhf\"\n".to_vec(),
        "image" => image(),
        other => panic!("no sample for {other}"),
    }
}

fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o755);
    header.set_cksum();
    tar.append_data(&mut header, "usr/bin/hello", &b"hello"[..]).unwrap();
    tar.append_pax_extensions([("path", b"a/very/long/name".as_slice())]).unwrap();
    tar.append_data(&mut header.clone(), "x", &b"hello"[..]).unwrap();
    tar.into_inner().unwrap()
}

/// A header of one package with one file, as rpm writes it.
fn rpm_header() -> Vec<u8> {
    let texts: [(u32, u32, &[u8]); 6] = [
        (1000, 6, b"name\0"),
        (1001, 6, b"1\0"),
        (1002, 6, b"2\0"),
        (1022, 6, b"noarch\0"),
        (1117, 8, b"file\0"),
        (1118, 8, b"/usr/\0"),
    ];
    let (mut index, mut data) = (Vec::new(), Vec::new());
    let mut add = |tag: u32, kind: u32, value: &[u8]| {
        for number in [tag, kind, data.len() as u32, 1] {
            index.extend(number.to_be_bytes());
        }
        data.extend_from_slice(value);
    };
    texts.into_iter().for_each(|(tag, kind, value)| add(tag, kind, value));
    add(1116, 4, &[0; 4]);
    add(1030, 3, &[0x81, 0xa4]);
    let counts = [(index.len() / 16) as u32, data.len() as u32].map(u32::to_be_bytes).concat();
    [counts, index, data].concat()
}

/// A database in rpm's own format with that package.
fn rpm_database() -> Vec<u8> {
    let header = rpm_header();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = [b"RpmP".to_vec(), words(&[0, 1, 1, 2, 0, 0, 0]), b"Slot".to_vec(), words(&[1, 256, 8])].concat();
    file.resize(4096, 0);
    file.extend([b"BlbS".to_vec(), words(&[1, 1, header.len() as u32]), header].concat());
    file
}

/// An archive of Docker's with one layer.
fn image() -> Vec<u8> {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["a"]}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        minimg::digest::Digest::of(tar())
    );
    let manifest = r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#;
    let mut archive = tar::Builder::new(Vec::new());
    for (name, data) in [("layer.tar", tar()), ("config.json", config.into()), ("manifest.json", manifest.into())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, &data[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deb() -> Vec<u8> {
    let mut ar = ar::Builder::new(Vec::new());
    for (name, data) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar.xz", xz(&tar())), ("data.tar.xz", xz(&tar()))]
    {
        ar.append(&ar::Header::new(name.into(), data.len() as u64), &data[..]).unwrap();
    }
    ar.into_inner().unwrap()
}

/// A small generator of numbers (xorshift): the same mutations in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

fn mutate(sample: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut data = sample.to_vec();
    for _ in 0..=numbers.below(8) {
        let at = numbers.below(data.len());
        match numbers.below(5) {
            0 => data.truncate(at),
            1 if !data.is_empty() => data[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            2 if !data.is_empty() => data[at] ^= 1 << numbers.below(8),
            3 if at + 8 <= data.len() => data[at..at + 8].fill([0, 0xff][numbers.below(2)]),
            _ => {
                let from = numbers.below(data.len());
                let piece: Vec<u8> = data[from..data.len().min(from + 64)].to_vec();
                data.splice(at..at, piece);
            }
        }
    }
    data
}

#[test]
fn no_target_panics_or_runs_away() {
    for (name, target) in targets::TARGETS {
        let sample = sample(name);
        target(&sample);
        target(b"");
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..400 {
            target(&mutate(&sample, &mut numbers));
        }
    }
}

/// The samples are not refused at the first byte, or the mutations would try nothing.
#[test]
fn the_samples_are_sound() {
    assert!(minimg::closure::elf::Facts::parse(&sample("elf")).is_ok());
    assert!(minimg::closure::ldcache::read(&sample("ldcache")).is_ok_and(|entries| !entries.is_empty()));
    let blobs = rpm_database();
    let header = minimg::ownership::rpm::Header::parse(minimg::ownership::rpm::blobs(&blobs).unwrap()[0]);
    assert_eq!(
        header.map(|header| (header.evr(), header.files[0].path.clone(), header.files[0].mode)),
        Ok(("1-2".to_owned(), b"/usr/file".to_vec(), 0o100_644))
    );
    let directory = tempfile::tempdir().unwrap();
    let store = minimg::store::Store::open(directory.path()).unwrap();
    let image = minimg::rootfs::read(&image()[..], None, &store).unwrap();
    assert_eq!(image.tree.iter().count(), 7, "{}", image.tree.dump().unwrap());
    let toml =
        |name: &str| std::fs::write(directory.path().join(name), sample(name.trim_end_matches(".toml"))).unwrap();
    ["profile.toml", "board.toml"].into_iter().for_each(toml);
    let path = |name: &str| directory.path().join(name).display().to_string();
    let profile = minimg::profile::Catalogue::built_in().get(&path("profile.toml")).map(drop);
    assert_eq!(profile.map_err(|error| error.to_string()), Ok(()));
    assert!(minimg::board::Boards::built_in().get(&path("board.toml")).is_ok());
    assert_eq!(minimg_apt::check_packages(&sample("packages")), Ok(3));
    assert_eq!(minimg_apt::check_release(&sample("release")), Ok(1));
    assert_eq!(minimg_apt::sources::parse(&sample_text("sources")).map(|entries| entries.len()).ok(), Some(1));
}

fn sample_text(target: &str) -> String {
    String::from_utf8(sample(target)).unwrap()
}
