//! Errors of choosing and fetching packages.

use std::io;
use std::path::PathBuf;

use super::sources::EntryError;
use minimg_base::error::{Class, Error, is_wrong_path};
use minimg_fetch::FetchError;
use minimg_store::StoreError;

/// An error of choosing or fetching packages. The texts continue after "failed to resolve …".
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No mirror is known.
    #[error(
        "no mirror of {distribution} is known: name one with --mirror ADDRESS, as `mirror` in the profile's [source], in the \
         environment or the configuration file, or in this machine's apt sources"
    )]
    NoMirror {
        /// The distribution, or the part of it that has mirrors of its own.
        distribution: String,
    },
    /// A lock names an archive that the profile's source does not have.
    #[error(
        "the lock takes packages from {archive}, which the profile's [source] does not name; write the lock again with `minimg lock`"
    )]
    NotLocated {
        /// What the archive calls itself.
        archive: String,
    },
    /// The suite is none.
    #[error(
        "{suite:?} is not the name of a suite; name one, such as trixie, with --suite or `suite` in the profile's [source]"
    )]
    Suite {
        /// What was given.
        suite: String,
    },
    /// The mirror does not have the suite.
    #[error(
        "{address} has no suite {suite}: {url} does not exist; {near}choose the suite with --suite or `suite` in the profile's [source], the \
         mirror with --mirror"
    )]
    NoSuite {
        /// The suite.
        suite: String,
        /// The mirror.
        address: String,
        /// What was looked for last.
        url: String,
        /// What was probably meant, as a question; or empty.
        near: String,
    },
    /// A source entry is malformed.
    #[error("the source entry {entry:?} is malformed: {source}")]
    Entry {
        /// The entry.
        entry: String,
        /// What is wrong.
        source: EntryError,
    },
    /// The board has no name in this family.
    #[error("the board {board} has no Debian architecture; use another board or backend")]
    Architecture {
        /// The board's name.
        board: String,
    },
    /// A keyring cannot be read.
    #[error(
        "cannot read the keyring {path}: {source}; name another one with --keyring, or `keyring` in the profile's [source]"
    )]
    Keyring {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A signature does not hold.
    #[error(
        "{url} is not accepted: {reason}; if the archive has another key, name its keyring file with `keyring` in the profile's [source]"
    )]
    Signature {
        /// The file.
        url: String,
        /// Why.
        reason: String,
    },
    /// A file has another digest than its Release file promises.
    #[error(
        "{url} has the digest {found} instead of {expected}, and was not kept. The mirror may be in the middle of an update, damaged or hostile"
    )]
    Sum {
        /// The file.
        url: String,
        /// The promised digest.
        expected: String,
        /// The actual digest.
        found: String,
    },
    /// A Release file has expired.
    #[error(
        "{url} expired on {until}: the mirror is out of date, or someone is holding updates back; use another mirror, or allow it with \
         --allow-expired"
    )]
    Expired {
        /// The file.
        url: String,
        /// Its Valid-Until.
        until: String,
    },
    /// A Release file is older than one that was seen before.
    #[error(
        "{url} is of {date}, older than the one of {seen} that was seen before: the mirror went back in time, or someone is replaying an old \
         one; use another mirror, or allow it with --allow-expired"
    )]
    Replayed {
        /// The file.
        url: String,
        /// Its date.
        date: String,
        /// The newest date seen before.
        seen: String,
    },
    /// A Release file is that of another suite.
    #[error(
        "{url} is the index of {found} instead of {wanted}; use another mirror, or allow it with --allow-other-suite"
    )]
    WrongSuite {
        /// The file.
        url: String,
        /// Its codename and suite.
        found: String,
        /// The requested name.
        wanted: String,
    },
    /// A usual extra suite is there, and its packages are not those that it promises.
    #[error(
        "{source}; use another mirror, or leave out {suite}: name the suites you want with --extra-suites, or `none`, or as `extra-suites` in \
         the profile's [source]"
    )]
    Incomplete {
        /// The suite.
        suite: String,
        /// What is wrong.
        source: FetchError,
    },
    /// The archive has no packages for the architecture or component.
    #[error("{suite} on {address} has no packages of the component {component} for {architecture}; it has the {has}")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The address.
        address: String,
        /// The component.
        component: String,
        /// The architecture.
        architecture: String,
        /// What it has instead.
        has: String,
    },
    /// An index is malformed.
    #[error("{what} is malformed: {message}")]
    Malformed {
        /// Which index.
        what: String,
        /// What is wrong.
        message: String,
    },
    /// A wanted package is written wrongly, or a pin is.
    #[error("{text:?} is malformed: {message}")]
    Request {
        /// What was given.
        text: String,
        /// What is expected.
        message: String,
    },
    /// The request cannot be satisfied; the text says why.
    #[error("{0}")]
    Unsatisfiable(String),
    /// A chosen package cannot be verified.
    #[error("{package} cannot be verified: its index gives no SHA-256 for it")]
    Unverifiable {
        /// The package and its version.
        package: String,
    },
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        let class = match error {
            ArchiveError::Fetch(error) => return error.into(),
            ArchiveError::Incomplete { ref source, .. } => source.class(),
            ArchiveError::Store(error) => return error.into(),
            ArchiveError::NoMirror { .. }
            | ArchiveError::NotLocated { .. }
            | ArchiveError::Suite { .. }
            | ArchiveError::Entry { .. }
            | ArchiveError::Architecture { .. }
            | ArchiveError::Request { .. } => Class::Profile,
            ArchiveError::Keyring { ref source, .. } if is_wrong_path(source) => Class::Profile,
            ArchiveError::Keyring { .. } => Class::Machine,
            ArchiveError::Signature { .. }
            | ArchiveError::Sum { .. }
            | ArchiveError::Expired { .. }
            | ArchiveError::Replayed { .. }
            | ArchiveError::WrongSuite { .. }
            | ArchiveError::Unverifiable { .. } => Class::Verification,
            ArchiveError::NoSuite { .. } | ArchiveError::NoIndex { .. } | ArchiveError::Unsatisfiable(_) => {
                Class::Unsatisfiable
            }
            ArchiveError::Malformed { .. } => Class::Malformed,
        };
        Error::new(class, error)
    }
}
