//! The layer that turns one tree into another (OCI image-spec, `layer.md`, "Change Types").

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::LayerError;
use super::flatten::WHITEOUT;
use minimg_base::digest::{Digest, Hasher};
use minimg_tree::{Content, Kind, Node, RootPath, RootTree};

/// The layer that makes `upper` of `lower`: what is new or changed, and a whiteout for each removed path. One whiteout stands for a removed
/// directory with all that is in it. A changed file comes with all its names, since a hard link cannot lead out of its layer. The
/// directories above every entry come along as they are in `upper`: engines give their own owner and mode to those that a layer lacks.
///
/// The layer has the packages of `upper`, but a path that only belongs to another package is not a change. Contents are compared only where
/// nothing else differs, and in bounded memory.
///
/// # Errors
/// When content cannot be read, a hard link does not lead to a file, or a name of either tree would be taken for a whiteout.
pub fn diff(lower: &RootTree, upper: &RootTree) -> Result<RootTree, LayerError> {
    for tree in [lower, upper] {
        refuse_whiteouts(tree)?;
    }
    let (lower, upper) = (Side::new(lower), Side::new(upper));
    upper.check_links()?;
    let changed = changed(&lower, &upper)?;
    let removed = removed(&lower.tree, &upper.tree);
    let mut layer = RootTree::new();
    for package in upper.tree.packages() {
        layer.add_package(package.clone());
    }
    let above: BTreeSet<RootPath> = changed.iter().copied().chain(&removed).flat_map(|path| path.ancestors()).collect();
    for path in changed.into_iter().chain(&above) {
        if let Some(node) = upper.tree.get(path) {
            layer.insert(path.clone(), node.clone());
        }
    }
    for whiteout in removed {
        layer.insert(whiteout, Node::file(0o644, ""));
    }
    Ok(layer)
}

/// Refuses a tree with a file that readers of a layer would take for a whiteout: of packages and root file systems, where nobody meant one.
///
/// # Errors
/// When there is one; the error names it.
pub fn refuse_whiteouts(tree: &RootTree) -> Result<(), LayerError> {
    match tree.iter().find(|(path, _)| path.file_name().starts_with(WHITEOUT)) {
        Some((path, _)) => Err(LayerError::Whiteout { path: path.clone() }),
        None => Ok(()),
    }
}

/// One of the two trees, with every directory that its paths imply, and all names of each file by the one that has the content.
struct Side {
    tree: RootTree,
    names: BTreeMap<RootPath, BTreeSet<RootPath>>,
}

impl Side {
    fn new(tree: &RootTree) -> Self {
        let mut tree = tree.clone();
        tree.add_missing_parents();
        let mut names: BTreeMap<RootPath, BTreeSet<RootPath>> = BTreeMap::new();
        for (path, node) in &tree {
            if let Some(file) = file_of(path, node) {
                names.entry(file.clone()).or_default().insert(path.clone());
            }
        }
        Self { tree, names }
    }

    fn check_links(&self) -> Result<(), LayerError> {
        for (path, node) in &self.tree {
            if let Kind::Hardlink(target) = &node.kind
                && self.tree.content_node(path).is_none()
            {
                return Err(LayerError::Hardlink { path: path.clone(), target: target.clone() });
            }
        }
        Ok(())
    }

    fn content(&self, file: &RootPath) -> Option<&Content> {
        match &self.tree.get(file)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }
}

/// The name under which the tree has the content of the file at `path`; `None` for what is not a file.
fn file_of<'a>(path: &'a RootPath, node: &'a Node) -> Option<&'a RootPath> {
    match &node.kind {
        Kind::File(_) => Some(path),
        Kind::Hardlink(file) => Some(file),
        _ => None,
    }
}

/// The paths of `upper` that are new or other than in `lower`.
fn changed<'a>(lower: &Side, upper: &'a Side) -> Result<BTreeSet<&'a RootPath>, LayerError> {
    let mut changed = BTreeSet::new();
    for (path, node) in &upper.tree {
        let is_file = file_of(path, node).is_some();
        if !is_file && !lower.tree.get(path).is_some_and(|below| is_same(below, node)) {
            changed.insert(path);
        }
    }
    // Two files of the upper tree that were one file below cannot both stay: they would still be one.
    let mut kept = BTreeSet::new();
    for (file, names) in &upper.names {
        let stays = match common_file(lower, upper, names) {
            Some(below) if !kept.contains(below) && has_same_content(lower, below, upper, file)? => kept.insert(below),
            _ => false,
        };
        if !stays {
            changed.extend(names);
        }
    }
    Ok(changed)
}

/// Whether two nodes that are not files are the same.
fn is_same(lower: &Node, upper: &Node) -> bool {
    let device = |kind: &Kind| match *kind {
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => Some((major, minor)),
        _ => None,
    };
    let target = |kind: &Kind| match kind {
        Kind::Symlink(target) => Some(target.clone()),
        _ => None,
    };
    std::mem::discriminant(&lower.kind) == std::mem::discriminant(&upper.kind)
        && device(&lower.kind) == device(&upper.kind)
        && target(&lower.kind) == target(&upper.kind)
        && lower.meta == upper.meta
}

/// The one file of `lower` that has all these names, with the same metadata as in `upper`.
fn common_file<'a>(lower: &'a Side, upper: &Side, names: &'a BTreeSet<RootPath>) -> Option<&'a RootPath> {
    let mut files = names.iter().map(|name| {
        let (below, above) = (lower.tree.get(name)?, upper.tree.get(name)?);
        file_of(name, below).filter(|_| below.meta == above.meta)
    });
    let first = files.next()??;
    files.all(|file| file == Some(first)).then_some(first)
}

fn has_same_content(lower: &Side, below: &RootPath, upper: &Side, file: &RootPath) -> Result<bool, LayerError> {
    let (Some(before), Some(after)) = (lower.content(below), upper.content(file)) else { return Ok(false) };
    if before.size() != after.size() {
        return Ok(false);
    }
    if let (Some((before, key)), Some((after, other))) = (before.origin(), after.origin())
        && Arc::ptr_eq(before, after)
        && key == other
    {
        return Ok(true);
    }
    Ok(digest(below, before)? == digest(file, after)?)
}

fn digest(path: &RootPath, content: &Content) -> Result<Digest, LayerError> {
    let mut hasher = Hasher::default();
    let failed = |source: io::Error| LayerError::Content { path: path.clone(), source };
    content.copy(&mut hasher).map_err(failed)?;
    Ok(hasher.finish())
}

/// The whiteouts of what `upper` lacks. What lies below a removed directory, or below one that something else replaced, needs none.
fn removed(lower: &RootTree, upper: &RootTree) -> Vec<RootPath> {
    let stays = |directory: &RootPath| {
        directory.is_root() || matches!(upper.get(directory), Some(Node { kind: Kind::Directory, .. }))
    };
    let missing = lower.iter().map(|(path, _)| path).filter(|path| !upper.contains(path));
    let outermost = missing.filter_map(|path| Some((path.parent()?, path))).filter(|(parent, _)| stays(parent));
    outermost.map(|(parent, path)| parent.child([WHITEOUT, path.file_name()].concat())).collect()
}

#[cfg(test)]
mod tests;
