//! Getting the index of each component: out of the store, or from the mirror, decoded and read while it arrives.

use std::io;
use std::sync::atomic::AtomicU64;

use super::ahead::with_read_ahead;
use super::early::Early;
use super::error::ArchiveError;
use super::index::{Builder, Index};
use super::packages::{self, PackagesError, Watch};
use super::plan::Suite;
use super::release::Release;
use minimg_backend::Context;
use minimg_base::digest::{Digest, Hasher};
use minimg_base::report::{Event, Reused};
use minimg_fetch::{Download, FetchError, Fetcher};

/// The kind of the store's entries.
const KIND: &str = "deb-index";

/// The longest decoded index that is read where the Release file does not say how long it is.
pub(super) const DECODED_LIMIT: u64 = 1 << 30;

/// The most memory that a decoder may take, in bytes: its window is chosen by whoever made the file.
const DECODER_MEMORY: u64 = 64 << 20;

/// Compressed forms in the order in which they are tried: what is decoded fastest comes first.
const FORMATS: &[&str] = &[".gz", ".zst", ".xz", ""];

/// The form that is fetched early of the main suite, which is long: the one that is decoded fastest.
pub(super) const EARLY: &str = ".gz";

/// The form that is fetched early of other suites, which are short: the one that every archive has.
pub(super) const EARLY_OF_OTHERS: &str = ".xz";

/// The order for slow networks: what is smallest comes first.
const FORMATS_BY_SIZE: &[&str] = &[".xz", ".zst", ".gz", ""];

/// Below so many bytes a second the quarter that xz saves is worth the time that it takes to decode.
const SLOW: u64 = 5_000_000;

/// One index of a suite that is to be had.
pub(super) struct Wanted<'a> {
    pub suite: &'a Suite,
    pub release: &'a Release,
    /// The directory below the Release file, with its slash: `main/binary-amd64/`, or nothing for a flat archive.
    pub directory: String,
}

impl Wanted<'_> {
    /// What people call it.
    fn name(&self) -> String {
        format!("{} {}Packages", self.suite.name, self.directory)
    }

    /// The form of this suffix, if the Release file lists it: path, length, digest.
    fn form(&self, suffix: &str) -> Option<(String, u64, Digest)> {
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
        Some(digest)
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
            let (path, _, digest) = self.form(suffix)?;
            early.take(self.suite, &path, &digest, self.decoded_limit())
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
        digest: &Digest,
    ) -> Result<(Download<'f>, String), FetchError> {
        let base = self.suite.directory();
        let (directory, name) = (&self.directory, self.name());
        let by_hash = format!("{base}/{directory}by-hash/SHA256/{}", digest.hex());
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
    fn read(&self, download: Download<'_>, url: &str, suffix: &str, digest: &Digest) -> Result<Builder, ArchiveError> {
        let Read { result, drained, found } =
            read(download, suffix, &AtomicU64::new(self.decoded_limit()), &mut |_, _| ());
        let network = |error: io::Error| FetchError::from_io(error).map(ArchiveError::from);
        match (result, drained) {
            (Err(PackagesError::Io(error)), Err(_)) | (Ok(_), Err(error)) => {
                Err(network(error).unwrap_or_else(|error| self.malformed(error)))
            }
            (Err(PackagesError::Malformed(message)), Err(error)) => {
                Err(network(error).unwrap_or_else(|_| self.malformed(message)))
            }
            (_, Ok(_)) if found != *digest => {
                Err(FetchError::Digest { url: url.to_owned(), expected: *digest, found }.into())
            }
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

/// What came of reading an index.
pub(super) struct Read {
    pub result: Result<Builder, PackagesError>,
    /// Whether all of it came.
    pub drained: io::Result<u64>,
    /// The digest of what came.
    pub found: Digest,
}

/// Reads an index of at most `limit` decoded bytes to the end, whatever it holds. The limit may be lowered meanwhile.
pub(super) fn read(compressed: impl io::Read + Send, suffix: &str, limit: &AtomicU64, watch: Watch<'_>) -> Read {
    let mut compressed = Hashed { inner: compressed, hasher: Hasher::default() };
    let result = match decoder(suffix, &mut compressed) {
        Ok(text) => with_read_ahead(text, |text| packages::read_watched(text, limit, watch)),
        Err(error) => Err(PackagesError::Io(error)),
    };
    // Of a wrong file it is the digest that is to be told, not how its nonsense fails to decode.
    let drained = io::copy(&mut compressed, &mut io::sink());
    Read { result, drained, found: compressed.hasher.finish() }
}

fn decoder<'r, R: io::Read + Send>(
    suffix: &str,
    compressed: &'r mut Hashed<R>,
) -> io::Result<Box<dyn io::Read + Send + 'r>> {
    Ok(match suffix {
        ".gz" => Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(64 * 1024, compressed))),
        ".xz" => {
            let stream = xz2::stream::Stream::new_stream_decoder(DECODER_MEMORY, xz2::stream::CONCATENATED)?;
            Box::new(xz2::read::XzDecoder::new_stream(compressed, stream))
        }
        ".zst" => {
            let mut decoder = zstd::stream::read::Decoder::new(compressed)?;
            decoder.window_log_max(DECODER_MEMORY.ilog2())?;
            Box::new(decoder)
        }
        _ => Box::new(compressed),
    })
}

/// Hashes what is read from it.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        io::Write::write_all(&mut self.hasher, buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}
