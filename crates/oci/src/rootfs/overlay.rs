//! Putting one layer over another, as the overlay file systems of engines show them (OCI image specification, `layer.md`, "Applying
//! Changesets"). Engines unpack each layer into a directory of its own, so that no link of a lower layer is ever followed: what a layer
//! writes below such a link is in a directory that takes the link's place.

use std::collections::{BTreeMap, BTreeSet};

use super::RootfsError;
use minimg_tree::archive::TarError;
use minimg_tree::archive::tar::MAX_ENTRIES;
use minimg_tree::{Kind, Node, RootPath, RootTree};

/// Marks a directory whose lower content is hidden.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Begins the name that hides the rest of it.
const WHITEOUT: &[u8] = b".wh.";
/// Begins the names of what AUFS keeps for itself at the top of a layer; the files in one of these directories have other names outside.
const AUFS: &[u8] = b".wh..wh.";

/// What one layer changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// What it has, without directories that it does not name.
    pub(super) files: RootTree,
    /// The marks of what it hides.
    pub(super) whiteouts: BTreeSet<RootPath>,
}

/// Applies a layer to the tree of those below it. Whiteouts hide only what is below, whatever their place in the layer. A file that is
/// hidden or replaced lives on under its other names.
///
/// The layer has the entries of its archive and no others: a directory that it names takes the place of anything else, and one that only
/// the paths in it imply is that of the layers below, if it is one there.
///
/// # Errors
/// When the layer contradicts itself: a file below something that is not a directory.
pub fn apply_layer(tree: &mut RootTree, mut layer: RootTree) -> Result<(), RootfsError> {
    let whiteouts: BTreeSet<RootPath> = layer.iter().map(|(path, _)| path).filter(is_whiteout).cloned().collect();
    whiteouts.iter().for_each(|path| drop(layer.remove(path)));
    let mut overlay = Overlay::new(std::mem::take(tree));
    let applied = overlay.apply(Changes { files: layer, whiteouts });
    *tree = overlay.tree;
    applied
}

/// Whether an entry of this path hides something instead of being something.
pub(super) fn is_whiteout(path: &&RootPath) -> bool {
    path.file_name().starts_with(WHITEOUT) && !is_of_aufs(path)
}

fn is_of_aufs(path: &RootPath) -> bool {
    path.components().next().is_some_and(|first| first.starts_with(AUFS)) && path.as_bytes() != OPAQUE
}

fn is_directory(node: Option<&Node>) -> bool {
    matches!(node, Some(Node { kind: Kind::Directory, .. }))
}

/// The tree of some layers, with the other names of each file.
#[derive(Default)]
pub(super) struct Overlay {
    tree: RootTree,
    names: BTreeMap<RootPath, BTreeSet<RootPath>>,
}

impl Overlay {
    pub(super) fn new(tree: RootTree) -> Self {
        let mut names: BTreeMap<RootPath, BTreeSet<RootPath>> = BTreeMap::new();
        for (path, node) in &tree {
            if let Kind::Hardlink(file) = &node.kind {
                names.entry(file.clone()).or_default().insert(path.clone());
            }
        }
        Self { tree, names }
    }

    pub(super) fn into_tree(self) -> RootTree {
        self.tree
    }

    /// Puts the next layer over those that are there.
    pub(super) fn apply(&mut self, layer: Changes) -> Result<(), RootfsError> {
        let Changes { files, whiteouts } = layer;
        let files = without_aufs(files);
        let implied = implied_by(&files, files.iter().map(|(path, _)| path));
        if let Some(mark) = implied.iter().find(is_whiteout) {
            return Err(RootfsError::NotADirectory(mark.clone()));
        }
        whiteouts.iter().for_each(|whiteout| self.hide(whiteout));
        // All that the layer replaces goes before anything comes: what it brings must not be taken for a name of what was there.
        for path in &implied {
            self.clear(path, true);
        }
        for (path, node) in &files {
            self.clear(path, is_directory(Some(node)));
        }
        for path in implied {
            self.put_implied(path);
        }
        for (path, node) in &files {
            self.put(path, node.clone())?;
        }
        // A directory in which something is hidden is one, unless it is itself hidden, or the layer has something else there.
        for path in implied_by(&files, whiteouts.iter()) {
            let is_in_directory =
                path.parent().is_none_or(|parent| parent.is_root() || is_directory(self.tree.get(&parent)));
            if is_in_directory && !files.contains(&path) && !is_hidden(&path, &whiteouts) {
                self.clear(&path, true);
                self.put_implied(path);
            }
        }
        if self.tree.len() as u64 > MAX_ENTRIES {
            return Err(TarError::TooLarge { what: "entries", limit: MAX_ENTRIES }.into());
        }
        Ok(())
    }

    /// Removes what a whiteout hides.
    fn hide(&mut self, whiteout: &RootPath) {
        let (Some(parent), Some(name)) = (whiteout.parent(), whiteout.file_name().strip_prefix(WHITEOUT)) else {
            return;
        };
        if whiteout.file_name() == OPAQUE {
            self.remove_below(&parent);
        } else if !name.is_empty() && name != b".." && name != b"." {
            let hidden = parent.child(name);
            self.remove_below(&hidden);
            self.remove(&hidden);
        }
    }

    /// Removes what something at this path takes the place of; of two directories the lower one's content stays.
    fn clear(&mut self, path: &RootPath, for_directory: bool) {
        match is_directory(self.tree.get(path)) {
            true if for_directory => {}
            true => {
                self.remove_below(path);
                self.remove(path);
            }
            false => self.remove(path),
        }
    }

    fn put_implied(&mut self, path: RootPath) {
        if !self.tree.contains(&path) {
            self.tree.insert(path, Node::directory(0o755));
        }
    }

    fn put(&mut self, path: &RootPath, node: Node) -> Result<(), RootfsError> {
        let parent = path.parent().unwrap_or_default();
        if !parent.is_root() && !is_directory(self.tree.get(&parent)) {
            return Err(RootfsError::NotADirectory(parent));
        }
        if let Kind::Hardlink(file) = &node.kind {
            self.names.entry(file.clone()).or_default().insert(path.clone());
        }
        self.tree.insert(path.clone(), node);
        Ok(())
    }

    fn remove_below(&mut self, directory: &RootPath) {
        let below: Vec<RootPath> = self.tree.below(directory).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.remove(&path);
        }
    }

    fn remove(&mut self, path: &RootPath) {
        let Some(node) = self.tree.remove(path) else { return };
        if let Kind::Hardlink(file) = &node.kind
            && let Some(names) = self.names.get_mut(file)
        {
            names.remove(path);
        }
        if let Some(heirs) = self.names.remove(path) {
            self.bequeath(node, heirs);
        }
    }

    /// Makes the first of the other names of a file the file, and the others names of that.
    fn bequeath(&mut self, file: Node, mut heirs: BTreeSet<RootPath>) {
        let Some(first) = heirs.pop_first() else { return };
        if let Some(heir) = self.tree.get_mut(&first) {
            heir.kind = file.kind;
        }
        for other in &heirs {
            if let Some(other) = self.tree.get_mut(other) {
                other.kind = Kind::Hardlink(first.clone());
            }
        }
        self.names.insert(first, heirs);
    }
}

/// The directories above these paths that `files` does not name.
fn implied_by<'a>(files: &RootTree, paths: impl Iterator<Item = &'a RootPath>) -> BTreeSet<RootPath> {
    let mut implied = BTreeSet::new();
    for path in paths {
        for above in path.ancestors().rev() {
            // What is above a directory that is known was looked at when that was.
            if files.contains(&above) || !implied.insert(above) {
                break;
            }
        }
    }
    implied
}

/// Whether a whiteout hides this directory, or one above it.
fn is_hidden(path: &RootPath, whiteouts: &BTreeSet<RootPath>) -> bool {
    let of = |path: &RootPath| {
        let parent = path.parent().unwrap_or_default();
        whiteouts.contains(&parent.child([WHITEOUT, path.file_name()].concat()))
    };
    of(path) || path.ancestors().any(|above| of(&above))
}

/// The files of a layer without those of AUFS; what is one of them under another name stays under that.
fn without_aufs(files: RootTree) -> RootTree {
    let of_aufs: Vec<RootPath> = files.iter().map(|(path, _)| path.clone()).filter(is_of_aufs).collect();
    if of_aufs.is_empty() {
        return files;
    }
    let mut own = Overlay::new(files);
    of_aufs.iter().for_each(|path| own.remove(path));
    own.tree
}

#[cfg(test)]
pub(super) mod tests;
