//! Errors of reading profiles and boards.

use std::path::PathBuf;

use minimg_base::error::{Class, Error, is_wrong_path};

use crate::problem::FileError;

/// An error of reading a profile or a board. Every text reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file is wrong; every problem has its line and column.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such name.
    #[error("cannot find the {kind} `{name}`: no such name{}", remedy(.kind, .help))]
    Unknown {
        /// `profile` or `board`.
        kind: &'static str,
        /// The requested name.
        name: String,
        /// The nearest right name, or all names.
        help: Option<String>,
    },
    /// The file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any profile needs to be.
    #[error("cannot read {}: it has more than {limit} bytes", path.display())]
    TooLarge {
        /// Its path.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

fn remedy(kind: &str, help: &Option<String>) -> String {
    let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{help} (name your own {kind} by a path that contains a `/` or ends in `.toml`)")
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        let class = match &error {
            DocumentError::Unreadable { source, .. } if !is_wrong_path(source) => Class::Machine,
            _ => Class::Profile,
        };
        Error::new(class, error)
    }
}
