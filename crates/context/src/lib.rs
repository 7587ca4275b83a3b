//! What every step of a build may use: the store, the user's settings, and somebody to tell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use minimg_base::report::Reporter;
use minimg_store::Store;
use serde::Serialize;

/// What every step may use: the store, the user's settings, and somebody to tell.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The cache on disk.
    pub store: &'a Store,
    /// Told of what happens.
    pub reporter: &'a dyn Reporter,
    /// Whether the network may be used at all.
    pub offline: bool,
    /// The user's settings for finding mirrors and tools.
    pub settings: &'a Settings,
}

/// The user's settings, read from the environment and the configuration file by the program, never by the library.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Mirrors by distribution (`debian`, `debian-security`), from the environment or the configuration file.
    pub mirrors: BTreeMap<String, String>,
    /// The root below which the machine's own configuration is read: `/` in the program, a fixture in tests.
    pub machine: PathBuf,
    /// How many downloads and unpackings run at once; 0 for as many as there are cores.
    pub jobs: usize,
    /// The directories in which outside tools are looked for, as in PATH.
    pub path: OsString,
    /// Docker's `config.json`, which has the credentials for registries.
    pub docker_config: Option<PathBuf>,
    /// What the configuration file says of single backends, by name.
    pub backends: BTreeMap<String, toml::Table>,
    /// Whether this machine says which authorities it trusts with `https`; else those count that are built in.
    pub authorities: bool,
    /// The environment's variables of proxies, such as `http_proxy` and `no_proxy`, by their names in small letters.
    pub proxies: BTreeMap<String, String>,
    /// The directory of the configuration file, at which relative paths in it start.
    pub directory: PathBuf,
}

/// Something of this machine that a backend or engine uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is: `mmdebstrap or debootstrap`, `user namespaces`.
    pub name: String,
    /// Where it is, or what can be said of it; `None` when it is missing.
    pub found: Option<String>,
    /// Whether nothing works without it.
    pub needed: bool,
    /// What to do when it is missing; a command where there is one.
    pub remedy: String,
}
