//! Errors of engines.

use super::names;
use minimg_base::error::{Class, Error, store_remedy};
use minimg_sandbox::process::ProcessError;

/// An error of an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such engine.
    #[error("there is no engine `{name}`; there are {}", names().collect::<Vec<_>>().join(" and "))]
    Unknown {
        /// The given name.
        name: String,
    },
    /// The engine's program is not on this machine.
    #[error(
        "cannot find {name} in {searched}; install it (Debian's package is {package}), or write the image to a file with \
         --output image.tar and run `{name} load -i image.tar` where there is one"
    )]
    Missing {
        /// The program.
        name: &'static str,
        /// The package that has it.
        package: &'static str,
        /// The directories that were searched.
        searched: String,
    },
    /// The engine failed.
    #[error(
        "{source}\nthe image can be written to a file with --output image.tar and loaded later with `{name} load -i image.tar`"
    )]
    Failed {
        /// The program.
        name: &'static str,
        /// The end of its output.
        source: ProcessError,
    },
    /// A program could not be run in a container.
    #[error("{source}")]
    Run {
        /// The end of its output.
        source: ProcessError,
    },
    /// An image cannot be had from the engine.
    #[error(
        "{source}\nis there an image {reference}? `{name} image ls` shows them; where {name} works only elsewhere, run \
         `{name} save -o image.tar {reference}` there and name image.tar"
    )]
    Unread {
        /// The program.
        name: &'static str,
        /// The image's name.
        reference: String,
        /// The end of its output.
        source: ProcessError,
    },
    /// The engine tells something else than an id.
    #[error(
        "{name} says that the id of {reference} is {found:?}, which is not an id; is there more than one image of that name?"
    )]
    NoId {
        /// The program.
        name: &'static str,
        /// The image's name.
        reference: String,
        /// Its output.
        found: String,
    },
    /// The engine has another image under the name than was put there.
    #[error(
        "{name} says that {reference} is {found} where {expected} was put; try the other of --load and --import, or load a file by hand \
         (an old Docker imports for its own machine only)"
    )]
    Differs {
        /// The program.
        name: &'static str,
        /// The image's name.
        reference: String,
        /// What was put there.
        expected: String,
        /// What the engine says is there.
        found: String,
    },
    /// The store's disk cannot be written to.
    #[error("cannot prepare the image for {name}: {source}; {}", store_remedy(source))]
    Scratch {
        /// The program.
        name: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        let class = match error {
            EngineError::Unknown { .. } => Class::Usage,
            EngineError::Scratch { .. } => Class::Machine,
            _ => Class::Tool,
        };
        Error::new(class, error)
    }
}
