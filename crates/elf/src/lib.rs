//! The closure: the kept part of a root tree, and for every kept path the reason why.
//!
//! [`elf`] turns bytes into facts, [`loader`] follows the rules of glibc and musl, [`hidden`] knows what no file names, [`rules`] are
//! the named sets of files that no walk can see, [`ldcache`] writes the image's `/etc/ld.so.cache`, [`check`] proves that an image is
//! complete, and [`explain`] answers why. [`close`] and [`walk`] put them together.

mod advice;
pub mod check;
mod close;
pub mod elf;
mod error;
pub mod explain;
pub mod hidden;
mod keep;
pub mod ldcache;
pub mod loader;
mod record;
pub mod rules;
mod shebang;
mod walker;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use minimg_tree::RootPath;

pub use close::{Options, close};
pub use error::{ClosureError, MissingFile};
pub use keep::{ClosureSettings, Keep, Pattern, Policy};
pub use shebang::{Shebang, ShebangError};
pub use walker::{WalkSettings, walk};

/// What a walk found: every path that stays with its reason, and what people should know of.
///
/// Its serde form is a list of kept paths and a list of findings, made to travel in a build record; paths that are not UTF-8 survive it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "record::Record", try_from = "record::Record")]
pub struct Closure {
    /// Kept paths and why; links on the way are paths of their own. Directories above kept paths are implied and not listed.
    pub kept: BTreeMap<RootPath, Reason>,
    /// What people should know of: sorted, without repetition.
    pub findings: Vec<Finding>,
}

/// Why a path is kept, and the path that led to it. Following `via` ends at a line of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The step that brought the path in.
    pub why: Why,
    /// The kept path that asked for this one; `None` when the profile did.
    pub via: Option<RootPath>,
}

/// The step that brought a path in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step", content = "of")]
pub enum Why {
    /// The profile names this program.
    Program(String),
    /// The ELF interpreter of the program in `via`.
    Interpreter,
    /// The interpreter that the first line of the script in `via` names.
    Shebang,
    /// A library that `via` needs under this name.
    Needed(String),
    /// A library that `via` opens while it runs, and how that is known.
    Opened(String),
    /// A link that had to be followed from `via`.
    Link,
    /// The file that the link in `via` leads to.
    Target,
    /// A rule set keeps it.
    Rule(String),
    /// A keep glob of the profile, with the reason that people gave.
    Keep(String),
    /// A whole package that the profile keeps.
    Package(String),
    /// The profile or a rule made it; the text says which part.
    Added(String),
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The image would fail.
    Error,
    /// The image may fail on some road.
    Warning,
    /// Good to know.
    Note,
}

/// Something that people should know of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The path it was seen in, with a leading slash.
    pub path: String,
    /// What was seen, and what to do about it.
    pub message: String,
}

/// Bytes as people read them.
pub(crate) fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
