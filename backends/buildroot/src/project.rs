//! A project: configured, built, and read as a root tree.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::changes::Changes;
use super::config::{self, Config};
use super::make::{self, Make};
use super::options::Options;
use super::out::Out;
use super::output::{self, Info};
use super::sources::Sources;
use super::{BuildrootError, MAKE, NAME, OTHERS, VERSION};
use minimg_backend::{Context, Pins, Request, fixed, scrub};
use minimg_base::digest::Digest;
use minimg_base::digest::digest_of;
use minimg_base::error::Result;
use minimg_base::interrupt::{self, Leftover};
use minimg_base::report::{Event, Phase};
use minimg_sandbox::namespace::Namespace;
use minimg_sandbox::process::{self, Command};

/// What is to be built.
pub(super) struct Project<'a> {
    request: &'a Request,
    options: &'a Options,
    sources: Sources<'a>,
    defconfig: String,
    /// What the defconfig says.
    base: Config,
    /// What is changes beyond it.
    changes: Changes,
    /// Stands for all of it, with the trees' own files.
    pub(super) key: Digest,
    /// Where it is built.
    out: Out,
}

impl<'a> Project<'a> {
    pub(super) fn new(
        request: &'a Request,
        options: &'a Options,
        sources: Sources<'a>,
        context: &Context,
    ) -> Result<Self> {
        let board = &request.board;
        let named = options.defconfig.as_ref().or(board.buildroot_defconfig.as_ref());
        let name = named.ok_or_else(|| BuildrootError::NoDefconfig { board: board.name.clone() })?;
        let defconfig = format!("{}_defconfig", name.trim_end_matches("_defconfig"));
        let file = sources.defconfig(&defconfig);
        let file = file.ok_or_else(|| BuildrootError::UnknownDefconfig { name: defconfig.clone() })?;
        let base = Config::parse(&make::text(&file)?);
        let changes = Changes::new(request, options, &base, sources.tree)?;
        let trees = sources.fingerprints()?;
        let key = digest_of(&(NAME, VERSION, &trees, &defconfig, base.lines(), changes.lines()));
        let out = Out { path: context.store.path().join(NAME).join(key.short()) };
        Ok(Self { request, options, sources, defconfig, base, changes, key, out })
    }

    fn make(&self, context: &Context) -> Result<Make<'a>> {
        self.sources.usable(&self.out.path)?;
        let program = MAKE.find(&context.settings.path)?;
        for need in OTHERS {
            need.find(&context.settings.path)?;
        }
        Ok(Make {
            program,
            sources: self.sources,
            out: self.out.path.clone(),
            jobs: self.options.jobs,
            namespace: Namespace::of_processes(&context.settings),
            path: context.settings.path.clone(),
            log: format!("{NAME}-{}", self.key.short()),
        })
    }

    /// Configures and builds, and fixes the root.
    pub(super) fn build(&self, context: &Context) -> Result<Pins> {
        let make = self.make(context)?;
        // Held by those who want no root but the licenses, too.
        let _lock = context.store.lock(&format!("{NAME}-{}", self.key.short()))?;
        self.out.create()?;
        context.reporter.event(Event::Phase(Phase::Configure));
        self.configure(&make, context)?;
        context.reporter.event(Event::Phase(Phase::Compile));
        self.out.forget_half()?;
        make.build("all", self.options.patience()?, context)?;
        self.out.set_whole()?;
        let info: BTreeMap<String, Info> =
            serde_json::from_str(&make.ask("show-info", context)?).map_err(BuildrootError::Info)?;
        let mut tree = output::tree(&self.out, &info, &self.request.board.platform, context)?;
        // A script of the user's own that runs at the end may give files to whom it wants.
        let is_final = ["n", "\"\""].contains(&self.out.config()?.get("BR2_ROOTFS_POST_FAKEROOT_SCRIPT"));
        if is_final && let Some(path) = output::lost_owner(&tree, &self.out.device_table()?) {
            return Err(BuildrootError::LostOwner { path }.into());
        }
        // Buildroot dates files by when they were made, which differs from build to build.
        scrub::scrub(&mut tree, 0);
        fixed::fix(tree, &format!("Buildroot {}", self.defconfig), context)
    }

    /// Makes the configuration in three steps, and sees after each that it is what was asked for: the defconfig; without the parts that are none
    /// of a root, which takes options away that belong to those parts alone; with what the profile wants.
    fn configure(&self, make: &Make<'_>, context: &Context) -> Result<()> {
        let add = |more: &Config| {
            self.out.add(more)?;
            make.configure("olddefconfig", context)
        };
        make.configure(&self.defconfig, context)?;
        // What is to be changed below need not hold here.
        let mut asked = self.base.without(&self.changes.own);
        self.accepted(&asked, &self.out.config()?)?;
        add(&self.changes.spared)?;
        asked.retain_held(&self.out.config()?);
        add(&self.changes.parts)?;
        let got = self.out.config()?;
        self.accepted(&self.changes.parts, &got)?;
        asked.retain_held(&got);
        add(&self.changes.own)?;
        asked.extend(&self.changes.parts);
        asked.extend(&self.changes.own);
        Ok(self.accepted(&asked, &self.out.config()?)?)
    }

    /// Sees that kconfig dropped nothing, and that nothing is there but for the sake of an older release: with that Buildroot does not build.
    fn accepted(&self, asked: &Config, got: &Config) -> Result<(), BuildrootError> {
        let trees = self.sources.all();
        let dropped = asked.dropped(got).into_iter().map(|(name, value)| {
            format!("{name} is {}, not {value}: {}", got.get(&name), config::reason(&name, &trees))
        });
        let mut dropped: Vec<String> = dropped.collect();
        if got.get("BR2_LEGACY") == "y" {
            dropped.extend(config::outdated(asked, self.sources.tree));
        }
        if dropped.is_empty() { Ok(()) } else { Err(BuildrootError::Dropped { dropped }) }
    }

    /// Has Buildroot collect licenses and sources, and puts them where they are changes.
    pub(super) fn keep_legal_info(&self, changes: &Path, context: &Context) -> Result<()> {
        if context.offline {
            return Err(BuildrootError::LegalInfoOffline.into());
        }
        let _lock = context.store.lock(&format!("{NAME}-{}", self.key.short()))?;
        context.reporter.event(Event::Phase(Phase::LegalInfo));
        let make = self.make(context)?;
        if !self.out.is_whole() {
            // The root is in the store, and the directory in which it was made is gone.
            self.out.create()?;
            self.configure(&make, context)?;
        }
        let patience = self.options.patience()?;
        make.build("legal-info", patience, context)?;
        copy_whole(&self.out.path.join("legal-info"), changes, patience, context)
    }
}

/// Copies a directory to a place where nothing is, so that it is there whole or not at all.
fn copy_whole(made: &Path, changes: &Path, patience: Duration, context: &Context) -> Result<()> {
    let failed = |source: io::Error| BuildrootError::Keep { path: changes.to_owned(), source };
    let mut partial = changes.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let _guard = interrupt::register(Leftover::Path(partial.clone()));
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(failed)?;
    }
    if let Some(parent) = changes.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let arguments = ["-r".into(), "--".into(), made.into(), partial.clone().into()];
    let copy = Command {
        program: process::find("cp", &context.settings.path).unwrap_or_else(|| "/bin/cp".into()),
        arguments: arguments.into(),
        environment: Vec::new(),
        directory: None,
        patience,
    };
    let copied = process::run(&copy, None, context.store.scratch()?, context.store.scratch()?);
    copied.map_err(|error| failed(io::Error::other(error)))?;
    Ok(std::fs::rename(&partial, changes).map_err(failed)?)
}
