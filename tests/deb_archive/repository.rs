//! A small signed archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use minimg::digest::Digest;
use sequoia_openpgp::Cert;

use crate::support::signing::{key, sign};

/// What is in an archive, to be printed as its files.
pub(crate) struct Repository {
    pub(crate) key: Cert,
    pub(crate) codename: String,
    pub(crate) date: String,
    pub(crate) valid_until: Option<String>,
    /// The suffixes of the Packages files.
    pub(crate) forms: Vec<&'static str>,
    pub(crate) by_hash: bool,
    pub(crate) packages: Vec<Package>,
    /// Put behind the stanzas.
    pub(crate) extra: String,
    /// Claimed as the length of the plain Packages file, if not the true one.
    pub(crate) claimed: Option<u64>,
}

pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) fields: &'static str,
    pub(crate) content: Vec<u8>,
}

impl Repository {
    /// `a` depends on `b`; both are some random-looking bytes.
    pub(crate) fn new() -> Self {
        let content = |seed: u32, length: u32| (0..length).map(|i| (i.wrapping_mul(seed) >> 7) as u8).collect();
        Self {
            key: key(),
            codename: "trixie".into(),
            date: "Sat, 12 Sep 2026 07:55:41 UTC".into(),
            valid_until: None,
            forms: vec!["", ".gz"],
            by_hash: true,
            packages: vec![
                Package {
                    name: "a",
                    version: "1",
                    fields: "Depends: b (>= 2)\n",
                    content: content(2_654_435_761, 300_000),
                },
                Package { name: "b", version: "2", fields: "", content: content(40_503, 70_000) },
            ],
            extra: String::new(),
            claimed: None,
        }
    }

    fn stanzas(&self) -> String {
        let mut text = String::new();
        for Package { name, version, fields, content } in &self.packages {
            writeln!(
                text,
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}_{version}.deb\nSize: {}\nSHA256: \
                 {}\n{fields}",
                content.len(),
                Digest::of(content).hex()
            )
            .unwrap();
        }
        text + &self.extra
    }

    pub(crate) fn release(&self) -> String {
        let plain = self.stanzas();
        let mut text = format!("Origin: Test\nCodename: {}\nDate: {}\n", self.codename, self.date);
        if let Some(until) = &self.valid_until {
            writeln!(text, "Valid-Until: {until}").unwrap();
        }
        let by_hash = if self.by_hash { "yes" } else { "no" };
        writeln!(text, "Acquire-By-Hash: {by_hash}\nArchitectures: amd64\nComponents: main\nSHA256:").unwrap();
        let size = self.claimed.unwrap_or(plain.len() as u64);
        writeln!(text, " {} {size} main/binary-amd64/Packages", Digest::of(&plain).hex()).unwrap();
        for form in self.forms.iter().filter(|form| !form.is_empty()) {
            let bytes = compress(form, plain.as_bytes());
            writeln!(text, " {} {} main/binary-amd64/Packages{form}", Digest::of(&bytes).hex(), bytes.len()).unwrap();
        }
        text
    }

    /// All files by their path.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let dist = format!("/dists/{}", self.codename);
        files.insert(format!("{dist}/InRelease"), sign(&self.key, &self.release()));
        for form in &self.forms {
            let bytes = compress(form, self.stanzas().as_bytes());
            let directory = format!("{dist}/main/binary-amd64");
            files.insert(format!("{directory}/by-hash/SHA256/{}", Digest::of(&bytes).hex()), bytes.clone());
            files.insert(format!("{directory}/Packages{form}"), bytes);
        }
        for package in &self.packages {
            files.insert(format!("/pool/{}_{}.deb", package.name, package.version), package.content.clone());
        }
        files
    }
}

fn compress(form: &str, data: &[u8]) -> Vec<u8> {
    match form {
        ".gz" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        ".xz" => {
            let mut out = xz2::write::XzEncoder::new(Vec::new(), 6);
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        ".zst" => zstd::encode_all(data, 3).unwrap(),
        _ => data.to_vec(),
    }
}
