//! One path of a root tree.

use std::collections::BTreeMap;

use super::{Content, PackageId, RootPath};

/// Extended attributes by name, such as `security.capability`.
pub type Xattrs = BTreeMap<String, Vec<u8>>;

/// What is at a path.
#[derive(Debug, Clone)]
pub struct Node {
    /// The type of file, with what only that type has.
    pub kind: Kind,
    /// What every type has.
    pub meta: Meta,
    /// The package that owns the path, where one does.
    pub package: Option<PackageId>,
}

/// The types of file, with what only each type has.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// Another name of the regular file at that path, which must be a [`Kind::File`].
    Hardlink(RootPath),
    /// A symbolic link with its target as it is stored: absolute, relative or dangling.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice {
        /// The driver.
        major: u32,
        /// The device within the driver.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The driver.
        major: u32,
        /// The device within the driver.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// What every type of file has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Permissions with set-id and sticky bits: the low twelve bits of `st_mode`.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Seconds since 1970 of the last change.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Node {
    /// A node of root's with no time and no package.
    pub fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, meta: Meta { mode, ..Meta::default() }, package: None }
    }

    /// A directory of root's.
    pub fn directory(mode: u32) -> Self {
        Self::new(Kind::Directory, mode)
    }

    /// A file of root's that is made here.
    pub fn file(mode: u32, content: impl Into<bytes::Bytes>) -> Self {
        Self::new(Kind::File(Content::memory(content)), mode)
    }

    /// A symbolic link of root's.
    pub fn symlink(target: impl AsRef<[u8]>) -> Self {
        Self::new(Kind::Symlink(target.as_ref().into()), 0o777)
    }

    /// The same node, changed last at `mtime` seconds since 1970.
    #[must_use]
    pub fn at(mut self, mtime: i64) -> Self {
        self.meta.mtime = mtime;
        self
    }

    /// The same node with another owner.
    #[must_use]
    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        (self.meta.uid, self.meta.gid) = (uid, gid);
        self
    }
}
