//! What is known of a package without its files' contents, cached in the store under the package's digest, so that a package that was
//! seen once need not be decoded again to know what is in it.
//!
//! The form is postcard's, of what `stored` says, after a version.
//!
//! The copyright file is here since nearly every image keeps it, and packages have it near their end: a package need not be decoded to
//! the end, or at all, for its sake.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::deb::Metadata;
use super::stored::StoredListing;
use minimg_deb822::Control;
use minimg_tree::archive::{Member, MemberKind};
use minimg_tree::{Content, ContentSource};

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
        // Memory takes everything; if it did not, an entry without bytes would be read as none.
        postcard::to_allocvec(&StoredListing::from(self)).unwrap_or_default()
    }

    /// Reads the form; `None` when the bytes are of another version or damaged.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        StoredListing::read(&bytes)?.into_listing(&bytes)
    }
}

/// Whether this is what policy 12.5 asks every package for: `usr/share/doc/PACKAGE/copyright`.
fn is_copyright(member: &Member) -> bool {
    let path = member.path.as_bytes();
    let is_in_place = path.starts_with(b"usr/share/doc/") && path.ends_with(b"/copyright");
    is_in_place && matches!(member.kind, MemberKind::File(size) if size <= LONGEST_COPYRIGHT)
}
