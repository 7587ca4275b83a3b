//! A format for tests: a plain tar archive whose first member, `INFO`, says the package's name, version and architecture in one line.

use std::io::{BufRead, Read};
use std::sync::Arc;

use minimg_backend::PinnedPackage;
use minimg_base::digest::Digest;
use minimg_tree::archive::{Member, tar};

use crate::{Format, Head, Payload, Problem, Ration};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Format for Plain {
    type Facts = [String; 3];

    const PAYLOAD: &'static str = "the archive";

    fn open<'a>(
        package: Box<dyn BufRead + Send + 'a>,
        ration: &Arc<Ration>,
    ) -> Result<(Head, Box<dyn Payload + 'a>), Problem> {
        let wrong = |source| Problem::Archive { member: "the archive", source };
        let mut tar = tar::Reader::new(ration.limit(package));
        let mut info = Vec::new();
        tar.next_entry().map_err(wrong)?.ok_or_else(|| Problem::Head("it says nothing of itself".into()))?;
        tar.read_to_end(&mut info)?;
        Ok((Head::from([("INFO".to_owned(), info.into())]), Box::new(tar)))
    }

    fn facts(head: &Head) -> Result<[String; 3], Problem> {
        let info = head.get("INFO").map(|info| String::from_utf8_lossy(info)).unwrap_or_default();
        let words: Vec<String> = info.split_whitespace().map(str::to_owned).collect();
        words.try_into().map_err(|_| Problem::Head("its INFO is not three words".into()))
    }

    fn identity([name, version, architecture]: &[String; 3]) -> (&str, &str, &str) {
        (name, version, architecture)
    }

    fn is_always_kept(member: &Member) -> bool {
        member.path.as_bytes() == b"COPYING"
    }
}

/// A pin of the package of these bytes.
pub(crate) fn pinned(name: &str, bytes: &[u8]) -> PinnedPackage {
    PinnedPackage {
        name: name.to_owned(),
        version: "1".to_owned(),
        architecture: "all".to_owned(),
        archive: 0,
        path: String::new(),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    }
}

/// A package with these files, each said to have so many bytes.
pub(crate) fn package(name: &str, files: &[(&str, &[u8], u64)]) -> (PinnedPackage, Vec<u8>) {
    let info = format!("{name} 1 all");
    let mut bytes = entry("INFO", info.as_bytes(), info.len() as u64);
    for (path, body, size) in files {
        bytes.extend(entry(path, body, *size));
    }
    bytes.resize(bytes.len() + 1024, 0);
    (pinned(name, &bytes), bytes)
}

fn entry(path: &str, body: &[u8], size: u64) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000644\x000000000\x000000000\x00");
    put(136, "00000000000\x00        0");
    put(257, "ustar\x0000");
    header[124] = 0x80;
    header[128..136].copy_from_slice(&size.to_be_bytes());
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = [&header, body].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}
