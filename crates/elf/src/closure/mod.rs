//! What a walk found: the kept paths, each with its reason.

mod record;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use minimg_tree::RootPath;

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
    /// A directory that the way from `via` goes into and leaves by `..`.
    Crossed,
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

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Program(name) => write!(f, "the profile names the program {name}"),
            Why::Interpreter => write!(f, "it is the loader of the program"),
            Why::Shebang => write!(f, "the first line of the script names it"),
            Why::Needed(name) => write!(f, "it is needed as {name}"),
            Why::Opened(how) => write!(f, "{how}"),
            Why::Link => write!(f, "the way leads through this link"),
            Why::Crossed => write!(f, "the way leads into this directory and back by `..`"),
            Why::Target => write!(f, "the link leads to it"),
            Why::Rule(name) => write!(f, "the rule set {name} keeps it"),
            Why::Keep(reason) if reason.is_empty() => write!(f, "a keep glob of the profile matches it"),
            Why::Keep(reason) => write!(f, "the profile keeps it: {reason}"),
            Why::Package(name) => write!(f, "the profile keeps the package {name}"),
            Why::Added(part) => write!(f, "it was added: {part}"),
        }
    }
}

impl Closure {
    /// The reason why exactly this path is kept.
    pub fn reason(&self, path: &RootPath) -> Option<&Reason> {
        self.kept.get(path)
    }
}
