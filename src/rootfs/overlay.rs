//! Putting one layer over another, as the OCI image specification says (`layer.md`, "Applying Changesets").

use super::RootfsError;
use crate::tree::{Entry, Kind, Node, RootPath, RootTree, resolve};

/// Marks a directory whose lower content is hidden.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Begins the name that hides the rest of it.
const WHITEOUT: &[u8] = b".wh.";

/// Applies a layer to the tree of those below it. Whiteouts hide only what is below, whatever their place in the layer.
///
/// # Errors
/// When the layer contradicts itself: a file below something that is not a directory.
pub fn apply_layer(tree: &mut RootTree, layer: RootTree) -> Result<(), RootfsError> {
    for (path, _) in &layer {
        hide(tree, path);
    }
    for (path, node) in &layer {
        if path.file_name().starts_with(WHITEOUT) {
            continue;
        }
        put(tree, path, node.clone())?;
    }
    Ok(())
}

/// Removes from the lower tree what this path of the layer hides.
fn hide(tree: &mut RootTree, path: &RootPath) {
    let Some(parent) = path.parent() else { return };
    if path.file_name() == OPAQUE {
        remove_below(tree, &parent);
    } else if let Some(name) = path.file_name().strip_prefix(WHITEOUT).filter(|name| !name.is_empty() && *name != b"..")
    {
        let hidden = parent.child(name);
        remove_below(tree, &hidden);
        tree.remove(&hidden);
    }
}

fn put(tree: &mut RootTree, path: &RootPath, node: Node) -> Result<(), RootfsError> {
    let is_directory = |node: &Node| matches!(node.kind, Kind::Directory);
    match tree.get(path) {
        // A layer's tar may lack a directory's own entry: the reader made one up, and a lower link to a directory stays good.
        Some(lower)
            if is_directory(&node) && matches!(lower.kind, Kind::Symlink(_)) && leads_to_directory(tree, path) =>
        {
            return Ok(());
        }
        Some(lower) if is_directory(lower) && !is_directory(&node) => remove_below(tree, path),
        _ => {}
    }
    let place = real_place(tree, path)?;
    tree.insert(place, node);
    Ok(())
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

fn remove_below(tree: &mut RootTree, directory: &RootPath) {
    let below: Vec<RootPath> = tree.below(directory).map(|(path, _)| path.clone()).collect();
    for path in below {
        tree.remove(&path);
    }
}
