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
pub use image::{Blob, Leads, leads};
pub use overlay::apply_layer;

use crate::image::Config;
use minimg_base::board::Platform;
use minimg_base::digest::Digest;
use minimg_store::Store;
use minimg_tree::archive::{Limits, Scratch, read_entries, read_tree};
use minimg_tree::{Kind, Node, RootPath, RootTree, read_directory, resolve};

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

/// Whether a directory is an OCI image layout or an unpacked docker-archive, perhaps a damaged one, and not a root file system.
pub fn is_image(directory: &Path) -> bool {
    let there = |name: &str| directory.join(name).exists();
    Form::of(there) != Form::Root
}

/// What the files at the top are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Layout,
    DockerArchive,
    Root,
}

impl Form {
    /// A root file system may have files of these names, too, but no image has the directories of a root: what has one of an image's
    /// files and none of those is an image, of which something may be missing.
    fn of(there: impl Fn(&str) -> bool) -> Self {
        let is_root = ["bin", "dev", "etc", "lib", "usr"].into_iter().any(&there);
        match (there("oci-layout"), there("index.json")) {
            (true, true) => Self::Layout,
            (true, _) | (_, true) if !is_root => Self::Layout,
            _ if there("manifest.json") && !is_root => Self::DockerArchive,
            _ if there("blobs/sha256") && !is_root => Self::Layout,
            _ => Self::Root,
        }
    }
}

/// Opens a root directory, an OCI layout, a root tar, a docker-archive or an oci-archive; tars may be compressed, archives
/// unpacked. Of an image for several platforms the one for `platform` is taken, else the first.
///
/// # Errors
/// When it cannot be read, is malformed or hostile.
pub fn open(path: &Path, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    let unreadable = |source| RootfsError::Io { path: path.to_owned(), source };
    let metadata = path.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        let tree = read_directory(path).map_err(unreadable)?;
        return if is_image(path) { Files(tree).open(platform, store) } else { Ok(Rootfs::plain(tree)) }
            .map_err(|error| error.within(path));
    }
    let file = File::open(path).map_err(unreadable)?;
    read(file, platform, store).map_err(|error| error.within(path))
}

/// Reads the image in the files of an OCI layout.
///
/// # Errors
/// When it is malformed or hostile.
pub fn of_layout(files: RootTree, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    image::of_layout(&Files(files), platform, store)
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
    if files.form() == Form::Layout {
        return image::platforms(&files).map_err(|error| error.within(path));
    }
    Ok(Vec::new())
}

/// Reads a root tar or an image archive, compressed or not.
///
/// # Errors
/// When it is malformed or hostile.
pub fn read(reader: impl Read + Send, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    Files(unpack(reader, store)?).open(platform, store)
}

fn unpack(reader: impl Read + Send, store: &Store) -> Result<RootTree, RootfsError> {
    let scratch = Scratch::new(store.temporary(), IN_MEMORY);
    Ok(read_tree(reader, Limits::PACKAGE, &scratch)?)
}

/// The files of an image, in an archive or a directory.
struct Files(RootTree);

impl Files {
    fn open(self, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
        match self.form() {
            Form::Layout => image::of_layout(&self, platform, store),
            Form::DockerArchive => image::of_docker_archive(&self, store),
            Form::Root => Ok(Rootfs::plain(self.0)),
        }
    }

    /// A root file system with a list of layers at its top is a docker-archive in which somebody put something else.
    fn form(&self) -> Form {
        let there = |name: &str| RootPath::new(name).is_ok_and(|path| self.0.contains(&path));
        match Form::of(there) {
            Form::Root if self.bytes("manifest.json").is_ok_and(|bytes| image::is_docker_manifest(&bytes)) => {
                Form::DockerArchive
            }
            form => form,
        }
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

/// Decodes one layer into a tree of its own, with the entries that it has, and returns the digest of the uncompressed layer with it.
fn read_layer(bytes: &Bytes, store: &Store) -> Result<(RootTree, Digest), RootfsError> {
    let scratch = Scratch::new(store.temporary(), IN_MEMORY);
    Ok(read_entries(std::io::Cursor::new(bytes.clone()), Limits::PACKAGE, &scratch)?)
}

#[cfg(test)]
mod tests;
