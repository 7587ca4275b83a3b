//! Opening a root file system from whatever people have: a directory, a tar, or an image.
//!
//! An image's layers are applied to one tree, whiteouts included; nothing is unpacked to the host.

mod error;
mod image;
mod overlay;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;

pub use error::RootfsError;
pub use overlay::apply_layer;

use crate::archive::{Limits, Scratch, read_tree};
use crate::board::Platform;
use crate::image::Config;
use crate::store::Store;
use crate::tree::{Kind, Node, RootPath, RootTree, read_directory, resolve};

/// How many bytes of file contents stay in memory before they go to a scratch file.
const IN_MEMORY: u64 = 32 << 20;

/// A root file system, and what came with it when it is an image's.
#[derive(Debug)]
pub struct Rootfs {
    /// The files.
    pub tree: RootTree,
    /// How the image's program is run; `None` for what is no image.
    pub config: Option<Config>,
    /// The machine that the image is for.
    pub platform: Option<Platform>,
}

impl Rootfs {
    fn plain(tree: RootTree) -> Self {
        Self { tree, config: None, platform: None }
    }
}

/// Whether a directory is an OCI image layout and not a root file system.
pub fn is_layout(directory: &Path) -> bool {
    directory.join("oci-layout").is_file() && directory.join("index.json").is_file()
}

/// Opens a root directory, an OCI layout, a root tar, a docker-archive or an oci-archive; tars may be compressed. Of an image for
/// several platforms the one for `platform` is taken, else the first.
///
/// # Errors
/// When it cannot be read, is malformed or hostile.
pub fn open(path: &Path, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    let unreadable = |source| RootfsError::Io { path: path.to_owned(), source };
    let metadata = path.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        let tree = read_directory(path).map_err(unreadable)?;
        return if is_layout(path) { image::of_layout(&Files(tree), platform, store) } else { Ok(Rootfs::plain(tree)) }
            .map_err(|error| error.within(path));
    }
    let file = File::open(path).map_err(unreadable)?;
    read(file, platform, store).map_err(|error| error.within(path))
}

/// The platforms of the image at a path, for each of which [`open`] gives another tree; none for what is no image of several.
///
/// # Errors
/// As [`open`].
pub fn platforms(path: &Path, store: &Store) -> Result<Vec<Platform>, RootfsError> {
    let unreadable = |source| RootfsError::Io { path: path.to_owned(), source };
    let files = if path.is_dir() {
        Files(read_directory(path).map_err(unreadable)?)
    } else {
        Files(unpack(File::open(path).map_err(unreadable)?, store).map_err(|error| error.within(path))?)
    };
    if files.has("oci-layout") && files.has("index.json") {
        return image::platforms(&files).map_err(|error| error.within(path));
    }
    Ok(Vec::new())
}

/// Reads a root tar or an image archive, compressed or not.
///
/// # Errors
/// When it is malformed or hostile.
pub fn read(reader: impl Read + Send, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    let files = Files(unpack(reader, store)?);
    if files.has("oci-layout") && files.has("index.json") {
        return image::of_layout(&files, platform, store);
    }
    if files.has("manifest.json") && files.is_docker_archive() {
        return image::of_docker_archive(&files, store);
    }
    Ok(Rootfs::plain(files.0))
}

fn unpack(reader: impl Read + Send, store: &Store) -> Result<RootTree, RootfsError> {
    let scratch = Scratch::new(store, IN_MEMORY);
    Ok(read_tree(reader, Limits::PACKAGE, &scratch)?)
}

/// The files of an image, in an archive or a directory.
struct Files(RootTree);

impl Files {
    fn has(&self, name: &str) -> bool {
        RootPath::new(name).is_ok_and(|path| matches!(self.0.get(&path), Some(Node { kind: Kind::File(_), .. })))
    }

    /// A root file system could have a file of that name too, but not one that lists layers.
    fn is_docker_archive(&self) -> bool {
        self.bytes("manifest.json").is_ok_and(|bytes| image::is_docker_manifest(&bytes))
    }

    /// A file's content. Old engines link one layer to another, so links are followed.
    fn bytes(&self, name: &str) -> Result<Bytes, RootfsError> {
        let missing = || RootfsError::Missing { name: name.to_owned() };
        let path = resolve(&self.0, &RootPath::root(), name.as_bytes()).map_err(|_| missing())?.path;
        let Some((_, Node { kind: Kind::File(content), .. })) = self.0.content_node(&path) else {
            return Err(missing());
        };
        content.map().map_err(|source| RootfsError::Content { name: name.to_owned(), source })
    }
}

/// Decodes one layer into a tree of its own.
fn read_layer(bytes: &Bytes, store: &Store) -> Result<RootTree, RootfsError> {
    unpack(std::io::Cursor::new(bytes.clone()), store)
}

#[cfg(test)]
mod tests;
