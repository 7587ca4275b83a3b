//! The debootstrap backend: Debian and its derivatives, by their own installers. Maintainer scripts run, so use it for packages whose
//! scripts do more than the rules of the `deb` backend know.
//!
//! Which archives are read, by whose keys, is decided and checked as in the `deb` backend; `command` makes the tool's command line, which
//! runs in a namespace and writes a tar; that becomes the tree.
//!
//! ```
//! use std::os::unix::fs::PermissionsExt;
//!
//! use minimg_backend::{Backend, Settings};
//! use minimg_debootstrap::Debootstrap;
//!
//! let directory = tempfile::tempdir()?;
//! let program = directory.path().join("mmdebstrap");
//! std::fs::write(&program, "#!/bin/sh\n")?;
//! std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
//!
//! let settings = Settings { path: directory.path().into(), ..Settings::default() };
//! let tool = &Debootstrap.survey(&settings)[0];
//! assert_eq!(tool.found.as_deref(), program.to_str());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod command;
mod options;

use std::fs::File;
use std::path::Path;

use command::Install;
use options::{Options, Tool};
use rustix::process::geteuid;

use minimg_apt::apt::{AptSource, apt_sources};
use minimg_backend::{Backend, Context, Part, Pins, Produced, Request, Settings, driven, fixed, scrub};
use minimg_base::digest::digest_of;
use minimg_base::error::{Class, Error, Result};
use minimg_base::report::{Event, Phase};
use minimg_oci::rootfs;
use minimg_ownership as ownership;
use minimg_sandbox::namespace::{Ids, Namespace, Workspace};
use minimg_sandbox::process::{self, Command};
use minimg_sandbox::tool::{self, Need, ToolError};
use minimg_store::StoreError;
use minimg_tree::{RootPath, RootTree};

/// The backend's name, under which a profile has its options.
const NAME: &str = "debootstrap";
/// Raised when the same request would give another tree than before.
const VERSION: u32 = 2;

const MMDEBSTRAP: Need = Need { programs: &["mmdebstrap"], package: "mmdebstrap" };
const DEBOOTSTRAP: Need = Need { programs: &["debootstrap"], package: "debootstrap" };
const EITHER: Need = Need { programs: &["mmdebstrap", "debootstrap"], package: "mmdebstrap" };

/// The debootstrap backend.
#[derive(Debug, Clone, Copy)]
pub struct Debootstrap;

/// An error of making a root tree, beyond those of the tool itself.
#[derive(Debug, thiserror::Error)]
pub enum DebootstrapError {
    /// An ordinary user without ids to give to the files.
    #[error(
        "cannot install packages as this user: their files have owners that only exist where the user has subordinate ids; as root, \
         run `apt-get install uidmap` and `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`"
    )]
    NoSubordinateIds,
    /// debootstrap itself as an ordinary user.
    #[error(
        "cannot run debootstrap as an ordinary user, since it makes device nodes; install mmdebstrap, which needs none"
    )]
    OnlyAsRoot,
    /// debootstrap itself for another machine, whose emulator only a user namespace has.
    #[error(
        "cannot run debootstrap for a board of another machine: the emulator is not registered here, and in the namespace that gets its own \
         no device nodes can be made; install mmdebstrap, which needs none, or register the emulator with \
         `apt-get install qemu-user-static binfmt-support`"
    )]
    OnlyRegistered,
    /// A package that is asked for, of which no version may be installed.
    #[error(
        "{package} was not installed: no version in the archives matches the profile's pins and exclusions; change `source.pins` or \
         `source.exclude`"
    )]
    RuledOut {
        /// Its name.
        package: String,
    },
    /// apt has no way to name a keyring in such a directory.
    #[error(
        "{tool} cannot work in {path}: the path contains a blank or one of `,[]\"%`; name another store with --store"
    )]
    Place {
        /// The tool.
        tool: &'static str,
        /// The store.
        path: String,
    },
    /// The tree has no package database.
    #[error("{tool} made a root file system without a package database; its log may say why: {log}")]
    NoPackages {
        /// The tool.
        tool: &'static str,
        /// The path of its log.
        log: String,
    },
}

impl From<DebootstrapError> for Error {
    fn from(error: DebootstrapError) -> Self {
        let class = match error {
            DebootstrapError::RuledOut { .. } => Class::Unsatisfiable,
            _ => Class::Tool,
        };
        Error::new(class, error)
    }
}

impl Backend for Debootstrap {
    fn name(&self) -> &str {
        NAME
    }

    fn description(&self) -> &str {
        "Debian packages, installed by mmdebstrap or debootstrap: their maintainer scripts run"
    }

    fn family(&self) -> &str {
        "deb"
    }

    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let arch_test = Need { programs: &["arch-test"], package: "arch-test" };
        let emulators = Part {
            name: "arch-test, for boards of other machines".into(),
            needed: false,
            remedy: "apt-get install arch-test qemu-user-static".into(),
            ..arch_test.survey(&settings.path)
        };
        // debootstrap itself makes device nodes.
        let tool = if geteuid().is_root() { EITHER } else { MMDEBSTRAP };
        [tool.survey(&settings.path)].into_iter().chain(Namespace::survey(true, settings)).chain([emulators]).collect()
    }

    fn pin(&self, request: &Request, context: &Context) -> Result<Pins> {
        let options = Options::read(&request.source)?;
        // First what is missing here, then what the network has.
        let (tool, program) = match find(&options, &context.settings) {
            Ok(found) => found,
            // What was made with a tool that is gone may still be there.
            Err(_) if context.offline => (options.tool.unwrap_or(Tool::Mmdebstrap), "mmdebstrap".into()),
            Err(error) => return Err(error.into()),
        };
        let sources = apt_sources(request, context)?;
        let contents: Vec<_> =
            sources.iter().map(|source| (&source.suite, &source.components, source.content)).collect();
        let source = &request.source;
        let asked = (&request.board.names.deb, &request.packages, source.recommends, &source.pins, &source.exclude);
        let chosen = (tool, &options.variant, &options.include, &options.hooks);
        let key = digest_of(&(NAME, VERSION, contents, asked, chosen));
        // The key holds what the archives have: only what hooks fetch gets older.
        driven::remembered(tool.name(), &key, options.max_age, context, || {
            let install = Install { tool, program: &program, options: &options, request, sources: &sources };
            install_tree(&install, context)
        })
    }

    fn produce(&self, _: &Request, pins: &Pins, context: &Context) -> Result<Produced> {
        fixed::produce(pins, context)
    }
}

/// The tool to be used, and its program.
fn find(options: &Options, settings: &Settings) -> Result<(Tool, std::path::PathBuf), ToolError> {
    let path = &settings.path;
    match options.tool {
        Some(Tool::Mmdebstrap) => Ok((Tool::Mmdebstrap, MMDEBSTRAP.find(path)?)),
        Some(Tool::Debootstrap) => Ok((Tool::Debootstrap, DEBOOTSTRAP.find(path)?)),
        None => match MMDEBSTRAP.find(path) {
            Ok(program) => Ok((Tool::Mmdebstrap, program)),
            Err(_) => DEBOOTSTRAP
                .find(path)
                .map(|program| (Tool::Debootstrap, program))
                .or_else(|_| EITHER.find(path).map(|program| (Tool::Mmdebstrap, program))),
        },
    }
}

/// Runs the tool and fixes what it made.
fn install_tree(install: &Install<'_>, context: &Context) -> Result<Pins> {
    let name = install.tool.name();
    let path = context.store.path().display().to_string();
    if path.contains(|c: char| c.is_whitespace() || ",[]\"%".contains(c)) {
        return Err(DebootstrapError::Place { tool: name, path }.into());
    }
    let namespace = Namespace::find(name, &context.settings)?;
    match (namespace.ids, install.tool) {
        (Ids::Root, _) => return Err(DebootstrapError::NoSubordinateIds.into()),
        (Ids::Mapped, Tool::Debootstrap) => return Err(DebootstrapError::OnlyAsRoot.into()),
        _ => {}
    }
    let emulating = namespace.clone().for_board(&install.request.board, name, &context.settings)?;
    if install.tool == Tool::Debootstrap && emulating != namespace {
        return Err(DebootstrapError::OnlyRegistered.into());
    }
    let namespace = emulating;
    context.reporter.event(Event::Phase(Phase::Install));
    let workspace = Workspace::new(&namespace, context)?;
    let machine = |source| StoreError::Io { path: workspace.path().to_owned(), source };
    for (at, source) in install.sources.iter().enumerate() {
        std::fs::write(workspace.path().join(keyring_name(at)), &source.keyring).map_err(machine)?;
    }
    install.warn_of_what_is_left_out(context);
    let epoch = install.sources.iter().map(|source| source.date).max().unwrap_or_default();
    let tar = context.store.scratch()?;
    run(install, &namespace, workspace.path(), epoch, &tar, context)?;
    drop(workspace);
    context.reporter.event(Event::Activity("reading the root file system"));
    let mut tree = rootfs::read(rewound(tar, context)?, Some(&install.request.board.platform), &context.store)?.tree;
    ownership::assign(&mut tree)?;
    if tree.packages().is_empty() {
        let log = context.store.path().join("logs").join(log_name(install.tool)).display().to_string();
        return Err(DebootstrapError::NoPackages { tool: name, log }.into());
    }
    refuse_without_what_was_asked(install, &tree)?;
    let epoch = newest_of_packages(&tree, epoch).unwrap_or(epoch);
    scrub::scrub(&mut tree, epoch);
    let archives = install.sources.iter().map(AptSource::archive).collect();
    Ok(Pins { archives, epoch, ..fixed::fix(tree, name, context)? })
}

/// mmdebstrap passes over a package of which no version may be installed.
fn refuse_without_what_was_asked(install: &Install<'_>, tree: &RootTree) -> Result<(), DebootstrapError> {
    let source = &install.request.source;
    let is_ruled = |name: &&String| source.pins.contains_key(*name) || source.exclude.contains(name);
    let is_there = |name: &String| tree.packages().iter().any(|package| package.name == *name);
    let asked = install.request.packages.iter().chain(&install.options.include);
    match asked.filter(is_ruled).find(|name| !is_there(name)) {
        Some(package) => Err(DebootstrapError::RuledOut { package: package.clone() }),
        None => Ok(()),
    }
}

/// The newest date that files came with, as the `deb` backend dates what is made; what scripts changed has the time of the run.
fn newest_of_packages(tree: &RootTree, run: i64) -> Option<i64> {
    let database = RootPath::root().join_clamped("var/lib/dpkg");
    let of_packages = tree.iter().filter(|(path, node)| node.package.is_some() && !path.starts_with(&database));
    of_packages.map(|(_, node)| node.meta.mtime).filter(|&time| time < run).max()
}

/// Runs the tool, which writes the root as a tar.
fn run(
    install: &Install<'_>,
    namespace: &Namespace,
    workspace: &Path,
    epoch: i64,
    tar: &File,
    context: &Context,
) -> Result<()> {
    let wrapped = namespace.wrap("sh".as_ref(), install.arguments(workspace));
    let Some((program, arguments)) = wrapped.split_first() else { return Ok(()) };
    let mut environment = tool::environment(workspace);
    environment.retain(|(name, _)| name != "TMPDIR");
    environment.push(("TMPDIR".into(), Some(workspace.into())));
    environment.push(("SOURCE_DATE_EPOCH".into(), Some(epoch.to_string().into())));
    // An ordinary user's PATH has no programs for administration, and what they call is looked for there.
    environment.push(("PATH".into(), Some(path_of_tools(&context.settings))));
    let command = Command {
        program: program.into(),
        arguments: arguments.to_vec(),
        environment,
        directory: Some(workspace.to_owned()),
        patience: install.options.patience,
    };
    let mut class = Class::Tool;
    let mut tell = |line: &str| {
        class = class_of(line).unwrap_or(class);
        let word = line.strip_prefix("I: ").unwrap_or(line);
        context.reporter.event(Event::Activity(word));
    };
    let ended = tool::run(&command, &log_name(install.tool), Some(tar), context, &mut tell);
    ended.map_err(|error| Error::new(class, error))
}

fn log_name(tool: Tool) -> String {
    format!("{}.log", tool.name())
}

/// The file of a source's certificates in the workspace.
fn keyring_name(at: usize) -> String {
    format!("keyring-{at}.gpg")
}

fn path_of_tools(settings: &Settings) -> std::ffi::OsString {
    let administration = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    let all = process::directories(&settings.path).chain(administration);
    std::env::join_paths(all).unwrap_or_else(|_| settings.path.clone())
}

/// What a line of the tool's or apt's says about why it fails.
fn class_of(line: &str) -> Option<Class> {
    let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if says(&[
        "Unable to locate package",
        "has no installation candidate",
        "unmet dependencies",
        "Couldn't find these debs",
    ]) {
        Some(Class::Unsatisfiable)
    } else if says(&["NO_PUBKEY", "is not signed", "Release signed by unknown key", "Hash Sum mismatch"]) {
        Some(Class::Verification)
    } else if says(&["Failed to fetch", "Could not resolve", "Could not connect", "Couldn't download"]) {
        Some(Class::Network)
    } else {
        None
    }
}

fn rewound(mut file: File, context: &Context) -> Result<File> {
    std::io::Seek::rewind(&mut file)
        .map_err(|source| StoreError::Io { path: context.store.path().to_owned(), source })?;
    Ok(file)
}
