//! Profiles: what the user wants, without pins. The TOML shape is in `file`; these are the types that the rest of the code uses.

mod apply;
mod catalogue;
mod changes;
mod check;
mod definition;
mod explain;
mod file;
mod local;

use std::collections::BTreeMap;

use serde::Serialize;

use minimg_backend::Source;
use minimg_oci::image::Config;

pub use catalogue::Catalogue;
pub use changes::ImageChanges;
pub use definition::Definition;
pub use explain::{Explanation, Line, Section};
pub use local::LocalTree;
pub use minimg_document::{DocumentError, FileError, Problem};
pub use minimg_elf::{ClosureSettings, Keep, Pattern, Policy, Rules};

/// The JSON Schema (draft 2020-12) of profiles, for editors: made from the types that read them.
pub fn schema() -> serde_json::Value {
    minimg_document::document::schema_of::<file::ProfileFile>()
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
    /// One line that describes it.
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

/// What is added to the root tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Additions {
    /// Accounts besides root and nobody, which every image has unless `base` is off.
    pub accounts: Vec<Account>,
    /// Files.
    pub files: Vec<AddedFile>,
    /// Whole directories of the user's.
    pub trees: Vec<AddedTree>,
    /// Symbolic links: path and target.
    pub links: BTreeMap<String, String>,
    /// Directories.
    pub directories: Vec<AddedDirectory>,
    /// Whether to create the usual small files: passwd, group, nsswitch, hosts, os-release, machine-id, /tmp and the like.
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
    /// The path in the image.
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

/// A directory of the user's that is added to the image with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddedTree {
    /// The path in the image of what is in it.
    pub path: String,
    /// What is in it.
    pub content: LocalTree,
    /// The owner, by name or number.
    pub owner: String,
    /// The group, by name or number.
    pub group: String,
}

/// A directory that is added to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddedDirectory {
    /// The path in the image.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// The owner, by name or number.
    pub owner: String,
    /// The group, by name or number.
    pub group: String,
}

/// A test that shows that the image works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Test {
    /// What the test shows.
    pub name: String,
    /// The command, run in the image in place of its entrypoint, or beside it when there is a port; empty only then.
    pub command: Vec<String>,
    /// The port on which the image, started as it is, listens: without a command, `stdin` is sent there, and `stdout` comes back.
    pub port: Option<u16>,
    /// Text that the output must contain.
    pub stdout: Option<String>,
    /// The exit code that is expected.
    pub exit: i32,
    /// The standard input of the command.
    pub stdin: Option<String>,
}
