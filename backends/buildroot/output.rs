//! What a build left: the root, and which package each file of it belongs to.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::BuildrootError;
use crate::backend::Context;
use crate::board::Platform;
use crate::error::Result;
use crate::rootfs;
use crate::tree::{Kind, Node, Package, PackageId, RootPath, RootTree, read_limited, resolve};

/// The largest list that is read.
const LARGEST: u64 = 64 << 20;

/// What `make show-info` says of a package.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Info {
    #[serde(default)]
    version: String,
}

/// The root that was built, with the owners of its files.
pub(super) fn tree(
    out: &Path,
    info: &BTreeMap<String, Info>,
    platform: &Platform,
    context: &Context<'_>,
) -> Result<RootTree> {
    let path = out.join("images/rootfs.tar");
    let tar = File::open(&path).map_err(|source| BuildrootError::Read { path, source })?;
    let mut tree = rootfs::read(tar, Some(platform), context.store)?.tree;
    let list = out.join("build/packages-file-list.txt");
    let text = read_limited(&list, LARGEST).map_err(|source| BuildrootError::Read { path: list, source })?;
    assign(&mut tree, &text, info, &platform.architecture);
    Ok(tree)
}

/// Gives each file of a list of `package,./path` lines its package. What `show-info` leaves out, as it does the libraries of a toolchain that
/// Buildroot did not make, is a package all the same, of a version that nobody knows.
fn assign(tree: &mut RootTree, list: &[u8], info: &BTreeMap<String, Info>, architecture: &str) {
    let mut ids: BTreeMap<String, PackageId> = BTreeMap::new();
    let lines = list.split(|&byte| byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|&byte| byte == b',')?;
        Some((String::from_utf8_lossy(&line[..at]).into_owned(), line.get(at + 1..)?))
    });
    for (name, path) in lines.filter(|(name, _)| !name.is_empty()) {
        let id = *ids.entry(name.clone()).or_insert_with(|| {
            let version = info.get(&name).map(|info| info.version.clone()).filter(|version| !version.is_empty());
            let version = version.unwrap_or_else(|| "unknown".to_owned());
            tree.add_package(Package { name: name.clone(), version, architecture: architecture.to_owned() })
        });
        let Some(place) = place(tree, path) else { continue };
        if let Some(node) = tree.get_mut(&place).filter(|node| !matches!(node.kind, Kind::Directory)) {
            // Of several packages that install one file the last wrote it.
            node.package = Some(id);
        }
    }
}

/// The node at a path of the list, whose directories may be links: `/lib64/x` is `/lib/x`.
fn place(tree: &RootTree, path: &[u8]) -> Option<RootPath> {
    let path = RootPath::new(path).ok()?;
    if tree.contains(&path) {
        return Some(path);
    }
    let parent = resolve(tree, &RootPath::root(), path.parent()?.as_bytes()).ok()?;
    Some(parent.path.child(path.file_name()))
}

/// The first path of the device tables whose owner is not the one that they ask for: then owners were lost on the way.
pub(super) fn lost_owner(tree: &RootTree, tables: &[String]) -> Option<String> {
    let lines = tables.iter().flat_map(|table| table.lines()).filter_map(owner);
    let mut wanted: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    wanted.extend(lines);
    let differs = |(path, (uid, gid)): &(&str, (u32, u32))| {
        let path = RootPath::new(path).ok();
        let node: Option<&Node> = path
            .and_then(|path| tree.content_node(&path).map(|(path, _)| path.clone()))
            .and_then(|path| tree.get(&path));
        node.is_some_and(|node| (node.meta.uid, node.meta.gid) != (*uid, *gid))
    };
    wanted.into_iter().find(differs).map(|(path, _)| path.to_owned())
}

/// The path and the numeric owner of a line `name type mode uid gid ...` (makedevs, Buildroot's manual).
fn owner(line: &str) -> Option<(&str, (u32, u32))> {
    let mut fields = line.split_whitespace();
    let path = fields.next().filter(|path| path.starts_with('/'))?;
    let (kind, _mode) = (fields.next()?, fields.next()?);
    let owner = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    ["f", "d"].contains(&kind).then_some((path, owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_their_packages_and_lost_owners_are_seen() {
        let mut tree = RootTree::new();
        for (path, node) in [
            ("bin/busybox", Node::file(0o4755, "")),
            ("lib64", Node::symlink("lib")),
            ("lib/libc.so.6", Node::file(0o644, "")),
            ("srv/www", Node::file(0o644, "").owned_by(33, 33)),
        ] {
            tree.insert(RootPath::new(path).unwrap(), node);
        }
        tree.add_missing_parents();
        let info = [("busybox".to_owned(), Info { version: "1.37.0".to_owned() })].into();
        assign(&mut tree, b"busybox,./bin/busybox\ntoolchain,./lib64/libc.so.6\nnobody\n,./x\n", &info, "amd64");
        let owner = |path: &str| {
            let package = tree.package_of(tree.get(&RootPath::new(path).unwrap()).unwrap())?;
            Some(format!("{} {}", package.name, package.version))
        };
        assert_eq!(owner("bin/busybox").as_deref(), Some("busybox 1.37.0"));
        assert_eq!(owner("lib/libc.so.6").as_deref(), Some("toolchain unknown"));
        assert_eq!(owner("srv/www"), None);
        let table = |owner: u32| {
            vec![format!("# name type mode\n/srv/www f 644 {owner} {owner} - - - - -\n/not/there f 1 1 1 - -\n")]
        };
        assert_eq!(lost_owner(&tree, &table(33)), None);
        assert_eq!(lost_owner(&tree, &table(34)).as_deref(), Some("/srv/www"));
    }
}
