//! Putting one layer over another, as the OCI image specification says (`layer.md`, "Applying Changesets").

use std::collections::{BTreeMap, BTreeSet};

use super::RootfsError;
use minimg_tree::{Entry, Kind, Node, RootPath, RootTree, resolve};

/// Marks a directory whose lower content is hidden.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Begins the name that hides the rest of it.
const WHITEOUT: &[u8] = b".wh.";

/// Applies a layer to the tree of those below it. Whiteouts hide only what is below, whatever their place in the layer. A file that is
/// hidden or replaced lives on under its other names.
///
/// The layer has the entries of its archive and no others: a directory that it names takes the place of anything else, and one that only
/// the paths in it imply is that of the layers below, also where a link leads to it.
///
/// # Errors
/// When the layer contradicts itself: a file below something that is not a directory.
pub fn apply_layer(tree: &mut RootTree, mut layer: RootTree) -> Result<(), RootfsError> {
    let ancestors = layer.iter().flat_map(|(path, _)| path.ancestors());
    let implied: BTreeSet<RootPath> = ancestors.filter(|path| !layer.contains(path)).collect();
    layer.add_missing_parents();
    let mut lower = Lower::new(tree);
    // Before the whiteouts, which must not follow a link that is no more.
    for (path, node) in layer.iter().filter(|(path, node)| is_directory(node) && !is_whiteout(path)) {
        lower.put_directory(path, node, implied.contains(path))?;
    }
    for (path, _) in &layer {
        lower.hide(path);
    }
    for (path, node) in layer.iter().filter(|(path, _)| !is_whiteout(path)) {
        match node.kind {
            Kind::Directory => lower.put_directory(path, node, implied.contains(path))?,
            _ => lower.put(path, node.clone())?,
        }
    }
    Ok(())
}

fn is_directory(node: &Node) -> bool {
    matches!(node.kind, Kind::Directory)
}

fn is_whiteout(path: &RootPath) -> bool {
    path.file_name().starts_with(WHITEOUT)
}

/// What is below a layer, with the other names of each file.
struct Lower<'a> {
    tree: &'a mut RootTree,
    names: BTreeMap<RootPath, BTreeSet<RootPath>>,
}

impl<'a> Lower<'a> {
    fn new(tree: &'a mut RootTree) -> Self {
        let mut names: BTreeMap<RootPath, BTreeSet<RootPath>> = BTreeMap::new();
        for (path, node) in &*tree {
            if let Kind::Hardlink(file) = &node.kind {
                names.entry(file.clone()).or_default().insert(path.clone());
            }
        }
        Self { tree, names }
    }

    /// Removes what this path of the layer hides.
    fn hide(&mut self, path: &RootPath) {
        let Some(parent) = path.parent() else { return };
        let Some(name) = path.file_name().strip_prefix(WHITEOUT) else { return };
        let Ok(found) = resolve(&*self.tree, &RootPath::root(), parent.as_bytes()) else { return };
        if path.file_name() == OPAQUE {
            self.remove_below(&found.path);
        } else if !name.is_empty() && name != b".." && name != b"." {
            let hidden = found.path.child(name);
            self.remove_below(&hidden);
            self.remove(&hidden);
        }
    }

    fn put_directory(&mut self, path: &RootPath, node: &Node, is_implied: bool) -> Result<(), RootfsError> {
        if is_implied && leads_to_directory(self.tree, path) {
            return Ok(());
        }
        let place = real_place(self.tree, path)?;
        self.remove(&place);
        self.tree.insert(place, node.clone());
        Ok(())
    }

    /// Puts what is no directory.
    fn put(&mut self, path: &RootPath, mut node: Node) -> Result<(), RootfsError> {
        let place = real_place(self.tree, path)?;
        if self.tree.get(&place).is_some_and(is_directory) {
            self.remove_below(&place);
        }
        self.remove(&place);
        if let Kind::Hardlink(file) = &mut node.kind {
            *file = real_place(self.tree, file)?;
        }
        self.tree.insert(place, node);
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

fn leads_to_directory(tree: &RootTree, path: &RootPath) -> bool {
    let found = resolve(tree, &RootPath::root(), path.as_bytes());
    found.is_ok_and(|found| found.entry == Some(Entry::Directory))
}

/// Where a path of the layer lands when a directory on its way is a link below.
fn real_place(tree: &RootTree, path: &RootPath) -> Result<RootPath, RootfsError> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Ok(path.clone()) };
    match resolve(tree, &RootPath::root(), parent.as_bytes()) {
        Ok(found) if found.entry == Some(Entry::Directory) => Ok(found.path.child(path.file_name())),
        _ => Err(RootfsError::NotADirectory(parent)),
    }
}
