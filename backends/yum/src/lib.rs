//! The yum backend: Fedora, the distributions that come from Red Hat's, and SUSE's relatives, by dnf, microdnf or yum. The packages' scripts run.
//!
//! The tool installs into a directory inside a namespace; the tar of that becomes the tree.
//!
//! ```
//! use std::os::unix::fs::PermissionsExt;
//!
//! use minimg_backend::{Backend, Settings};
//! use minimg_yum::Yum;
//!
//! let directory = tempfile::tempdir()?;
//! let program = directory.path().join("dnf5");
//! std::fs::write(&program, "#!/bin/sh\n")?;
//! std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
//!
//! let settings = Settings { path: directory.path().into(), ..Settings::default() };
//! let tool = &Yum.survey(&settings)[0];
//! assert_eq!(tool.found.as_deref(), program.to_str());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod command;
mod options;
mod restore;

use std::ffi::OsString;
use std::fs::File;
use std::io::Seek;
use std::path::Path;

use command::Install;
use options::Options;

use minimg_backend::{Backend, Context, Part, Pins, Produced, Request, Settings, driven, fixed, scrub};
use minimg_base::digest::Digest;
use minimg_base::digest::digest_of;
use minimg_base::error::{Class, Error, Result};
use minimg_base::report::{Event, Phase};
use minimg_oci::rootfs;
use minimg_ownership as ownership;
use minimg_sandbox::namespace::{Ids, Namespace, Workspace};
use minimg_sandbox::process::Command;
use minimg_sandbox::tool::{self, Need};
use minimg_store::StoreError;
use minimg_tree::RootTree;

/// The backend's name, under which a profile has its options.
const NAME: &str = "yum";
/// Raised when the same request would give another tree than before.
const VERSION: u32 = 2;

/// The tools, the best first: the first two read modules and know architectures of other machines.
const TOOLS: [&str; 4] = ["dnf5", "dnf", "microdnf", "yum"];
const TOOL: Need = Need { programs: &TOOLS, package: "dnf" };

/// What lets rpm go on where the owners of files do not exist.
const FAKEROOT: Need = Need { programs: &["fakeroot"], package: "fakeroot" };

/// The yum backend.
#[derive(Debug, Clone, Copy)]
pub struct Yum;

/// An error of making a root tree, beyond those of the tool itself.
#[derive(Debug, thiserror::Error)]
pub enum YumError {
    /// The distribution does not have the board's architecture.
    #[error("cannot install rpm packages for the board {board}: RPM has no name for its architecture")]
    Architecture {
        /// The board.
        board: String,
    },
    /// There is nowhere to take packages from.
    #[error(
        "no repository is known: name some under [[source.options.{NAME}.repositories]] in the profile (there is none in {path})"
    )]
    NoRepositories {
        /// Where others would be.
        path: String,
    },
    /// The tool that the profile names is none.
    #[error("the backend {NAME} cannot drive {name:?}; it drives {}", TOOLS.join(", "))]
    Tool {
        /// The given name.
        name: String,
    },
    /// The tree has no package database.
    #[error(
        "{tool} made a root file system whose rpm database cannot be found; say where it is with `dbpath`, or see the log {log}"
    )]
    NoPackages {
        /// The tool.
        tool: &'static str,
        /// The path of its log.
        log: String,
    },
}

impl From<YumError> for Error {
    fn from(error: YumError) -> Self {
        let class = match error {
            YumError::Architecture { .. } => Class::Unsatisfiable,
            YumError::NoRepositories { .. } | YumError::Tool { .. } => Class::Profile,
            YumError::NoPackages { .. } => Class::Tool,
        };
        Error::new(class, error)
    }
}

impl Backend for Yum {
    fn name(&self) -> &str {
        NAME
    }

    fn description(&self) -> &str {
        "RPM packages, installed by dnf, microdnf or yum: Fedora, CentOS and their derivatives"
    }

    fn family(&self) -> &str {
        "rpm"
    }

    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let rpm = Need { programs: &["rpm"], package: "rpm" };
        let without_ids = Namespace::find(NAME, settings).is_ok_and(|namespace| namespace.ids == Ids::Root);
        let fakeroot = Part {
            name: "fakeroot, for users without subordinate ids".into(),
            needed: without_ids,
            ..FAKEROOT.survey(&settings.path)
        };
        let tools = [TOOL.survey(&settings.path), rpm.survey(&settings.path)];
        tools.into_iter().chain(Namespace::survey(false, settings)).chain([fakeroot]).collect()
    }

    fn pin(&self, request: &Request, context: &Context) -> Result<Pins> {
        let options = Options::read(&request.source)?;
        if request.board.names.rpm.is_none() {
            return Err(YumError::Architecture { board: request.board.name.clone() }.into());
        }
        let need = need(&options)?;
        let source = &request.source;
        if !source.pins.is_empty() {
            let text = "yum knows no pins; write the version behind the package's name, as in `bash-5.2.26`";
            context.reporter.event(Event::Warning(text));
        }
        let asked = (&request.board.names.rpm, &request.packages, source.recommends, &source.exclude);
        let from = (&source.suite, &source.distribution, &options, local_files(request, &options, &context.settings)?);
        let key = digest_of(&(NAME, VERSION, asked, from));
        driven::remembered(NAME, &key, options.age(), context, || {
            let program = need.find(&context.settings.path)?;
            let name = TOOLS.into_iter().find(|name| program.ends_with(name)).unwrap_or(NAME);
            let cache = context.store.path().join("rpm-cache");
            let install = Install { program: &program, name, options: &options, request, cache: &cache };
            install_tree(&install, name, context)
        })
    }

    fn produce(&self, _: &Request, pins: &Pins, context: &Context) -> Result<Produced> {
        fixed::produce(pins, context)
    }
}

/// The tool that is wanted, or any.
fn need(options: &Options) -> Result<Need, YumError> {
    let Some(name) = options.tool.as_deref().filter(|name| *name != "auto") else { return Ok(TOOL) };
    let at = TOOLS.iter().position(|tool| *tool == name).ok_or_else(|| YumError::Tool { name: name.to_owned() })?;
    Ok(Need { programs: &TOOLS[at..=at], package: "dnf" })
}

/// The digests of the machine's files that decide what is installed: keys, local indexes, the machine's own repositories.
fn local_files(request: &Request, options: &Options, settings: &Settings) -> Result<Vec<(String, Option<Digest>)>> {
    let own = options.repositories.iter().flat_map(|repository| repository.local_files(&request.source.directory));
    let mut files: Vec<_> = own.collect();
    if let Some(directory) = options.directory_of_repositories(&request.source, settings) {
        let entries = directory.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "repo")).collect();
        if found.is_empty() {
            return Err(YumError::NoRepositories { path: directory.display().to_string() }.into());
        }
        found.sort();
        files.extend(found);
    } else if options.repositories.is_empty() {
        return Err(YumError::NoRepositories { path: "the settings, which name no machine".into() }.into());
    }
    let digest = |path: &Path| Some(Digest::of_reader(File::open(path).ok()?).ok()?.0);
    Ok(files.iter().map(|path| (path.display().to_string(), digest(path))).collect())
}

/// Runs the tool and fixes what it made.
fn install_tree(install: &Install<'_>, name: &'static str, context: &Context) -> Result<Pins> {
    let namespace = Namespace::find(name, &context.settings)?;
    let only_root = namespace.ids == Ids::Root;
    let namespace = namespace.for_board(&install.request.board, name, &context.settings)?;
    context.reporter.event(Event::Phase(Phase::Install));
    let workspace = Workspace::new(&namespace, context)?;
    let machine = |source| StoreError::Io { path: workspace.path().to_owned(), source };
    // The tool's cache of packages and indexes is not made for two that write at once.
    let _lock = context.store.lock("rpm-cache")?;
    std::fs::create_dir_all(install.cache).map_err(machine)?;
    install.configure(workspace.path(), &context.settings).map_err(machine)?;
    let mut tar = context.store.scratch()?;
    run(install, &namespace, workspace.path(), &tar, context)?;
    drop(workspace);
    tar.rewind().map_err(|source| StoreError::Io { path: context.store.path().to_owned(), source })?;
    context.reporter.event(Event::Activity("reading the root file system"));
    let mut tree = rootfs::read(tar, Some(&install.request.board.platform), &context.store)?.tree;
    if only_root {
        restore::owners(&mut tree)?;
    }
    ownership::assign(&mut tree)?;
    if tree.packages().is_empty() {
        let log = context.store.path().join("logs").join(log_name()).display().to_string();
        return Err(YumError::NoPackages { tool: name, log }.into());
    }
    let epoch = newest(&tree)?;
    scrub::scrub(&mut tree, epoch);
    Ok(Pins { epoch, ..fixed::fix(tree, name, context)? })
}

/// When the newest of the packages was built: everything that is newer was made by this run.
fn newest(tree: &RootTree) -> Result<i64> {
    Ok(ownership::rpm::headers(tree)?.iter().map(|header| i64::from(header.built)).max().unwrap_or_default())
}

/// Runs the tool, which writes the root as a tar.
fn run(install: &Install<'_>, namespace: &Namespace, workspace: &Path, tar: &File, context: &Context) -> Result<()> {
    let mut words: Vec<OsString> = vec!["sh".into()];
    words.extend(install.arguments(workspace, namespace.ids, &context.settings));
    if namespace.ids == Ids::Root {
        // rpm gives up on a package whose owners do not exist; with this they seem to.
        words.splice(..0, [FAKEROOT.find(&context.settings.path)?.into(), "--".into()]);
    }
    let wrapped = namespace.wrap(&words[0], words[1..].iter().cloned());
    let Some((program, arguments)) = wrapped.split_first() else { return Ok(()) };
    let command = Command {
        program: program.into(),
        arguments: arguments.to_vec(),
        environment: tool::environment(&workspace.join("home")),
        directory: Some(workspace.to_owned()),
        patience: install.options.patience(),
    };
    let mut class = Class::Tool;
    let mut tell = |line: &str| {
        class = class_of(line).unwrap_or(class);
        if !line.trim().is_empty() {
            context.reporter.event(Event::Activity(line.trim()));
        }
    };
    let ended = tool::run(&command, &log_name(), Some(tar), context, &mut tell);
    ended.map_err(|error| Error::new(class, error))
}

fn log_name() -> String {
    format!("{NAME}.log")
}

/// What a line of the tool's says about why it fails.
fn class_of(line: &str) -> Option<Class> {
    let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if says(&["No match for argument", "nothing provides", "conflicting requests", "Unable to find a match"]) {
        Some(Class::Unsatisfiable)
    } else if says(&[
        "GPG check FAILED",
        "is not signed",
        "Public key for",
        "GPG Keys are configured",
        "GPG verification",
        "enabled checking of packages via GPG keys",
    ]) {
        Some(Class::Verification)
    } else if says(&["Failed to download", "Curl error", "Cannot download", "Cannot find a valid baseurl"]) {
        Some(Class::Network)
    } else {
        None
    }
}
