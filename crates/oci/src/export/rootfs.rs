//! The files of an image as one tarball, without its configuration: for `docker import`, machine containers, and chroots.

use std::io::Write;

use super::parts::Part;
use super::{Destination, ExportError, Exporter, Exports, Sum, place};
use crate::image::{Compression, Image};
use crate::layer::{self, CompressedWriter};
use minimg_base::error::Result;
use minimg_base::threads::jobs;
use minimg_store::Store;

/// A tarball of the root file system.
pub(super) struct Rootfs;

/// The endings that mean a compressor; all others mean none.
const COMPRESSED: &[(&str, Compression)] = &[
    (".gz", Compression::Gzip),
    (".tgz", Compression::Gzip),
    (".xz", Compression::Xz),
    (".txz", Compression::Xz),
    (".zst", Compression::Zstd),
    (".tzst", Compression::Zstd),
];

impl Exporter for Rootfs {
    fn name(&self) -> &'static str {
        "rootfs"
    }

    fn description(&self) -> &'static str {
        "a tarball of the files only; .gz, .xz or .zst selects the compression"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".rootfs.tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"]
    }

    fn write(&self, Exports { images, .. }: Exports<'_>, destination: Destination<'_>, store: &Store) -> Result<Sum> {
        let [image] = images else {
            return Err(ExportError::OneImage { format: self.name(), count: images.len() }.into());
        };
        let compression = compression_of(&destination);
        place::file(destination, |out| write_to(image, compression, store, out))
    }
}

fn compression_of(destination: &Destination<'_>) -> Compression {
    let Destination::Path(path) = destination else { return Compression::None };
    let name = path.to_string_lossy();
    COMPRESSED
        .iter()
        .find(|(ending, _)| name.ends_with(ending))
        .map_or(Compression::None, |(_, compression)| *compression)
}

/// Streams the files that a container of the image sees as one compressed tar.
pub fn write_to(image: &Image, compression: Compression, store: &Store, out: &mut dyn Write) -> Result<()> {
    match &image.layers[..] {
        [layer] if layer.compression == compression => Part::Blob(layer).copy(store, out),
        [layer] => compressed(compression, out, |out| Part::Tar(layer).copy(store, out)),
        layers => {
            let tree = layer::flatten(layers, store)?;
            compressed(compression, out, |out| layer::write_tar_to(&tree, image.created, out).map(drop))
        }
    }
}

fn compressed(
    compression: Compression,
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut out = CompressedWriter::new(out, compression, jobs(0)).map_err(ExportError::Write)?;
    write(&mut out)?;
    out.finish().map_err(ExportError::Write)?;
    Ok(())
}
