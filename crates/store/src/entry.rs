//! Entries: what was computed, under the digest of what it was computed from. The first 32 bytes are the BLAKE3 hash of the rest:
//! each build reads and checks dozens of entries, and writes some of many megabytes.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;

use super::{Store, StoreError, io_error, touch};
use minimg_base::digest::Digest;
use minimg_tree::map_file;

impl Store {
    /// Where an entry is, or would be. Kinds are fixed words of the program, such as `index`.
    pub fn entry_path(&self, kind: &str, key: &Digest) -> PathBuf {
        self.root.join("entries").join(kind).join(key.hex())
    }

    /// What was stored under this key, checked; a damaged entry is dropped and `None` returned.
    ///
    /// # Errors
    /// If it exists but cannot be read.
    pub fn entry(&self, kind: &str, key: &Digest) -> Result<Option<Bytes>, StoreError> {
        let Some((bytes, sum)) = self.entry_with_sum(kind, key)? else { return Ok(None) };
        if sum_of(&bytes) != sum {
            self.drop_damaged(&self.entry_path(kind, key))?;
            return Ok(None);
        }
        touch(&self.entry_path(kind, key));
        Ok(Some(bytes))
    }

    /// Like [`Store::entry`], for large entries of which only a few pages are wanted: `check` decides from the bytes whether they are
    /// sound, in place of hashing all of them.
    ///
    /// # Errors
    /// If it exists but cannot be read.
    pub fn entry_checked_by(
        &self,
        kind: &str,
        key: &Digest,
        check: impl FnOnce(&Bytes) -> bool,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some((bytes, _)) = self.entry_with_sum(kind, key)? else { return Ok(None) };
        if !check(&bytes) {
            self.drop_damaged(&self.entry_path(kind, key))?;
            return Ok(None);
        }
        touch(&self.entry_path(kind, key));
        Ok(Some(bytes))
    }

    fn entry_with_sum(&self, kind: &str, key: &Digest) -> Result<Option<(Bytes, [u8; 32])>, StoreError> {
        let path = self.entry_path(kind, key);
        let bytes = match map_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, error)),
        };
        let Some(sum) = bytes.get(..32).and_then(|sum| <[u8; 32]>::try_from(sum).ok()) else {
            self.drop_damaged(&path)?;
            return Ok(None);
        };
        Ok(Some((bytes.slice(32..), sum)))
    }

    /// Stores `bytes` under this key, replacing what was there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_entry(&self, kind: &str, key: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let (mut file, _guard) = self.named_temporary()?;
        let written = file.write_all(&sum_of(bytes)).and_then(|()| file.write_all(bytes));
        written.map_err(|e| io_error(file.path(), e))?;
        self.publish(file, &self.entry_path(kind, key))
    }

    /// Forgets an entry.
    ///
    /// # Errors
    /// If it exists but cannot be removed.
    pub fn remove_entry(&self, kind: &str, key: &Digest) -> Result<(), StoreError> {
        self.drop_damaged(&self.entry_path(kind, key))
    }
}

fn sum_of(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
