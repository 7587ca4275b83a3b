//! Reading layers back: as a stream, and as a tree.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::parse::{BLOCK, Header, Records, malformed};
use super::{LayerError, decompress, tar};
use crate::image::Layer;
use minimg_base::error::Result;
use minimg_store::Store;
use minimg_tree::{Content, FileRegions, Kind, Meta, Node, RootPath, RootTree};

/// The most bytes that the records before one entry may have.
const LARGEST_RECORDS: u64 = 1024 * 1024;

/// The uncompressed tar of a layer, streamed from the store.
///
/// # Errors
/// When the store has not got the blob, or fails.
pub fn open(layer: &Layer, store: &Store) -> Result<Box<dyn Read>> {
    let blob = store.open_blob(&layer.digest)?.ok_or(LayerError::Missing(layer.digest))?;
    Ok(decompress(layer.compression, blob).map_err(|e| wrong(layer, e))?)
}

/// The tree of a layer, whiteouts included as the files that they are. Content stays in an unnamed file on the store's disk.
///
/// # Errors
/// When the store has not got the blob or fails, or the blob is not a tar that a tree can be made of.
pub fn read(layer: &Layer, store: &Store) -> Result<RootTree> {
    let mut scratch = store.scratch()?;
    let mut out = BufWriter::new(&mut scratch);
    io::copy(&mut open(layer, store)?, &mut out).and_then(|_| out.flush()).map_err(|e| wrong(layer, e))?;
    drop(out);
    Ok(read_tar(scratch, store.path()).map_err(|e| wrong(layer, e))?)
}

fn wrong(layer: &Layer, source: io::Error) -> LayerError {
    LayerError::Malformed { digest: layer.digest, source }
}

/// One entry, and where its content is in the file.
struct Found {
    header: Header,
    records: Records,
    offset: u64,
}

/// The tree of an uncompressed tar in a file, whose content stays there; `path` names it in messages. Of two entries of one path the
/// last counts.
///
/// # Errors
/// When it is not a tar that a tree can be made of: a name leaves the root, an entry is of an unknown type or longer than the file.
pub fn read_tar(file: File, path: &Path) -> io::Result<RootTree> {
    let found = entries(&file)?;
    let regions = found.iter().map(|found| (found.offset, found.header.size)).collect();
    let source = Arc::new(FileRegions::new(path, file, regions));
    let mut tree = RootTree::new();
    for (key, Found { header, records, .. }) in found.into_iter().enumerate() {
        let name = RootPath::new(&header.path).map_err(malformed)?;
        let kind = match header.letter {
            0 | b'0' | b'7' => Kind::File(Content::lazy(source.clone(), key as u64, header.size)),
            _ => kind(&header)?,
        };
        let meta = Meta {
            mode: narrow(header.mode)? & 0o7777,
            uid: narrow(header.uid)?,
            gid: narrow(header.gid)?,
            mtime: header.mtime,
            xattrs: records.xattrs,
        };
        tree.insert(name, Node { kind, meta, package: None });
    }
    Ok(tree)
}

fn entries(file: &File) -> io::Result<Vec<Found>> {
    let end = file.metadata()?.len();
    let (mut found, mut records, mut at) = (Vec::new(), Records::default(), 0);
    while at < end {
        let mut block = [0; BLOCK];
        file.read_exact_at(&mut block, at)?;
        let Some(mut header) = Header::parse(&block)? else { break };
        let offset = at + BLOCK as u64;
        let extends_next = matches!(header.letter, b'x' | b'g' | b'L' | b'K');
        if !extends_next {
            header.apply(&mut records);
        }
        if !header.has_content() {
            header.size = 0;
        }
        let body_end = offset.checked_add(header.size).filter(|&body_end| body_end <= end);
        let body_end = body_end.ok_or_else(|| malformed("an entry is longer than the archive"))?;
        match header.letter {
            b'x' => records.pax(&body(file, offset, header.size)?)?,
            // Defaults for all entries, such as git's comment: nothing that a tree has.
            b'g' => {}
            letter @ (b'L' | b'K') => records.gnu_long(letter, &body(file, offset, header.size)?),
            _ => found.push(Found { header, records: std::mem::take(&mut records), offset }),
        }
        at = body_end + tar::padding(body_end - offset) as u64;
    }
    Ok(found)
}

fn body(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > LARGEST_RECORDS {
        return Err(malformed(format!("the records of an entry are longer than {LARGEST_RECORDS} bytes")));
    }
    let mut body = vec![0; size as usize];
    file.read_exact_at(&mut body, offset)?;
    Ok(body)
}

/// What is at the path of an entry that is no regular file.
fn kind(header: &Header) -> io::Result<Kind> {
    let device = || -> io::Result<(u32, u32)> { Ok((narrow(header.device.0)?, narrow(header.device.1)?)) };
    Ok(match header.letter {
        b'1' => Kind::Hardlink(RootPath::new(&header.link).map_err(malformed)?),
        b'2' => Kind::Symlink(header.link.clone().into()),
        b'3' => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
        b'4' => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(malformed(format!("an entry of the type {:?}, which is not supported", char::from(other))));
        }
    })
}

fn narrow(value: u64) -> io::Result<u32> {
    u32::try_from(value).map_err(|_| malformed("an owner, mode or device number above 32 bits"))
}
