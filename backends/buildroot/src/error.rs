//! Errors of the Buildroot backend.

use std::path::PathBuf;

use super::{NAME, VARIABLE};
use minimg_base::error::{Class, Error, is_wrong_path};

/// An error of the Buildroot backend.
#[derive(Debug, thiserror::Error)]
pub enum BuildrootError {
    /// The profile says something of the backend that is not understood.
    #[error("the profile's [source.options.{NAME}] is wrong: {0}")]
    Option(String),
    /// The configuration file does.
    #[error("the configuration's [backends.{NAME}] supports `tree`, a path, but not `{0}`")]
    Setting(String),
    /// Nobody said where Buildroot is.
    #[error(
        "cannot find Buildroot: name its tree with `tree` in the profile's [source.options.{NAME}], in the configuration's \
         [backends.{NAME}], or in the variable {VARIABLE}"
    )]
    NoTree,
    /// There is no Buildroot at the named path.
    #[error("{path} is not a tree of Buildroot: it has no Makefile and Config.in")]
    NotATree {
        /// Where.
        path: PathBuf,
    },
    /// Neither the board nor the profile names a defconfig.
    #[error(
        "the board {board} names no defconfig of Buildroot; name one with `defconfig` in the profile's [source.options.{NAME}]"
    )]
    NoDefconfig {
        /// The board.
        board: String,
    },
    /// There is no such defconfig.
    #[error(
        "neither Buildroot nor an external tree has the defconfig {name}; `make list-defconfigs` lists the available ones"
    )]
    UnknownDefconfig {
        /// Its name.
        name: String,
    },
    /// Buildroot's makefiles cut or misread a path.
    #[error(
        "Buildroot cannot use {path}: its path contains {letter}; move it, or if it is the store, name another with --store"
    )]
    Path {
        /// Its own tree, an external one, or where it would build; links resolved.
        path: PathBuf,
        /// What it cannot take.
        letter: String,
    },
    /// kconfig dropped what was asked for.
    #[error(
        "Buildroot does not accept the configuration: {}; remove the options that cannot take effect from the profile; for those \
         of the defconfig, put `# BR2_... is not set` into `options`",
        dropped.join("; ")
    )]
    Dropped {
        /// Each option with the reason.
        dropped: Vec<String>,
    },
    /// A package could not be built.
    #[error("Buildroot failed at {step}: {failure}")]
    Step {
        /// The package, its version and what was done to it.
        step: String,
        /// What make said.
        failure: String,
    },
    /// The root was packed without fakeroot.
    #[error(
        "the owners of the root's files are lost: fakeroot could not be loaded while it was packed; look for `cannot be preloaded` in the \
         log, and build Buildroot's host-fakeroot for this machine"
    )]
    Fakeroot,
    /// A file does not belong to whom Buildroot's tables say.
    #[error("the owner of {path} is lost: Buildroot's tables and the built root disagree; did fakeroot run?")]
    LostOwner {
        /// The file.
        path: String,
    },
    /// A file of the tree or of the build cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// What `legal-info` collected cannot be put where it is wanted.
    #[error("cannot put the licenses and sources into {path}: {source}; name another place with `legal-info`")]
    Keep {
        /// The place.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Licenses and sources have to be fetched.
    #[error(
        "--offline forbids Buildroot's `legal-info`, which fetches sources; build once without --offline, or without the option `legal-info`"
    )]
    LegalInfoOffline,
    /// `show-info` does not print what it should.
    #[error("cannot understand what Buildroot's `make show-info` prints: {0}")]
    Info(serde_json::Error),
}

impl From<BuildrootError> for Error {
    fn from(error: BuildrootError) -> Self {
        let class = match &error {
            BuildrootError::Option(_)
            | BuildrootError::Setting(_)
            | BuildrootError::NoDefconfig { .. }
            | BuildrootError::UnknownDefconfig { .. } => Class::Profile,
            BuildrootError::Dropped { .. } => Class::Unsatisfiable,
            BuildrootError::Read { source, .. } if is_wrong_path(source) => Class::Profile,
            BuildrootError::Read { .. } | BuildrootError::Keep { .. } => Class::Machine,
            BuildrootError::LegalInfoOffline => Class::Network,
            _ => Class::Tool,
        };
        Error::new(class, error)
    }
}
