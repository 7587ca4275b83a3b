//! Layers: one immutable, deterministic tar each.
//!
//! [`write()`] turns a root tree into a blob of the store. The same tree and epoch give the same bytes on every machine: paths sorted by
//! their bytes, owners as numbers, whole seconds that are never later than the epoch, ustar headers with PAX records only where they
//! are needed, and compressors pinned to one set of parameters. Content streams through; memory does not grow with the tree's size.
//!
//! [`diff()`] makes the tree of a layer that goes over another one.

mod compress;
mod deflate;
mod diff;
mod flatten;
mod parse;
mod pieces;
mod plan;
mod read;
pub(crate) mod tar;

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

pub use compress::{compressor, decompress};
pub use diff::{diff, refuse_whiteouts};
pub use flatten::flatten;
pub(crate) use pieces::CompressedWriter;
pub use read::{open, read, read_tar};
pub use tar::TarError;

use self::plan::Plan;
use crate::image::{Compression, Layer};
use minimg_base::digest::{Digest, HashingWriter};
use minimg_base::error::{Class, Error, Result, store_remedy};
use minimg_base::report::{Event, Reporter, Reused};
use minimg_base::threads::jobs;
use minimg_store::{Store, StoreError};
use minimg_tree::{RootPath, RootTree};

/// Changes whenever the same tree would give another tar: part of the keys of whatever is cached by what a tree was made from.
pub const WRITER_VERSION: u32 = 1;

/// The kind of the store's entries that say which blob a compressed tar is in.
const BLOB_OF_TAR: &str = "layer-blob";

/// How a layer is written.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Seconds since 1970; no time in the layer is later.
    pub epoch: i64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// What made the layer, for the image's history.
    pub created_by: &'a str,
    /// How many threads compress; the result does not depend on it. 0 for as many as there are cores, up to four.
    pub jobs: usize,
    /// Told whether the compressed blob was in the store already.
    pub reporter: &'a dyn Reporter,
}

/// Why a layer cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file's content cannot be had.
    #[error("cannot read the content of {path}: {source}")]
    Content {
        /// Which file.
        path: RootPath,
        /// What its source said.
        source: io::Error,
    },
    /// A tar cannot hold an entry.
    #[error("cannot write {path} into the layer: {source}")]
    Tar {
        /// Which entry.
        path: RootPath,
        /// Why.
        source: TarError,
    },
    /// A hard link leads nowhere.
    #[error("{path} is a hard link to {target}, which is not a regular file of this layer; keep both or neither")]
    Hardlink {
        /// The link.
        path: RootPath,
        /// Where it leads.
        target: RootPath,
    },
    /// A path lies below something that is not a directory.
    #[error("{path} cannot be in the layer because {parent} is not a directory; use the path it leads to")]
    NotADirectory {
        /// The path.
        path: RootPath,
        /// What is above it.
        parent: RootPath,
    },
    /// A name that a reader of the layer would take for a removal.
    #[error(
        "{path} cannot be in a layer: a name that begins with .wh. marks a removed path; rename it or leave it out"
    )]
    Whiteout {
        /// The path.
        path: RootPath,
    },
    /// The tar cannot be compressed, hashed or stored.
    #[error("cannot store the layer: {0}; {remedy}", remedy = store_remedy(.0))]
    Write(io::Error),
    /// A layer's blob is not in the store, or was damaged there.
    #[error("the layer {0} is not in the store, or was damaged and dropped; build the image again")]
    Missing(Digest),
    /// A layer's blob is not a compressed tar.
    #[error("cannot read the layer {digest}: {source}")]
    Malformed {
        /// Which blob.
        digest: Digest,
        /// What is wrong with it.
        source: io::Error,
    },
}

impl From<LayerError> for Error {
    fn from(error: LayerError) -> Self {
        let class = match &error {
            LayerError::Content { source, .. } => class_of(source).unwrap_or(Class::Machine),
            LayerError::Write(_) => Class::Machine,
            LayerError::Tar { .. }
            | LayerError::Hardlink { .. }
            | LayerError::NotADirectory { .. }
            | LayerError::Whiteout { .. } => Class::Malformed,
            LayerError::Missing(_) => Class::Verification,
            LayerError::Malformed { .. } => Class::Malformed,
        };
        Error::new(class, error)
    }
}

/// The class of an error that had to pass through a reader.
fn class_of(error: &io::Error) -> Option<Class> {
    error.get_ref()?.downcast_ref::<Error>().map(Error::class)
}

/// The blob that a tar compresses to, as the store remembers it.
#[derive(Serialize, Deserialize)]
struct Blob {
    digest: Digest,
    size: u64,
}

/// Writes the tree as a layer into the store. Compressing costs far more than all the rest, so the tar is hashed first, and only
/// compressed when the store has not got it yet.
///
/// # Errors
/// When content cannot be read, the tree cannot be a layer ([`LayerError`]), or the store fails.
pub fn write(tree: &RootTree, options: &Options<'_>, store: &Store) -> Result<Layer> {
    let plan = Plan::new(tree, options.epoch)?;
    let (_, diff_id, diff_size) = write_tar(&plan, io::sink())?;
    let found = find_blob(&diff_id, options.compression, store)?;
    let (diff_id, blob) = match found {
        Some(blob) => {
            options.reporter.event(Event::Reused { what: Reused::CompressedLayer, bytes: blob.size });
            (diff_id, blob)
        }
        None => {
            options
                .reporter
                .event(Event::Missed { what: "compressed layer", why: "this tar was not compressed before" });
            write_blob(&plan, options, store)?
        }
    };
    Ok(Layer {
        diff_id,
        diff_size,
        compression: options.compression,
        digest: blob.digest,
        size: blob.size,
        files: tree.len() as u64,
        created_by: options.created_by.to_owned(),
    })
}

/// Streams the tree as a tar to `out`, and returns its digest and length.
///
/// # Errors
/// As [`write()`]; the store is not used.
pub fn write_tar_to(tree: &RootTree, epoch: i64, out: impl Write) -> Result<(Digest, u64)> {
    let (_, digest, size) = write_tar(&Plan::new(tree, epoch)?, out)?;
    Ok((digest, size))
}

fn write_blob(plan: &Plan<'_>, options: &Options<'_>, store: &Store) -> Result<(Digest, Blob)> {
    let out =
        CompressedWriter::new(store.new_blob()?, options.compression, jobs(options.jobs)).map_err(LayerError::Write)?;
    let (out, diff_id, _) = write_tar(plan, out)?;
    let (digest, size) = out.finish().map_err(LayerError::Write)?.commit()?;
    let blob = Blob { digest, size };
    let record = serde_json::to_vec(&blob).map_err(|e| LayerError::Write(e.into()))?;
    store.put_entry(BLOB_OF_TAR, &blob_key(&diff_id, options.compression), &record)?;
    Ok((diff_id, blob))
}

/// The blob that this tar was compressed to before, if it is still whole.
fn find_blob(diff_id: &Digest, compression: Compression, store: &Store) -> Result<Option<Blob>, StoreError> {
    let Some(record) = store.entry(BLOB_OF_TAR, &blob_key(diff_id, compression))? else { return Ok(None) };
    let Ok(blob) = serde_json::from_slice::<Blob>(&record) else { return Ok(None) };
    Ok(store.open_blob(&blob.digest)?.map(|_| blob))
}

fn blob_key(diff_id: &Digest, compression: Compression) -> Digest {
    Digest::of(format!("{diff_id} {}", compressor(compression)))
}

/// Streams the tar to `out`; returns `out`, the tar's digest and its length.
fn write_tar<W: Write>(plan: &Plan<'_>, out: W) -> Result<(W, Digest, u64), LayerError> {
    let mut out = Noted { out: HashingWriter::new(out), failed: None };
    let mut buffer = Vec::with_capacity(4096);
    for planned in plan.entries() {
        buffer.clear();
        let path = planned.path;
        tar::encode(&planned.entry, &mut buffer).map_err(|source| LayerError::Tar { path: path.clone(), source })?;
        out.write_all(&buffer).map_err(LayerError::Write)?;
        if let Some(content) = planned.content {
            if let Err(source) = content.copy(&mut out) {
                return Err(match out.failed.take() {
                    Some(failed) => LayerError::Write(failed),
                    None => LayerError::Content { path: path.clone(), source },
                });
            }
            out.write_all(&tar::END[..tar::padding(content.size())]).map_err(LayerError::Write)?;
        }
    }
    out.write_all(&tar::END).map_err(LayerError::Write)?;
    Ok(out.out.finish())
}

/// Keeps the error of a failed write, so that it can be told from one of reading when a copy fails.
struct Noted<W> {
    out: HashingWriter<W>,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Noted<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.out.write(data).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
