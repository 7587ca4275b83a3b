//! Why a registry does not give an image.

use std::path::PathBuf;

use minimg_base::error::{Class, Error};

/// Why a registry does not give an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry does not let the image be read.
    #[error(
        "the registry does not let {image} be read, or has no such image; `docker login {host}` writes the credentials that are used"
    )]
    Access {
        /// The image.
        image: String,
        /// The registry.
        host: String,
    },
    /// The registry has no such image.
    #[error("{host} has no image {name} of the version {version}, or shows it only to those who log in")]
    Unknown {
        /// The registry.
        host: String,
        /// The image's name there.
        name: String,
        /// The tag or the digest.
        version: String,
    },
    /// An image is larger than any may be.
    #[error("{what} of {image} would have {size} bytes; the most that is accepted is {limit}")]
    TooLarge {
        /// The image.
        image: String,
        /// Which part of it.
        what: &'static str,
        /// The length that its documents say.
        size: u64,
        /// The most bytes that are accepted.
        limit: u64,
    },
    /// Its indexes lead to each other, or nearly so.
    #[error("failed to read {image}: its indexes are nested too deeply")]
    Nested {
        /// The image.
        image: String,
    },
    /// The registry asks for credentials in a way that nobody can read.
    #[error("the registry {host} asks for authentication with a malformed header: {message}")]
    MalformedChallenge {
        /// The registry.
        host: String,
        /// What is wrong with it.
        message: String,
    },
    /// The registry sends for a token to what is not an address.
    #[error("the registry {host} sends for a token to {realm:?}, which is malformed: {message}")]
    MalformedRealm {
        /// The registry.
        host: String,
        /// Who should give out tokens.
        realm: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// The registry wants credentials to go where they would not be safe.
    #[error("the registry {host} asks for a token from {realm:?}, which is not an https address")]
    UnsafeRealm {
        /// The registry.
        host: String,
        /// Who gives out tokens.
        realm: String,
    },
    /// Docker's configuration cannot be read.
    #[error("cannot read the credentials in {path}: {message}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A credential helper gives nothing.
    #[error(
        "cannot get the credentials of {host} from {program}, which {path} names: {message}; run `docker login {host}` again, or take \
         the helper out of that file"
    )]
    Helper {
        /// The registry.
        host: String,
        /// The helper's program.
        program: String,
        /// The configuration that names it.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        let class = match &error {
            RegistryError::Access { .. } | RegistryError::UnsafeRealm { .. } => Class::Network,
            RegistryError::Credentials { .. } => Class::Machine,
            RegistryError::Helper { .. } => Class::Tool,
            RegistryError::Unknown { .. } => Class::Unsatisfiable,
            RegistryError::TooLarge { .. } | RegistryError::Nested { .. } => Class::Malformed,
            RegistryError::MalformedChallenge { .. } | RegistryError::MalformedRealm { .. } => Class::Malformed,
        };
        Error::new(class, error)
    }
}
