//! Why an image cannot be written in a format.

use std::io;
use std::path::{Path, PathBuf};

use super::EXPORTERS;
use minimg_base::error::{Class, Error};

/// Why an image cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// `--output` names a format that there is not.
    #[error("there is no format `{format}`; {}", advice(*nearest))]
    UnknownFormat {
        /// What was named.
        format: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// `--output` names no format, and the path's ending says nothing.
    #[error("the name `{path}` does not select a format; write FORMAT:{path} with one of {}", names())]
    NoFormat {
        /// The path.
        path: String,
    },
    /// `--output` names no path.
    #[error("no path is given for the output; write FORMAT:PATH, or - for standard output")]
    NoPath,
    /// A format that is a directory is wanted on standard output.
    #[error("the format {format} is a directory and cannot be written to standard output; use archive or oci-archive")]
    DirectoryToStdout {
        /// The format.
        format: &'static str,
    },
    /// The format holds one image.
    #[error(
        "the format {format} holds one image, but there are {count}; use archive, oci or oci-archive, or one board at a time"
    )]
    OneImage {
        /// The format.
        format: &'static str,
        /// How many images there are.
        count: usize,
    },
    /// A file is wanted where a directory is.
    #[error("{path} is a directory; name a file in it")]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A directory would have to be replaced that has files of others in it.
    #[error(
        "{path} has other files in it, such as {file}, and is not replaced; name a directory that is empty or does not exist"
    )]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// One of the files.
        file: String,
    },
    /// A layout that others wrote cannot be added to.
    #[error("cannot add the image to the layout in {path}: {reason}; name a directory that does not exist")]
    Layout {
        /// The layout's directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The OCI image specification knows no xz.
    #[error("the layer is compressed with xz, which no image format knows; build with gzip, zstd or no compression")]
    XzLayer,
    /// The image's name is none that engines take.
    #[error("{name:?} cannot be an image's name: {message}; name it with --tag, like team/app:1.0")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A Dockerfile has no way to say something.
    #[error("a Dockerfile cannot hold {what}; write the image in another format, such as archive")]
    Dockerfile {
        /// What it cannot hold.
        what: String,
    },
    /// A place cannot be written to.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A layer cannot be read.
    #[error("cannot read a layer: {0}")]
    Read(io::Error),
    /// The output cannot be written to.
    #[error("cannot write the output: {0}")]
    Write(io::Error),
}

impl ExportError {
    /// Puts the path to an error of the system.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        use ExportError as E;
        let class = match error {
            E::UnknownFormat { .. } | E::NoFormat { .. } | E::NoPath | E::DirectoryToStdout { .. } => Class::Usage,
            E::Name { .. } | E::OneImage { .. } | E::IsDirectory { .. } | E::ForeignDirectory { .. } => Class::Usage,
            E::XzLayer | E::Dockerfile { .. } => Class::Profile,
            E::Layout { .. } | E::Read(_) => Class::Malformed,
            E::Io { .. } | E::Write(_) => Class::Machine,
        };
        Error::new(class, error)
    }
}

fn names() -> String {
    EXPORTERS.iter().map(|exporter| exporter.name()).collect::<Vec<_>>().join(", ")
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`? Write ./ before a file name that begins like this"),
        None => format!("there are {}", names()),
    }
}
