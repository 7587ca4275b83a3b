//! The pack of a package: the contents of those members that some build kept, so that the next build neither needs the package nor
//! decodes it.
//!
//! A pack is a blob with the contents one after another, and an entry of the store, under the package's digest, that says where each
//! content is in it and which BLAKE3 hash it has (files are read again by every build: it is several times faster than SHA-256). Contents are checked when they are first read, so reading a few does not cost reading
//! all. A pack grows: a build that needs more replaces it by one with the members of both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use minimg_base::digest::Digest;
use minimg_store::{BlobWriter, Store, StoreError};
use minimg_tree::archive::copy_region;
use minimg_tree::{ContentSource, map_region};

/// The kind of the store's entries.
pub(crate) const ENTRY: &str = "members";
/// Changed with every change of the form.
const VERSION: u32 = 3;

/// An open pack.
pub(crate) struct Pack {
    file: File,
    members: BTreeMap<u64, PackedMember>,
}

struct PackedMember {
    offset: u64,
    size: u64,
    sum: Digest,
    checked: AtomicBool,
}

/// The form of the store's entry.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// The digest of the blob.
    blob: [u8; 32],
    members: Vec<StoredMember>,
}

#[derive(Serialize, Deserialize)]
struct StoredMember {
    key: u64,
    offset: u64,
    size: u64,
    sum: [u8; 32],
}

impl Pack {
    /// The pack of the package with this digest, where there is a sound one.
    pub(crate) fn open(store: &Store, package: &Digest) -> Result<Option<Self>, StoreError> {
        let Some(index) = store.entry(ENTRY, package)? else { return Ok(None) };
        let Some((blob, members)) = decode(&index) else { return Ok(None) };
        Ok(store.open_blob_in_parts(&blob)?.map(|file| Self { file, members }))
    }

    /// Whether it has the content of this member, as a look at its index tells.
    pub(crate) fn contains(&self, key: u64) -> bool {
        self.members.contains_key(&key)
    }

    /// The keys of all members.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        self.members.keys().copied()
    }

    /// Whether it has the content of this member undamaged.
    pub(crate) fn has_sound(&self, key: u64) -> bool {
        let Some(member) = self.members.get(&key) else { return false };
        if member.checked.load(Ordering::Acquire) {
            return true;
        }
        let mut hasher = blake3::Hasher::new();
        let sound = copy_region(&self.file, member.offset, member.size, &mut hasher).is_ok()
            && Digest::from(*hasher.finalize().as_bytes()) == member.sum;
        member.checked.store(sound, Ordering::Release);
        sound
    }

    fn member(&self, key: u64) -> io::Result<&PackedMember> {
        self.members.get(&key).ok_or_else(|| io::Error::other(format!("the pack has no member {key}")))
    }
}

impl ContentSource for Pack {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        let member = self.member(key)?;
        map_region(&self.file, member.offset, member.size)
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        let member = self.member(key)?;
        copy_region(&self.file, member.offset, member.size, out)
    }
}

/// Stores the members `keys` of the package, whose contents `source` has, as its pack.
pub(crate) fn write(
    store: &Store,
    package: &Digest,
    keys: impl IntoIterator<Item = u64>,
    source: &dyn ContentSource,
) -> Result<(), PackError> {
    let mut blob = store.new_blob()?;
    // So that no two packages share a blob.
    blob.write_all(package.as_bytes())?;
    let mut members = Vec::new();
    for key in keys {
        let offset = blob.size();
        let mut out = Summed { blob: &mut blob, sum: blake3::Hasher::new() };
        source.copy(key, &mut out)?;
        let sum = *out.sum.finalize().as_bytes();
        members.push(StoredMember { key, offset, size: blob.size() - offset, sum });
    }
    let (digest, _) = blob.commit()?;
    let stored = Stored { version: VERSION, blob: *digest.as_bytes(), members };
    Ok(store.put_entry(ENTRY, package, &postcard::to_allocvec(&stored)?)?)
}

/// Sums up what is written to a blob.
struct Summed<'a> {
    blob: &'a mut BlobWriter,
    sum: blake3::Hasher,
}

impl Write for Summed<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.blob.write(data)?;
        self.sum.update(data.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

/// An error of writing a pack.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("cannot encode the index of a pack: {0}")]
    Encode(#[from] postcard::Error),
}

fn decode(index: &[u8]) -> Option<(Digest, BTreeMap<u64, PackedMember>)> {
    let (stored, rest) = postcard::take_from_bytes::<Stored>(index).ok()?;
    if !rest.is_empty() || stored.version != VERSION {
        return None;
    }
    let member = |StoredMember { key, offset, size, sum }| {
        offset.checked_add(size)?;
        Some((key, PackedMember { offset, size, sum: sum.into(), checked: AtomicBool::new(false) }))
    };
    let members = stored.members.into_iter().map(member).collect::<Option<_>>()?;
    Some((stored.blob.into(), members))
}
