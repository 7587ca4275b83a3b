//! A whole tar archive as a root tree.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::error::TarError;
use super::tar::Reader;
use super::{Codec, Collector, Limits, Scratch, Spill};
use crate::{Content, ContentSource, Node, RootPath, RootTree};
use minimg_base::digest::{Digest, HashingReader};

/// Reads a tar archive, compressed by any [`Codec`], into a tree. The bodies go to `scratch`; nothing else is written.
///
/// Device nodes are metadata as everything else. The directory entry of the root itself is left out, as [`RootTree`] implies it.
///
/// # Errors
/// When the archive is malformed, hostile or beyond the limits, or the scratch file cannot be written.
pub fn read_tree(reader: impl Read + Send, limits: Limits, scratch: &Arc<Scratch>) -> Result<RootTree, TarError> {
    let mut tar = Reader::new(decoded(reader, limits)?);
    let (mut tree, _) = read_decoded(&mut tar, scratch, |_| false)?;
    tar.finish()?;
    tree.add_missing_parents();
    Ok(tree)
}

/// What is in an archive, and what the archive is.
#[derive(Debug)]
pub struct Entries {
    /// The entries, and no other directories than those that the archive has entries of.
    pub tree: RootTree,
    /// Where the entries are that are marks and nothing in the tree.
    pub marks: BTreeSet<RootPath>,
    /// The digest of the whole uncompressed stream, which includes what follows the archive's end mark.
    pub digest: Digest,
    /// The length of that stream, with the holes of sparse files.
    pub size: u64,
}

/// Like [`read_tree`], but with no other directories than the archive's own, and without the entries whose paths are marks. The archive need not have an end mark, nor any entry: the
/// caller compares the digest with the one that is expected, which proves that nothing is missing.
///
/// # Errors
/// Those of [`read_tree`].
pub fn read_entries(
    reader: impl Read + Send,
    limits: Limits,
    scratch: &Arc<Scratch>,
    is_mark: impl Fn(&RootPath) -> bool,
) -> Result<Entries, TarError> {
    let stream = HashingReader::new(decoded(reader, limits)?);
    let mut tar = Reader::new(stream).with_proven_end();
    let (tree, marks) = read_decoded(&mut tar, scratch, is_mark)?;
    let holes = tar.holes();
    let stream = tar.finish()?;
    let size = stream.size().saturating_add(holes);
    Ok(Entries { tree, marks, digest: stream.finish(), size })
}

fn decoded<'a>(reader: impl Read + Send + 'a, limits: Limits) -> Result<Box<dyn Read + Send + 'a>, TarError> {
    let mut reader = BufReader::with_capacity(128 * 1024, reader);
    let codec = Codec::detect(reader.fill_buf().map_err(TarError::Io)?);
    codec.decode(reader, limits).map_err(TarError::Io)
}

/// Reads all entries: the tree, and the paths of marks.
fn read_decoded<R: Read>(
    tar: &mut Reader<R>,
    scratch: &Arc<Scratch>,
    is_mark: impl Fn(&RootPath) -> bool,
) -> Result<(RootTree, BTreeSet<RootPath>), TarError> {
    let (mut collector, mut spill, mut marks) = (Collector::default(), Spill::new(scratch), BTreeSet::new());
    while let Some(entry) = tar.next_entry()? {
        if is_mark(&entry.path) {
            collector.count(entry.path.as_bytes().len())?;
            marks.insert(entry.path);
            continue;
        }
        let size = entry.size;
        if let Some(key) = collector.add(entry)? {
            spill.add(key, tar, size).map_err(TarError::Io)?;
        }
    }
    let source: Arc<dyn ContentSource> = Arc::new(spill.finish());
    let mut tree = RootTree::new();
    for (key, member) in collector.into_members().into_iter().enumerate() {
        let kind = member.kind.to_node(|size| Content::lazy(source.clone(), key as u64, size));
        tree.insert(member.path, Node { kind, meta: member.meta, package: None });
    }
    Ok((tree, marks))
}
