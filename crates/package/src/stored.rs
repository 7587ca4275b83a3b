//! The form in which the store holds a [`Listing`]: borrowed from it, or from the bytes of the entry.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::listing::Listing;
use minimg_tree::archive::{Member, MemberKind};
use minimg_tree::{Meta, RootPath};

/// Changed with every change of the form or of what is kept.
const VERSION: u32 = 4;

impl<F: Format> Listing<F> {
    /// The form for the store.
    pub fn encode(&self) -> Vec<u8> {
        // Memory takes everything; if it did not, an entry without bytes would be read as none.
        postcard::to_allocvec(&StoredListing::from(self)).unwrap_or_default()
    }

    /// Reads the form; `None` when the bytes are of another version or damaged.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        StoredListing::read(&bytes)?.into_listing(&bytes)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredListing<'a> {
    version: u32,
    #[serde(borrow)]
    head: BTreeMap<&'a str, &'a [u8]>,
    #[serde(borrow)]
    members: Vec<StoredMember<'a>>,
    #[serde(borrow)]
    at_hand: BTreeMap<u64, &'a [u8]>,
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

impl<'a, F: Format> From<&'a Listing<F>> for StoredListing<'a> {
    fn from(listing: &'a Listing<F>) -> Self {
        Self {
            version: VERSION,
            head: listing.head.iter().map(|(name, bytes)| (name.as_str(), &**bytes)).collect(),
            members: listing.members.iter().map(StoredMember::from).collect(),
            at_hand: listing.at_hand.iter().map(|(&key, bytes)| (key, &**bytes)).collect(),
        }
    }
}

impl<'a> StoredListing<'a> {
    /// Reads the form; `None` when the bytes are of another version or damaged.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (stored, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && stored.version == VERSION).then_some(stored)
    }

    /// The listing, whose files share the memory of `bytes`, from which this was read.
    fn into_listing<F: Format>(self, bytes: &Bytes) -> Option<Listing<F>> {
        let members = self.members.into_iter().map(StoredMember::into_member).collect::<Option<Vec<_>>>()?;
        let is_file = |(&key, text): (&u64, &&[u8])| {
            let member = usize::try_from(key).ok().and_then(|key| members.get(key));
            member.is_some_and(|member| member.kind == MemberKind::File(text.len() as u64))
        };
        if !self.at_hand.iter().all(is_file) {
            return None;
        }
        let head = self.head.into_iter().map(|(name, file)| (name.to_owned(), bytes.slice_ref(file))).collect();
        let at_hand = self.at_hand.into_iter().map(|(key, content)| (key, bytes.slice_ref(content))).collect();
        Some(Listing { facts: F::facts(&head).ok()?, head, members, at_hand })
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
