//! Why a root file system cannot be taken in.

use std::io;
use std::path::PathBuf;

use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, is_wrong_path};

/// Why a root file system cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum TarballError {
    /// Nobody said where it is.
    #[error(
        "the backend tarball needs a root file system: name one with --root, or write `root = \"rootfs.tar.xz\"` under \
         [source.options.tarball]"
    )]
    NoRoot,
    /// The profile's options are wrong.
    #[error("the profile's [source.options.tarball] is wrong: {0}")]
    Option(String),
    /// The name cannot be one.
    #[error("{name:?} does not name a root file system: {message}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such file.
    #[error(
        "there is no {0}; an image of an engine on this machine is written docker:NAME or podman:NAME, one of a registry registry:HOST/NAME:TAG"
    )]
    NotFound(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what the profile pins.
    #[error("{origin} has the digest {found}, but `sha256` under [source.options.tarball] says {expected}")]
    Digest {
        /// What was read.
        origin: String,
        /// What it should have.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// There is no one digest to compare.
    #[error("{origin} cannot be checked by `{option}`, as it is not one file; `minimg lock` pins what is in it")]
    NotOneFile {
        /// What was to be checked.
        origin: String,
        /// The option that says how.
        option: &'static str,
    },
    /// A list of digests without the keys that may sign it.
    #[error(
        "`digests` under [source.options.tarball] needs the keys that may have signed them: name them \
         with `keyring = \"keys.asc\"`"
    )]
    NoKeyring,
    /// Nobody who may has signed the list of digests.
    #[error("{list} cannot be trusted: {message}")]
    Unsigned {
        /// The list.
        list: String,
        /// What is wrong.
        message: String,
    },
    /// The list of digests has nothing on the file.
    #[error("{list} has no SHA512, BLAKE2B or SHA256 of {name}; is it the list for another file?")]
    NotListed {
        /// The list.
        list: String,
        /// The file's name.
        name: String,
    },
    /// The file is not what its list of digests says.
    #[error("{origin} does not have the {kind} that {list} gives")]
    NotAsListed {
        /// What was read.
        origin: String,
        /// The list.
        list: String,
        /// The kind of hash.
        kind: &'static str,
    },
    /// Fetched without a digest.
    #[error(
        "{0} is not pinned: say what it must be with `sha256 = \"...\"`, or `digests` and `keyring`, under \
         [source.options.tarball], or fetch it yourself and name the file"
    )]
    Unverified(String),
    /// It is an image for another machine.
    #[error("{origin} is an image for {there}, and the board is {wanted}; name the right one with --board")]
    Platform {
        /// What was read.
        origin: String,
        /// What it is for.
        there: String,
        /// What is wanted.
        wanted: String,
    },
    /// The engine that has it is not on this machine.
    #[error(
        "cannot find {engine}, which should have {image}; install it (Debian's package is {package}), or run \
         `{engine} save -o image.tar {image}` where there is one and name image.tar"
    )]
    NoEngine {
        /// The engine's program.
        engine: &'static str,
        /// The package that has it.
        package: &'static str,
        /// The image.
        image: String,
    },
    /// There is nothing in it.
    #[error("{0} has no files")]
    Empty(String),
    /// A lock pins another tree.
    #[error("{origin} has changed since it was locked; run `minimg lock` again to accept the change")]
    Changed {
        /// What was read.
        origin: String,
    },
}

impl From<TarballError> for Error {
    fn from(error: TarballError) -> Self {
        let class = match &error {
            TarballError::NoRoot | TarballError::Option(_) => Class::Profile,
            TarballError::Name { .. } | TarballError::NotOneFile { .. } => Class::Profile,
            TarballError::Unverified(_) | TarballError::NoKeyring => Class::Profile,
            TarballError::NotFound(_) => Class::Profile,
            TarballError::Read { source, .. } if is_wrong_path(source) => Class::Profile,
            TarballError::Read { .. } => Class::Machine,
            TarballError::Digest { .. } | TarballError::Unsigned { .. } => Class::Verification,
            TarballError::NotListed { .. } | TarballError::NotAsListed { .. } => Class::Verification,
            TarballError::Platform { .. } => Class::Unsatisfiable,
            TarballError::NoEngine { .. } => Class::Tool,
            TarballError::Empty(_) => Class::Malformed,
            TarballError::Changed { .. } => Class::Stale,
        };
        Error::new(class, error)
    }
}
