//! The Buildroot backend: a root that Buildroot compiles from sources, for a board's defconfig or one's own.
//!
//! `config` says what is wanted and sees what kconfig dropped; `make` runs the build; `output` takes the root in. Each configuration builds
//! in a directory of its own, since Buildroot leaves in a root what an earlier configuration put there.

mod config;
mod make;
mod options;
mod output;
mod wanted;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Config;
use make::Make;
use options::Options;
use output::Info;
use wanted::Wanted;

use crate::backend::namespace::Namespace;
use crate::backend::tool::Need;
use crate::backend::{Backend, Context, Part, Pins, Produced, Request, Settings, driven, fixed, scrub};
use crate::digest::Digest;
use crate::error::{Class, Error, Result};
use crate::recipe::digest_of;
use crate::report::Event;

/// The backend's name, under which a profile has its options.
const NAME: &str = "buildroot";
/// Raised when the same request would give another tree than before.
const VERSION: u32 = 1;
/// Names the tree for those who do not want it in their configuration.
pub const VARIABLE: &str = "MINIMG_BUILDROOT_DIR";

const MAKE: Need = Need { programs: &["make"], package: "make" };
/// In an output directory whose root is whole.
const WHOLE: &str = ".minimg-whole";

/// The Buildroot backend.
#[derive(Debug, Clone, Copy)]
pub struct Buildroot;

/// Why there is no root from Buildroot.
#[derive(Debug, thiserror::Error)]
pub enum BuildrootError {
    /// The profile says something of the backend that is not understood.
    #[error("the profile's [source.options.{NAME}] is wrong: {0}")]
    Option(String),
    /// The configuration file does.
    #[error("the configuration's [backends.{NAME}] knows `tree`, a path, and not `{0}`")]
    Setting(String),
    /// Nobody said where Buildroot is.
    #[error(
        "cannot find Buildroot: name its tree with `tree` in the profile's [source.options.{NAME}], in the configuration's \
         [backends.{NAME}], or in the variable {VARIABLE}"
    )]
    NoTree,
    /// There is no Buildroot where somebody said.
    #[error("{path} is not a tree of Buildroot: it has no Makefile and Config.in")]
    NotATree {
        /// Where.
        path: PathBuf,
    },
    /// Neither the board nor the profile names a defconfig.
    #[error(
        "the board {board} names no defconfig of Buildroot; name one with `defconfig` in the profile's [source.options.{NAME}]"
    )]
    NoDefconfig {
        /// The board.
        board: String,
    },
    /// There is no such defconfig.
    #[error(
        "neither Buildroot nor an external tree has the defconfig {name}; `make list-defconfigs` shows those that there are"
    )]
    UnknownDefconfig {
        /// Its name.
        name: String,
    },
    /// Buildroot cuts paths at blanks and colons.
    #[error(
        "Buildroot cannot use {path}: there is a blank or a colon in it; move it, or where it is the store's name another with --store"
    )]
    Path {
        /// Its own tree, an external one, or where it would build.
        path: PathBuf,
    },
    /// kconfig dropped what was asked for.
    #[error("Buildroot does not accept the configuration: {}", dropped.join("; "))]
    Dropped {
        /// Each option with the reason.
        dropped: Vec<String>,
    },
    /// A package could not be built.
    #[error("Buildroot failed at {step}: {failure}")]
    Step {
        /// The package, its version and what was done to it.
        step: String,
        /// What make said.
        failure: String,
    },
    /// The root was packed without fakeroot.
    #[error(
        "the owners of the root's files are lost: fakeroot could not be loaded while it was packed; look for `cannot be preloaded` in the \
         log, and build Buildroot's host-fakeroot for this machine"
    )]
    Fakeroot,
    /// A file does not belong to whom Buildroot's tables say.
    #[error(
        "the owner of {path} is lost: Buildroot's tables give it another one than the root that was built; was fakeroot at work?"
    )]
    LostOwner {
        /// Which file.
        path: String,
    },
    /// A file of the tree or of the build cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Licences and sources have to be fetched.
    #[error(
        "--offline forbids Buildroot's `legal-info`, which fetches sources; build once without --offline, or without the option `legal-info`"
    )]
    LegalInfoOffline,
    /// `show-info` does not print what it should.
    #[error("cannot understand what Buildroot's `make show-info` prints: {0}")]
    Info(serde_json::Error),
}

impl From<BuildrootError> for Error {
    fn from(error: BuildrootError) -> Self {
        let class = match &error {
            BuildrootError::Option(_)
            | BuildrootError::Setting(_)
            | BuildrootError::NoDefconfig { .. }
            | BuildrootError::UnknownDefconfig { .. } => Class::Profile,
            BuildrootError::Dropped { .. } => Class::Unsatisfiable,
            BuildrootError::Read { .. } => Class::Machine,
            BuildrootError::LegalInfoOffline => Class::Network,
            _ => Class::Tool,
        };
        Error::new(class, error)
    }
}

impl Backend for Buildroot {
    fn name(&self) -> &str {
        NAME
    }

    fn description(&self) -> &str {
        "a root compiled from sources by Buildroot, from a tree that you name"
    }

    fn family(&self) -> &str {
        NAME
    }

    fn works_without_packages(&self) -> bool {
        // A defconfig names packages.
        true
    }

    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let tree = Options::read(&crate::backend::Source::default(), settings).ok().and_then(|options| options.tree);
        let found = tree.filter(|tree| is_tree(tree)).map(|tree| tree.display().to_string());
        let remedy = BuildrootError::NoTree.to_string();
        let tree = Part { name: "Buildroot's tree".into(), found, needed: true, remedy };
        let compiler = Need { programs: &["gcc"], package: "build-essential" };
        vec![tree, MAKE.survey(&settings.path), compiler.survey(&settings.path)]
    }

    fn resolve(&self, request: &Request, context: &Context<'_>) -> Result<Pins> {
        let options = Options::read(&request.source, context.settings)?;
        let tree = options.tree.clone().ok_or(BuildrootError::NoTree)?;
        if !is_tree(&tree) {
            return Err(BuildrootError::NotATree { path: tree }.into());
        }
        let project = Project::new(request, &options, &tree)?;
        let out = context.store.path().join(NAME).join(project.key.short());
        // What the trees and the configuration are is in the key: nothing gets older.
        let pins = driven::remembered(NAME, &project.key, Duration::MAX, context, || project.build(&out, context))?;
        if let Some(wanted) = options.legal_info.as_ref().filter(|path| !path.exists()) {
            project.keep_legal_info(&out, wanted, context)?;
        }
        Ok(pins)
    }

    fn produce(&self, _: &Request, pins: &Pins, context: &Context<'_>) -> Result<Produced> {
        fixed::produce(pins, context)
    }
}

fn create(directory: &Path) -> Result<(), BuildrootError> {
    std::fs::create_dir_all(directory).map_err(|source| BuildrootError::Read { path: directory.to_owned(), source })
}

/// The name of an external tree, as the variable of its path has it (`external.desc`).
fn external_name(external: &Path) -> Option<String> {
    let text = make::text(&external.join("external.desc")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("name:")?.trim().to_owned()))
}

fn is_tree(path: &Path) -> bool {
    path.join("Makefile").is_file() && path.join("Config.in").is_file()
}

/// What is to be built.
struct Project<'a> {
    request: &'a Request,
    options: &'a Options,
    tree: &'a Path,
    defconfig: String,
    /// What the defconfig says.
    base: Config,
    /// What is wanted beyond it.
    wanted: Wanted,
    /// Stands for all of it, with the trees' own files.
    key: Digest,
}

impl<'a> Project<'a> {
    fn new(request: &'a Request, options: &'a Options, tree: &'a Path) -> Result<Self> {
        let board = &request.board;
        let named = options.defconfig.as_ref().or(board.buildroot_defconfig.as_ref());
        let name = named.ok_or_else(|| BuildrootError::NoDefconfig { board: board.name.clone() })?;
        let defconfig = format!("{}_defconfig", name.trim_end_matches("_defconfig"));
        let places = options.external.iter().map(PathBuf::as_path).chain([tree]);
        let mut files = places.map(|place| place.join("configs").join(&defconfig));
        let file = files.find(|file| file.is_file());
        let file = file.ok_or_else(|| BuildrootError::UnknownDefconfig { name: defconfig.clone() })?;
        let base = Config::parse(&make::text(&file)?);
        let wanted = Wanted::new(request, options, &base)?;
        let mut trees = vec![fingerprint(tree)?];
        for external in &options.external {
            trees.push(fingerprint(external)?);
        }
        let key =
            digest_of(&(NAME, VERSION, &trees, &defconfig, base.lines(), wanted.parts.lines(), wanted.own.lines()));
        Ok(Self { request, options, tree, defconfig, base, wanted, key })
    }

    fn make(&self, out: &Path, context: &Context<'_>) -> Result<Make<'a>> {
        let is_cut = |path: &&Path| path.to_string_lossy().contains(|c: char| c.is_whitespace() || c == ':');
        if let Some(path) = self.trees().into_iter().chain([out]).find(is_cut) {
            return Err(BuildrootError::Path { path: path.to_owned() }.into());
        }
        Ok(Make {
            program: MAKE.find(&context.settings.path)?,
            tree: self.tree,
            external: &self.options.external,
            out: out.to_owned(),
            jobs: self.options.jobs,
            namespace: Namespace::of_processes(context.settings),
            log: format!("{NAME}-{}", self.key.short()),
        })
    }

    /// Configures and builds, and fixes the root.
    fn build(&self, out: &Path, context: &Context<'_>) -> Result<Pins> {
        let make = self.make(out, context)?;
        // Held by those who want no root but the licences, too.
        let _lock = context.store.lock(&format!("{NAME}-{}", self.key.short()))?;
        create(out)?;
        context.reporter.event(Event::Phase("configure"));
        self.configure(&make, context)?;
        context.reporter.event(Event::Phase("build"));
        forget_target(out)?;
        make.build("all", self.options.patience()?, context)?;
        let whole = out.join(WHOLE);
        std::fs::write(&whole, "").map_err(|source| BuildrootError::Read { path: whole, source })?;
        let info: BTreeMap<String, Info> =
            serde_json::from_str(&make.ask("show-info", context)?).map_err(BuildrootError::Info)?;
        let mut tree = output::tree(out, &info, &self.request.board.platform, context)?;
        if let Some(path) = output::lost_owner(&tree, &self.device_tables(out)?) {
            return Err(BuildrootError::LostOwner { path }.into());
        }
        // Buildroot dates files by when they were made, which is not when somebody builds them again.
        scrub::scrub(&mut tree, 0);
        fixed::fix(tree, &format!("Buildroot {}", self.defconfig), context)
    }

    /// Makes the configuration in three steps, and sees after each that it is what was asked for: the defconfig; without the parts that are none
    /// of a root, which takes options away that belong to those parts alone; with what the profile wants.
    fn configure(&self, make: &Make<'_>, context: &Context<'_>) -> Result<()> {
        let file = make.out.join(".config");
        let read = || make::text(&file).map(|text| Config::parse(&text));
        let add = |more: &Config| {
            let text = make::text(&file)? + &more.lines();
            std::fs::write(&file, text).map_err(|source| BuildrootError::Read { path: file.clone(), source })?;
            make.configure("olddefconfig", context)
        };
        make.configure(&self.defconfig, context)?;
        // What is to be changed below need not hold here.
        let mut asked = self.base.without(&self.wanted.own);
        self.accepted(&asked, &read()?)?;
        add(&self.wanted.parts)?;
        let got = read()?;
        self.accepted(&self.wanted.parts, &got)?;
        asked.retain_held(&got);
        add(&self.wanted.own)?;
        asked.extend(&self.wanted.parts);
        asked.extend(&self.wanted.own);
        Ok(self.accepted(&asked, &read()?)?)
    }

    fn accepted(&self, asked: &Config, got: &Config) -> Result<(), BuildrootError> {
        let dropped = asked.dropped(got).into_iter().map(|(name, value)| {
            format!("{name} is {}, not {value}: {}", got.get(&name), config::reason(&name, &self.trees()))
        });
        let dropped: Vec<String> = dropped.collect();
        if dropped.is_empty() { Ok(()) } else { Err(BuildrootError::Dropped { dropped }) }
    }

    /// The trees that sources come from.
    fn trees(&self) -> Vec<&Path> {
        self.options.external.iter().map(PathBuf::as_path).chain([self.tree]).collect()
    }

    /// The tables of owners and modes that the configuration names, in Buildroot's tree unless they are absolute.
    fn device_tables(&self, out: &Path) -> Result<Vec<String>> {
        let got = Config::parse(&make::text(&out.join(".config"))?);
        let mut names = got.get("BR2_ROOTFS_DEVICE_TABLE").trim_matches('"').replace("$(TOPDIR)/", "");
        for external in &self.options.external {
            if let Some(name) = external_name(external) {
                names = names.replace(&format!("$(BR2_EXTERNAL_{name}_PATH)"), &external.display().to_string());
            }
        }
        // Other variables only make knows: such a table goes unchecked.
        let is_known = |name: &&str| *name != "n" && !name.contains(['$', '(', ')']);
        let tables = names.split_whitespace().filter(is_known).map(|name| self.tree.join(name));
        Ok(tables.filter(|path| path.is_file()).map(|path| make::text(&path)).collect::<Result<_, _>>()?)
    }

    /// Has Buildroot collect licences and sources, and puts them where they are wanted.
    fn keep_legal_info(&self, out: &Path, wanted: &Path, context: &Context<'_>) -> Result<()> {
        if context.offline {
            return Err(BuildrootError::LegalInfoOffline.into());
        }
        let _lock = context.store.lock(&format!("{NAME}-{}", self.key.short()))?;
        context.reporter.event(Event::Phase("legal-info"));
        let make = self.make(out, context)?;
        if !out.join(".config").is_file() {
            // The root is in the store, and the directory in which it was made is gone.
            create(out)?;
            self.configure(&make, context)?;
        }
        make.build("legal-info", self.options.patience()?, context)?;
        let made = out.join("legal-info");
        let copied = std::process::Command::new("cp").arg("-r").arg("--").arg(&made).arg(wanted).status();
        let failed = |source| BuildrootError::Read { path: made.clone(), source };
        match copied.map_err(failed)?.success() {
            true => Ok(()),
            false => Err(failed(std::io::Error::other(format!("it cannot be copied to {}", wanted.display()))).into()),
        }
    }
}

/// Makes Buildroot install everything anew, without compiling anything again, unless the root that is there is whole: what an interrupted
/// build left in it is not to be trusted (the manual's "How to rebuild the root without a full rebuild").
fn forget_target(out: &Path) -> Result<(), BuildrootError> {
    let whole = out.join(WHOLE);
    if whole.exists() {
        return std::fs::remove_file(&whole).map_err(|source| BuildrootError::Read { path: whole, source });
    }
    let remove = |path: PathBuf| {
        match std::fs::symlink_metadata(&path) {
            Err(_) => Ok(()),
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
        }
        .map_err(|source| BuildrootError::Read { path, source })
    };
    remove(out.join("target"))?;
    remove(out.join("images"))?;
    remove(out.join("build/packages-file-list.txt"))?;
    let mut packages = out.join("build").read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    packages.try_for_each(|package| remove(package.join(".stamp_target_installed")))
}

/// Stands for the files of a tree, by their names, lengths and times: as make sees them.
fn fingerprint(tree: &Path) -> Result<Digest, BuildrootError> {
    /// What is no source of a build, or is made by it.
    const PASSED_OVER: [&str; 4] = [".git", "dl", "output", "docs"];
    let mut files = Vec::new();
    let mut pending = vec![tree.to_owned()];
    while let Some(directory) = pending.pop() {
        let unreadable = |source| BuildrootError::Read { path: directory.clone(), source };
        for entry in directory.read_dir().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let meta = entry.metadata().map_err(unreadable)?;
            let is_top = directory == tree;
            if is_top && PASSED_OVER.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if meta.is_dir() {
                pending.push(entry.path());
            } else {
                use std::os::unix::fs::MetadataExt;
                let name = entry.path().strip_prefix(tree).map(|path| path.to_string_lossy().into_owned());
                files.push((name.unwrap_or_default(), meta.len(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    files.sort();
    Ok(digest_of(&(tree.display().to_string(), files)))
}
