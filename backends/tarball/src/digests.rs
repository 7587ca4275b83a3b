//! Signed lists of digests, as Gentoo has them beside its stages: `NAME.DIGESTS`, clearsigned, with a section for each kind of hash:
//!
//! ```text
//! # SHA512 HASH
//! 7f3a...  stage3-amd64-openrc-20250101T000000Z.tar.xz
//! ```

use std::io::{self, Write};

use blake2::Blake2b512;
use serde::Serialize;
use sha2::{Sha256, Sha512};

use super::TarballError;
use super::location::Location;
use super::options::{DIGESTS, Options};
use minimg_backend::{Context, Request};
use minimg_base::digest::Digest;
use minimg_base::error::Result;
use minimg_fetch::{Document, FetchError, Fetcher};
use minimg_openpgp::{Keyring, read_keyring};
use minimg_tree::read_limited;

/// The longest list that is read.
const LONGEST: u64 = 1 << 20;
/// The kind of the store's entries that keep lists, as they were signed, for when the network may not be used.
const SIGNED: &str = "signed-digests";

/// A kind of hash that lists have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Kind {
    Sha256,
    Sha512,
    Blake2b,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Sha256, Kind::Sha512, Kind::Blake2b];

    /// As a section's head calls it.
    fn name(self) -> &'static str {
        match self {
            Kind::Sha256 => "SHA256",
            Kind::Sha512 => "SHA512",
            Kind::Blake2b => "BLAKE2B",
        }
    }
}

/// What a signed list says of one file: all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Listed {
    /// The list, in words for people.
    #[serde(skip)]
    list: String,
    hashes: Vec<(Kind, String)>,
}

/// What the list that the options name says of the root file system; `None` where they name none.
///
/// # Errors
/// When the list cannot be had, is not signed by a key of the keyring, or does not have the file.
pub(super) fn listed(
    options: &Options,
    root: &Location,
    request: &Request,
    context: &Context,
) -> Result<Option<Listed>> {
    let Some(digests) = &options.digests else { return Ok(None) };
    let directory = &request.source.directory;
    let keyring = options.keyring.as_ref().map(|keyring| directory.join(keyring)).or(request.source.keyring.clone());
    let keyring = keyring.ok_or(TarballError::NoKeyring)?;
    let name =
        root.file_name().ok_or_else(|| TarballError::NotOneFile { origin: root.to_string(), option: DIGESTS })?;
    let unreadable = |source| TarballError::Read { path: keyring.clone(), source };
    let keys = Keyring::new(vec![read_keyring(&keyring).map_err(unreadable)?], Vec::new());
    let location = Location::parse(digests, directory)?;
    let list = location.to_string();
    let signed = get(&location, context)?;
    let text = keys.verify_inline(&signed).map_err(|message| TarballError::Unsigned { list: list.clone(), message })?;
    if let Location::Address(address) = &location {
        context.store.put_entry(SIGNED, &Digest::of(address), &signed)?;
    }
    let hashes = hashes_of(&name, &String::from_utf8_lossy(&text));
    if hashes.is_empty() {
        return Err(TarballError::NotListed { list, name }.into());
    }
    Ok(Some(Listed { list, hashes }))
}

/// Reads a list of digests and returns how many it has of this file. It does not look at signatures.
pub fn check_digests(name: &str, list: &str) -> usize {
    hashes_of(name, list).len()
}

fn get(list: &Location, context: &Context) -> Result<Vec<u8>> {
    match list {
        Location::Path { path, .. } => {
            let read = read_limited(path, LONGEST);
            Ok(read.map_err(|source| TarballError::Read { path: path.clone(), source })?)
        }
        Location::Address(address) => {
            if context.offline
                && let Some(known) = context.store.entry(SIGNED, &Digest::of(address))?
            {
                return Ok(known.to_vec());
            }
            match Fetcher::new(context.clone()).document(
                address.rsplit('/').next().unwrap_or(address),
                address,
                LONGEST,
                None,
            )? {
                Document::New { bytes, .. } => Ok(bytes),
                Document::Unchanged => Err(FetchError::Status { url: address.clone(), status: 304 }.into()),
            }
        }
        Location::Engine { .. } | Location::Registry(_) => {
            Err(TarballError::Option(format!("`digests` must name a file, not {list}")).into())
        }
    }
}

/// The hashes of a file, in lower case, of the kinds that are known.
fn hashes_of(name: &str, list: &str) -> Vec<(Kind, String)> {
    let (mut found, mut section) = (Vec::new(), None);
    for line in list.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some("HASH")) => section = Kind::ALL.into_iter().find(|known| known.name() == kind),
            (Some(hash), Some(file), None) if file.strip_prefix('*').unwrap_or(file) == name => {
                found.extend(section.map(|kind| (kind, hash.to_ascii_lowercase())));
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

impl Listed {
    /// Checks what is written to it.
    pub(super) fn checker(&self) -> Checker<'_> {
        let listed = |kind| self.hashes.iter().any(|(listed, _)| *listed == kind);
        Checker {
            listed: self,
            sha256: listed(Kind::Sha256).then(Default::default),
            sha512: listed(Kind::Sha512).then(Default::default),
            blake2b: listed(Kind::Blake2b).then(Default::default),
        }
    }
}

/// Hashes what is written to it in the ways of a list.
pub(super) struct Checker<'l> {
    listed: &'l Listed,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
    blake2b: Option<Blake2b512>,
}

impl Checker<'_> {
    /// Whether all that was written is the file of the list.
    ///
    /// # Errors
    /// When any of its hashes is another; `origin` names what was written.
    pub(super) fn finish(self, origin: &str) -> Result<(), TarballError> {
        let found = [
            (Kind::Sha256, self.sha256.map(|hash| hex(&sha2::Digest::finalize(hash)))),
            (Kind::Sha512, self.sha512.map(|hash| hex(&sha2::Digest::finalize(hash)))),
            (Kind::Blake2b, self.blake2b.map(|hash| hex(&blake2::Digest::finalize(hash)))),
        ];
        for (kind, expected) in &self.listed.hashes {
            if !found.iter().any(|(hashed, found)| hashed == kind && found.as_ref() == Some(expected)) {
                let (origin, list) = (origin.to_owned(), self.listed.list.clone());
                return Err(TarballError::NotAsListed { origin, list, kind: kind.name() });
            }
        }
        Ok(())
    }
}

impl Write for Checker<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(hash) = &mut self.sha256 {
            sha2::Digest::update(hash, data);
        }
        if let Some(hash) = &mut self.sha512 {
            sha2::Digest::update(hash, data);
        }
        if let Some(hash) = &mut self.blake2b {
            blake2::Digest::update(hash, data);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
