//! The view of a root that the closure walk needs, and the one place where links are followed.

use std::io;
use std::ops::Bound;

use bytes::Bytes;

use super::{Kind, RootPath, RootTree};

/// The number of links that one lookup may follow, as in the kernel (`MAXSYMLINKS`).
pub const MAX_LINKS: usize = 40;
/// The number of names that one lookup may lead through, those of links among them. The kernel's only limit is that of [`MAX_LINKS`] links
/// of 4,096 bytes each, which is a long way for what no root file system has.
const MAX_NAMES: usize = 2048;

/// Names one file in its root whatever path it was reached by, as device and inode do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64, pub u64);

/// What is at a path, without following it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Permissions with set-id and sticky bits.
        mode: u32,
        /// The length in bytes.
        size: u64,
        /// Equal for two paths that are one file.
        id: FileId,
    },
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    /// A device, pipe or socket.
    Special,
}

/// Something with files in it: a [`RootTree`], or a directory of the host that is only looked at where the walk goes.
///
/// No method follows links, so an implementation cannot leave the root; [`resolve`] does that for all of them.
pub trait Root {
    /// What is at `path`, `None` when nothing is. The directories above must be real ones, as [`resolve`] makes sure.
    ///
    /// # Errors
    /// When the root cannot be read.
    fn entry(&self, path: &RootPath) -> io::Result<Option<Entry>>;

    /// The content of the regular file at `path`.
    ///
    /// # Errors
    /// When it is not a regular file or cannot be read.
    fn read(&self, path: &RootPath) -> io::Result<Bytes>;

    /// The names in the directory at `path`, sorted by their bytes.
    ///
    /// # Errors
    /// When it is not a directory or cannot be read.
    fn list(&self, path: &RootPath) -> io::Result<Vec<Box<[u8]>>>;
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without any link in it.
    pub path: RootPath,
    /// Every link that was followed, in order: links to directories on the way as well as the last.
    pub hops: Vec<RootPath>,
    /// Every directory that the way goes into and leaves by `..`, in order: without it the way is no way, although nothing is there.
    pub left: Vec<RootPath>,
    /// What is there; `None` when the way is good but nothing has that name.
    pub entry: Option<Entry>,
}

/// An error of resolving a path.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// More than [`MAX_LINKS`] links had to be followed, or the way leads through too many names.
    #[error("following {0} takes more than {MAX_LINKS} links or {MAX_NAMES} names")]
    Loop(String),
    /// Something on the way is not a directory.
    #[error("{0} is not a directory")]
    NotADirectory(RootPath),
    /// A directory on the way is missing.
    #[error("{0} does not exist")]
    NotFound(RootPath),
    /// The root cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Follows `name` from the directory `from` as the kernel would in a chroot of `root`: absolute targets start at the root and `..`
/// stops there.
///
/// # Errors
/// After [`MAX_LINKS`] links, when something on the way is missing or is not a directory, and when the root cannot be read. That the
/// last component is missing is not an error: the entry is `None` then.
pub fn resolve<R: Root + ?Sized>(root: &R, from: &RootPath, name: &[u8]) -> Result<Resolved, ResolveError> {
    let mut pending: Vec<Box<[u8]>> = Vec::new();
    let mut at = if name.first() == Some(&b'/') { RootPath::root() } else { from.clone() };
    push_components(&mut pending, name);
    let (mut hops, mut left) = (Vec::new(), Vec::new());
    let mut entry = Some(Entry::Directory);
    let mut names = 0;
    while let Some(component) = pending.pop() {
        names += 1;
        if names > MAX_NAMES {
            return Err(ResolveError::Loop(String::from_utf8_lossy(name).into_owned()));
        }
        match entry {
            Some(Entry::Directory) => {}
            None => return Err(ResolveError::NotFound(at)),
            Some(_) => return Err(ResolveError::NotADirectory(at)),
        }
        if &*component == b".." {
            let parent = at.parent().unwrap_or_default();
            left.push(std::mem::replace(&mut at, parent));
            continue;
        }
        let next = at.child(&component);
        entry = root.entry(&next)?;
        let Some(Entry::Symlink(target)) = &entry else {
            at = next;
            continue;
        };
        hops.push(next);
        if hops.len() > MAX_LINKS {
            return Err(ResolveError::Loop(String::from_utf8_lossy(name).into_owned()));
        }
        if target.first() == Some(&b'/') {
            at = RootPath::root();
        }
        push_components(&mut pending, target);
        entry = Some(Entry::Directory);
    }
    left.retain(|directory| !directory.is_root());
    Ok(Resolved { path: at, hops, left, entry })
}

/// Pushes the components so that the first one is popped first.
fn push_components(pending: &mut Vec<Box<[u8]>>, name: &[u8]) {
    let components = name.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".");
    pending.extend(components.rev().map(Into::into));
}

impl Root for RootTree {
    fn entry(&self, path: &RootPath) -> io::Result<Option<Entry>> {
        if path.is_root() {
            return Ok(Some(Entry::Directory));
        }
        let Some((_, node)) = self.content_node(path) else { return Ok(None) };
        Ok(Some(match &node.kind {
            Kind::Directory => Entry::Directory,
            Kind::File(content) => Entry::File {
                mode: node.meta.mode,
                size: content.size(),
                id: FileId(0, std::ptr::from_ref(node).addr() as u64),
            },
            Kind::Symlink(target) => Entry::Symlink(target.clone()),
            _ => Entry::Special,
        }))
    }

    fn read(&self, path: &RootPath) -> io::Result<Bytes> {
        match self.content_node(path).map(|(_, node)| &node.kind) {
            Some(Kind::File(content)) => content.map(),
            Some(_) => Err(io::Error::other(format!("{path} is not a regular file"))),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("{path} does not exist"))),
        }
    }

    fn list(&self, path: &RootPath) -> io::Result<Vec<Box<[u8]>>> {
        let prefix = if path.is_root() { Vec::new() } else { [path.as_bytes(), b"/"].concat() };
        let from = |start: &[u8]| self.nodes.range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut below = from(&prefix);
        while let Some(rest) = below.next().and_then(|(next, _)| next.as_bytes().strip_prefix(&*prefix)) {
            let name = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            names.push(name.into());
            // What is below it is passed over: a zero is what follows a slash among the bytes.
            if name.len() < rest.len() {
                below = from(&[&prefix, name, b"0"].concat());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Node;
    use super::*;

    fn tree(links: &[(&str, &str)], files: &[&str]) -> RootTree {
        let mut tree = RootTree::new();
        for (path, target) in links {
            tree.insert(RootPath::new(path).unwrap(), Node::symlink(target));
        }
        for path in files {
            tree.insert(RootPath::new(path).unwrap(), Node::file(0o644, path.to_string()));
        }
        tree.add_missing_parents();
        tree
    }

    fn follow(tree: &RootTree, name: &str) -> Result<String, String> {
        resolve(tree, &RootPath::root(), name.as_bytes()).map(|r| r.path.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn links_stay_in_the_root() {
        let tree = tree(
            &[("lib", "usr/lib"), ("lib64", "/usr/lib64"), ("up", "../../../../usr/lib/x"), ("a", "b"), ("b", "a")],
            &["usr/lib/x", "usr/lib64/y"],
        );
        assert_eq!(follow(&tree, "/lib/x"), Ok("/usr/lib/x".into()));
        assert_eq!(follow(&tree, "/lib64/../lib/x"), Ok("/usr/lib/x".into()));
        assert_eq!(follow(&tree, "/up"), Ok("/usr/lib/x".into()));
        assert_eq!(follow(&tree, "/a"), Err("following /a takes more than 40 links or 2048 names".into()));
        assert_eq!(follow(&tree, "/lib/x/y"), Err("/usr/lib/x is not a directory".into()));
        assert_eq!(follow(&tree, "/none/y"), Err("/none does not exist".into()));
        assert_eq!(follow(&tree, "/usr/none"), Ok("/usr/none".into()));
        assert_eq!(follow(&tree, "/.."), Ok("/".into()));
    }

    #[test]
    fn a_way_through_too_many_names_is_refused() {
        let target = "d/../".repeat(800);
        let tree = tree(&[("a", &format!("{target}b")), ("b", &format!("{target}x"))], &["d/y", "x"]);
        assert_eq!(follow(&tree, "/b"), Ok("/x".into()));
        assert_eq!(follow(&tree, "/a"), Err("following /a takes more than 40 links or 2048 names".into()));
    }

    #[test]
    fn a_directory_has_its_own_names_and_no_others() {
        let tree = tree(&[], &["a", "d/a/x/y", "d/a-b", "d/a0", "d/b", "d/b/c", "d0/z"]);
        let list = |path: &str| {
            let names = tree.list(&RootPath::root().join_clamped(path)).unwrap();
            names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(list(""), ["a", "d", "d0"]);
        assert_eq!(list("d"), ["a", "a-b", "a0", "b"]);
        assert_eq!(list("d/a"), ["x"]);
        assert_eq!(list("none"), [""; 0]);
    }

    #[test]
    fn every_hop_is_reported() {
        let tree = tree(
            &[("lib", "usr/lib"), ("usr/lib/l.so", "l.so.1"), ("usr/lib/l.so.1", "/lib/l.so.1.2")],
            &["usr/lib/l.so.1.2"],
        );
        let resolved = resolve(&tree, &RootPath::root(), b"/lib/l.so").unwrap();
        let hops: Vec<String> = resolved.hops.iter().map(ToString::to_string).collect();
        assert_eq!(hops, ["/lib", "/usr/lib/l.so", "/usr/lib/l.so.1", "/lib"]);
        assert_eq!(resolved.path.to_string(), "/usr/lib/l.so.1.2");
    }

    #[test]
    fn a_way_up_starts_where_the_link_leads_and_needs_the_directory() {
        let tree = tree(
            &[("cur", "opt/v1/bin"), ("conf", "/cur/../data/../etc/c"), ("etc/up", "../../opt")],
            &["opt/v1/bin/x", "opt/v1/data/x", "opt/v1/etc/c", "data/x", "etc/c"],
        );
        // The name, where it leads, and what the way leaves by `..`.
        for (name, path, left) in [
            ("/cur/../etc/c", "/opt/v1/etc/c", "/opt/v1/bin"),
            ("/conf", "/opt/v1/etc/c", "/opt/v1/bin /opt/v1/data"),
            ("/data/../etc/c", "/etc/c", "/data"),
            ("/data/./../etc//up/v1/etc/c", "/opt/v1/etc/c", "/data /etc"),
            ("/cur/..", "/opt/v1", "/opt/v1/bin"),
            ("/../etc/c", "/etc/c", ""),
        ] {
            let resolved = resolve(&tree, &RootPath::root(), name.as_bytes()).unwrap();
            let found: Vec<String> = resolved.left.iter().map(ToString::to_string).collect();
            assert_eq!((&*resolved.path.to_string(), &*found.join(" ")), (path, left), "{name}");
        }
        assert_eq!(follow(&tree, "/etc/c/../c"), Err("/etc/c is not a directory".into()));
        assert_eq!(follow(&tree, "/none/../etc/c"), Err("/none does not exist".into()));
    }
}
