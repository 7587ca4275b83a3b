//! Why something could not be fetched.

use std::io;
use std::path::PathBuf;

use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error};
use minimg_store::StoreError;

/// Why something could not be fetched. The texts go on after "failed to fetch …".
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The network may not be used and the store does not hold it.
    #[error(
        "{name} is not in the store and {url} may not be asked for it, since no network access is allowed (--offline)"
    )]
    Offline {
        /// What was wanted.
        name: String,
        /// Where it would have come from.
        url: String,
    },
    /// The server does not have it.
    #[error("{url} is not there")]
    NotFound {
        /// Where it was looked for.
        url: String,
    },
    /// The server refused.
    #[error("{url} answered with status {status}")]
    Status {
        /// Which address.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The server itself, and none that it redirects to, wants to know who asks.
    #[error("{url} answered with status 401: authentication is required")]
    Unauthorized {
        /// Which address.
        url: String,
        /// How it wants to be told: the `WWW-Authenticate` headers.
        challenge: Option<String>,
    },
    /// Another server, to which the first redirects, does not give it.
    #[error("{url} redirects to {host}, which answered with status {status}; credentials are not sent there")]
    RefusedElsewhere {
        /// Which address.
        url: String,
        /// The other server.
        host: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The server leads to where nothing can be had.
    #[error("{url} redirects {message}")]
    Redirect {
        /// Which address.
        url: String,
        /// Where to, and why that is not followed.
        message: String,
    },
    /// The network failed, again and again.
    #[error("{url}: {message} (tried {attempts} times, {received} bytes came)")]
    Network {
        /// Which address.
        url: String,
        /// What went wrong the last time.
        message: String,
        /// How often it was tried since bytes came last.
        attempts: u32,
        /// How many bytes had come.
        received: u64,
    },
    /// There is no safe connection to the server.
    #[error(
        "{url} cannot be asked safely: {message}; the server's certificate must be of an authority that this machine trusts (those of the \
         package ca-certificates, or of the file that SSL_CERT_FILE names)"
    )]
    Untrusted {
        /// Which address.
        url: String,
        /// What TLS says.
        message: String,
    },
    /// The address is none, or of a kind that is not known.
    #[error("{url:?} cannot be fetched: {message}; addresses begin with http:, https: or file:")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// A local file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is more than there may be.
    #[error("{url} sends more than {limit} bytes, the most that is accepted")]
    TooLarge {
        /// Which address.
        url: String,
        /// The most bytes that are accepted.
        limit: u64,
    },
    /// The length is not the promised one.
    #[error(
        "{url} has {found} bytes, not {expected} as promised; the mirror may be in the middle of an update, or damaged"
    )]
    Size {
        /// Which address.
        url: String,
        /// The promised length.
        expected: u64,
        /// The length that was found.
        found: u64,
    },
    /// The digest is not the promised one.
    #[error(
        "{url} has the digest {found}, not {expected} as promised; it was not kept. The mirror may be in the middle of an update, damaged or hostile"
    )]
    Digest {
        /// Which address.
        url: String,
        /// The promised digest.
        expected: Digest,
        /// The digest that was found.
        found: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Offline { .. }
            | Self::NotFound { .. }
            | Self::Status { .. }
            | Self::Unauthorized { .. }
            | Self::RefusedElsewhere { .. }
            | Self::Redirect { .. }
            | Self::Network { .. }
            | Self::Untrusted { .. } => Class::Network,
            Self::Address { .. } => Class::Profile,
            Self::File { .. } => Class::Machine,
            Self::TooLarge { .. } => Class::Malformed,
            Self::Size { .. } | Self::Digest { .. } => Class::Verification,
            Self::Store(StoreError::Io { .. }) => Class::Machine,
            Self::Store(StoreError::Mismatch { .. }) => Class::Verification,
        }
    }

    /// The status of HTTP with which the server refused; none where it sent to another that did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { .. } => Some(401),
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Takes back an error that went through an `io::Read`; one that is not ours is a failure to decode or write `name`.
    pub fn from_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<FetchError>()
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        Error::new(error.class(), error)
    }
}

impl From<FetchError> for io::Error {
    fn from(error: FetchError) -> Self {
        io::Error::other(error)
    }
}
