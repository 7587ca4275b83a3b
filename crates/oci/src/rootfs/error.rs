//! Why a root file system cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error};
use minimg_tree::RootPath;
use minimg_tree::archive::TarError;

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

    /// The class of the failure.
    pub fn class(&self) -> Class {
        match self {
            Self::Io { .. } | Self::Content { .. } => Class::Machine,
            Self::Within { source, .. } => source.class(),
            Self::Tar(error) => error.class(),
            Self::Document { .. } | Self::Missing { .. } | Self::NotADirectory(_) => Class::Malformed,
            Self::Digest { .. } | Self::Size { .. } | Self::DiffId { .. } | Self::LayerCount { .. } => {
                Class::Verification
            }
            Self::Platform { .. } => Class::Unsatisfiable,
        }
    }
}

impl From<RootfsError> for Error {
    fn from(error: RootfsError) -> Self {
        Error::new(error.class(), error)
    }
}
