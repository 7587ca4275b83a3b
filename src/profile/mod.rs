//! Profiles: what the user wants, unpinned. The TOML shape is in `file`; these are the types that the rest works with.

mod apply;
mod catalogue;
mod check;
mod definition;
pub(crate) mod document;
mod error;
mod explain;
mod file;
pub(crate) mod problem;
pub(crate) mod shelf;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::backend::Source;
use crate::image::Config;

pub use catalogue::Catalogue;
pub use definition::Definition;
pub use error::ProfileError;
pub use explain::{Explanation, Line, Section};
pub use problem::{FileError, Problem};

/// The JSON Schema (draft 2020-12) of profiles, for editors: made from the types that read them.
pub fn schema() -> serde_json::Value {
    document::schema_of::<file::ProfileFile>()
}

/// Whether a profile may have this name, which becomes its image's.
///
/// # Errors
/// Why not, in words.
pub fn check_name(name: &str) -> std::result::Result<(), String> {
    check::profile_name(name).map(drop)
}

/// A commented profile to start from, for an image of this name. It can be read as it stands, and each of its examples holds
/// when the `#` before it is taken away.
pub fn template(name: &str) -> String {
    include_str!("template.toml").replace("NAME", name)
}

/// What the user wants in an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The name, which is the file's name without `.toml`.
    pub name: String,
    /// One line on what it is.
    pub description: String,
    /// The backend that makes the root tree unless the command line says otherwise.
    pub backend: String,
    /// Where packages come from.
    pub source: Source,
    /// The wanted packages by family (`deb`, `rpm`, `buildroot`, `apk`).
    pub packages: BTreeMap<String, Vec<String>>,
    /// What is kept of the root tree.
    pub keep: Keep,
    /// What is added to it.
    pub add: Additions,
    /// How the program is run.
    pub image: Config,
    /// How to see that the image works.
    pub tests: Vec<Test>,
}

/// What is kept of the root tree: the roots of the closure, and what no walk can see.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Keep {
    /// Programs by path, or by name to be looked up in the image's PATH.
    pub programs: Vec<String>,
    /// Programs that are kept when the tree has them.
    pub optional_programs: Vec<String>,
    /// Rule sets by name, such as `ca-certificates`.
    pub rules: Vec<String>,
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

/// How the closure walk decides where the files alone do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClosureSettings {
    /// What is done with libraries that only a string in a program names.
    pub dlopen_strings: Policy,
    /// What is done with libraries that a `.note.dlopen` calls `suggested`.
    pub suggested: Policy,
    /// What is done with commands that a kept script names.
    pub script_commands: Policy,
    /// Whether every `glibc-hwcaps` level is kept, not only the baseline.
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

/// What is added to the root tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Additions {
    /// Accounts besides root and nobody, which every image has unless `base` is off.
    pub accounts: Vec<Account>,
    /// Files.
    pub files: Vec<AddedFile>,
    /// Symbolic links: path and target.
    pub links: BTreeMap<String, String>,
    /// Directories.
    pub directories: Vec<AddedDirectory>,
    /// Whether the usual small files are made: passwd, group, nsswitch, hosts, os-release, machine-id, /tmp and the like.
    pub base: bool,
    /// A program whose applets become links to it, and the directory for those links that have no usual place.
    pub applets: Option<String>,
}

/// An account of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The main group's name; the user's own name when empty.
    pub group: String,
    /// The main group's number.
    pub gid: u32,
    /// The home directory; made, and owned by the user, unless it is `/` or `/nonexistent`.
    pub home: String,
    /// The login shell.
    pub shell: String,
    /// The full name.
    pub gecos: String,
}

/// A file that is added to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddedFile {
    /// Where it is in the image.
    pub path: String,
    /// What is in it, already read.
    pub content: Vec<u8>,
    /// Permissions.
    pub mode: u32,
    /// The owner, by name or number.
    pub owner: String,
    /// The group, by name or number.
    pub group: String,
}

/// A directory that is added to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddedDirectory {
    /// Where it is in the image.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// The owner, by name or number.
    pub owner: String,
    /// The group, by name or number.
    pub group: String,
}

/// A run of the image that shows that it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Test {
    /// What it shows.
    pub name: String,
    /// The command, run in the image in place of its entrypoint.
    pub command: Vec<String>,
    /// A part of what must be printed.
    pub stdout: Option<String>,
    /// The exit code that is expected.
    pub exit: i32,
    /// What the command gets to read.
    pub stdin: Option<String>,
}
