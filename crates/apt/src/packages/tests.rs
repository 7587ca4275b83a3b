use proptest::prelude::*;
use std::sync::atomic::AtomicU64;

use super::super::index::Index;
use super::*;

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn stanza(extra: &str) -> String {
    format!(
        "Package: a\nVersion: 1:2-3\nArchitecture: amd64\nFilename: pool/a_2-3.deb\nSize: 7\nSHA256: {DIGEST}\n{extra}"
    )
}

fn index(text: &[u8]) -> Result<Index, String> {
    match read(text, &AtomicU64::new(u64::MAX)) {
        Ok(builder) => Ok(Index::open(builder.finish().unwrap().into()).unwrap()),
        Err(PackagesError::Malformed(message)) => Err(message),
        Err(PackagesError::Io(error)) => Err(error.to_string()),
    }
}

fn only(index: &Index) -> Package<'_> {
    index.named_or_providing("a").next().unwrap()
}

#[test]
fn fields() {
    let text = stanza(
        "Multi-Arch: same\nPriority: important\nEssential: yes\nDepends: b,\n c (>= 1)\nPre-Depends: d\nRecommends: e\n\
         Conflicts: f\nBreaks: g\nProvides: h (= 1), i\nDescription: long\n .\n Depends: not this\n",
    );
    let index = index(text.as_bytes()).unwrap();
    let package = only(&index);
    assert_eq!((package.name, package.version, package.filename, package.size), ("a", "1:2-3", "pool/a_2-3.deb", 7));
    assert_eq!((package.depends, package.pre_depends, package.recommends), ("b,\n c (>= 1)", "d", "e"));
    assert_eq!((package.conflicts, package.breaks, package.provides), ("f", "g", "h (= 1), i"));
    assert!(package.essential && package.multi_arch == MultiArch::Same && package.priority == 1);
    assert_eq!(minimg_base::digest::Digest::from(package.sha256).hex(), DIGEST);
    for name in ["a", "h", "i"] {
        assert_eq!(index.named_or_providing(name).count(), 1, "{name}");
    }
    assert_eq!(index.named_or_providing("b").count(), 0);
    assert_eq!(index.names().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn what_is_malformed_or_hostile_is_refused() {
    for (from, to, message) in [
        ("Package: a", "Package: ../a", "is not a name"),
        ("Package: a", "Package:", "is not a name"),
        ("Version: 1:2-3", "Version: 1 2", "is not a version"),
        ("Architecture: amd64", "Architecture: a/b", "is not a name of an architecture"),
        ("pool/a_2-3.deb", "/etc/passwd", "is not a path below an archive"),
        ("pool/a_2-3.deb", "pool/../../x", "is not a path below an archive"),
        ("pool/a_2-3.deb", "pool/a b", "is not a path below an archive"),
        ("pool/a_2-3.deb", "pool/a?b", "is not a path below an archive"),
        ("Filename: pool/a_2-3.deb\n", "", "is not a path below an archive"),
        ("Size: 7", "Size: 99999999999999999999", "is not a size"),
        ("Size: 7", "Size: -7", "is not a size"),
        ("SHA256: e3", "SHA256: x3", "is not a SHA-256 digest"),
    ] {
        let text = stanza("");
        assert!(text.contains(from));
        let error = index(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.contains(message), "{to}: {error}");
    }
    assert!(index(b"Package: \xff\n").unwrap_err().contains("UTF-8"));
}

/// Ways that apt takes too.
#[test]
fn other_ways_to_say_the_same() {
    let text =
        stanza("Multi-Arch: same\nPriority: required\nProvides: h\nPre-Depends: d\n\n") + &stanza("Depends: x\n");
    let built = |text: &str| read(text.as_bytes(), &AtomicU64::new(u64::MAX)).ok().and_then(Builder::finish).unwrap();
    let names = [
        "Package",
        "Version",
        "Architecture",
        "Filename",
        "Size",
        "Multi-Arch",
        "Priority",
        "Provides",
        "Pre-Depends",
        "Depends",
    ];
    let renamed = |rename: fn(&str) -> String| {
        names.iter().fold(text.replace("SHA256:", "sha256:"), |text, name| {
            text.replace(&format!("\n{name}:"), &format!("\n{}:", rename(name)))
        })
    };
    for other in [
        text.replace('\n', "\r\n"),
        renamed(str::to_lowercase),
        renamed(str::to_uppercase),
        text.replace("Size: 7\n", "stray line\nSize: 7\n"),
        format!("stray line\n{text}"),
    ] {
        assert_eq!(built(&other), built(&text), "{other}");
    }
}

#[test]
fn limits_hold() {
    let endless = std::io::repeat(b'x').take(1 << 30);
    assert!(
        matches!(read(endless, &AtomicU64::new(u64::MAX)), Err(PackagesError::Malformed(m)) if m.contains("a stanza is longer"))
    );
    let many = stanza("\n").repeat(100);
    assert!(read(many.as_bytes(), &AtomicU64::new(many.len() as u64)).is_ok());
    assert!(
        matches!(read(many.as_bytes(), &AtomicU64::new(many.len() as u64 - 1)), Err(PackagesError::Malformed(m)) if m.contains("longer than"))
    );
}

/// Gives a few bytes at a time, so that every boundary falls into the middle of something.
struct Dribble<'t>(&'t [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn how_the_text_arrives_does_not_matter(chunk in 1..40_usize, blank in 1..4_usize, dos: bool) {
        let text = format!("{}{}Package: b\nVersion: 1\nArchitecture: all\nFilename: b.deb\nSize: 1\n", stanza("Provides: x\n"), "\n".repeat(blank));
        let whole = read(text.as_bytes(), &AtomicU64::new(u64::MAX)).ok().and_then(Builder::finish).unwrap();
        let text = if dos { text.replace('\n', "\r\n") } else { text };
        let dribbled = read(Dribble(text.as_bytes(), chunk), &AtomicU64::new(u64::MAX)).ok().and_then(Builder::finish).unwrap();
        prop_assert_eq!(&whole, &dribbled);
        let index = Index::open(whole.into()).unwrap();
        prop_assert_eq!(index.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn mutations_do_not_make_it_panic(at in 0..200_usize, byte: u8, cut in 0..200_usize) {
        let mut text = stanza("Provides: x\n").into_bytes();
        let length = text.len();
        text[at % length] = byte;
        let _ = index(&text);
        let _ = index(&text[..cut % length]);
    }
}
