//! Why a root file system cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

use minimg_base::board::Platform;
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, is_wrong_path};
use minimg_tree::RootPath;
use minimg_tree::archive::TarError;

/// How many platforms a message names.
const MOST_SHOWN: usize = 64;

/// Why a root file system cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A file of the host cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something is wrong inside a file of the host.
    #[error("cannot read {path}: {source}")]
    Within {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<RootfsError>,
    },
    /// A tar is malformed or hostile.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A document of an image is malformed.
    #[error("the image's {name} is malformed: {message}")]
    Document {
        /// Which document.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file that the image's documents name is absent.
    #[error("the image is incomplete: it has no {name}")]
    Missing {
        /// Which file.
        name: String,
    },
    /// A file's content cannot be had.
    #[error("cannot read the image's {name}: {source}")]
    Content {
        /// Which file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A blob's content is not what its name says.
    #[error("the image's blob {expected} has the digest {found}: the image is damaged or was tampered with")]
    Digest {
        /// What it should have.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// A blob does not have the length that the image's documents give.
    #[error(
        "the image's blob {digest} has {found} bytes instead of {expected}: the image is damaged or was tampered with"
    )]
    Size {
        /// Which blob.
        digest: Digest,
        /// What its descriptor says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A layer is not the one that the image's configuration names.
    #[error(
        "layer {number} of the image {image} ({layer:?}) has the uncompressed digest {found} instead of {expected:?}, which the configuration names: the image is damaged or was tampered with; fetch or save it again"
    )]
    DiffId {
        /// The image's id: the digest of its configuration.
        image: Digest,
        /// The layer's place, the lowest being 1.
        number: usize,
        /// The layer's file in the image.
        layer: String,
        /// What the configuration says.
        expected: String,
        /// What the layer has.
        found: Digest,
    },
    /// An image has more or fewer layers than its configuration names.
    #[error(
        "the image {image} has {found} layers instead of the {expected} that its configuration names: the image is damaged or was tampered with; fetch or save it again"
    )]
    LayerCount {
        /// The image's id: the digest of its configuration.
        image: Digest,
        /// How many layers the configuration names.
        expected: usize,
        /// How many layers there are.
        found: usize,
    },
    /// The image has nothing for the wanted platform.
    #[error("the image has no {wanted}; it has: {there}")]
    Platform {
        /// What was wanted.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// There is no image of the wanted name.
    #[error("there is no image {wanted:?} in it; it has: {there}")]
    NoImage {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// There are several images, and nothing says which is meant.
    #[error(
        "it has several images that fit: {there}; say which one you mean behind a colon, as in archive.tar:NAME, or which machine with --board"
    )]
    Several {
        /// What there is.
        there: String,
    },
    /// All machines of an image were wanted, and there are too many.
    #[error("it is for {found} machines, more than the limit of {limit}; name one with --board")]
    Machines {
        /// How many there are.
        found: usize,
        /// How many may be wanted at once.
        limit: usize,
    },
    /// A layer puts something below a path that is no directory.
    #[error("a layer of the image puts a file below {0}, which is not a directory")]
    NotADirectory(RootPath),
}

impl RootfsError {
    /// The same error, with the path of the file that it is in.
    pub fn within(self, path: &Path) -> Self {
        match self {
            Self::Io { .. } | Self::Within { .. } => self,
            other => Self::Within { path: path.to_owned(), source: Box::new(other) },
        }
    }

    /// That nothing is for the wanted platform, or for any.
    pub(super) fn no_platform<'a>(wanted: Option<&Platform>, there: impl Iterator<Item = &'a Platform>) -> Self {
        let there: Vec<String> = there.map(ToString::to_string).take(MOST_SHOWN).collect();
        Self::Platform {
            wanted: wanted.map_or_else(|| "manifest".to_owned(), ToString::to_string),
            there: if there.is_empty() { "none".to_owned() } else { there.join(", ") },
        }
    }

    /// The class of the failure.
    pub fn class(&self) -> Class {
        match self {
            // What the caller named is not there; what is missing within something has an error of its own.
            Self::Io { source, .. } if is_wrong_path(source) => Class::Usage,
            Self::Io { .. } | Self::Content { .. } => Class::Machine,
            Self::Within { source, .. } => source.class(),
            Self::Tar(error) => error.class(),
            Self::Machines { .. } | Self::Document { .. } | Self::Missing { .. } | Self::NotADirectory(_) => {
                Class::Malformed
            }
            Self::Digest { .. } | Self::Size { .. } | Self::DiffId { .. } | Self::LayerCount { .. } => {
                Class::Verification
            }
            Self::Platform { .. } | Self::NoImage { .. } | Self::Several { .. } => Class::Unsatisfiable,
        }
    }
}

impl From<RootfsError> for Error {
    fn from(error: RootfsError) -> Self {
        Error::new(error.class(), error)
    }
}
