//! Fixing a root tree: from here on it is bytes in the store, and everything made from it is the same on every machine.
//!
//! The tree is written as one uncompressed tar (so that its files can be mapped where they lie), and beside it what a tar cannot say:
//! which package each file belongs to.

use serde::{Deserialize, Serialize};

use super::{Context, PinnedPackage, PinnedRoot, Pins, Produced};
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, Result};
use minimg_oci::layer;
use minimg_tree::archive::Limits;
use minimg_tree::{Kind, Node, Package, PackageId, RootPath, RootTree};

/// The kind of the store's entries that say who owns the files of a fixed root.
const OWNERS: &str = "root-owners";

/// Why a fixed root cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FixedError {
    /// The store has not got it any more.
    #[error(
        "the root tree {sha256} that is pinned ({origin}) is not in the store, and making it again may give a different one; \
         run `minimg lock` again, or build without --locked"
    )]
    Gone {
        /// Its digest.
        sha256: Digest,
        /// What made it.
        origin: String,
    },
    /// The pins name no root tree.
    #[error("the lock pins no root tree for this backend; write it again with `minimg lock`")]
    NotPinned,
    /// A tree that would be larger as a tar than any root file system is.
    #[error(
        "the files of {origin} have {size} bytes, more than the {} that are accepted; the largest is {path} with {of_it} bytes: leave out \
         what no program needs",
        Limits::PACKAGE.output
    )]
    TooLarge {
        /// What made it.
        origin: String,
        /// What all files have together.
        size: u64,
        /// The largest file.
        path: RootPath,
        /// What that has.
        of_it: u64,
    },
}

impl From<FixedError> for Error {
    fn from(error: FixedError) -> Self {
        let class = match error {
            FixedError::TooLarge { .. } => Class::Malformed,
            _ => Class::Stale,
        };
        Error::new(class, error)
    }
}

/// Who owns the files of a fixed root.
#[derive(Serialize, Deserialize)]
struct Owners {
    packages: Vec<Package>,
    /// One for each path of the tree, in the order of the paths: the place in `packages`.
    files: Vec<Option<u32>>,
}

/// Stores the tree and pins it; `origin` says in words what made it. The packages of the pins are those that own files of the tree,
/// as its database says, with no archive to fetch them from.
///
/// # Errors
/// When content cannot be read, the tree cannot be a tar or is too large for one, or the store fails.
pub fn fix(mut tree: RootTree, origin: &str, context: &Context) -> Result<Pins> {
    tree.add_missing_parents();
    check_size(&tree, origin)?;
    let mut blob = context.store.new_blob()?;
    layer::write_tar_to(&tree, i64::MAX, &mut blob)?;
    let (sha256, size) = blob.commit()?;
    let files = tree.iter().map(|(_, node)| node.package.map(|package| package.0)).collect();
    let owners = Owners { packages: tree.packages().to_vec(), files };
    let bytes = serde_json::to_vec(&owners).map_err(|error| Error::new(Class::Machine, error))?;
    context.store.put_entry(OWNERS, &sha256, &bytes)?;
    let epoch = tree.iter().map(|(_, node)| node.meta.mtime).max().unwrap_or(0);
    Ok(pins(&tree, PinnedRoot { sha256, size, origin: origin.to_owned() }, epoch))
}

/// A sparse file takes nothing on its disk and all of its length in a tar.
fn check_size(tree: &RootTree, origin: &str) -> Result<(), FixedError> {
    let size_of = |node: &Node| match &node.kind {
        Kind::File(content) => content.size(),
        _ => 0,
    };
    let size = tree.iter().fold(0, |sum: u64, (_, node)| sum.saturating_add(size_of(node)));
    if size <= Limits::PACKAGE.output {
        return Ok(());
    }
    let largest = tree.iter().max_by_key(|(_, node)| size_of(node));
    let (path, of_it) = largest.map_or((RootPath::root(), 0), |(path, node)| (path.clone(), size_of(node)));
    Err(FixedError::TooLarge { origin: origin.to_owned(), size, path, of_it })
}

/// The pins of a finished root tree: its packages, for people and records to know, and the tree itself.
pub fn pins(tree: &RootTree, root: PinnedRoot, epoch: i64) -> Pins {
    let mut packages: Vec<_> = tree
        .packages()
        .iter()
        .map(|package| PinnedPackage {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            archive: 0,
            path: String::new(),
            size: 0,
            sha256: root.sha256,
        })
        .collect();
    packages.sort();
    let archive = super::Archive { name: root.origin.clone(), address: String::new(), date: String::new() };
    Pins { archives: vec![archive], packages, epoch, root: Some(root) }
}

/// Whether the store still has the root tree that is pinned.
///
/// # Errors
/// When the store fails.
pub fn is_there(pins: &Pins, context: &Context) -> Result<bool> {
    let Some(root) = &pins.root else { return Ok(false) };
    Ok(context.store.has_blob(&root.sha256, Some(root.size)) && context.store.entry(OWNERS, &root.sha256)?.is_some())
}

/// The root tree that is pinned, as it was fixed.
///
/// # Errors
/// When nothing is pinned, the store has it no more or fails.
pub fn produce(pins: &Pins, context: &Context) -> Result<Produced> {
    let root = pins.root.as_ref().ok_or(FixedError::NotPinned)?;
    let gone = || FixedError::Gone { sha256: root.sha256, origin: root.origin.clone() };
    let blob = context.store.open_blob(&root.sha256)?.ok_or_else(gone)?;
    let owners = context.store.entry(OWNERS, &root.sha256)?.ok_or_else(gone)?;
    let owners: Owners = serde_json::from_slice(&owners).map_err(|_| gone())?;
    let path = context.store.blob_path(&root.sha256);
    let mut tree = layer::read_tar(blob, &path).map_err(|error| Error::new(Class::Malformed, error))?;
    let packages: Vec<PackageId> = owners.packages.into_iter().map(|package| tree.add_package(package)).collect();
    if owners.files.len() != tree.len() {
        return Err(gone().into());
    }
    for (node, package) in tree.nodes_mut().zip(owners.files) {
        node.package = package.and_then(|at| packages.get(usize::try_from(at).ok()?).copied());
    }
    Ok(Produced { tree, retain: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minimg_store::Store;

    fn tree() -> RootTree {
        let mut tree = RootTree::new();
        let package = tree.add_package(Package { name: "p".into(), version: "1".into(), architecture: "amd64".into() });
        let mut owned = Node::file(0o4755, "owned").owned_by(0, 8).at(7);
        owned.package = Some(package);
        tree.insert(RootPath::new(b"usr/bin/\xff").unwrap(), owned);
        tree.insert(RootPath::new("usr/bin/free").unwrap(), Node::file(0o644, "free"));
        tree.insert(RootPath::new("usr/link").unwrap(), Node::symlink("bin/free"));
        tree
    }

    #[test]
    fn what_is_fixed_comes_back_whole_with_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let context = Context::new(store.clone());
        let pins = fix(tree(), "a test", &context).unwrap();
        assert_eq!(pins, fix(tree(), "a test", &context).unwrap());
        assert_eq!((pins.epoch, pins.packages.len(), is_there(&pins, &context).unwrap()), (7, 1, true));
        let mut expected = tree();
        expected.add_missing_parents();
        let produced = produce(&pins, &context).unwrap().tree;
        assert_eq!(produced.dump().unwrap(), expected.dump().unwrap());
        let owner = |tree: &RootTree, path: &[u8]| {
            tree.package_of(tree.get(&RootPath::new(path).unwrap()).unwrap()).map(|package| package.name.clone())
        };
        assert_eq!(owner(&produced, b"usr/bin/\xff").as_deref(), Some("p"));
        assert_eq!(owner(&produced, b"usr/bin/free"), None);

        let root = pins.root.as_ref().unwrap();
        std::fs::remove_file(store.blob_path(&root.sha256)).unwrap();
        assert!(!is_there(&pins, &context).unwrap());
        assert_eq!(produce(&pins, &context).err().map(|error| error.class()), Some(Class::Stale));
    }
}
