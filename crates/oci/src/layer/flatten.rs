//! One tree of several layers, as an engine would show it.

use std::collections::BTreeSet;

use super::read;
use crate::image::Layer;
use minimg_base::error::Result;
use minimg_store::Store;
use minimg_tree::{Kind, Node, RootPath, RootTree};

/// The prefix of a whiteout: the rest of the name is gone (OCI image-spec, `layer.md`).
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// The whiteout of all that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The files that a container of these layers sees, whiteouts applied.
///
/// # Errors
/// When a layer cannot be read.
pub fn flatten(layers: &[Layer], store: &Store) -> Result<RootTree> {
    let mut tree = RootTree::new();
    for layer in layers {
        tree = stacked(&tree, &read(layer, store)?);
    }
    Ok(tree)
}

fn stacked(lower: &RootTree, upper: &RootTree) -> RootTree {
    let hidden = Hidden::by(upper, lower);
    let mut tree = lower.subset(|path, _| !hidden.contains(path));
    for (path, node) in upper.iter().filter(|(path, _)| !path.file_name().starts_with(WHITEOUT)) {
        let mut node = node.clone();
        if let Kind::Hardlink(target) = &node.kind
            && let Some(Node { kind: Kind::Hardlink(first), .. }) = tree.get(target)
        {
            node.kind = Kind::Hardlink(first.clone());
        }
        tree.insert(path.clone(), node);
    }
    tree
}

/// What an upper layer takes away from those below it.
struct Hidden {
    /// Paths that are replaced or removed with all that is below them.
    subtrees: BTreeSet<RootPath>,
    /// Directories whose content is gone while they themselves stay.
    emptied: BTreeSet<RootPath>,
}

impl Hidden {
    fn by(upper: &RootTree, lower: &RootTree) -> Self {
        let mut hidden = Self { subtrees: BTreeSet::new(), emptied: BTreeSet::new() };
        for (path, node) in upper {
            let directory = path.parent().unwrap_or_default();
            if path.file_name() == OPAQUE {
                hidden.emptied.insert(directory);
            } else if let Some(name) = path.file_name().strip_prefix(WHITEOUT) {
                hidden.subtrees.insert(directory.join_clamped(name));
            } else if !both_directories(node, lower.get(path)) {
                hidden.subtrees.insert(path.clone());
            }
        }
        hidden
    }

    /// Whether nothing says that this path is to be seen.
    fn contains(&self, path: &RootPath) -> bool {
        let above = |path: RootPath| self.subtrees.contains(&path) || self.emptied.contains(&path);
        self.subtrees.contains(path) || path.ancestors().any(above)
    }
}

fn both_directories(upper: &Node, lower: Option<&Node>) -> bool {
    [Some(upper), lower].iter().all(|node| matches!(node, Some(Node { kind: Kind::Directory, .. })))
}
