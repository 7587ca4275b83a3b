//! Opening a root file system from whatever people have: a directory, a tar, or an image.
//!
//! An image's layers are applied to one tree, whiteouts included; nothing is unpacked to the host. [`Images`] tells several images of one
//! archive apart.

mod budget;
mod error;
mod image;
mod images;
mod overlay;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use error::RootfsError;
pub use image::{Blob, Leads, leads};
pub use images::{Choice, Images, archive_and_image};
pub use overlay::apply_layer;

use budget::Budget;
use overlay::Changes;

use crate::image::Config;
use minimg_base::board::Platform;
use minimg_base::digest::Digest;
use minimg_store::Store;
use minimg_tree::archive::{Entries, Limits, Scratch, read_entries, read_tree};
use minimg_tree::{Content, Kind, Node, RootPath, RootTree, resolve};

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
/// When it cannot be read, is malformed or hostile, or has several images; [`Images`] tells them apart.
pub fn open(path: &Path, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    let images = Images::open(path, store)?;
    images.choose(Choice { image: None, platform }).map_err(|error| error.within(path))
}

/// Reads the image in the files of an OCI layout.
///
/// # Errors
/// When it is malformed or hostile, or there are several.
pub fn of_layout(files: RootTree, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    Images::of_layout(files, store)?.choose(Choice { image: None, platform })
}

/// Reads a root tar or an image archive, compressed or not.
///
/// # Errors
/// When it is malformed or hostile, or has several images.
pub fn read(reader: impl Read + Send, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    Images::read(reader, store)?.choose(Choice { image: None, platform })
}

fn unpack(reader: impl Read + Send, store: &Store) -> Result<RootTree, RootfsError> {
    Ok(read_tree(reader, Limits::PACKAGE, &scratch(store))?)
}

/// Room for the contents of an archive, or of all layers of an image.
fn scratch(store: &Store) -> Arc<Scratch> {
    Scratch::new(store.temporary(), IN_MEMORY)
}

/// The files of an image, in an archive or a directory.
#[derive(Default)]
struct Files(RootTree);

impl Files {
    /// What is no image, as long as none is asked for.
    fn into_rootfs(self, image: Option<&str>) -> Result<Rootfs, RootfsError> {
        match image {
            Some(wanted) => {
                let there = "no image, since it is a root file system".to_owned();
                Err(RootfsError::NoImage { wanted: wanted.to_owned(), there })
            }
            None => Ok(Rootfs::plain(self.0)),
        }
    }

    /// A root file system with a list of layers at its top is a docker-archive in which somebody put something else.
    fn form(&self) -> Form {
        let there = |name: &str| RootPath::new(name).is_ok_and(|path| self.0.contains(&path));
        match Form::of(there) {
            Form::Root if image::has_docker_manifest(self) => Form::DockerArchive,
            form => form,
        }
    }

    /// Where a file is. Old engines link one layer to another, so links are followed.
    fn place(&self, name: &str) -> Result<RootPath, RootfsError> {
        let missing = || RootfsError::Missing { name: name.to_owned() };
        let path = resolve(&self.0, &RootPath::root(), name.as_bytes()).map_err(|_| missing())?.path;
        match self.0.content_node(&path) {
            Some((place, Node { kind: Kind::File(_), .. })) => Ok(place.clone()),
            _ => Err(missing()),
        }
    }

    /// A file's content.
    fn content(&self, name: &str) -> Result<&Content, RootfsError> {
        match self.0.get(&self.place(name)?) {
            Some(Node { kind: Kind::File(content), .. }) => Ok(content),
            _ => Err(RootfsError::Missing { name: name.to_owned() }),
        }
    }
}

/// Decodes one layer into what it changes, and returns the digest of the uncompressed layer with that.
fn read_layer(
    name: &str,
    content: &Content,
    budget: &mut Budget,
    scratch: &Arc<Scratch>,
) -> Result<(Changes, Digest), RootfsError> {
    let Entries { tree, marks, digest, size } =
        read_entries(content.reader(), budget.limits(), scratch, |path| overlay::is_whiteout(&path))?;
    budget.count(name, content.size(), size)?;
    Ok((Changes { files: tree, whiteouts: marks }, digest))
}

#[cfg(test)]
mod tests;
