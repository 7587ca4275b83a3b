//! The order and the metadata of a layer's entries: what makes the same tree the same bytes.

use std::collections::BTreeMap;

use super::LayerError;
use super::tar::{Entry, EntryKind};
use minimg_tree::{Content, Kind, Node, RootPath, RootTree};

/// One entry with the content that follows its header.
pub(super) struct Planned<'a> {
    pub(super) path: &'a RootPath,
    pub(super) entry: Entry<'a>,
    pub(super) content: Option<&'a Content>,
}

/// What has to be known of the whole tree before the first entry is written.
pub(super) struct Plan<'a> {
    tree: &'a RootTree,
    epoch: u64,
    /// For files with several names: the name under which the content is written, by the name that the tree has it under.
    first_names: BTreeMap<&'a RootPath, &'a RootPath>,
    /// The newest time below each directory that has something in it.
    newest_below: BTreeMap<RootPath, u64>,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// When a hard link does not lead to a regular file of the tree.
    pub(super) fn new(tree: &'a RootTree, epoch: i64) -> Result<Self, LayerError> {
        let epoch = epoch.max(0).cast_unsigned();
        let mut plan = Self { tree, epoch, first_names: BTreeMap::new(), newest_below: BTreeMap::new() };
        for (path, node) in tree {
            plan.check_parent(path)?;
            let mut mtime = node.meta.mtime;
            if let Kind::Hardlink(target) = &node.kind {
                mtime = plan.file(path, target)?.meta.mtime;
                // Paths come sorted, so the first link that is seen is the first of all of them.
                plan.first_names.entry(target).or_insert(path.min(target));
            }
            plan.note_time(path, node, mtime);
        }
        Ok(plan)
    }

    /// All entries, sorted by the bytes of their paths.
    pub(super) fn entries(&self) -> impl Iterator<Item = Planned<'_>> {
        self.tree.iter().map(|(path, node)| self.planned(path, node))
    }

    fn planned<'b>(&'b self, path: &'b RootPath, node: &'b Node) -> Planned<'b> {
        // A file's first name in the order of the archive carries the content, whichever name the tree has it under, and all its
        // names carry the same metadata: extractors apply that of the last.
        let name = match &node.kind {
            Kind::Hardlink(target) => target,
            _ => path,
        };
        let first = self.first_names.get(name).copied().unwrap_or(path);
        let (node, content) = match self.tree.get(name) {
            Some(file @ Node { kind: Kind::File(content), .. }) => (file, (first == path).then_some(content)),
            _ => (node, None),
        };
        let mut mode = node.meta.mode & 0o7777;
        let kind = match &node.kind {
            Kind::File(_) | Kind::Hardlink(_) if first != path => EntryKind::Hardlink(first.as_bytes()),
            Kind::File(content) => EntryKind::File(content.size()),
            Kind::Hardlink(target) => EntryKind::Hardlink(target.as_bytes()),
            Kind::Symlink(target) => {
                mode = 0o777;
                EntryKind::Symlink(target)
            }
            Kind::CharDevice { major, minor } => EntryKind::CharDevice(*major, *minor),
            Kind::BlockDevice { major, minor } => EntryKind::BlockDevice(*major, *minor),
            Kind::Directory => EntryKind::Directory,
            Kind::Fifo => EntryKind::Fifo,
        };
        let (uid, gid) = (node.meta.uid, node.meta.gid);
        let mtime = self.newest_below.get(path).copied().unwrap_or_else(|| self.clamped(node.meta.mtime));
        let entry = Entry { path: path.as_bytes(), kind, mode, uid, gid, mtime, xattrs: &node.meta.xattrs };
        Planned { path, entry, content }
    }

    fn file(&self, path: &RootPath, target: &RootPath) -> Result<&'a Node, LayerError> {
        match self.tree.get(target) {
            Some(node @ Node { kind: Kind::File(_), .. }) => Ok(node),
            _ => Err(LayerError::Hardlink { path: path.clone(), target: target.clone() }),
        }
    }

    /// An entry below a link would be extracted elsewhere, or break the layers underneath.
    fn check_parent(&self, path: &RootPath) -> Result<(), LayerError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.tree.get(&parent) {
            None | Some(Node { kind: Kind::Directory, .. }) => Ok(()),
            Some(_) => Err(LayerError::NotADirectory { path: path.clone(), parent }),
        }
    }

    /// A directory is as new as the newest of what is below it in this layer: its own time depends on the package that happened to
    /// bring it, and on files that were pruned. An empty one keeps its time.
    fn note_time(&mut self, path: &RootPath, node: &Node, mtime: i64) {
        if matches!(node.kind, Kind::Directory) && self.tree.below(path).next().is_some() {
            return;
        }
        let time = self.clamped(mtime);
        for directory in path.ancestors() {
            let newest = self.newest_below.entry(directory).or_default();
            *newest = time.max(*newest);
        }
    }

    fn clamped(&self, mtime: i64) -> u64 {
        mtime.max(0).cast_unsigned().min(self.epoch)
    }
}
