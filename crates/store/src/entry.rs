//! Entries: what was computed, under the digest of what it was computed from. Before the content come two BLAKE3 hashes: that of the kind and
//! the key, so that a copy under another name is not believed, and that of the content. Each build reads and checks dozens of entries, and
//! writes some of many megabytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Store, StoreError, io_error};
use minimg_base::digest::Digest;
use minimg_tree::map_file;

/// The length of one hash.
const HASH: usize = blake3::OUT_LEN;

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
        self.entry_with_sum(kind, key, |content, sum| blake3::hash(content) == *sum)
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
        self.entry_with_sum(kind, key, |content, _| check(content))
    }

    fn entry_with_sum(
        &self,
        kind: &str,
        key: &Digest,
        is_sound: impl FnOnce(&Bytes, &[u8; HASH]) -> bool,
    ) -> Result<Option<Bytes>, StoreError> {
        let path = self.entry_path(kind, key);
        self.touch(&path);
        let bytes = match map_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path, error)),
        };
        let sound = bytes.split_first_chunk::<HASH>().and_then(|(name, rest)| {
            let (sum, _) = rest.split_first_chunk::<HASH>()?;
            let content = bytes.slice(2 * HASH..);
            (*name == name_of(kind, key) && is_sound(&content, sum)).then_some(content)
        });
        if sound.is_none() {
            self.drop_damaged(&path)?;
        }
        Ok(sound)
    }

    /// Stores `bytes` under this key, replacing what was there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_entry(&self, kind: &str, key: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let (mut file, _guard) = self.named_temporary()?;
        let head = [name_of(kind, key), *blake3::hash(bytes).as_bytes()].concat();
        let written = file.write_all(&head).and_then(|()| file.write_all(bytes));
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

/// What is wrong with an entry's file, all of which is read.
pub(super) fn damage(kind: &str, key: Option<Digest>, path: &Path) -> io::Result<Option<&'static str>> {
    let mut file = File::open(path)?;
    let (mut name, mut sum) = ([0; HASH], [0; HASH]);
    let is_short = file.read_exact(&mut name).and_then(|()| file.read_exact(&mut sum)).is_err();
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(if is_short || hasher.finalize() != sum {
        Some("its content does not fit its checksum")
    } else if key.is_none_or(|key| name != name_of(kind, &key)) {
        Some("it was written under another name")
    } else {
        None
    })
}

/// What binds an entry to its kind and key.
fn name_of(kind: &str, key: &Digest) -> [u8; HASH] {
    let mut hasher = blake3::Hasher::new();
    // No kind has a zero byte in it, so the two cannot be divided in another way.
    hasher.update(kind.as_bytes()).update(&[0]).update(key.as_bytes());
    *hasher.finalize().as_bytes()
}
