//! Reading layers back: as a stream, and as a tree.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use ::tar::{Archive, EntryType};

use super::{LayerError, decompress};
use crate::error::Result;
use crate::image::Layer;
use crate::store::Store;
use crate::tree::{Content, FileRegions, Kind, Meta, Node, RootPath, RootTree, Xattrs};

/// The uncompressed tar of a layer, streamed from the store.
///
/// # Errors
/// When the store has not got the blob, or fails.
pub fn open(layer: &Layer, store: &Store) -> Result<Box<dyn Read>> {
    let blob = store.open_blob(&layer.digest)?.ok_or(LayerError::Missing(layer.digest))?;
    Ok(decompress(layer.compression, blob).map_err(|e| malformed(layer, e))?)
}

/// The tree of a layer, whiteouts included as the files that they are. Content stays in an unnamed file on the store's disk.
///
/// # Errors
/// When the store has not got the blob or fails, or the blob is not a tar that a tree can be made of.
pub fn read(layer: &Layer, store: &Store) -> Result<RootTree> {
    let mut scratch = store.scratch()?;
    let mut out = BufWriter::new(&mut scratch);
    io::copy(&mut open(layer, store)?, &mut out).and_then(|_| out.flush()).map_err(|e| malformed(layer, e))?;
    drop(out);
    scratch.rewind().map_err(|e| malformed(layer, e))?;
    Ok(read_tar(scratch, store.path()).map_err(|e| malformed(layer, e))?)
}

fn malformed(layer: &Layer, source: io::Error) -> LayerError {
    LayerError::Malformed { digest: layer.digest, source }
}

/// The tree of an uncompressed tar in a file, whose content stays there; `path` names it in messages.
///
/// # Errors
/// When it is not a tar that a tree can be made of: a name leaves the root, or an entry is of an unknown type.
pub fn read_tar(file: File, path: &Path) -> io::Result<RootTree> {
    let mut found = Vec::new();
    for entry in Archive::new(&file).entries_with_seek()? {
        let mut entry = entry?;
        let name = RootPath::new(entry.path_bytes()).map_err(io::Error::other)?;
        found.push((name, kind(&entry)?, meta(&mut entry)?, (entry.raw_file_position(), entry.size())));
    }
    let regions = found.iter().map(|(_, _, _, region)| *region).collect();
    let source = Arc::new(FileRegions::new(path, file, regions));
    let mut tree = RootTree::new();
    for (key, (name, kind, meta, (_, size))) in found.into_iter().enumerate() {
        let kind = kind.unwrap_or_else(|| Kind::File(Content::lazy(source.clone(), key as u64, size)));
        tree.insert(name, Node { kind, meta, package: None });
    }
    Ok(tree)
}

/// What is at the entry's path; `None` for a regular file, whose content is not known yet.
fn kind<R: Read>(entry: &::tar::Entry<'_, R>) -> io::Result<Option<Kind>> {
    let header = entry.header();
    let link = || entry.link_name_bytes().ok_or_else(|| io::Error::other("a link without a target"));
    let device = || -> io::Result<(u32, u32)> {
        Ok((header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default()))
    };
    Ok(Some(match header.entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => return Ok(None),
        EntryType::Link => Kind::Hardlink(RootPath::new(link()?).map_err(io::Error::other)?),
        EntryType::Symlink => Kind::Symlink(link()?.into()),
        EntryType::Char => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        EntryType::Directory => Kind::Directory,
        EntryType::Fifo => Kind::Fifo,
        other => return Err(io::Error::other(format!("an entry of the unknown type {other:?}"))),
    }))
}

fn meta<R: Read>(entry: &mut ::tar::Entry<'_, R>) -> io::Result<Meta> {
    let number = |value: u64| u32::try_from(value).map_err(|_| io::Error::other("an owner's number above 32 bits"));
    let header = entry.header();
    let (mode, uid, gid) = (header.mode()? & 0o7777, number(header.uid()?)?, number(header.gid()?)?);
    let mtime = header.mtime()?.try_into().unwrap_or(i64::MAX);
    let mut meta = Meta { mode, uid, gid, mtime, xattrs: Xattrs::new() };
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let text = || record.value().map_err(io::Error::other);
        match record.key().map_err(io::Error::other)? {
            "uid" => meta.uid = text()?.parse().map_err(io::Error::other)?,
            "gid" => meta.gid = text()?.parse().map_err(io::Error::other)?,
            "mtime" => meta.mtime = text()?.split('.').next().unwrap_or_default().parse().map_err(io::Error::other)?,
            key => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    meta.xattrs.insert(name.to_owned(), record.value_bytes().to_vec());
                }
            }
        }
    }
    Ok(meta)
}
