//! Exporters: images written in the formats of the world.
//!
//! A format is one file of this module and one line in [`EXPORTERS`]. Every output is written beside its destination and renamed into
//! place. The same image gives the same bytes in every format; only the compressor of a root tarball depends on the file's name.

mod archive;
mod docker_archive;
mod dockerfile;
mod documents;
mod error;
mod layout;
mod output;
mod parts;
mod place;
mod rootfs;

pub use archive::tags;
pub use dockerfile::dockerfile;
pub use documents::{DOCUMENTS_VERSION, Identity, identity};
pub use error::ExportError;
pub use output::{Output, Target, parse_output, without_format};
pub use place::{Destination, Sum};
pub use rootfs::write_to as write_rootfs;

use std::fs::File;
use std::os::fd::AsFd;

use crate::image::Image;
use minimg_base::digest::Digest;
use minimg_base::error::Result;
use minimg_store::Store;

/// All formats, the default one first.
pub static EXPORTERS: &[&dyn Exporter] = &[
    &archive::Archive,
    &layout::Layout,
    &layout::LayoutArchive,
    &docker_archive::DockerArchive,
    &rootfs::Rootfs,
    &dockerfile::Directory,
];

/// A format that images can be written in.
pub trait Exporter: Sync {
    /// The name that `--output` knows it by.
    fn name(&self) -> &'static str;

    /// One line on what it is and who reads it.
    fn description(&self) -> &'static str;

    /// The endings of paths that mean this format.
    fn endings(&self) -> &'static [&'static str];

    /// Whether it is a directory and not a file.
    fn is_directory(&self) -> bool {
        false
    }

    /// Whether several images, such as one for each board, can be in it together.
    fn holds_several(&self) -> bool {
        false
    }

    /// Writes the images to the place.
    ///
    /// # Errors
    /// When a layer cannot be read, the place cannot be written to, or the format cannot say what the images need.
    fn write(&self, images: &[Image], destination: Destination<'_>, store: &Store) -> Result<Sum>;
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The format's name.
    pub format: &'static str,
    /// Where it is.
    pub target: Target,
    /// Its length in bytes; for a directory that of the files that were written.
    pub size: u64,
    /// The digest of the file; a directory has none.
    pub digest: Option<Digest>,
}

/// Writes images to one output.
///
/// # Errors
/// When there are several images and the format holds one, and as [`Exporter::write`].
pub fn export(images: &[Image], output: &Output, store: &Store) -> Result<Written> {
    let Sum { size, digest } = match &output.target {
        Target::Path(path) => write(images, output.format, Destination::Path(path), store)?,
        Target::Stdout => {
            // Not by way of the library's buffer, which cuts at line ends.
            let stdout = std::io::stdout().as_fd().try_clone_to_owned().map_err(ExportError::Write)?;
            write(images, output.format, Destination::Stream(&mut File::from(stdout)), store)?
        }
    };
    Ok(Written { format: output.format, target: output.target.clone(), size, digest })
}

/// Writes images in the named format to a path or a stream.
///
/// # Errors
/// When there is no such format, and as [`export`].
pub fn write(images: &[Image], format: &str, destination: Destination<'_>, store: &Store) -> Result<Sum> {
    let exporter = output::find(format)?;
    if images.len() != 1 && (images.is_empty() || !exporter.holds_several()) {
        return Err(ExportError::OneImage { format: exporter.name(), count: images.len() }.into());
    }
    exporter.write(images, destination, store)
}
