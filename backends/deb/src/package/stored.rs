//! The form in which the store holds a [`Listing`]: borrowed from it, or from the bytes of the entry.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use minimg_deb822::Control;
use minimg_tree::archive::{Member, MemberKind};
use minimg_tree::{Meta, RootPath};

/// Changed with every change of the form or of what is kept.
const VERSION: u32 = 3;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredListing<'a> {
    version: u32,
    control: &'a str,
    #[serde(borrow)]
    files: BTreeMap<&'a str, &'a [u8]>,
    #[serde(borrow)]
    members: Vec<StoredMember<'a>>,
    #[serde(borrow)]
    copyrights: BTreeMap<u64, &'a [u8]>,
}

#[derive(Serialize, Deserialize)]
struct StoredMember<'a> {
    path: &'a [u8],
    kind: StoredKind<'a>,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    #[serde(borrow)]
    xattrs: Vec<(&'a str, &'a [u8])>,
}

#[derive(Serialize, Deserialize)]
enum StoredKind<'a> {
    Directory,
    File(u64),
    Hardlink(&'a [u8]),
    Symlink(&'a [u8]),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

impl<'a> From<&'a Listing> for StoredListing<'a> {
    fn from(listing: &'a Listing) -> Self {
        Self {
            version: VERSION,
            control: listing.control.text(),
            files: listing.files.iter().map(|(name, bytes)| (name.as_str(), &**bytes)).collect(),
            members: listing.members.iter().map(StoredMember::from).collect(),
            copyrights: listing.copyrights.iter().map(|(&key, bytes)| (key, &**bytes)).collect(),
        }
    }
}

impl<'a> StoredListing<'a> {
    /// Reads the form; `None` when the bytes are of another version or damaged.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (stored, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && stored.version == VERSION).then_some(stored)
    }

    /// The listing, whose files share the memory of `bytes`, from which this was read.
    pub(super) fn into_listing(self, bytes: &Bytes) -> Option<Listing> {
        let members = self.members.into_iter().map(StoredMember::into_member).collect::<Option<Vec<_>>>()?;
        let is_file = |(&key, text): (&u64, &&[u8])| {
            let member = usize::try_from(key).ok().and_then(|key| members.get(key));
            member.is_some_and(|member| member.kind == MemberKind::File(text.len() as u64))
        };
        if !self.copyrights.iter().all(is_file) {
            return None;
        }
        Some(Listing {
            control: Control::parse(self.control).ok()?,
            files: self.files.into_iter().map(|(name, file)| (name.to_owned(), bytes.slice_ref(file))).collect(),
            copyrights: self.copyrights.into_iter().map(|(key, text)| (key, bytes.slice_ref(text))).collect(),
            members,
        })
    }
}

impl<'a> From<&'a Member> for StoredMember<'a> {
    fn from(member: &'a Member) -> Self {
        let Member { path, kind, meta } = member;
        let kind = match kind {
            MemberKind::Directory => StoredKind::Directory,
            MemberKind::File(size) => StoredKind::File(*size),
            MemberKind::Hardlink(target) => StoredKind::Hardlink(target.as_bytes()),
            MemberKind::Symlink(target) => StoredKind::Symlink(target),
            MemberKind::CharDevice(major, minor) => StoredKind::CharDevice(*major, *minor),
            MemberKind::BlockDevice(major, minor) => StoredKind::BlockDevice(*major, *minor),
            MemberKind::Fifo => StoredKind::Fifo,
        };
        let xattrs = meta.xattrs.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        Self { path: path.as_bytes(), kind, mode: meta.mode, uid: meta.uid, gid: meta.gid, mtime: meta.mtime, xattrs }
    }
}

impl StoredMember<'_> {
    fn into_member(self) -> Option<Member> {
        let kind = match self.kind {
            StoredKind::Directory => MemberKind::Directory,
            StoredKind::File(size) => MemberKind::File(size),
            StoredKind::Hardlink(target) => MemberKind::Hardlink(RootPath::new(target).ok()?),
            StoredKind::Symlink(target) => MemberKind::Symlink(target.into()),
            StoredKind::CharDevice(major, minor) => MemberKind::CharDevice(major, minor),
            StoredKind::BlockDevice(major, minor) => MemberKind::BlockDevice(major, minor),
            StoredKind::Fifo => MemberKind::Fifo,
        };
        let path = RootPath::new(self.path).ok().filter(|path| !path.is_root())?;
        let xattrs = self.xattrs.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        Some(Member {
            path,
            kind,
            meta: Meta { mode: self.mode, uid: self.uid, gid: self.gid, mtime: self.mtime, xattrs },
        })
    }
}
