//! Gets the index of each component from the store, or from the mirror, decoded and read while it arrives.

use std::io;
use std::sync::atomic::AtomicU64;

use super::error::ArchiveError;
use super::index::{Builder, Index};
use super::packages::PackagesError;
use super::plan::Suite;
use super::reading::{DECODED_LIMIT, Read, read};
use super::release::Release;
use super::speculation::{EARLY, EARLY_OF_OTHERS, Early};
use super::sum::Sum;
use minimg_backend::Context;
use minimg_base::digest::Digest;
use minimg_base::report::{Event, Reused};
use minimg_fetch::{Download, FetchError, Fetcher};

/// The kind of the store's entries.
const KIND: &str = "deb-index";

/// Compressed forms in the order in which they are tried: what is decoded fastest comes first.
const FORMATS: &[&str] = &[".gz", ".zst", ".xz", ""];

/// The order for slow networks: what is smallest comes first.
const FORMATS_BY_SIZE: &[&str] = &[".xz", ".zst", ".gz", ""];

/// Below so many bytes a second the quarter that xz saves is worth the time that it takes to decode.
const SLOW: u64 = 5_000_000;

/// One index of a suite that is to be had.
pub(super) struct IndexFile<'a> {
    pub suite: &'a Suite,
    pub release: &'a Release,
    /// The directory below the Release file, with its slash: `main/binary-amd64/`, or nothing for a flat archive.
    pub directory: String,
}

impl IndexFile<'_> {
    /// What people call it.
    fn name(&self) -> String {
        format!("{} {}Packages", self.suite.name, self.directory)
    }

    /// The form of this suffix, if the Release file lists it: path, length, digest.
    fn form(&self, suffix: &str) -> Option<(String, u64, Sum)> {
        let path = format!("{}Packages{suffix}", self.directory);
        let (size, digest) = self.release.packages.get(&path)?;
        Some((path, *size, *digest))
    }

    /// The most bytes that its text may have.
    fn decoded_limit(&self) -> u64 {
        self.form("").map_or(DECODED_LIMIT, |(_, size, _)| size)
    }

    /// Whether the Release file lists it in any form that can be read.
    pub(super) fn exists(&self) -> bool {
        FORMATS.iter().any(|suffix| self.form(suffix).is_some())
    }

    /// What the index in the store is named by.
    pub(super) fn key(&self) -> Option<Digest> {
        let (_, _, digest) = ["", ".gz", ".zst", ".xz"].iter().find_map(|suffix| self.form(suffix))?;
        Some(digest.key())
    }

    /// The index out of the store, or as it was fetched early, or from the mirror.
    pub(super) fn get(&self, early: &Early, fetcher: &Fetcher, context: &Context) -> Result<Index, ArchiveError> {
        let key = self.key().ok_or_else(|| self.malformed("the Release file does not list it"))?;
        if let Some(index) = self.stored(&key, context)? {
            let bytes = self.form("").map_or(0, |(_, size, _)| size);
            context.reporter.event(Event::Reused { what: Reused::Index, bytes });
            return Ok(index);
        }
        let _guard = context.store.lock(&format!("index-{}", &key.hex()[..3]))?;
        if let Some(index) = self.stored(&key, context)? {
            return Ok(index);
        }
        let why = format!("{} has changed or was never read", self.name());
        context.reporter.event(Event::Missed { what: "index", why: &why });
        let fetched_early = |suffix: &&str| {
            let (path, size, digest) = self.form(suffix)?;
            early.take(self.suite, (&path, size, &digest), self.decoded_limit())
        };
        let bytes = match [EARLY, EARLY_OF_OTHERS].iter().find_map(fetched_early) {
            Some(bytes) => bytes,
            None => self.fetch(fetcher)?.into(),
        };
        context.store.put_entry(KIND, &key, &bytes)?;
        Index::open(bytes).ok_or_else(|| self.malformed("it cannot be read back"))
    }

    fn stored(&self, key: &Digest, context: &Context) -> Result<Option<Index>, ArchiveError> {
        let mut index = None;
        context.store.entry_checked_by(KIND, key, |bytes| {
            index = Index::open(bytes.clone());
            index.is_some()
        })?;
        Ok(index)
    }

    /// Forgets the index, which was found to be damaged.
    pub(super) fn forget(&self, context: &Context) -> Result<(), ArchiveError> {
        match self.key() {
            Some(key) => Ok(context.store.remove_entry(KIND, &key)?),
            None => Ok(()),
        }
    }

    fn fetch(&self, fetcher: &Fetcher) -> Result<Vec<u8>, ArchiveError> {
        let slow = fetcher.bytes_per_second().is_some_and(|rate| rate < SLOW);
        let mut missing = None;
        for suffix in if slow { FORMATS_BY_SIZE } else { FORMATS } {
            let Some((path, size, digest)) = self.form(suffix) else { continue };
            match self.open(fetcher, &path, size, &digest) {
                Ok((download, url)) => {
                    let builder = self.read(download, &url, suffix, &digest)?;
                    return builder.finish().ok_or_else(|| self.malformed("it is too large"));
                }
                // A mirror may be behind with one form and not with another; that it is behind is what is to be told.
                Err(error @ FetchError::Size { .. }) => missing = Some(error),
                Err(error @ FetchError::NotFound { .. }) => missing = missing.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(match missing {
            Some(source) if self.suite.optional => ArchiveError::Incomplete { suite: self.suite.name.clone(), source },
            Some(source) => source.into(),
            None => self.malformed("the Release file does not list it"),
        })
    }

    /// By its digest where the archive offers that, else, or where the mirror does not keep the promise, by its path.
    fn open<'f>(
        &self,
        fetcher: &'f Fetcher,
        path: &str,
        size: u64,
        digest: &Sum,
    ) -> Result<(Download<'f>, String), FetchError> {
        let base = self.suite.directory();
        let (directory, name) = (&self.directory, self.name());
        let by_hash = format!("{base}/{directory}by-hash/{}", digest.by_hash());
        if self.release.by_hash {
            match fetcher.open(&name, &by_hash, Some(size), size) {
                Err(FetchError::NotFound { .. } | FetchError::Size { .. }) => {}
                result => return result.map(|download| (download, by_hash)),
            }
        }
        let url = format!("{base}/{path}");
        fetcher.open(&name, &url, Some(size), size).map(|download| (download, url))
    }

    /// Reads an index while it arrives. What was read counts only when the digest of all that came is the promised one.
    fn read(&self, download: Download<'_>, url: &str, suffix: &str, digest: &Sum) -> Result<Builder, ArchiveError> {
        let Read { result, drained, found, .. } =
            read(download, digest.hasher(), suffix, &AtomicU64::new(self.decoded_limit()), &mut |_, _| ());
        let network = |error: io::Error| FetchError::from_io(error).map(ArchiveError::from);
        match (result, drained) {
            (Err(PackagesError::Io(error)), Err(_)) | (Ok(_), Err(error)) => {
                Err(network(error).unwrap_or_else(|error| self.malformed(error)))
            }
            (Err(PackagesError::Malformed(message)), Err(error)) => {
                Err(network(error).unwrap_or_else(|_| self.malformed(message)))
            }
            (_, Ok(_)) if found != *digest => Err(match (*digest, found) {
                (Sum::Sha256(expected), Sum::Sha256(found)) => {
                    FetchError::Digest { url: url.to_owned(), expected, found }.into()
                }
                (expected, found) => {
                    let [expected, found] = [expected, found].map(|sum| sum.to_string());
                    ArchiveError::Sum { url: url.to_owned(), expected, found }
                }
            }),
            (Ok(builder), Ok(_)) => Ok(builder),
            (Err(PackagesError::Malformed(message)), Ok(_)) => Err(self.malformed(message)),
            (Err(PackagesError::Io(error)), Ok(_)) => {
                Err(network(error).unwrap_or_else(|error| self.malformed(format!("it cannot be decoded: {error}"))))
            }
        }
    }

    fn malformed(&self, message: impl std::fmt::Display) -> ArchiveError {
        ArchiveError::Malformed {
            what: format!("{} of {}", self.name(), self.suite.address),
            message: message.to_string(),
        }
    }
}
