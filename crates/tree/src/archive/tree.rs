//! A whole tar archive as a root tree.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::error::TarError;
use super::tar::Reader;
use super::{Codec, Collector, Limits, Scratch, Spill};
use crate::{Content, ContentSource, Node, RootTree};
use minimg_base::digest::{Digest, HashingReader};

/// Reads a tar archive, compressed by any [`Codec`], into a tree. The bodies go to `scratch`; nothing else is written.
///
/// Device nodes are metadata as everything else. The directory entry of the root itself is left out, as [`RootTree`] implies it.
///
/// # Errors
/// When the archive is malformed, hostile or beyond the limits, or the scratch file cannot be written.
pub fn read_tree(reader: impl Read + Send, limits: Limits, scratch: &Arc<Scratch>) -> Result<RootTree, TarError> {
    let (mut tree, _) = read_decoded(decoded(reader, limits)?, scratch)?;
    tree.add_missing_parents();
    Ok(tree)
}

/// Like [`read_tree`], but with no other directories than those that the archive has entries of, and with the digest of the whole
/// uncompressed stream, which includes what follows the archive's end mark.
///
/// # Errors
/// Those of [`read_tree`].
pub fn read_entries(
    reader: impl Read + Send,
    limits: Limits,
    scratch: &Arc<Scratch>,
) -> Result<(RootTree, Digest), TarError> {
    let (tree, stream) = read_decoded(HashingReader::new(decoded(reader, limits)?), scratch)?;
    Ok((tree, stream.finish()))
}

fn decoded<'a>(reader: impl Read + Send + 'a, limits: Limits) -> Result<Box<dyn Read + Send + 'a>, TarError> {
    let mut reader = BufReader::with_capacity(128 * 1024, reader);
    let codec = Codec::detect(reader.fill_buf().map_err(TarError::Io)?);
    codec.decode(reader, limits).map_err(TarError::Io)
}

/// Reads the stream to its end, and returns it with the tree.
fn read_decoded<R: Read>(stream: R, scratch: &Arc<Scratch>) -> Result<(RootTree, R), TarError> {
    let mut tar = Reader::new(stream);
    let (mut collector, mut spill) = (Collector::default(), Spill::new(scratch));
    while let Some(entry) = tar.next_entry()? {
        let size = entry.size;
        if let Some(key) = collector.add(entry)? {
            spill.add(key, &mut tar, size).map_err(TarError::Io)?;
        }
    }
    let stream = tar.finish()?;
    let source: Arc<dyn ContentSource> = Arc::new(spill.finish());
    let mut tree = RootTree::new();
    for (key, member) in collector.into_members().into_iter().enumerate() {
        let kind = member.kind.to_node(|size| Content::lazy(source.clone(), key as u64, size));
        tree.insert(member.path, Node { kind, meta: member.meta, package: None });
    }
    Ok((tree, stream))
}
