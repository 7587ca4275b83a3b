//! What a package format has to say for itself.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{BufRead, Read};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Problem;
use crate::ration::Ration;
use minimg_tree::archive::tar::{self, Entry};
use minimg_tree::archive::{Member, TarError};

/// What a package says of itself, file by file: the control files of a `.deb`, the header of an `.rpm`, `.PKGINFO` of an `.apk`.
pub type Head = BTreeMap<String, Bytes>;

/// A package format. Everything else in this crate works for all of them.
pub trait Format: Debug + Clone + Copy + Send + Sync + 'static {
    /// What is read out of a [`Head`] before anything is done with the package.
    type Facts: Debug + Clone + Send + Sync;

    /// What the archive with the package's files is called in errors.
    const PAYLOAD: &'static str;

    /// Reads a package, whose digest was checked, up to its files. The head holds what later steps need and nothing else: it is stored
    /// with every listing. Everything that is decoded is taken from `ration`.
    ///
    /// # Errors
    /// When the bytes are not a package of this format, or exceed the limits.
    fn open<'a>(
        package: Box<dyn BufRead + Send + 'a>,
        ration: &Arc<Ration>,
    ) -> Result<(Head, Box<dyn Payload + 'a>), Problem>;

    /// Reads the head.
    ///
    /// # Errors
    /// When it is malformed.
    fn facts(head: &Head) -> Result<Self::Facts, Problem>;

    /// The package's name, version and architecture.
    fn identity(facts: &Self::Facts) -> (&str, &str, &str);

    /// Whether nearly every image keeps this file, so that its content belongs in the listing: a package need not be decoded for its sake.
    fn is_always_kept(member: &Member) -> bool;
}

/// The files of a package, one after another. The content of each is read from this before the next one is asked for; what is not read
/// is passed over.
pub trait Payload: Read + Send {
    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// When the bytes are malformed or exceed the limits.
    fn next_entry(&mut self) -> Result<Option<Entry>, TarError>;

    /// Reads what follows the last entry, which finds out whether the package ends where it should.
    ///
    /// # Errors
    /// When it does not.
    fn drain(&mut self) -> Result<(), TarError>;
}

impl<R: Read + Send> Payload for tar::Reader<R> {
    fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        tar::Reader::next_entry(self)
    }

    fn drain(&mut self) -> Result<(), TarError> {
        tar::Reader::drain(self)
    }
}
