//! The user's settings: the configuration file, and the environment, which overrides it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use minimg::backend::Settings;
use minimg::backends::buildroot;
use minimg::error::{Class, Error};
use minimg::store::Store;
use minimg::tree::read_limited;
use serde::Deserialize;

use super::Global;

/// The configuration file's shape.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    /// The directory of the store.
    store: Option<PathBuf>,
    /// The most bytes that the store may have; 0 for any number.
    store_limit: Option<u64>,
    /// Directories with the user's own profiles.
    #[serde(default)]
    profiles: Vec<PathBuf>,
    /// Directories with the user's own boards.
    #[serde(default)]
    boards: Vec<PathBuf>,
    /// Directories with the user's own rule sets.
    #[serde(default)]
    rules: Vec<PathBuf>,
    /// Mirrors by distribution: `debian`, `debian-security`.
    #[serde(default)]
    mirrors: BTreeMap<String, String>,
    /// Downloads and unpackings that run at once.
    jobs: Option<usize>,
    /// Settings of single backends, by name.
    #[serde(default)]
    backends: BTreeMap<String, toml::Table>,
    /// Where this file is.
    #[serde(skip)]
    directory: PathBuf,
}

/// The combined settings of the command line, the environment and the configuration file.
#[derive(Debug)]
pub(super) struct UserSettings {
    pub(super) library: Settings,
    pub(super) profiles: Vec<PathBuf>,
    pub(super) boards: Vec<PathBuf>,
    pub(super) rules: Vec<PathBuf>,
    pub(super) store: PathBuf,
    /// The most bytes that the store may have.
    pub(super) store_limit: Option<u64>,
}

/// The most bytes that the store may have when the configuration does not say: enough for dozens of images with all their packages.
const STORE_LIMIT: u64 = 20_000_000_000;

impl UserSettings {
    /// Reads them. The command line overrides the environment, which overrides the file.
    pub(super) fn read(global: &Global) -> anyhow::Result<Self> {
        let file = configuration(global)?;
        let mut library = Settings::of_this_machine(environment());
        // The environment wins over the file.
        library.mirrors = file.mirrors.into_iter().chain(library.mirrors).collect();
        library.jobs = global.jobs.or(file.jobs).unwrap_or(0);
        library.directory = file.directory;
        library.backends = file.backends;
        if let Some(tree) = std::env::var(buildroot::VARIABLE).ok().filter(|tree| !tree.is_empty()) {
            // Said in the environment, a relative path starts where the program does.
            let tree = std::path::absolute(&tree).unwrap_or_else(|_| PathBuf::from(&tree)).display().to_string();
            library.backends.entry("buildroot".to_owned()).or_default().insert("tree".to_owned(), tree.into());
        }
        let own = |kind: &str| directory("XDG_CONFIG_HOME", ".config").map(|base| base.join("minimg").join(kind));
        let own = |kind: &str| own(kind).filter(|directory| directory.is_dir());
        let usual = || Some(directory("XDG_CACHE_HOME", ".cache")?.join("minimg"));
        let store = not_empty(&global.store).cloned().or(file.store).or_else(usual);
        let store = store.ok_or_else(|| {
            super::usage(
                "there is no home directory to keep the cache in; name a directory with --store or MINIMG_STORE",
            )
        })?;
        Ok(Self {
            library,
            profiles: own("profiles").into_iter().chain(file.profiles).chain(global.profiles.iter().cloned()).collect(),
            boards: own("boards").into_iter().chain(file.boards).chain(global.boards.iter().cloned()).collect(),
            rules: own("rules").into_iter().chain(file.rules).chain(global.rules.iter().cloned()).collect(),
            store,
            store_limit: Some(file.store_limit.unwrap_or(STORE_LIMIT)).filter(|limit| *limit > 0),
        })
    }

    /// The store if there is one already.
    pub(super) fn existing_store(&self) -> anyhow::Result<Option<Store>> {
        Ok(Store::existing(&self.store).map_err(Error::from)?)
    }

    /// The store, made if need be.
    pub(super) fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.store).map_err(Error::from)?)
    }
}

fn configuration(global: &Global) -> anyhow::Result<File> {
    const LARGEST: u64 = 1 << 20;
    let usual = || directory("XDG_CONFIG_HOME", ".config").map(|base| base.join("minimg/config.toml"));
    let path = match not_empty(&global.config) {
        Some(path) => path.clone(),
        None => match usual().filter(|path| path.is_file()) {
            Some(path) => path,
            None => return Ok(File::default()),
        },
    };
    let read = |path: &Path| -> anyhow::Result<File> {
        let bytes = read_limited(path, LARGEST).map_err(|error| Error::new(Class::Profile, error))?;
        let parsed: Result<File, _> = toml::from_slice(&bytes);
        Ok(parsed.map_err(|error| Error::new(Class::Profile, error))?)
    };
    let mut file = read(&path).with_context(|| format!("failed to read the configuration {}", path.display()))?;
    // Relative directories are meant from the file, not from wherever the program is started.
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    for path in file.profiles.iter_mut().chain(&mut file.boards).chain(&mut file.rules).chain(&mut file.store) {
        *path = base.join(&path);
    }
    file.directory = base;
    Ok(file)
}

/// A path of the command line or of a variable; an empty variable counts as one that is not set.
fn not_empty(path: &Option<PathBuf>) -> Option<&PathBuf> {
    path.as_ref().filter(|path| !path.as_os_str().is_empty())
}

/// The variables of the environment, with a home directory even where only the user database knows it.
fn environment() -> Vec<(OsString, OsString)> {
    let home = std::env::home_dir().map(|home| ("HOME".into(), home.into_os_string()));
    std::env::vars_os().chain(home).collect()
}

/// A directory of the XDG base directory specification: from its variable, or below the home directory.
fn directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let named = std::env::var_os(variable).map(PathBuf::from).and_then(absolute);
    named.or_else(|| Some(std::env::home_dir().and_then(absolute)?.join(below_home)))
}
