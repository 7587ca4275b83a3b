//! Outputs: which need not be written again, because the existing file has the same content, and the records next to them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::pipeline::Built;
use crate::record::Record;
use minimg_base::digest::{Digest, digest_of};
use minimg_base::error::{Class, Error, Result};
use minimg_base::interrupt::{self, Leftover};
use minimg_oci::export::{self, Output, Target, Written};
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
pub fn write(images: &[Image], output: &Output, store: &Store) -> Result<Written> {
    let written = export::export(images, output, store)?;
    if let (Target::Path(path), Some(digest)) = (&output.target, written.digest)
        && let Some(fast) = fast_hash(path)
    {
        let bytes = serde_json::to_vec(&Seen { digest, size: written.size, fast });
        // The output is written: that the store cannot note it only costs time when it is wanted again.
        let _ = store.put_entry(KIND, &key(images, output, path)?, &bytes.map_err(|e| Error::new(Class::Machine, e))?);
    }
    Ok(written)
}

/// A build record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the build record {path}: {source}")]
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

/// Writes the build records beside an output: `x.tar` gets `x.tar.record.json`, for several boards each its own. Standard output has none.
///
/// # Errors
/// When the store fails or a record cannot be written.
pub fn write_records(built: &[Built], written: &Written, store: &Store) -> Result<()> {
    let Target::Path(path) = &written.target else { return Ok(()) };
    for each in built {
        let Some(record) = Record::load(store, &each.recipe)? else { continue };
        let board = if built.len() > 1 { format!(".{}", record.board) } else { String::new() };
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{board}.record.json"));
        write_record(&record, Path::new(&name))?;
    }
    Ok(())
}

fn write_record(record: &Record, path: &Path) -> Result<()> {
    let bytes = serde_json::to_vec(record).map_err(|error| Error::new(Class::Machine, error))?;
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    Ok(replace(path, &bytes).map_err(|source| RecordError { path: path.to_owned(), source })?)
}

/// Puts a whole file in the place of another.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let make = || tempfile::Builder::new().permissions(permissions).tempfile_in(directory);
    let (mut file, _guard) = interrupt::guard(make, |made| Leftover::Path(made.path().to_owned()))?;
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
