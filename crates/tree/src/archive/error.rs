//! What is wrong with a tar archive.

use std::io;

use minimg_base::error::Class;

use crate::{PathError, RootPath};

/// Why an archive is refused. Offsets are in the uncompressed stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading or decoding failed.
    #[error("the archive cannot be read: {0}")]
    Io(#[source] io::Error),
    /// The stream ended within an entry or without its end mark.
    #[error("the archive is truncated: it ends at byte {offset} without its end mark")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// A header's checksum is wrong.
    #[error("the archive is damaged: the header at byte {offset} does not fit its checksum")]
    Checksum {
        /// The offset of the header.
        offset: u64,
    },
    /// A number in a header is none.
    #[error("the archive is damaged: the {field} in the header at byte {offset} is not a valid number")]
    Field {
        /// The offset of the header.
        offset: u64,
        /// Which field.
        field: &'static str,
    },
    /// A PAX extended header is malformed.
    #[error("the archive is damaged: the extended header before byte {offset} is malformed")]
    Pax {
        /// Where the extended header ends.
        offset: u64,
    },
    /// A name could leave the root or is none.
    #[error("the archive has an entry that is refused: {0}")]
    Name(#[from] PathError),
    /// The target of a symbolic link is empty, too long or has a NUL byte.
    #[error("the symbolic link {path} of the archive has an invalid target")]
    LinkTarget {
        /// The link.
        path: RootPath,
    },
    /// A sparse file whose map is malformed or of an unknown format.
    #[error(
        "the archive is damaged: the map of the sparse file at byte {offset} is malformed, or of a format that is not known"
    )]
    Sparse {
        /// The offset of the header.
        offset: u64,
    },
    /// Sparse files that claim far more than there is.
    #[error("the sparse files of the archive have {holes} bytes of holes in {there} bytes: a decompression bomb")]
    Holes {
        /// What is not stored.
        holes: u64,
        /// What the archive has up to there.
        there: u64,
    },
    /// A type of entry that is not a file.
    #[error("{path} in the archive has the unknown entry type {kind:?}")]
    Type {
        /// The entry.
        path: String,
        /// The byte that says the type.
        kind: char,
    },
    /// More than is accepted.
    #[error("the archive has {what} beyond the limit of {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: u64,
    },
    /// A hard link to something that is not a file of the archive that came before.
    #[error("{path} in the archive is a hard link to {target}, which is not a file before it in the archive")]
    Hardlink {
        /// The link.
        path: RootPath,
        /// What it should be another name of.
        target: RootPath,
    },
    /// An entry below something that is not a directory.
    #[error("{path} in the archive lies below {above}, which an earlier entry made something other than a directory")]
    NotADirectory {
        /// The entry.
        path: RootPath,
        /// What is not a directory.
        above: RootPath,
    },
    /// Two entries for one path that exclude each other.
    #[error("{path} is in the archive twice, as two different types")]
    Duplicate {
        /// The path.
        path: RootPath,
    },
}

impl TarError {
    /// The class of the failure.
    pub fn class(&self) -> Class {
        match self {
            TarError::Io(error) => super::class_of_io(error),
            _ => Class::Malformed,
        }
    }
}
