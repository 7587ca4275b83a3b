//! The walk: from programs to all that they need, with a reason for every path.

mod visit;

pub(super) use visit::describe;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use globset::GlobSet;

use super::loader::{CacheSource, Loader, LoaderSettings, Place};
use super::{Closure, ClosureError, Finding, MissingFile, Reason, Severity, Why, advice};
use crate::{ClosureSettings, Policy};
use minimg_tree::{Entry, FileId, Root, RootPath};

/// The PATH of an image that sets none, as engines have it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a walk is done.
#[derive(Debug, Clone)]
pub struct WalkSettings {
    /// The environment of the programs: PATH, `LD_LIBRARY_PATH`, `LD_PRELOAD`, LANG.
    pub env: BTreeMap<String, String>,
    /// The directory that the programs start in.
    pub working_directory: RootPath,
    /// Which `/etc/ld.so.cache` is searched.
    pub cache: CacheSource,
    /// How the walk decides where the files alone do not.
    pub closure: ClosureSettings,
    /// Whether to look for what no file names (section "hidden" of the manual); without it the walk is that of the loader alone.
    pub hidden: bool,
}

impl Default for WalkSettings {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            working_directory: RootPath::root(),
            cache: CacheSource::Either,
            closure: ClosureSettings::default(),
            hidden: true,
        }
    }
}

/// What `programs`, paths or names to be looked up in PATH, need of `root`: the walk alone, without rule sets or globs.
///
/// # Errors
/// When a program is not there, something that one needs is not, or the root cannot be read.
pub fn walk<R: Root + ?Sized>(root: &R, programs: &[String], settings: WalkSettings) -> Result<Closure, ClosureError> {
    let mut walker = Walker::new(root, settings, GlobSet::empty());
    for program in programs {
        walker.program(program)?;
    }
    walker.run()?;
    walker.finish(|_| None)
}

/// A walk in progress.
pub(super) struct Walker<'r, R: Root + ?Sized> {
    pub(super) loader: Loader<'r, R>,
    pub(super) settings: WalkSettings,
    pub(super) kept: BTreeMap<RootPath, Reason>,
    pub(super) findings: BTreeSet<Finding>,
    /// What only a drop glob keeps out, and why it would be kept.
    pub(super) dropped: BTreeMap<RootPath, Reason>,
    drop: GlobSet,
    /// Kept paths that were not looked into yet.
    pending: VecDeque<RootPath>,
    /// Libraries that no program named, to be closed when all programs are.
    plugins: VecDeque<RootPath>,
    /// ELF files that are part of a closed process.
    closed: BTreeSet<FileId>,
    pub(super) started: BTreeSet<RootPath>,
    missing: Vec<MissingFile>,
    /// Kept configuration that was not read yet, to be read when the programs and plugins are known.
    pub(super) configuration: VecDeque<RootPath>,
    /// Files that OpenSSL's configuration includes.
    pub(super) included: BTreeSet<RootPath>,
    /// Kept caches of modules with their content.
    pub(super) module_caches: Vec<(RootPath, String)>,
    /// Commands of kept scripts: the script, the name, and where it is.
    pub(super) script_commands: BTreeSet<(RootPath, String, RootPath)>,
    /// What the kept objects ask others for, and which of them asks first.
    pub(super) imports: super::hidden::Imports,
}

impl<'r, R: Root + ?Sized> Walker<'r, R> {
    pub(super) fn new(root: &'r R, settings: WalkSettings, drop: GlobSet) -> Self {
        let loader = LoaderSettings {
            environment: settings.env.clone(),
            working_directory: settings.working_directory.clone(),
            cache: settings.cache,
            hwcaps: settings.closure.hwcaps,
        };
        Self {
            loader: Loader::new(root, loader),
            settings,
            kept: BTreeMap::new(),
            findings: BTreeSet::new(),
            dropped: BTreeMap::new(),
            drop,
            pending: VecDeque::new(),
            plugins: VecDeque::new(),
            closed: BTreeSet::new(),
            started: BTreeSet::new(),
            missing: Vec::new(),
            configuration: VecDeque::new(),
            included: BTreeSet::new(),
            module_caches: Vec::new(),
            script_commands: BTreeSet::new(),
            imports: super::hidden::Imports::default(),
        }
    }

    /// Keeps a program that the profile names.
    pub(super) fn program(&mut self, name: &str) -> Result<(), ClosureError> {
        match self.find_program(name).map_err(|e| io_error(name, e))? {
            Some((path, place)) => {
                self.keep_place(&place, Why::Program(name.to_owned()), None);
                self.note_unusable(&path, &place);
                Ok(())
            }
            None => Err(self.no_program(name)),
        }
    }

    /// Keeps a program that may be absent.
    pub(super) fn optional_program(&mut self, name: &str) -> Result<(), ClosureError> {
        if let Some((_, place)) = self.find_program(name).map_err(|e| io_error(name, e))? {
            self.keep_place(&place, Why::Program(name.to_owned()), None);
        }
        Ok(())
    }

    fn note_unusable(&mut self, path: &str, place: &Place) {
        if let Entry::File { mode, .. } = place.entry
            && mode & 0o111 == 0
        {
            self.find(Severity::Warning, path, "it is kept as a program, but is not executable");
        }
    }

    /// A name with a slash is a path; any other is looked up in the image's PATH.
    pub(super) fn find_program(&self, name: &str) -> io::Result<Option<(String, std::rc::Rc<Place>)>> {
        if name.contains('/') {
            let path = format!("/{}", name.trim_start_matches('/'));
            return Ok(self.loader.view().file(path.as_bytes())?.map(|place| (path, place)));
        }
        for directory in self.path().split(':').filter(|directory| directory.starts_with('/')) {
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            if let Some(place) = self.loader.view().file(path.as_bytes())? {
                return Ok(Some((path, place)));
            }
        }
        Ok(None)
    }

    fn path(&self) -> &str {
        self.settings.env.get("PATH").map_or(DEFAULT_PATH, String::as_str)
    }

    fn no_program(&self, name: &str) -> ClosureError {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let (directories, base): (Vec<&str>, &str) = match name.rsplit_once('/') {
            Some((directory, base)) => (vec![directory], base),
            None => (self.path().split(':').collect(), name),
        };
        for directory in &directories {
            if let Ok(Ok(place)) = self.loader.view().place(format!("/{directory}").as_bytes())
                && place.entry == Entry::Directory
            {
                let list = self.loader.view().root().list(&place.path).unwrap_or_default();
                names.extend(list.iter().map(|name| super::show(name)));
            }
        }
        // What is there under this very name is no file.
        let searched = match (names.remove(base), name.contains('/')) {
            (true, _) => "that path is not a file or a link to one".to_owned(),
            (false, true) => "the root has no such file".to_owned(),
            (false, false) => format!("it is not in PATH ({})", self.path()),
        };
        let nearest = advice::nearest(base, names.iter().map(String::as_str));
        let nearest =
            nearest.map(|n| name.rsplit_once('/').map_or(n.clone(), |(directory, _)| format!("{directory}/{n}")));
        ClosureError::Program { name: name.to_owned(), searched, nearest }
    }

    /// Keeps a file and every link on the way to it: directory links as links that `via` follows, the first link to the file (or the
    /// file itself) for the reason given.
    pub(super) fn keep_place(&mut self, place: &Place, why: Why, via: Option<&RootPath>) {
        for link in &place.directory_links {
            let owner = via.unwrap_or(&place.path);
            self.keep(link, Reason { why: Why::Link, via: Some(owner.clone()) });
        }
        let mut reason = Reason { why, via: via.cloned() };
        for link in &place.file_links {
            self.keep(link, reason);
            reason = Reason { why: Why::Target, via: Some(link.clone()) };
        }
        self.keep(&place.path, reason);
    }

    /// Keeps one path. The first reason stays. A drop glob wins.
    pub(super) fn keep(&mut self, path: &RootPath, reason: Reason) {
        if path.is_root() || self.kept.contains_key(path) {
            return;
        }
        if self.drops(path) {
            self.dropped.entry(path.clone()).or_insert(reason);
            return;
        }
        self.kept.insert(path.clone(), reason);
        self.pending.push_back(path.clone());
    }

    /// Whether the reasons of a kept path lead to a program that the profile names, by links and interpreters alone.
    fn comes_from_program(&self, path: &RootPath) -> bool {
        let mut at = Some(path);
        while let Some(reason) = at.and_then(|path| self.kept.get(path)) {
            match reason.why {
                Why::Program(_) => return true,
                Why::Target | Why::Shebang => at = reason.via.as_ref(),
                _ => return false,
            }
        }
        false
    }

    fn drops(&self, path: &RootPath) -> bool {
        !self.drop.is_empty() && self.drop.is_match(super::close::glob_path(path))
    }

    /// Looks into everything that is kept until nothing new comes of it: programs first, then the libraries that none of them names.
    pub(super) fn run(&mut self) -> Result<(), ClosureError> {
        loop {
            if let Some(path) = self.pending.pop_front() {
                self.visit(&path).map_err(|e| io_error(&path.to_string(), e))?;
            } else if let Some(path) = self.plugins.pop_front() {
                self.close_plugin(&path).map_err(|e| io_error(&path.to_string(), e))?;
            } else if let Some(path) = self.configuration.pop_front() {
                self.follow_configuration(&path).map_err(|e| io_error(&path.to_string(), e))?;
            } else {
                return Ok(());
            }
        }
    }

    /// What was found, unless something that cannot be done without is missing.
    pub(super) fn finish(mut self, advise: impl Fn(&str) -> Option<String>) -> Result<Closure, ClosureError> {
        if !self.missing.is_empty() {
            self.missing.iter_mut().for_each(|missing| missing.advice = advise(&missing.name));
            return Err(ClosureError::Missing(self.missing));
        }
        self.report_guesses();
        self.report_commands();
        self.report_module_caches().map_err(|e| io_error("the caches of modules", e))?;
        let dropped = std::mem::take(&mut self.dropped);
        for (path, reason) in &dropped {
            self.report_dropped(path, reason);
        }
        Ok(Closure { kept: self.kept, findings: self.findings.into_iter().collect() })
    }

    fn report_dropped(&mut self, path: &RootPath, reason: &Reason) {
        let (severity, how) = match &reason.why {
            Why::Program(_) | Why::Interpreter | Why::Needed(_) => (Severity::Error, "cannot do without it"),
            Why::Shebang | Why::Link | Why::Target | Why::Opened(_) => (Severity::Warning, "uses it"),
            _ => return,
        };
        let asker = reason.via.as_ref().map_or("the profile".to_owned(), ToString::to_string);
        self.find(
            severity,
            &path.to_string(),
            format!("a drop glob leaves it out, but {asker} {how}; narrow the glob"),
        );
    }

    pub(super) fn find(&mut self, severity: Severity, path: &str, message: impl Into<String>) {
        self.findings.insert(Finding { severity, path: path.to_owned(), message: message.into() });
    }

    /// Reports something under a policy; returns whether to keep it.
    pub(super) fn ask(&mut self, policy: Policy, path: &str, message: impl FnOnce() -> String) -> bool {
        match policy {
            Policy::Keep => true,
            Policy::Ignore => false,
            Policy::Report => {
                self.find(Severity::Note, path, message());
                false
            }
        }
    }
}

fn io_error(path: &str, source: io::Error) -> ClosureError {
    ClosureError::Io { path: path.to_owned(), source }
}
