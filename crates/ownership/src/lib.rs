//! Which package each file of a root tree belongs to, according to the tree's own package database.
//!
//! A root tree that minimg did not put together itself (a root tarball, an image, what an installer left behind) brings the database of
//! its package manager along. The databases are only read, within limits, and never believed beyond naming an owner: a path that the
//! tree does not have is passed over. Directories get no owner, since many packages share them.
//!
//! ```
//! use minimg_tree::{Node, RootPath, RootTree};
//!
//! let status = "Package: hello\nStatus: install ok installed\nVersion: 2.10-3\nArchitecture: all\n";
//! let mut tree = RootTree::new();
//! for (path, content) in [
//!     ("usr/bin/hello", "#!/bin/sh\n"),
//!     ("var/lib/dpkg/status", status),
//!     ("var/lib/dpkg/info/hello.list", "/usr/bin/hello\n"),
//! ] {
//!     tree.insert(RootPath::new(path)?, Node::file(0o644, content));
//! }
//! tree.add_missing_parents();
//!
//! minimg_ownership::assign(&mut tree)?;
//! let owner = tree.get(&RootPath::new("usr/bin/hello")?).and_then(|node| tree.package_of(node));
//! assert_eq!(owner.map(|package| package.version.as_str()), Some("2.10-3"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod apk;
pub mod dpkg;
pub mod portage;
pub mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;

use minimg_base::error::{Class, Error};
use minimg_tree::{Kind, Node, PATH_MAX, Package, RootPath, RootTree, resolve};

/// The largest file of a database that is read; the status of ten thousand packages takes a tenth of this.
const LARGEST: u64 = 256 << 20;
/// What the paths of all packages of a database may take, in bytes; those of the largest installations take a tenth of this. Few bytes of a
/// database can stand for many: a directory that each file in it repeats, a list that several packages share.
const MOST_PATHS: usize = 512 << 20;

/// A package and the paths that its database gives it, as they stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The package.
    pub package: Package,
    /// Its files and links, with or without a leading slash; directories may be among them.
    pub paths: Vec<Box<[u8]>>,
}

/// An error of reading a package database.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// A file of it cannot be read.
    #[error("cannot read {path} of the root tree: {source}")]
    Read {
        /// The file.
        path: RootPath,
        /// The error.
        source: io::Error,
    },
    /// A file of it is larger than any real one.
    #[error("{path} of the root tree has {size} bytes, more than the {LARGEST} that a package database may have")]
    TooLarge {
        /// The file.
        path: RootPath,
        /// Its length in bytes.
        size: u64,
    },
    /// A file of it is not what it should be.
    #[error("the package database {path} of the root tree is malformed: {message}")]
    Malformed {
        /// The file.
        path: RootPath,
        /// What is wrong.
        message: String,
    },
}

impl From<OwnershipError> for Error {
    fn from(error: OwnershipError) -> Self {
        let class = match error {
            OwnershipError::Read { .. } => Class::Machine,
            OwnershipError::TooLarge { .. } | OwnershipError::Malformed { .. } => Class::Malformed,
        };
        Error::new(class, error)
    }
}

/// Reads one kind of database; nothing when the tree has none of that kind.
type Reader = fn(&mut RootTree) -> Result<Vec<Installed>, OwnershipError>;

/// The kinds of database.
const READERS: [Reader; 4] = [dpkg::read, apk::read, portage::read, rpm::read];

/// Gives every file of the tree that a database of the tree knows its package. Where two packages claim one file, the first in the order
/// of their names has it.
///
/// What dpkg writes into one file for all packages is also put beside, one file for each package (`var/lib/dpkg/status.d`), so that an
/// image can hold the entries of only those that are in it; of rpm's database a manifest is made for the same purpose.
///
/// # Errors
/// When a database is malformed, too large or cannot be read.
pub fn assign(tree: &mut RootTree) -> Result<(), OwnershipError> {
    for read in READERS {
        let mut installed = read(tree)?;
        installed.sort_by(|a, b| a.package.cmp(&b.package));
        let mut places = Places::default();
        for Installed { package, paths } in installed {
            let id = tree.add_package(package);
            let directories: BTreeSet<&[u8]> = paths.iter().filter_map(|path| directory_of(path)).collect();
            // What is a directory to the package may be a link in the tree: `/lib` of a merged root.
            for path in paths.iter().filter(|path| !directories.contains(&***path)) {
                let Some(place) = places.of(tree, path) else { continue };
                if let Some(node) = tree.get_mut(&place)
                    && node.package.is_none()
                    && !matches!(node.kind, Kind::Directory)
                {
                    node.package = Some(id);
                }
            }
        }
    }
    Ok(())
}

/// Where paths of a database are in a tree whose directories may be links: `/lib/x` of a package is `/usr/lib/x` of a merged root.
#[derive(Default)]
struct Places(BTreeMap<RootPath, Option<RootPath>>);

impl Places {
    fn of(&mut self, tree: &RootTree, path: &[u8]) -> Option<RootPath> {
        let path = RootPath::new(path).ok()?;
        if tree.get(&path).is_some() {
            return Some(path);
        }
        let parent = path.parent()?;
        let directory = self.0.entry(parent).or_insert_with_key(|parent| {
            resolve(tree, &RootPath::root(), parent.as_bytes()).ok().map(|found| found.path)
        });
        Some(directory.as_ref()?.child(path.file_name()))
    }
}

/// Collects the paths of a package, while those of all packages together have bytes `left`. A path that no tree can have is left out.
fn collect(paths: impl Iterator<Item = Box<[u8]>>, left: &mut usize) -> Result<Vec<Box<[u8]>>, String> {
    let mut all = Vec::new();
    for path in paths.filter(|path| path.len() <= PATH_MAX) {
        take(path.len(), left)?;
        all.push(path);
    }
    Ok(all)
}

/// Takes what a path of this length needs from what is left.
fn take(length: usize, left: &mut usize) -> Result<(), String> {
    let needed = length + size_of::<Box<[u8]>>();
    *left = left.checked_sub(needed).ok_or_else(|| format!("the paths in it take more than {MOST_PATHS} bytes"))?;
    Ok(())
}

fn directory_of(path: &[u8]) -> Option<&[u8]> {
    path.get(..memchr::memrchr(b'/', path)?)
}

/// The content of a database's file; `None` when the tree has no such file. Links are followed.
fn content(tree: &RootTree, path: &RootPath) -> Result<Option<Bytes>, OwnershipError> {
    let Ok(found) = resolve(tree, &RootPath::root(), path.as_bytes()) else { return Ok(None) };
    let Some((_, Node { kind: Kind::File(content), .. })) = tree.content_node(&found.path) else { return Ok(None) };
    if content.size() > LARGEST {
        return Err(OwnershipError::TooLarge { path: path.clone(), size: content.size() });
    }
    content.map().map(Some).map_err(|source| OwnershipError::Read { path: path.clone(), source })
}

/// A path that is written in this program.
fn fixed_path(path: &str) -> RootPath {
    RootPath::root().join_clamped(path)
}

#[cfg(test)]
mod tests;
