//! The result of a build: the root, and the package of each file.

use std::collections::BTreeMap;
use std::fs::File;

use super::BuildrootError;
use super::out::Out;
use minimg_backend::Context;
use minimg_base::board::Platform;
use minimg_base::error::Result;
use minimg_oci::rootfs;
use minimg_tree::{Kind, Node, Package, PackageId, RootPath, RootTree, resolve};

/// What `make show-info` says of a package.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Info {
    #[serde(default)]
    version: String,
}

/// The root that was built, with the owners of its files.
pub(super) fn tree(
    out: &Out,
    info: &BTreeMap<String, Info>,
    platform: &Platform,
    context: &Context,
) -> Result<RootTree> {
    let path = out.path.join("images/rootfs.tar");
    let tar = File::open(&path).map_err(|source| BuildrootError::Read { path, source })?;
    let mut tree = rootfs::read(tar, Some(platform), &context.store)?.tree;
    assign(&mut tree, &out.file_lists()?, &out.order(), info, &platform.architecture);
    Ok(tree)
}

/// Gives each file of a list of `package,./path` lines its package; of several that installed a file, the one that did so last. What `show-info`
/// leaves out, as it does the libraries of a toolchain that Buildroot did not make, is a package all the same, of a version that nobody knows.
fn assign(
    tree: &mut RootTree,
    list: &[u8],
    order: &BTreeMap<String, usize>,
    info: &BTreeMap<String, Info>,
    architecture: &str,
) {
    let mut ids: BTreeMap<String, PackageId> = BTreeMap::new();
    let mut written: BTreeMap<RootPath, usize> = BTreeMap::new();
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
        let Some(node) = tree.get_mut(&place).filter(|node| !matches!(node.kind, Kind::Directory)) else { continue };
        let turn = order.get(&name).copied().unwrap_or_default();
        if written.get(&place).is_none_or(|before| *before <= turn) {
            node.package = Some(id);
            written.insert(place, turn);
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

/// The first path of a device table whose owner is not the one that it asks for: then owners were lost on the way.
pub(super) fn lost_owner(tree: &RootTree, table: &str) -> Option<String> {
    let mut wanted: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for Entry { path, kind, owner } in table.lines().filter_map(entry) {
        let below = format!("{}/", path.trim_end_matches('/'));
        if kind == "r" {
            wanted.retain(|path, _| !path.starts_with(&below));
        }
        // A name stands for an account of the root, which may have got any number.
        match owner {
            Some(owner) => drop(wanted.insert(path.to_owned(), owner)),
            None => drop(wanted.remove(path)),
        }
    }
    let differs = |(path, (uid, gid)): &(String, (u32, u32))| {
        let path = RootPath::new(path).ok();
        let node: Option<&Node> = path
            .and_then(|path| tree.content_node(&path).map(|(path, _)| path.clone()))
            .and_then(|path| tree.get(&path));
        node.is_some_and(|node| (node.meta.uid, node.meta.gid) != (*uid, *gid))
    };
    wanted.into_iter().find(differs).map(|(path, _)| path)
}

/// What a device table says of a path.
struct Entry<'a> {
    path: &'a str,
    /// A file (`f`, or `F` if it may be missing), a directory (`d`), or one with all that is in it (`r`).
    kind: &'a str,
    /// Unless it is said by name.
    owner: Option<(u32, u32)>,
}

/// Reads a line `name type mode uid gid ...` (Buildroot's manual, "Makedev syntax"). Devices are passed over.
fn entry(line: &str) -> Option<Entry<'_>> {
    let mut fields = line.split_whitespace();
    let path = fields.next().filter(|path| path.starts_with('/'))?;
    let kind = fields.next().filter(|kind| ["f", "F", "d", "r"].contains(kind))?;
    let (_mode, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Entry { path, kind, owner: uid.parse().ok().zip(gid.parse().ok()) })
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
        let list = b"busybox,./bin/busybox\ntoolchain,./lib64/libc.so.6\nnobody\n,./x\nzealot,./bin/busybox\n";
        let order = [("zealot".to_owned(), 1), ("busybox".to_owned(), 2)].into();
        assign(&mut tree, list, &order, &info, "amd64");
        let owner = |path: &str| {
            let package = tree.package_of(tree.get(&RootPath::new(path).unwrap()).unwrap())?;
            Some(format!("{} {}", package.name, package.version))
        };
        assert_eq!(owner("bin/busybox").as_deref(), Some("busybox 1.37.0"));
        assert_eq!(owner("lib/libc.so.6").as_deref(), Some("toolchain unknown"));
        assert_eq!(owner("srv/www"), None);
        for (table, lost) in [
            ("# name type mode\n/srv/www f 644 33 33 - - - - -\n/not/there F 1 1 1 - -\n", None),
            ("/srv/www f 644 34 33 - -\n", Some("/srv/www")),
            ("/srv/www F -1 33 34 - -\n|xattr cap_net_raw+eip\n", Some("/srv/www")),
            ("/srv/www f 644 0 0 - -\n/srv/www f 644 33 33\n", None),
            ("/srv/www f 644 0 0 - -\n/srv r -1 www www\n", None),
            ("/srv/www f 644 www www\n", None),
        ] {
            assert_eq!(lost_owner(&tree, table).as_deref(), lost, "{table}");
        }
    }
}
