//! Backends: the ways to obtain a root tree.
//!
//! A backend first *resolves* a request to pins, which is the only step that may ask the network what to choose, and then *produces*
//! the root tree of exactly those pins. A [`Resolution`] stands between the two: it has the pins, and becomes the tree. A lock's pins become
//! a tree in the same way ([`Pinned`]).
//!
//! A backend that drives an outside tool cannot choose without unpacking: it makes the tree when it resolves, and pins the tree itself
//! ([`fixed`]). From then on nothing is left to chance: what it produces are the bytes that it pinned.
//!
//! ```
//! use minimg_backend::{Context, fixed};
//! use minimg_store::Store;
//! use minimg_tree::{Node, RootPath, RootTree};
//!
//! let directory = tempfile::tempdir()?;
//! let context = Context::new(Store::open(directory.path())?);
//! let mut tree = RootTree::new();
//! tree.insert(RootPath::new("srv/hello")?, Node::file(0o644, "hello\n"));
//!
//! let pins = fixed::fix(tree, "an example", &context)?;
//! let again = fixed::produce(&pins, &context)?.tree;
//! assert!(again.contains(&RootPath::new("srv/hello")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod capabilities;
pub mod driven;
pub mod fixed;
pub mod options;
mod resolution;
pub mod scrub;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use minimg_base::board::Board;
use minimg_base::digest::Digest;
use minimg_base::error::Result;
use minimg_tree::RootTree;

pub use minimg_context::{Context, Part, Settings};
pub use resolution::{Pinned, Resolution};

/// The `/etc/hosts` of an image whose packages have none, as Debian's installer writes it.
pub const HOSTS: &str =
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// What is asked of a backend: the part of a profile and a board that decides what the root tree holds.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The machine that the tree is for.
    pub board: Board,
    /// Where packages come from.
    pub source: Source,
    /// The wanted packages, in the words of the backend's family: `name`, `name=version`, `name:arch`.
    pub packages: Vec<String>,
}

/// Where packages come from. Each backend says which keys it knows; all are optional.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Source {
    /// The distribution: `debian`, `ubuntu`, `fedora`.
    pub distribution: String,
    /// The release: `trixie`, `43`.
    pub suite: String,
    /// Components or modules: `main`, `contrib`.
    pub components: Vec<String>,
    /// Suites that are searched too: `trixie-updates`, `trixie-security`; `None` for the distribution's usual ones.
    pub extra_suites: Option<Vec<String>>,
    /// The mirror's address, where the profile or the command line names one.
    pub mirror: Option<String>,
    /// The mirror of security updates, where one is named.
    pub security_mirror: Option<String>,
    /// Whole source entries in apt's one-line or deb822 form, instead of mirror, suite and components.
    pub entries: Vec<String>,
    /// The keyring file that signatures are checked against, in place of the usual one.
    pub keyring: Option<PathBuf>,
    /// Whether Recommends are installed too.
    pub recommends: bool,
    /// Versions that take precedence over newer ones: package name to version or suite.
    pub pins: BTreeMap<String, String>,
    /// Packages that must not be in the tree.
    pub exclude: Vec<String>,
    /// Whether to accept an expired Release file.
    pub allow_expired: bool,
    /// Whether to accept a Release file that names another suite. Not written when it is not set, so that it changes no digest of a request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_other_suite: bool,
    /// Settings for a single backend, under its name.
    pub options: BTreeMap<String, toml::Value>,
    /// The directory of the file that says so, at which relative paths in the options start; it is not part of what is asked.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// What a request resolved to: enough to produce the same tree again, bit for bit, without asking what to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// The archives that the packages come from.
    pub archives: Vec<Archive>,
    /// The packages, sorted by name and architecture.
    pub packages: Vec<PinnedPackage>,
    /// The date that files made here get: the newest of the archives' dates, in seconds since 1970.
    pub epoch: i64,
    /// The finished root tree, where the backend's tool chooses and unpacks in one go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PinnedRoot>,
}

/// A finished root tree, named by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedRoot {
    /// The SHA-256 of the tar, image archive or image manifest that the tree is read from.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What made it, or where it came from, in words for people: `mmdebstrap 1.3.5`, `rootfs.tar.xz`.
    pub origin: String,
}

/// An archive that packages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// What it calls itself: `Debian trixie-security`.
    pub name: String,
    /// The address below which the packages' paths lie. Not part of what identifies a layer, since mirrors are equal.
    pub address: String,
    /// The date of its signed index, RFC 3339.
    pub date: String,
}

/// One package, named so exactly that nothing else can be meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PinnedPackage {
    /// The name.
    pub name: String,
    /// The whole version.
    pub version: String,
    /// The distribution's name of its architecture.
    pub architecture: String,
    /// The place in [`Pins::archives`].
    pub archive: usize,
    /// The path below the archive's address.
    pub path: String,
    /// The length in bytes.
    pub size: u64,
    /// The SHA-256 of the package file.
    pub sha256: Digest,
}

/// A root tree as a backend made it.
pub struct Produced {
    /// The tree, as if the packages were installed.
    pub tree: RootTree,
    /// Told which part of the tree was kept, so that it can be had faster next time.
    pub retain: Option<Box<dyn Retain>>,
}

/// Remembers what was kept of a tree.
pub trait Retain {
    /// Stores what is needed to produce `kept` again without unpacking the packages.
    ///
    /// # Errors
    /// When the store fails; the build itself is not harmed by that.
    fn retain(self: Box<Self>, kept: &RootTree) -> Result<()>;
}

/// A way to obtain a root tree.
pub trait Backend: Send + Sync {
    /// The name that profiles and the command line use.
    fn name(&self) -> &str;

    /// One line for `minimg list backends`.
    fn description(&self) -> &str;

    /// The family whose package names it understands: the key under `[packages]` in a profile.
    fn family(&self) -> &str;

    /// Whether a request that names no packages makes sense, as it does for a finished root tree.
    fn works_without_packages(&self) -> bool {
        false
    }

    /// What it uses of this machine, found or missing, in the order of importance; nothing for a backend that works everywhere.
    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let _ = settings;
        Vec::new()
    }

    /// Chooses the packages. May use the network unless the context is offline.
    ///
    /// # Errors
    /// When the request cannot be satisfied or the archives cannot be read or trusted.
    fn pin(&self, request: &Request, context: &Context) -> Result<Pins>;

    /// As [`Backend::pin`], for a tree that is made right afterwards: a backend may begin meanwhile with what the tree will most likely need.
    ///
    /// # Errors
    /// As [`Backend::pin`].
    fn resolve<'b>(&'b self, request: &Request, context: &Context) -> Result<Box<dyn Resolution + 'b>> {
        let pins = self.pin(request, context)?;
        Ok(Box::new(Pinned::new(self, request.clone(), pins, context.clone())))
    }

    /// Fills in the addresses of archives that a lock left open; called when something must be fetched.
    ///
    /// # Errors
    /// When no mirror is known.
    fn locate(&self, request: &Request, pins: Pins, context: &Context) -> Result<Pins> {
        let _ = (request, context);
        Ok(pins)
    }

    /// Makes the root tree of exactly these pins. May use the network to fetch what the store lacks, never to choose.
    ///
    /// # Errors
    /// When a package cannot be had, is not what was pinned, or is malformed.
    fn produce(&self, request: &Request, pins: &Pins, context: &Context) -> Result<Produced>;
}
