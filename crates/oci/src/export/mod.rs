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

    /// Whether the build records are in it. Those of images in other formats lie beside them.
    fn holds_records(&self) -> bool {
        false
    }

    /// Writes the images to the place, with their build records where the format holds them.
    ///
    /// # Errors
    /// When a layer cannot be read, the place cannot be written to, or the format cannot say what the images need.
    fn write(&self, exports: Exports<'_>, destination: Destination<'_>, store: &Store) -> Result<Sum>;
}

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub struct Exports<'a> {
    /// The images.
    pub images: &'a [Image],
    /// Their build records as JSON, one for each image in their order; or none.
    pub records: &'a [Vec<u8>],
}

/// Images without their records.
impl<'a, T: AsRef<[Image]> + ?Sized> From<&'a T> for Exports<'a> {
    fn from(images: &'a T) -> Self {
        Self { images: images.as_ref(), records: &[] }
    }
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
pub fn export<'a>(exports: impl Into<Exports<'a>>, output: &Output, store: &Store) -> Result<Written> {
    let Sum { size, digest } = match &output.target {
        Target::Path(path) => write(exports, output.format, Destination::Path(path), store)?,
        Target::Stdout => {
            // Not by way of the library's buffer, which cuts at line ends.
            let stdout = std::io::stdout().as_fd().try_clone_to_owned().map_err(ExportError::Write)?;
            write(exports, output.format, Destination::Stream(&mut File::from(stdout)), store)?
        }
    };
    Ok(Written { format: output.format, target: output.target.clone(), size, digest })
}

/// Writes images in the named format to a path or a stream.
///
/// # Errors
/// When there is no such format, and as [`export`].
pub fn write<'a>(
    exports: impl Into<Exports<'a>>,
    format: &str,
    destination: Destination<'_>,
    store: &Store,
) -> Result<Sum> {
    let exporter = output::find(format)?;
    let exports = exports.into();
    let images = exports.images;
    if images.len() != 1 && (images.is_empty() || !exporter.holds_several()) {
        return Err(ExportError::OneImage { format: exporter.name(), count: images.len() }.into());
    }
    exporter.write(exports, destination, store)
}
