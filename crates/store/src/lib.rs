//! The content-addressed cache on disk.
//!
//! Two kinds of things lie in it. *Blobs* are named by their SHA-256: packages, layers. *Entries* are named by a kind and the digest of
//! whatever they were computed from, and carry their own checksum: a parsed index, a package's listing, the layer that a recipe gave.
//! Both are written to `tmp/` and renamed into place, so a reader sees a whole one or none; both are checked when they are read, and one
//! that does not fit its name is dropped and counts as absent. Nothing in the store is needed: all of it can be fetched or made again.
//!
//! Several processes may use one store. They agree by file locks, which the kernel releases when a process dies. What a living process may have
//! used is not pruned.
//!
//! Checksums find damage, not malice: whoever may write to the store decides what is in the images that are built from it. Files get the
//! permissions that the umask leaves, so that a group may share a store if its members trust one another.
//!
//! ```
//! use minimg_store::Store;
//!
//! let directory = tempfile::tempdir()?;
//! let store = Store::open(directory.path())?;
//! let digest = store.put_blob(b"hello")?;
//! assert_eq!(store.blob(&digest)?.as_deref(), Some(&b"hello"[..]));
//!
//! // A damaged blob counts as absent.
//! # std::fs::remove_file(store.blob_path(&digest))?;
//! std::fs::write(store.blob_path(&digest), "jello")?;
//! assert_eq!(store.blob(&digest)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entry;
mod housekeeping;
mod lease;
mod lock;
mod writer;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

pub use housekeeping::{Problem, Pruned, Usage, UsageOf};
pub use lock::LockGuard;
pub use writer::BlobWriter;

use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, store_remedy};
use minimg_tree::map_file;

/// The version of the layout on disk; a store of another version is left alone, and a new one is created next to it.
const LAYOUT: &str = "v1";

/// The cache on disk. A clone is cheap, and is the same store.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<Path>,
    /// Held until the last clone is dropped.
    _lease: Option<Arc<lease::Lease>>,
}

/// An error of the store. That something is absent or was damaged is not an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the store cannot be used.
    #[error("cannot use the store's {path}: {source}; {}", store_remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The content does not match its expected digest.
    #[error("{what} has the digest {found} instead of {expected}, and was not kept")]
    Mismatch {
        /// The name of the content.
        what: String,
        /// The expected digest.
        expected: Digest,
        /// The actual digest.
        found: Digest,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let class = match error {
            StoreError::Io { .. } => Class::Machine,
            StoreError::Mismatch { .. } => Class::Verification,
        };
        Error::new(class, error)
    }
}

impl Store {
    /// Opens the store below `directory`, and creates it if it does not exist.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(directory).map_err(|e| io_error(directory, e))?.join(LAYOUT);
        let store = Self { root: root.into(), _lease: None };
        if !store.temporary().is_dir() {
            for directory in ["blobs", "entries", "locks", "tmp"].map(|name| store.root.join(name)) {
                fs::create_dir_all(&directory).map_err(|e| io_error(&directory, e))?;
            }
        }
        let lease = store.take_lease().map(Arc::new);
        Ok(Self { _lease: lease, ..store })
    }

    /// The store below `directory`, if there is one, to look after it: it creates nothing, and others may prune what this process uses.
    ///
    /// # Errors
    /// When the working directory, to which a relative name refers, is gone.
    pub fn existing(directory: &Path) -> Result<Option<Self>, StoreError> {
        let root = std::path::absolute(directory).map_err(|e| io_error(directory, e))?.join(LAYOUT);
        let store = Self { root: root.into(), _lease: None };
        Ok(store.temporary().is_dir().then_some(store))
    }

    /// Where the store is on disk.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs").join(&hex[..2]).join(hex)
    }

    /// Whether a blob of this name and length is there; its content is not checked. `None` accepts any length.
    pub fn has_blob(&self, digest: &Digest, size: Option<u64>) -> bool {
        let path = self.blob_path(digest);
        self.touch(&path);
        fs::metadata(path).is_ok_and(|meta| size.is_none_or(|size| size == meta.len()))
    }

    /// A blob whose content was checked against its name; a damaged one is dropped and `None` returned.
    ///
    /// # Errors
    /// If it exists but cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let path = self.blob_path(digest);
        self.touch(&path);
        let bytes = match map_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, error)),
        };
        if Digest::of(&bytes) != *digest {
            self.drop_damaged(&path)?;
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// A blob to be streamed, checked against its name beforehand without being held in memory; a damaged one is dropped.
    ///
    /// # Errors
    /// If it exists but cannot be read.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.blob_path(digest);
        self.touch(&path);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, error)),
        };
        let (found, _) = Digest::of_reader(&file).map_err(|e| io_error(&path, e))?;
        if found != *digest {
            self.drop_damaged(&path)?;
            return Ok(None);
        }
        io::Seek::rewind(&mut file).map_err(|e| io_error(&path, e))?;
        Ok(Some(file))
    }

    /// A blob of which the caller checks the parts that it reads against checksums of its own: nothing is read here.
    ///
    /// # Errors
    /// If it exists but cannot be opened.
    pub fn open_blob_in_parts(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.blob_path(digest);
        self.touch(&path);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path, error)),
        }
    }

    /// Begins a new blob. Nothing is visible before [`BlobWriter::commit`].
    ///
    /// # Errors
    /// When no file can be made.
    pub fn new_blob(&self) -> Result<BlobWriter, StoreError> {
        BlobWriter::new(self)
    }

    /// Stores bytes as a blob and returns its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has_blob(&digest, Some(bytes.len() as u64)) {
            let mut writer = self.new_blob()?;
            io::Write::write_all(&mut writer, bytes).map_err(|e| io_error(&self.temporary(), e))?;
            writer.commit()?;
        }
        Ok(digest)
    }

    /// A new temporary file on the store's disk, removed when it is dropped; for what is too large for memory.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn scratch(&self) -> Result<File, StoreError> {
        tempfile::tempfile_in(self.temporary()).map_err(|e| io_error(&self.temporary(), e))
    }

    /// A new log of what an outside tool says, in place of an older one of the same name. It stays, for people to read.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_log(&self, name: &str) -> Result<(PathBuf, File), StoreError> {
        let path = self.logs().join(name);
        fs::create_dir_all(self.logs()).map_err(|e| io_error(&path, e))?;
        // A process that still writes or reads the older one can go on with it.
        self.drop_damaged(&path)?;
        let file = File::options().create_new(true).read(true).append(true).open(&path);
        Ok((path.clone(), file.map_err(|e| io_error(&path, e))?))
    }

    fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The directory for files that do not outlive the process, on the same disk as the store.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn drop_damaged(&self, path: &Path) -> Result<(), StoreError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path, error)),
            _ => Ok(()),
        }
    }
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
