//! Outputs: which need not be written again, because the existing file has the same content, and the records next to them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::pipeline::Built;
use crate::record::Record;
use minimg_base::digest::{Digest, digest_of};
use minimg_base::error::{Class, Error, Result};
use minimg_base::partial;
use minimg_oci::export::{self, Exports, Output, Target, Written};
use minimg_oci::image::Image;
use minimg_store::Store;
use minimg_tree::map_region;

/// The kind of the store's entries that say what a file was when it was written.
const KIND: &str = "output";

/// A file as it was written.
#[derive(Serialize, Deserialize)]
struct Seen {
    digest: Digest,
    size: u64,
    /// Its BLAKE3 hash: all of the file is read again each time, and this is several times faster than SHA-256, on all cores at once.
    fast: String,
}

/// What was written before, if the file still holds exactly these images, which is found out by reading all of it.
///
/// # Errors
/// When the store fails.
pub fn unchanged(images: &[Image], output: &Output, store: &Store) -> Result<Option<Written>> {
    let Target::Path(path) = &output.target else { return Ok(None) };
    let seen = store.entry(KIND, &key(images, output, path)?)?;
    let Some(seen) = seen.and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok()) else { return Ok(None) };
    let written = || Written {
        format: output.format(),
        target: output.target.clone(),
        size: seen.size,
        digest: Some(seen.digest),
    };
    Ok(holds(path, &seen).then(written))
}

/// Writes the images, and remembers what the file was like for [`unchanged`].
///
/// # Errors
/// Like [`export::export`].
pub fn write<'a>(exports: impl Into<Exports<'a>>, output: &Output, store: &Store) -> Result<Written> {
    let exports = exports.into();
    let images = exports.images;
    let written = export::export(exports, output, store)?;
    if let (Target::Path(path), Some(digest)) = (&output.target, written.digest)
        && let Some(fast) = fast_hash(path)
    {
        let bytes = serde_json::to_vec(&Seen { digest, size: written.size, fast });
        // The output is written: that the store cannot note it only costs time when it is wanted again.
        let _ = store.put_entry(KIND, &key(images, output, path)?, &bytes.map_err(|e| Error::new(Class::Machine, e))?);
    }
    Ok(written)
}

/// A build record could not be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("failed to replace the build record {path}: {source}")]
pub struct RecordError {
    /// Which one.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        Error::new(Class::Machine, error)
    }
}

/// The build records of these images as JSON, in their order, for formats that hold them.
///
/// # Errors
/// When the store fails or has lost one.
pub fn records_of(built: &[Built], store: &Store) -> Result<Vec<Vec<u8>>> {
    let lost = || Error::new(Class::Machine, "the store lost a build record in the meantime; try again");
    built.iter().map(|each| Ok(Record::stored(store, &each.recipe)?.ok_or_else(lost)?.into())).collect()
}

/// Writes the build records beside an output: `x.tar` gets `x.tar.record.json`, for several boards each its own. Standard output has none,
/// nor have formats that hold their records.
///
/// # Errors
/// When the store fails or a record cannot be written.
pub fn write_records(built: &[Built], output: &Output, store: &Store) -> Result<()> {
    let Target::Path(path) = &output.target else { return Ok(()) };
    if output.holds_records() {
        return Ok(());
    }
    for (path, record) in records(built, path, store)? {
        if fs::read(&path).is_ok_and(|there| there == record) {
            continue;
        }
        replace(&path, &record).map_err(|source| RecordError { path, source })?;
    }
    Ok(())
}

/// Removes the build records beside an output that are not those of these images. It is called before the output is replaced, so that a record is
/// never beside an image that it does not describe.
///
/// # Errors
/// When the store fails or a record cannot be removed.
pub fn remove_stale_records(built: &[Built], output: &Output, store: &Store) -> Result<()> {
    let Target::Path(path) = &output.target else { return Ok(()) };
    let right = if output.holds_records() { BTreeMap::new() } else { records(built, path, store)? };
    for (beside, board) in records_beside(path) {
        let is_right = right.get(&beside).is_some_and(|right| fs::read(&beside).is_ok_and(|there| there == *right));
        if !is_right && is_record(&beside, board.as_deref()) {
            fs::remove_file(&beside).map_err(|source| RecordError { path: beside, source })?;
        }
    }
    Ok(())
}

/// The records of these images by their paths beside an output.
fn records(built: &[Built], output: &Path, store: &Store) -> Result<BTreeMap<PathBuf, Bytes>> {
    let mut records = BTreeMap::new();
    for each in built {
        let Some(record) = Record::stored(store, &each.recipe)? else { continue };
        let board = if built.len() > 1 { Record::load(store, &each.recipe)?.map(|record| record.board) } else { None };
        records.insert(record_path(output, board.as_deref()), record);
    }
    Ok(records)
}

/// The end of the name of every record.
const RECORD: &str = ".record.json";

fn record_path(output: &Path, board: Option<&str>) -> PathBuf {
    // Without a slash at the end, which would lead into the directory.
    let mut name = output.components().as_path().as_os_str().to_owned();
    name.push(board.map(|board| format!(".{board}")).unwrap_or_default() + RECORD);
    name.into()
}

/// What has the name of a record beside an output, whatever build it is of, with the board in the name.
fn records_beside(output: &Path) -> Vec<(PathBuf, Option<String>)> {
    let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(own) = output.file_name() else { return Vec::new() };
    let board_of = |name: &OsStr| {
        let rest = name.as_encoded_bytes().strip_prefix(own.as_encoded_bytes())?;
        let board = std::str::from_utf8(rest.strip_suffix(RECORD.as_bytes())?).ok()?;
        if board.is_empty() { Some(None) } else { Some(Some(board.strip_prefix('.')?.to_owned())) }
    };
    let of_another_output = |board: &str| {
        let mut other = own.to_owned();
        other.push(format!(".{board}"));
        directory.join(other).exists()
    };
    let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| board_of(&name))
        .filter(|board| !board.as_deref().is_some_and(of_another_output))
        .map(|board| (record_path(output, board.as_deref()), board))
        .collect()
}

/// Whether a file is a build record, of this board where it is named.
fn is_record(path: &Path, board: Option<&str>) -> bool {
    Record::read(path).is_ok_and(|record| board.is_none_or(|board| *board == record.board))
}

/// Puts a whole file in the place of another.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut file, _guard) = partial::file_beside(path, 0o644)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

fn key(images: &[Image], output: &Output, path: &Path) -> Result<Digest> {
    let absolute = std::path::absolute(path).map_err(|error| Error::new(Class::Machine, error))?;
    Ok(digest_of(&(export::DOCUMENTS_VERSION, absolute.as_os_str().to_string_lossy(), output.format(), images)))
}

/// Whether the file has this length and content.
fn holds(path: &Path, seen: &Seen) -> bool {
    let has_size = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == seen.size);
    has_size && fast_hash(path).is_some_and(|hash| hash == seen.fast)
}

/// How much of an output is mapped at once: enough for all cores, and little of the memory that a large image would take.
const WINDOW: u64 = 16 << 20;

fn fast_hash(path: &Path) -> Option<String> {
    // A pipe that was written to would be waited for.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < size {
        let length = WINDOW.min(size - offset);
        hasher.update_rayon(&map_region(&file, offset, length).ok()?);
        offset += length;
    }
    Some(hasher.finalize().to_hex().to_string())
}
