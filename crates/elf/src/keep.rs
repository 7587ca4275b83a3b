//! What is kept of a tree: the roots of the closure, and how the walk decides where the files alone do not.

use serde::Serialize;

/// What is kept of the root tree: the roots of the closure, and what no walk can see.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Keep {
    /// Programs by path, or by name to be looked up in the image's PATH.
    pub programs: Vec<String>,
    /// Programs that are kept when the tree has them.
    pub optional_programs: Vec<String>,
    /// Rule sets by name, such as `ca-certificates`.
    pub rules: Vec<String>,
    /// Whole packages, with all of their files.
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

/// How the closure walk decides where the files alone do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClosureSettings {
    /// What to do with libraries that only a string in a program names.
    pub dlopen_strings: Policy,
    /// What to do with libraries that a `.note.dlopen` calls `suggested`.
    pub suggested: Policy,
    /// What to do with commands that a kept script names.
    pub script_commands: Policy,
    /// Whether to keep every `glibc-hwcaps` level, not only the baseline.
    pub hwcaps: bool,
    /// Whether the files of trigger rules (certificates for libssl, terminfo for libtinfo, ...) are kept by themselves.
    pub triggers: Policy,
}

/// What is done with a finding that may or may not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Keep it and do not speak of it.
    Keep,
    /// Say what it is and how to keep it, and leave it out.
    Report,
    /// Leave it out in silence.
    Ignore,
}

impl Default for ClosureSettings {
    fn default() -> Self {
        Self {
            dlopen_strings: Policy::Report,
            suggested: Policy::Ignore,
            script_commands: Policy::Ignore,
            hwcaps: false,
            triggers: Policy::Report,
        }
    }
}
