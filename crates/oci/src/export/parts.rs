//! What an image's archive or directory holds, by name, and writing it as the one or the other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::place;
use super::{Destination, ExportError, Sum};
use crate::image::{Image, Layer};
use crate::layer::{self, LayerError, tar};
use minimg_base::digest::{Digest, HashingWriter};
use minimg_base::error::Result;
use minimg_store::Store;

/// One file of an archive or directory.
pub(super) enum Part<'a> {
    /// A document.
    Document(Vec<u8>),
    /// A layer's blob as it is in the store.
    Blob(&'a Layer),
    /// A layer's tar, uncompressed.
    Tar(&'a Layer),
}

/// Files by their names.
pub(super) type Parts<'a> = BTreeMap<String, Part<'a>>;

/// Where a blob is in an OCI layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Part<'_> {
    fn size(&self) -> u64 {
        match self {
            Part::Document(bytes) => bytes.len() as u64,
            Part::Blob(layer) => layer.size,
            Part::Tar(layer) => layer.diff_size,
        }
    }

    /// Streams the part, and checks it on the way.
    pub(super) fn copy(&self, store: &Store, out: &mut dyn Write) -> Result<()> {
        match self {
            Part::Document(bytes) => Ok(out.write_all(bytes).map_err(ExportError::Write)?),
            Part::Blob(layer) => {
                let missing = |_| LayerError::Missing(layer.digest);
                let mut blob = File::open(store.blob_path(&layer.digest)).map_err(missing)?;
                let found = copy_hashed(&mut blob, out)?;
                if found != (layer.digest, layer.size) {
                    // Opening it so drops it, and the next build makes it anew.
                    store.open_blob(&layer.digest)?;
                    return Err(LayerError::Missing(layer.digest).into());
                }
                Ok(())
            }
            Part::Tar(layer) => {
                let found = copy_hashed(&mut layer::open(layer, store)?, out)?;
                if found != (layer.diff_id, layer.diff_size) {
                    let source = io::Error::other(format!("its tar is not {}", layer.diff_id));
                    return Err(LayerError::Malformed { digest: layer.digest, source }.into());
                }
                Ok(())
            }
        }
    }
}

fn copy_hashed(from: &mut dyn io::Read, out: &mut dyn Write) -> Result<(Digest, u64), ExportError> {
    let mut out = HashingWriter::new(out);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ExportError::Read(error)),
        };
        out.write_all(&buffer[..count]).map_err(ExportError::Write)?;
    }
    let (_, digest, size) = out.finish();
    Ok((digest, size))
}

/// Writes all parts as one tar, sorted, each directory before what is in it; all of one time.
pub(super) fn write_archive(parts: &Parts<'_>, created: i64, store: &Store, out: &mut dyn Write) -> Result<()> {
    let mtime = created.max(0).cast_unsigned();
    let mut directories = std::collections::BTreeSet::new();
    let mut block = Vec::new();
    for (name, part) in parts {
        block.clear();
        for (slash, _) in name.match_indices('/') {
            if directories.insert(&name[..slash]) {
                tar::plain_directory(&name[..slash], mtime, &mut block);
            }
        }
        tar::plain_file(name, part.size(), mtime, &mut block);
        out.write_all(&block).map_err(ExportError::Write)?;
        part.copy(store, out)?;
        out.write_all(&tar::END[..tar::padding(part.size())]).map_err(ExportError::Write)?;
    }
    out.write_all(&tar::END).map_err(ExportError::Write)?;
    Ok(())
}

/// Writes all parts below a directory that exists, and returns their size. Each file appears whole; one that is there already is
/// replaced.
pub(super) fn write_directory(parts: &Parts<'_>, directory: &Path, store: &Store) -> Result<u64> {
    for (name, part) in parts {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(ExportError::at(parent))?;
        }
        let (mut file, _guard) = super::place::temporary_file(&path)?;
        let mut out = io::BufWriter::with_capacity(128 * 1024, &mut file);
        part.copy(store, &mut out)?;
        out.flush().map_err(ExportError::at(&path))?;
        drop(out);
        file.persist(&path).map_err(|e| ExportError::at(&path)(e.error))?;
    }
    Ok(parts.values().map(Part::size).sum())
}

/// Writes parts as an archive that is as new as the newest image in it.
pub(super) fn archive(parts: &Parts<'_>, images: &[Image], destination: Destination<'_>, store: &Store) -> Result<Sum> {
    let created = images.iter().map(|image| image.created).max().unwrap_or_default();
    place::file(destination, |out| write_archive(parts, created, store, out))
}
