//! Makes sure that the entries of an archive fit together as one tree, whatever their order and however hostile they are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::error::TarError;
use super::tar::{Entry, EntryKind};
use crate::{Kind, Meta, RootPath};

/// How many directories may lie in one another: some package managers nest a hundred.
const MOST_NESTED: usize = 256;
/// What all paths, which are held twice, link targets and attributes of an archive may take. Paths of directories that are only implied count: those above a long
/// path are a thousand times as long. So do the copies that hard links to what has no content, and global headers, make of attributes.
const MOST_BYTES: usize = 256 << 20;

/// One path of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub path: RootPath,
    /// The type of file.
    pub kind: MemberKind,
    /// Mode, owner, time and attributes.
    pub meta: Meta,
}

/// The types of file that a member of an archive can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file of this many bytes.
    File(u64),
    /// Another name of that [`MemberKind::File`] of the same archive.
    Hardlink(RootPath),
    /// A symbolic link and its target as it is stored.
    Symlink(Box<[u8]>),
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

impl MemberKind {
    /// The kind of a tree's node; `content` is asked for the content when it is a file of that many bytes.
    pub fn to_node(&self, content: impl FnOnce(u64) -> crate::Content) -> Kind {
        match self {
            MemberKind::Directory => Kind::Directory,
            MemberKind::File(size) => Kind::File(content(*size)),
            MemberKind::Hardlink(target) => Kind::Hardlink(target.clone()),
            MemberKind::Symlink(target) => Kind::Symlink(target.clone()),
            MemberKind::CharDevice(major, minor) => Kind::CharDevice { major: *major, minor: *minor },
            MemberKind::BlockDevice(major, minor) => Kind::BlockDevice { major: *major, minor: *minor },
            MemberKind::Fifo => Kind::Fifo,
        }
    }
}

/// Collects the members of an archive. A later entry replaces an earlier one of the same kind and path, as for tar itself.
#[derive(Debug, Default)]
pub struct Collector {
    members: Vec<Member>,
    places: BTreeMap<RootPath, usize>,
    /// Files that have other names, and so cannot be replaced under one of them.
    linked: BTreeSet<RootPath>,
    /// Directories that have no entry of their own yet.
    implied: BTreeSet<RootPath>,
    /// What all paths, link targets and attributes take.
    bytes: usize,
    /// The directory that was found to be one last: entries come in an order that makes asking again rare.
    last_parent: Option<RootPath>,
}

impl Collector {
    /// Takes an entry in. Returns the place of a file in the final list, under which its body is to be kept; `None` for all else.
    ///
    /// # Errors
    /// When the entry lies below something that is not a directory, links to nothing, or contradicts an earlier one.
    pub fn add(&mut self, entry: Entry) -> Result<Option<usize>, TarError> {
        if entry.path.is_root() {
            return match entry.kind {
                EntryKind::Directory => Ok(None),
                _ => Err(TarError::Duplicate { path: entry.path }),
            };
        }
        self.count(2 * entry.path.as_bytes().len())?;
        self.check_parents(&entry.path)?;
        let Entry { path, kind, meta, size } = entry;
        let (kind, meta) = match kind {
            EntryKind::Directory => (MemberKind::Directory, meta),
            EntryKind::File => (MemberKind::File(size), meta),
            EntryKind::Hardlink(target) => self.other_name(&path, target, meta)?,
            EntryKind::Symlink(target) => (MemberKind::Symlink(target), meta),
            EntryKind::CharDevice(major, minor) => (MemberKind::CharDevice(major, minor), meta),
            EntryKind::BlockDevice(major, minor) => (MemberKind::BlockDevice(major, minor), meta),
            EntryKind::Fifo => (MemberKind::Fifo, meta),
        };
        self.count(size_beside_path(&kind, &meta))?;
        let is_file = matches!(kind, MemberKind::File(_));
        let at = self.put(Member { path, kind, meta })?;
        Ok(is_file.then_some(at))
    }

    /// The members in the order of the archive.
    pub fn into_members(self) -> Vec<Member> {
        self.members
    }

    fn put(&mut self, member: Member) -> Result<usize, TarError> {
        if member.kind != MemberKind::Directory && self.has_below(&member.path) {
            return Err(TarError::Duplicate { path: member.path });
        }
        let Some(&at) = self.places.get(&member.path) else {
            self.places.insert(member.path.clone(), self.members.len());
            self.members.push(member);
            return Ok(self.members.len() - 1);
        };
        let before = &mut self.members[at];
        let same_kind = std::mem::discriminant(&before.kind) == std::mem::discriminant(&member.kind);
        if !same_kind || self.linked.contains(&member.path) {
            return Err(TarError::Duplicate { path: member.path });
        }
        *before = member;
        Ok(at)
    }

    /// Lets so many bytes count as those of paths.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), TarError> {
        self.bytes += bytes;
        match self.bytes <= MOST_BYTES {
            true => Ok(()),
            false => Err(TarError::TooLarge { what: "bytes of paths, links and attributes", limit: MOST_BYTES as u64 }),
        }
    }

    fn has_below(&self, path: &RootPath) -> bool {
        let prefix = [path.as_bytes(), b"/"].concat();
        let after = self.places.range::<[u8], _>((Bound::Included(&*prefix), Bound::Unbounded)).next();
        after.is_some_and(|(next, _)| next.as_bytes().starts_with(&prefix))
    }

    fn check_parents(&mut self, path: &RootPath) -> Result<(), TarError> {
        let parent = path.parent().unwrap_or_default();
        if self.last_parent.as_ref() == Some(&parent) {
            return Ok(());
        }
        if path.components().count() > MOST_NESTED {
            return Err(TarError::TooLarge { what: "directories in one another", limit: MOST_NESTED as u64 });
        }
        for above in path.ancestors().rev() {
            match self.places.get(&above) {
                Some(&at) if self.members[at].kind != MemberKind::Directory => {
                    return Err(TarError::NotADirectory { path: path.clone(), above });
                }
                // What is above that was looked at when it was, and nothing else can have come there.
                Some(_) => break,
                None if self.implied.contains(&above) => break,
                None => {
                    self.count(above.as_bytes().len())?;
                    self.implied.insert(above);
                }
            }
        }
        self.last_parent = Some(parent);
        Ok(())
    }

    /// What a hard link makes, through links to links. What has no content has no need of another name: engines write links to symbolic
    /// links and devices, too, which become as many of them, each with the owner and mode of the first.
    fn other_name(&mut self, path: &RootPath, target: RootPath, meta: Meta) -> Result<(MemberKind, Meta), TarError> {
        let there = self.places.get(&target).map(|&at| &self.members[at]).filter(|_| target != *path);
        let file = match there.map(|first| (&first.kind, &first.meta)) {
            Some((MemberKind::File(_), _)) => target,
            Some((MemberKind::Hardlink(file), _)) if file != path => file.clone(),
            None | Some((MemberKind::Hardlink(_) | MemberKind::Directory, _)) => {
                return Err(TarError::Hardlink { path: path.clone(), target });
            }
            Some((kind, meta)) => return Ok((kind.clone(), meta.clone())),
        };
        self.linked.insert(file.clone());
        Ok((MemberKind::Hardlink(file), meta))
    }
}

/// What a member takes beside its path: the target of a link, and attributes, of which even an empty one takes its place in memory.
fn size_beside_path(kind: &MemberKind, meta: &Meta) -> usize {
    let target = match kind {
        MemberKind::Symlink(target) => target.len(),
        MemberKind::Hardlink(target) => target.as_bytes().len(),
        _ => 0,
    };
    let sizes =
        meta.xattrs.iter().map(|(name, value)| size_of_val(name) + size_of_val(value) + name.len() + value.len());
    target + sizes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_imply_too_much_are_refused() {
        let add = |collector: &mut Collector, path: String| {
            let path = RootPath::new(path).unwrap();
            collector.add(Entry { path, kind: EntryKind::File, meta: Meta::default(), size: 0 })
        };
        let nested = |count: usize| vec!["a"; count].join("/");
        add(&mut Collector::default(), nested(MOST_NESTED)).unwrap();
        let deep = add(&mut Collector::default(), nested(MOST_NESTED + 1));
        assert!(matches!(deep, Err(TarError::TooLarge { .. })), "{deep:?}");
        let mut collector = Collector { bytes: MOST_BYTES - 22, ..Collector::default() };
        // `ab` and `ab/cd`, and then `ab/ef` alone.
        add(&mut collector, "ab/cd".into()).unwrap();
        add(&mut collector, "ab/ef".into()).unwrap();
        let more = add(&mut collector, "g".into());
        assert!(matches!(more, Err(TarError::TooLarge { .. })), "{more:?}");
    }

    #[test]
    fn copies_of_attributes_and_targets_are_counted() {
        let path = |name: String| RootPath::new(name).unwrap();
        let link = || EntryKind::Symlink(vec![b'x'; 1000].into());
        let large = || [("user.a".to_owned(), vec![0; 1_000_000])].into();
        let small = || (0..10_000).map(|i| (format!("{i}"), Vec::new())).collect();
        let none = crate::Xattrs::new;
        // What the first has, how many members of it there are, and the least that each of them takes.
        let cases: [(EntryKind, crate::Xattrs, bool, usize); 6] = [
            (link(), large(), true, 1_001_000),
            (EntryKind::Fifo, large(), true, 1_000_000),
            (EntryKind::CharDevice(1, 3), small(), true, 480_000),
            (link(), none(), true, 1000),
            (link(), none(), false, 1000),
            (EntryKind::File, large(), false, 1_000_000),
        ];
        for (kind, xattrs, is_linked, least) in cases {
            let mut collector = Collector { bytes: MOST_BYTES - 10 * least, ..Collector::default() };
            let added = (0..11).try_for_each(|i| {
                let is_other = is_linked && i > 0;
                let kind = if is_other { EntryKind::Hardlink(path("n0".into())) } else { kind.clone() };
                let xattrs = if is_other { none() } else { xattrs.clone() };
                let meta = Meta { xattrs, ..Meta::default() };
                collector.add(Entry { path: path(format!("n{i}")), kind, meta, size: 0 }).map(drop)
            });
            assert!(matches!(added, Err(TarError::TooLarge { .. })), "{kind:?} linked {is_linked}: {added:?}");
            assert!(collector.into_members().len() >= 9, "{kind:?} linked {is_linked}");
        }
    }

    #[test]
    fn other_names_of_what_has_no_content_are_as_many_of_it() {
        let path = |name: &str| RootPath::new(name).unwrap();
        let link = EntryKind::Symlink((*b"x").into());
        let device = EntryKind::CharDevice(1, 3);
        for (first, expected) in [
            (link, Some(MemberKind::Symlink((*b"x").into()))),
            (device, Some(MemberKind::CharDevice(1, 3))),
            (EntryKind::Fifo, Some(MemberKind::Fifo)),
            (EntryKind::File, Some(MemberKind::Hardlink(path("a")))),
            (EntryKind::Directory, None),
        ] {
            let entry = |name, kind, mode| {
                let meta = Meta { mode, ..Meta::default() };
                Entry { path: path(name), kind, meta, size: 0 }
            };
            let mut collector = Collector::default();
            collector.add(entry("a", first, 0o777)).unwrap();
            let added = collector.add(entry("b", EntryKind::Hardlink(path("a")), 0o644));
            assert_eq!(added.is_ok(), expected.is_some(), "{added:?}");
            let last = collector.into_members().pop().unwrap();
            let is_copy = !matches!(last.kind, MemberKind::Hardlink(_));
            assert!(!is_copy || last.meta.mode == 0o777, "{last:?} has the mode of the first");
            assert!(expected.is_none_or(|expected| last.kind == expected), "{last:?}");
        }
    }
}
