//! Owners that a namespace with root's id alone cannot give: rpm's database knows them.

use std::collections::BTreeMap;

use minimg_backend::capabilities;
use minimg_base::error::Result;
use minimg_ownership::rpm::{self, File};
use minimg_tree::{Kind, Node, RootPath, RootTree, account_numbers, resolve};

/// The permission bits of a mode.
const PERMISSIONS: u16 = 0o7777;

/// Gives every file of a package the owner, group, mode and capabilities that the package has for it. Names that the root's own accounts do not
/// have stay root's, as rpm does it.
pub(super) fn owners(tree: &mut RootTree) -> Result<()> {
    let headers = rpm::headers(tree)?;
    let (users, groups) = (numbers(tree, "etc/passwd"), numbers(tree, "etc/group"));
    for file in headers.iter().flat_map(|header| &header.files).filter(|file| !file.is_ghost) {
        let Some(place) = place(tree, file) else { continue };
        let Some(node) = tree.get_mut(&place) else { continue };
        node.meta.uid = users.get(&file.user).copied().unwrap_or(0);
        node.meta.gid = groups.get(&file.group).copied().unwrap_or(0);
        if !matches!(node.kind, Kind::Symlink(_)) {
            node.meta.mode = (file.mode & PERMISSIONS).into();
        }
        if let Some(value) = capabilities::attribute(&file.capabilities) {
            node.meta.xattrs.insert(capabilities::ATTRIBUTE.into(), value);
        }
    }
    Ok(())
}

/// The node of a package's path, whose directories may be links.
fn place(tree: &RootTree, file: &File) -> Option<RootPath> {
    let path = RootPath::new(&file.path).ok()?;
    let parent = resolve(tree, &RootPath::root(), path.parent()?.as_bytes()).ok()?;
    let place = if path.is_root() { path } else { parent.path.child(path.file_name()) };
    // The content of hard links is one file.
    match tree.get(&place)? {
        Node { kind: Kind::Hardlink(_), .. } => tree.content_node(&place).map(|(path, _)| path.clone()),
        _ => Some(place),
    }
}

/// The numbers of the names in a file such as `/etc/passwd`.
fn numbers(tree: &RootTree, path: &str) -> BTreeMap<String, u32> {
    let path = RootPath::root().join_clamped(path);
    let Some((_, Node { kind: Kind::File(content), .. })) = tree.content_node(&path) else { return BTreeMap::new() };
    content.map().map(|bytes| account_numbers(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
}
