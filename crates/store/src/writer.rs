//! Writing a blob: to a temporary file, hashed on the way, then renamed to its name.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{Store, StoreError, io_error};
use minimg_base::digest::{Digest, HashingWriter};
use minimg_base::interrupt::{self, Guard, Leftover};

/// A blob that is being written. Dropped before [`BlobWriter::commit`], it leaves nothing behind.
pub struct BlobWriter {
    store: Store,
    out: HashingWriter<BufWriter<NamedTempFile>>,
    _guard: Guard,
}

impl BlobWriter {
    pub(super) fn new(store: &Store) -> Result<Self, StoreError> {
        let (file, guard) = store.named_temporary()?;
        let out = HashingWriter::new(BufWriter::with_capacity(128 * 1024, file));
        Ok(Self { store: store.clone(), out, _guard: guard })
    }

    /// Gives the blob its name, and returns it with its length.
    ///
    /// # Errors
    /// When the last bytes cannot be written or the file cannot be renamed.
    pub fn commit(self) -> Result<(Digest, u64), StoreError> {
        let temporary = self.store.temporary();
        let (out, digest, size) = self.out.finish();
        let file = out.into_inner().map_err(|e| io_error(&temporary, e.into_error()))?;
        self.store.publish(file, &self.store.blob_path(&digest))?;
        Ok((digest, size))
    }

    /// Gives the blob its name if it is the promised one.
    ///
    /// # Errors
    /// Like [`BlobWriter::commit`], and when the digest is another one: then nothing is kept. `what` names it in the message.
    pub fn commit_as(self, expected: &Digest, what: &str) -> Result<u64, StoreError> {
        let temporary = self.store.temporary();
        let (out, found, size) = self.out.finish();
        if found != *expected {
            return Err(StoreError::Mismatch { what: what.to_owned(), expected: *expected, found });
        }
        let file = out.into_inner().map_err(|e| io_error(&temporary, e.into_error()))?;
        self.store.publish(file, &self.store.blob_path(expected))?;
        Ok(size)
    }

    /// How many bytes were written so far.
    pub fn size(&self) -> u64 {
        self.out.size()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.out.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Store {
    pub(super) fn named_temporary(&self) -> Result<(NamedTempFile, Guard), StoreError> {
        self.temporary_in(&self.temporary())
    }

    /// A new file, locked while this process lives: what nobody holds was left by a process that was killed, and may be swept.
    pub(super) fn temporary_in(&self, directory: &Path) -> Result<(NamedTempFile, Guard), StoreError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("new-").permissions(Permissions::from_mode(0o666));
        loop {
            let make = || builder.tempfile_in(directory).map_err(|e| io_error(directory, e));
            let (file, guard) = interrupt::guard(make, |made| Leftover::Path(made.path().to_owned()))?;
            let locked = file.as_file().lock().and_then(|()| file.as_file().metadata());
            // Before it was locked, it may have been swept.
            if locked.map_err(|e| io_error(file.path(), e))?.nlink() > 0 {
                return Ok((file, guard));
            }
        }
    }

    /// Renames a finished file into place. Another process may have been faster: its file is as good.
    pub(super) fn publish(&self, file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|e| io_error(directory, e))?;
        }
        file.persist(path).map_err(|e| io_error(path, e.error))?;
        Ok(())
    }
}
