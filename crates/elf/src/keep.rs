//! What is kept of a tree: the roots of the closure, and what no walk can see.

use serde::Serialize;

use crate::rules::Rules;
use crate::settings::ClosureSettings;

/// What is kept of the root tree: the roots of the closure, and what no walk can see.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Keep {
    /// Programs by path, or by name to be looked up in the image's PATH.
    pub programs: Vec<String>,
    /// Programs that are kept when the tree has them.
    pub optional_programs: Vec<String>,
    /// Rule sets by name, such as `ca-certificates`.
    pub rules: Vec<String>,
    /// The rule sets that can be named, and that what is kept can trigger; written down only as far as they are a user's own.
    #[serde(skip_serializing_if = "Rules::is_built_in")]
    pub rule_sets: Rules,
    /// Whole packages, all of their files.
    pub packages: Vec<String>,
    /// Globs over the tree's paths that are kept, and why.
    pub keep: Vec<Pattern>,
    /// Globs over the tree's paths that are dropped though something would keep them, and why.
    pub drop: Vec<Pattern>,
    /// How the walk decides where the files alone do not.
    pub closure: ClosureSettings,
}

/// A glob over absolute paths and the reason that people gave for it. `*` stops at a slash, `**` does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// Such as `/usr/share/nginx/**`.
    pub glob: String,
    /// Why; shown by `minimg why`.
    pub reason: String,
}
