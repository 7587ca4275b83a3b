//! Errors in a package.

use std::io;

use minimg_backend::PinnedPackage;
use minimg_base::error::{Class, Error};
use minimg_store::StoreError;
use minimg_tree::RootPath;
use minimg_tree::archive::TarError;

/// An error in a package.
#[derive(Debug, thiserror::Error)]
#[error("{package}: {problem}")]
pub struct PackageError {
    /// The package as `name version architecture`, or a file's name where no more is known.
    pub package: String,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The outer archive is not a package.
    #[error("not {format}: {message}")]
    Container {
        /// What it should be, with its article: `a Debian package`.
        format: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The package is compressed in a way that is not known.
    #[error("the member {0:?} has an unknown compression; gz, xz, zst and bz2 are supported")]
    Compression(String),
    /// An inner archive is malformed.
    #[error("{member}: {source}")]
    Archive {
        /// The archive's name, as `control.tar` or `data.tar`.
        member: &'static str,
        /// What is wrong with it.
        source: TarError,
    },
    /// What the package says of itself is malformed or incomplete; reads well after the package's name.
    #[error("{0}")]
    Head(String),
    /// The package is another one than was pinned.
    #[error("it says that it is {found}; the index or lock is wrong; resolve again")]
    Identity {
        /// What the package says.
        found: String,
    },
    /// A file that another package has, too.
    #[error("it ships {path}, which {other} ships too, and neither replaces the other; leave one of them out")]
    Conflict {
        /// The path.
        path: RootPath,
        /// The other package.
        other: String,
    },
    /// A path that only fits in the tree if another package's path were a directory.
    #[error("its path {path} leads through {above}, which is neither a directory nor a link to one")]
    Unplaceable {
        /// The path.
        path: RootPath,
        /// What is in the way.
        above: RootPath,
    },
    /// The package is not in the store and could not be had.
    #[error("it is not in the store and was not fetched")]
    Absent,
    /// Something of the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The package's file or a temporary file failed.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Problem {
    /// Names the package.
    pub fn of(self, package: impl Into<String>) -> PackageError {
        PackageError { package: package.into(), problem: self }
    }

    /// Names the pinned package.
    pub fn of_pinned(self, package: &PinnedPackage) -> PackageError {
        self.of(format!("{} {} {}", package.name, package.version, package.architecture))
    }

    fn class(&self) -> Class {
        match self {
            Problem::Archive { source, .. } => source.class(),
            Problem::Identity { .. } => Class::Verification,
            Problem::Conflict { .. } => Class::Unsatisfiable,
            Problem::Absent => Class::Network,
            Problem::Store(_) => Class::Machine,
            Problem::Io(error) => minimg_tree::archive::class_of_io(error),
            Problem::Container { .. } | Problem::Compression(_) | Problem::Head(_) | Problem::Unplaceable { .. } => {
                Class::Malformed
            }
        }
    }
}

impl From<PackageError> for Error {
    fn from(error: PackageError) -> Self {
        Error::new(error.problem.class(), error)
    }
}
