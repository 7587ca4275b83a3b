//! Root trees: the files of a root file system as metadata, pointing at content that is read when it is needed.
//!
//! Nothing is unpacked to obtain one, so owners, device nodes and capabilities need no privilege. Three parts:
//! [`RootPath`] is a path that cannot leave its root, [`RootTree`] the sorted map from paths to nodes, and [`Root`] the small
//! view that the closure walk needs, which a plain directory offers too.
//!
//! ```
//! use minimg_tree::{Node, RootPath, RootTree, resolve};
//!
//! let mut tree = RootTree::new();
//! tree.insert(RootPath::new("usr/bin/hello")?, Node::file(0o755, "#!/bin/sh\necho hello\n"));
//! tree.insert(RootPath::new("bin")?, Node::symlink("usr/bin"));
//! tree.add_missing_parents();
//! let found = resolve(&tree, &RootPath::root(), b"/bin/hello")?;
//! assert_eq!(found.path, RootPath::new("usr/bin/hello")?);
//! assert!(RootPath::new("../etc/shadow").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
pub mod archive;
mod attributes;
mod content;
mod directory;
mod dump;
mod merged;
mod node;
mod path;
mod root;
pub mod search;

use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};

pub use accounts::{Account, account_numbers, accounts};
pub use content::{Content, ContentReader, ContentSource, FileRegions, HostFiles, map_file, map_region, read_limited};
use content::{map_open_file, read_region};
pub use directory::{DirectoryRoot, read_directory};
pub use merged::{MERGED, is_merged};
pub use node::{Kind, Meta, Node, Xattrs};
pub use path::{PATH_MAX, PathError, RootPath};
pub use root::{Entry, FileId, MAX_LINKS, ResolveError, Resolved, Root, resolve};

/// A package whose files are in a tree; the vocabulary of its distribution, not translated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Package {
    /// The name, without architecture.
    pub name: String,
    /// The whole version, epoch included.
    pub version: String,
    /// The distribution's name of the architecture, `all` and `noarch` included.
    pub architecture: String,
}

/// The place of a package in [`RootTree::packages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub u32);

/// The files of a root file system, sorted by the bytes of their paths. The root directory itself is implied: 0755, owned by root.
#[derive(Debug, Clone, Default)]
pub struct RootTree {
    nodes: BTreeMap<RootPath, Node>,
    packages: Vec<Package>,
}

impl RootTree {
    /// A tree without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a package and returns what its nodes refer to it by.
    pub fn add_package(&mut self, package: Package) -> PackageId {
        self.packages.push(package);
        PackageId((self.packages.len() - 1) as u32)
    }

    /// The packages whose files may be in the tree, in the order in which they were added.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The package that `node` came with.
    pub fn package_of(&self, node: &Node) -> Option<&Package> {
        node.package.and_then(|id| self.packages.get(id.0 as usize))
    }

    /// Puts a node at a path, replacing what was there. The root itself cannot be replaced: that is ignored. Extended attributes that say
    /// something of the machine and not of the file, such as labels of SELinux, do not enter a tree.
    pub fn insert(&mut self, path: RootPath, mut node: Node) -> Option<Node> {
        if path.is_root() {
            return None;
        }
        attributes::forget_machine(&mut node.meta.xattrs);
        self.nodes.insert(path, node)
    }

    /// The node at exactly this path; no link is followed.
    pub fn get(&self, path: &RootPath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at exactly this path, to be changed.
    pub fn get_mut(&mut self, path: &RootPath) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// All nodes in the order of their paths, to be changed.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.values_mut()
    }

    /// Takes a node out. What lies below it stays.
    pub fn remove(&mut self, path: &RootPath) -> Option<Node> {
        self.nodes.remove(path)
    }

    /// Whether something is at exactly this path; the root always is.
    pub fn contains(&self, path: &RootPath) -> bool {
        path.is_root() || self.nodes.contains_key(path)
    }

    /// All paths and nodes, sorted.
    pub fn iter(&self) -> btree_map::Iter<'_, RootPath, Node> {
        self.nodes.iter()
    }

    /// All paths below `directory`, at any depth, sorted; `directory` itself is not among them.
    pub fn below<'a>(&'a self, directory: &'a RootPath) -> impl Iterator<Item = (&'a RootPath, &'a Node)> {
        let start = (std::ops::Bound::Excluded(directory.clone()), std::ops::Bound::Unbounded);
        self.nodes
            .range::<RootPath, _>(start)
            .take_while(move |(path, _)| path.as_bytes().starts_with(directory.as_bytes()))
            .filter(move |(path, _)| path.starts_with(directory))
    }

    /// The number of paths.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no paths.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node that holds the content of `path`: itself, or the target when it is a hard link.
    pub fn content_node<'a>(&'a self, path: &'a RootPath) -> Option<(&'a RootPath, &'a Node)> {
        let node = self.get(path)?;
        match &node.kind {
            Kind::Hardlink(target) => {
                let node = self.get(target)?;
                matches!(node.kind, Kind::File(_)).then_some((target, node))
            }
            _ => Some((path, node)),
        }
    }

    /// The tree of only those paths for which `keep` says so. The first kept name of a file whose own first name is dropped becomes
    /// the file, and its other names link to that. Directories above kept paths are kept, or made when the tree lacks them.
    pub fn subset(&self, mut keep: impl FnMut(&RootPath, &Node) -> bool) -> RootTree {
        let mut kept = RootTree { nodes: BTreeMap::new(), packages: self.packages.clone() };
        let mut moved: BTreeMap<RootPath, RootPath> = BTreeMap::new();
        for (path, node) in self.nodes.iter().filter(|(path, node)| keep(path, node)) {
            let mut node = node.clone();
            if let Kind::Hardlink(target) = &node.kind {
                if let Some(first) = moved.get(target) {
                    node.kind = Kind::Hardlink(first.clone());
                } else if let Some(file) = self.get(target).filter(|file| matches!(file.kind, Kind::File(_))) {
                    moved.insert(target.clone(), path.clone());
                    node.kind = file.kind.clone();
                }
            } else if matches!(node.kind, Kind::File(_))
                && let Some(first) = moved.get(path)
            {
                node.kind = Kind::Hardlink(first.clone());
            } else if matches!(node.kind, Kind::File(_)) {
                moved.insert(path.clone(), path.clone());
            }
            kept.nodes.insert(path.clone(), node);
        }
        kept.add_parents_from(self);
        kept
    }

    /// Adds the directories that paths imply and nobody named: as they are in `full`, else 0755 and owned by root.
    pub fn add_parents_from(&mut self, full: &RootTree) {
        let mut missing: BTreeSet<RootPath> = BTreeSet::new();
        for path in self.nodes.keys() {
            // What is above a directory that is known was looked at when that was.
            for above in path.ancestors().rev().take_while(|above| !self.contains(above)) {
                if !missing.insert(above) {
                    break;
                }
            }
        }
        for path in missing {
            let node = full.get(&path).filter(|node| matches!(node.kind, Kind::Directory)).cloned();
            self.nodes.entry(path).or_insert_with(|| node.unwrap_or_else(|| Node::directory(0o755)));
        }
    }

    /// Adds the directories that paths imply and nobody named: 0755, owned by root.
    pub fn add_missing_parents(&mut self) {
        self.add_parents_from(&RootTree::new());
    }
}

impl<'a> IntoIterator for &'a RootTree {
    type Item = (&'a RootPath, &'a Node);
    type IntoIter = btree_map::Iter<'a, RootPath, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
