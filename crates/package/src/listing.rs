//! What is known of a package without its files' contents, cached in the store under the package's digest, so that a package that was
//! seen once need not be decoded again to know what is in it.
//!
//! The form is postcard's, of what `stored` says, after a version.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Problem;
use crate::format::{Format, Head};
use minimg_tree::archive::{Member, MemberKind};
use minimg_tree::{Content, ContentSource};

/// The kind of the store's entries that hold listings.
pub(crate) const ENTRY: &str = "listing";

/// A file that is longer is read from the package, even if nearly every image keeps it.
const LONGEST_AT_HAND: u64 = 128 << 10;

/// What is known of a package without its files' contents.
#[derive(Debug, Clone)]
pub struct Listing<F: Format> {
    /// What was read out of the head.
    pub facts: F::Facts,
    /// What the package says of itself.
    pub head: Head,
    /// The members in the order of the package; the place of a file here is the key of its content.
    pub members: Vec<Member>,
    /// The contents of files that nearly every image keeps, by key.
    pub(crate) at_hand: BTreeMap<u64, Bytes>,
}

impl<F: Format> Listing<F> {
    /// Puts together what reading a package gave.
    ///
    /// # Errors
    /// When the head is malformed, or `contents` fails.
    pub(crate) fn new(head: Head, members: Vec<Member>, contents: &dyn ContentSource) -> Result<Self, Problem> {
        let keys = (0..).zip(&members).filter(|(_, member)| is_at_hand::<F>(member)).map(|(key, _)| key);
        let at_hand = keys.map(|key| Ok((key, contents.map(key)?))).collect::<io::Result<_>>()?;
        Ok(Self { facts: F::facts(&head)?, head, members, at_hand })
    }

    /// The content of a file: at hand here, or else from `source`.
    pub fn content(&self, key: u64, size: u64, source: &Arc<dyn ContentSource>) -> Content {
        match self.at_hand.get(&key) {
            Some(bytes) => Content::memory(bytes.clone()),
            None => Content::lazy(source.clone(), key, size),
        }
    }

    /// A file of the head as text; empty when there is none.
    pub fn text(&self, name: &str) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.head.get(name).map(|bytes| &**bytes).unwrap_or_default())
    }
}

fn is_at_hand<F: Format>(member: &Member) -> bool {
    matches!(member.kind, MemberKind::File(size) if size <= LONGEST_AT_HAND) && F::is_always_kept(member)
}
