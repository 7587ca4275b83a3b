//! What a walk shares with the discoveries: the root as its loader sees it, the settings, and the ledger of what is kept.
//!
//! Everything that a discovery may do goes through [`Context`]; what it remembers for itself, it keeps to itself.

mod program;

use std::collections::VecDeque;
use std::io;

use globset::GlobSet;

use crate::closure::{Reason, Why};
use crate::features::{Feature, Features, Used};
use crate::finding::Severity;
use crate::ledger::Ledger;
use crate::loader::{Loader, LoaderSettings, Process};
use crate::settings::{Policy, WalkSettings};
use crate::system::Libc;
use crate::view::{Object, Place, View};
use minimg_tree::{Entry, Root, RootPath};

/// What is known and kept while a walk goes on.
pub(crate) struct Context<'r, R: Root + ?Sized> {
    loader: Loader<'r, R>,
    settings: WalkSettings,
    ledger: Ledger,
    features: Features,
    /// Kept texts that are read when the programs and plugins are known.
    texts: VecDeque<RootPath>,
}

impl<'r, R: Root + ?Sized> Context<'r, R> {
    /// That of a walk that begins; paths that `drop` matches are never kept.
    pub(crate) fn new(root: &'r R, settings: WalkSettings, drop: GlobSet) -> Self {
        let loader = LoaderSettings {
            environment: settings.env.clone(),
            working_directory: settings.working_directory.clone(),
            cache: settings.cache,
            hwcaps: settings.closure.hwcaps,
        };
        Self {
            loader: Loader::new(root, loader),
            settings,
            ledger: Ledger::new(drop),
            features: Features::default(),
            texts: VecDeque::new(),
        }
    }

    /// The loader of the root.
    pub(crate) fn loader(&self) -> &Loader<'r, R> {
        &self.loader
    }

    /// The root and what is remembered of it.
    pub(crate) fn view(&self) -> &View<'r, R> {
        self.loader.view()
    }

    /// How the walk is done.
    pub(crate) fn settings(&self) -> &WalkSettings {
        &self.settings
    }

    /// What is kept so far.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// To keep more, or to report.
    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// The ledger at the end of the walk.
    pub(crate) fn into_ledger(self) -> Ledger {
        self.ledger
    }

    /// Keeps one path.
    pub(crate) fn keep(&mut self, path: &RootPath, reason: Reason) {
        self.ledger.keep(path, reason);
    }

    /// Keeps a file and every link on the way to it.
    pub(crate) fn keep_place(&mut self, place: &Place, why: Why, via: Option<&RootPath>) {
        self.ledger.keep_place(place, why, via);
    }

    /// Keeps all files below a directory, if it is there.
    pub(crate) fn keep_below(&mut self, directory: &[u8], why: &Why, asker: &RootPath) -> io::Result<()> {
        let Ok(place) = self.view().place(directory)? else { return Ok(()) };
        if place.entry != Entry::Directory {
            return Ok(());
        }
        for name in self.view().root().list(&place.path)? {
            let path = [directory, b"/", &name].concat();
            match self.view().place(&path)? {
                Ok(found) if found.entry == Entry::Directory && found.file_links.is_empty() => {
                    self.keep_below(&path, why, asker)?;
                }
                Ok(found) => self.keep_place(&found, why.clone(), Some(asker)),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Keeps the file of this name: an absolute path, or one in the first of these directories that has it.
    pub(crate) fn keep_named(
        &mut self,
        name: &str,
        directories: &[String],
        by: &RootPath,
        why: &str,
    ) -> io::Result<bool> {
        let candidates = match name.starts_with('/') {
            true => vec![name.to_owned()],
            false => directories.iter().map(|directory| format!("{directory}{name}")).collect(),
        };
        for candidate in candidates {
            let candidate = if candidate.starts_with('/') { candidate } else { format!("/{candidate}") };
            if let Some(place) = self.view().file(candidate.as_bytes())? {
                self.keep_place(&place, Why::Opened(why.to_owned()), Some(by));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes what people should know of.
    pub(crate) fn find(&mut self, severity: Severity, path: &RootPath, message: impl Into<String>) {
        self.ledger.find(severity, &path.to_string(), message);
    }

    /// Reports something under a policy; returns whether to keep it.
    pub(crate) fn ask(&mut self, policy: Policy, path: &RootPath, message: impl FnOnce() -> String) -> bool {
        self.ledger.ask(policy, &path.to_string(), message)
    }

    /// The features of the C library that `object` uses, each with a function that says so.
    pub(crate) fn features(&mut self, object: &Object) -> &Used {
        self.features.of(object)
    }

    /// The function by which the object `at` of a process uses a feature of glibc, if it does; always `None` with another C library.
    pub(crate) fn uses(&mut self, process: &Process, at: usize, feature: Feature) -> Option<&'static str> {
        let is_glibc = process.libc() == Some(Libc::Glibc);
        self.features(&process.loaded[at].object).get(&feature).copied().filter(|_| is_glibc)
    }

    /// Notes the features that the kept file at `path` uses.
    pub(crate) fn note_features(&mut self, path: &RootPath, object: &Object) {
        self.features.note(path, object);
    }

    /// The first kept object that uses a feature.
    pub(crate) fn first_with(&self, feature: Feature) -> Option<&RootPath> {
        self.features.first(feature)
    }

    /// Puts a kept text aside, to be read when all programs and plugins are known.
    pub(crate) fn read_later(&mut self, path: &RootPath) {
        self.texts.push_back(path.clone());
    }

    /// The next text that was put aside.
    pub(crate) fn next_text(&mut self) -> Option<RootPath> {
        self.texts.pop_front()
    }
}
