//! Errors of fetching.

use std::io;
use std::path::PathBuf;

use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error};
use minimg_store::StoreError;

/// An error of fetching. The texts continue after "failed to fetch …".
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The network is not allowed, and the store does not have the file.
    #[error("{name} is not in the store and {url} cannot be fetched with --offline")]
    Offline {
        /// The name of the wanted file.
        name: String,
        /// Its address.
        url: String,
    },
    /// The server does not have the file.
    #[error("{url} does not exist")]
    NotFound {
        /// Its address.
        url: String,
    },
    /// The server refused.
    #[error("{url} answered with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server itself, not one that it redirects to, requires authentication.
    #[error("{url} answered with status 401: authentication required")]
    Unauthorized {
        /// The address.
        url: String,
        /// The challenges in the `WWW-Authenticate` headers.
        challenge: Option<String>,
    },
    /// A server to which the first one redirects refuses.
    #[error("{url} redirects to {host}, which answered with status {status}; credentials are not sent there")]
    RefusedElsewhere {
        /// Which address.
        url: String,
        /// The other server.
        host: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The server redirects to an address that is not followed.
    #[error("{url} redirects {message}")]
    Redirect {
        /// The address.
        url: String,
        /// The target, and why it is not followed.
        message: String,
    },
    /// The network failed repeatedly.
    #[error("{url}: {message} (tried {attempts} times, {received} bytes received)")]
    Network {
        /// The address.
        url: String,
        /// The last failure.
        message: String,
        /// The number of attempts since the last bytes arrived.
        attempts: u32,
        /// The number of bytes received.
        received: u64,
    },
    /// There is no secure connection to the server.
    #[error(
        "no secure connection to {url}: {message}; the server's certificate must come from an authority that this machine trusts (those of the \
         package ca-certificates, or of the file that SSL_CERT_FILE names)"
    )]
    Untrusted {
        /// The address.
        url: String,
        /// The TLS error.
        message: String,
    },
    /// The address is invalid, or has an unknown scheme.
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
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The server sends more than the limit.
    #[error("{url} sends more than the limit of {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The length differs from the expected one.
    #[error("{url} has {found} bytes instead of {expected}; the mirror may be in the middle of an update, or damaged")]
    Size {
        /// The address.
        url: String,
        /// The expected length.
        expected: u64,
        /// The actual length.
        found: u64,
    },
    /// The digest differs from the expected one.
    #[error(
        "{url} has the digest {found} instead of {expected}, and was not kept. The mirror may be in the middle of an update, damaged or hostile"
    )]
    Digest {
        /// The address.
        url: String,
        /// The expected digest.
        expected: Digest,
        /// The actual digest.
        found: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// The class of the failure.
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

    /// The HTTP status with which the server refused; none if a server that it redirects to did.
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
