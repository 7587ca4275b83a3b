//! What is known of a package without its files' contents, cached in the store under the package's digest, so that a package that was
//! seen once need not be decoded again to know what is in it.
//!
//! The form, after a version: control paragraph, files of the control archive, then every member as kind, mode, owner, group, time,
//! path, attributes and what its kind adds; last the contents of the copyright files by their keys. Numbers are LEB128, strings have
//! their length before them.
//!
//! The copyright file is here since nearly every image keeps it, and packages have it near their end: a package need not be decoded to
//! the end, or at all, for its sake.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Decoder, Encoder};
use super::deb::Metadata;
use minimg_deb822::Control;
use minimg_tree::archive::{Member, MemberKind};
use minimg_tree::{Content, ContentSource, Meta, RootPath, Xattrs};

/// Changed with every change of the form or of what is kept.
const VERSION: u64 = 2;
/// A copyright file that is longer is read from the package like any other file.
const LONGEST_COPYRIGHT: u64 = 128 << 10;

/// What is known of a package without its files' contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The control paragraph.
    pub control: Control,
    /// Files of the control archive by name, those that [`KEPT`] lists.
    pub files: BTreeMap<String, Bytes>,
    /// The members in the order of the package; the place of a file here is the key of its content.
    pub members: Vec<Member>,
    /// The contents of copyright files, by key.
    pub copyrights: BTreeMap<u64, Bytes>,
}

/// The files of the control archive that are kept: for scanners, and for the rules that stand in for maintainer scripts.
pub const KEPT: [&str; 4] = ["conffiles", "md5sums", "preinst", "postinst"];

impl Listing {
    /// Puts together what reading a package gave.
    ///
    /// # Errors
    /// When `contents` fails.
    pub fn new(metadata: Metadata, members: Vec<Member>, contents: &dyn ContentSource) -> io::Result<Self> {
        let kept = |(name, bytes): (String, Vec<u8>)| KEPT.contains(&&*name).then(|| (name, bytes.into()));
        let keys = (0..).zip(&members).filter(|(_, member)| is_copyright(member)).map(|(key, _)| key);
        let copyrights = keys.map(|key| Ok((key, contents.map(key)?))).collect::<io::Result<_>>()?;
        let files = metadata.files.into_iter().filter_map(kept).collect();
        Ok(Self { control: metadata.control, files, members, copyrights })
    }

    /// The content of a file: at hand here, or else from `source`.
    pub fn content(&self, key: u64, size: u64, source: &Arc<dyn ContentSource>) -> Content {
        match self.copyrights.get(&key) {
            Some(bytes) => Content::memory(bytes.clone()),
            None => Content::lazy(source.clone(), key, size),
        }
    }

    /// A file of the control archive as text; empty when there is none.
    pub fn text(&self, name: &str) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.files.get(name).map(|bytes| &**bytes).unwrap_or_default())
    }

    /// The form for the store.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.number(VERSION);
        out.bytes(self.control.text().as_bytes());
        out.number(self.files.len() as u64);
        for (name, bytes) in &self.files {
            out.bytes(name.as_bytes());
            out.bytes(bytes);
        }
        out.number(self.members.len() as u64);
        for member in &self.members {
            encode_member(member, &mut out);
        }
        out.number(self.copyrights.len() as u64);
        for (&key, bytes) in &self.copyrights {
            out.number(key);
            out.bytes(bytes);
        }
        out.0
    }

    /// Reads the form; `None` when the bytes are of another version or damaged.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let mut input = Decoder(bytes);
        if input.number()? != VERSION {
            return None;
        }
        let control = Control::parse(&input.text()?).ok()?;
        let mut files = BTreeMap::new();
        for _ in 0..input.count()? {
            files.insert(input.text()?, input.bytes()?);
        }
        let count = input.count()?;
        let members = (0..count).map(|_| decode_member(&mut input)).collect::<Option<Vec<_>>>()?;
        let mut copyrights = BTreeMap::new();
        for _ in 0..input.count()? {
            let (key, bytes) = (input.number()?, input.bytes()?);
            let member = members.get(usize::try_from(key).ok()?)?;
            if member.kind != MemberKind::File(bytes.len() as u64) {
                return None;
            }
            copyrights.insert(key, bytes);
        }
        input.0.is_empty().then_some(Self { control, files, members, copyrights })
    }
}

/// Whether this is what policy 12.5 asks every package for: `usr/share/doc/PACKAGE/copyright`.
fn is_copyright(member: &Member) -> bool {
    let path = member.path.as_bytes();
    let is_in_place = path.starts_with(b"usr/share/doc/") && path.ends_with(b"/copyright");
    is_in_place && matches!(member.kind, MemberKind::File(size) if size <= LONGEST_COPYRIGHT)
}

fn encode_member(member: &Member, out: &mut Encoder) {
    let Member { path, kind, meta } = member;
    let letter = match kind {
        MemberKind::Directory => b'd',
        MemberKind::File(_) => b'f',
        MemberKind::Hardlink(_) => b'h',
        MemberKind::Symlink(_) => b'l',
        MemberKind::CharDevice(..) => b'c',
        MemberKind::BlockDevice(..) => b'b',
        MemberKind::Fifo => b'p',
    };
    out.0.push(letter);
    out.number(meta.mode.into());
    out.number(meta.uid.into());
    out.number(meta.gid.into());
    out.signed(meta.mtime);
    out.bytes(path.as_bytes());
    out.number(meta.xattrs.len() as u64);
    for (name, value) in &meta.xattrs {
        out.bytes(name.as_bytes());
        out.bytes(value);
    }
    match kind {
        MemberKind::File(size) => out.number(*size),
        MemberKind::Hardlink(target) => out.bytes(target.as_bytes()),
        MemberKind::Symlink(target) => out.bytes(target),
        MemberKind::CharDevice(major, minor) | MemberKind::BlockDevice(major, minor) => {
            out.number((*major).into());
            out.number((*minor).into());
        }
        MemberKind::Directory | MemberKind::Fifo => {}
    }
}

fn decode_member(input: &mut Decoder) -> Option<Member> {
    let letter = input.byte()?;
    let (mode, uid, gid, mtime) = (input.small()?, input.small()?, input.small()?, input.signed()?);
    let path = RootPath::new(input.bytes()?).ok().filter(|path| !path.is_root())?;
    let mut xattrs = Xattrs::new();
    for _ in 0..input.count()? {
        xattrs.insert(input.text()?, input.bytes()?.to_vec());
    }
    let kind = match letter {
        b'd' => MemberKind::Directory,
        b'f' => MemberKind::File(input.number()?),
        b'h' => MemberKind::Hardlink(RootPath::new(input.bytes()?).ok()?),
        b'l' => MemberKind::Symlink((&*input.bytes()?).into()),
        b'c' => MemberKind::CharDevice(input.small()?, input.small()?),
        b'b' => MemberKind::BlockDevice(input.small()?, input.small()?),
        b'p' => MemberKind::Fifo,
        _ => return None,
    };
    Some(Member { path, kind, meta: Meta { mode, uid, gid, mtime, xattrs } })
}
