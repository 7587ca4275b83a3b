//! Errors of outside backends.

use super::protocol::VERSION;
use minimg_base::error::{Class, Error};

/// An error of an outside backend.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The configuration says something of the backend that is not understood.
    #[error("cannot use the backend {name}: in the configuration's [backends.{name}], {message}")]
    Setting {
        /// The backend.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// It speaks another version of the protocol.
    #[error("cannot use {program}: it speaks version {found} of the protocol, and this minimg version {VERSION}")]
    Version {
        /// The program.
        program: String,
        /// The version that it speaks.
        found: u32,
    },
    /// It describes itself with a family that profiles do not have.
    #[error("cannot use {program}: profiles have no family {family:?}; {help}")]
    Family {
        /// The program.
        program: String,
        /// Its output.
        family: String,
        /// What there is.
        help: String,
    },
    /// A program that it runs is not on this machine.
    #[error("cannot run {program}: it needs {need}, which is not in PATH; install it or the package that provides it")]
    Needs {
        /// The program.
        program: String,
        /// What it runs.
        need: String,
    },
    /// Its answer is not what the protocol wants.
    #[error(
        "cannot understand what `{program} {verb}` answered: {message}; the protocol is described in backends/README.md"
    )]
    Answer {
        /// The program.
        program: String,
        /// What it was asked to do.
        verb: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// There is no place for its answer.
    #[error("cannot make a temporary file: {0}; set TMPDIR to a writable directory")]
    Temporary(#[source] std::io::Error),
    /// It says why it failed.
    #[error("{program} says: {message}")]
    Reported {
        /// The program.
        program: String,
        /// Its own words.
        message: String,
        /// The class that it names.
        class: Class,
    },
}

impl From<ExecError> for Error {
    fn from(error: ExecError) -> Self {
        let class = match &error {
            ExecError::Setting { .. } => Class::Profile,
            ExecError::Reported { class, .. } => *class,
            ExecError::Temporary(_) => Class::Machine,
            _ => Class::Tool,
        };
        Error::new(class, error)
    }
}
