//! The walk: from programs to all that they need, with a reason for every path.

mod process;
mod script;

use std::collections::{BTreeSet, VecDeque};
use std::io;

use globset::GlobSet;

use crate::closure::{Closure, Why};
use crate::context::Context;
use crate::discoveries::{self, Discovery};
use crate::error::{ClosureError, MissingFile};
use crate::settings::WalkSettings;
use crate::text::absolute;
use crate::view::Object;
use minimg_tree::{Entry, FileId, Root, RootPath};

/// Longer texts were not written by people; their beginning is read.
const LONGEST_TEXT: usize = 1 << 20;

/// What `programs`, paths or names to be looked up in PATH, need of `root`: the walk alone, without rule sets or globs.
///
/// # Errors
/// When a program is not there, something that one needs is not, or the root cannot be read.
pub fn walk<R: Root + ?Sized>(root: &R, programs: &[String], settings: WalkSettings) -> Result<Closure, ClosureError> {
    let mut walk = Walk::new(root, settings, GlobSet::empty());
    for program in programs {
        walk.context.keep_program(program)?;
    }
    walk.run()?;
    walk.finish(|_| None)
}

/// A walk in progress.
pub(crate) struct Walk<'r, R: Root + ?Sized> {
    /// What is known and kept so far.
    pub(crate) context: Context<'r, R>,
    /// None when the walk is that of the loader alone.
    discoveries: Vec<Box<dyn Discovery<R>>>,
    /// Programs that were started.
    started: BTreeSet<RootPath>,
    /// Libraries that no program named, to be closed when all programs are.
    plugins: VecDeque<RootPath>,
    /// ELF files that are part of a closed process.
    closed: BTreeSet<FileId>,
    missing: Vec<MissingFile>,
}

impl<'r, R: Root + ?Sized> Walk<'r, R> {
    /// A walk that begins; paths that `drop` matches are never kept.
    pub(crate) fn new(root: &'r R, settings: WalkSettings, drop: GlobSet) -> Self {
        let discoveries = if settings.hidden { discoveries::table() } else { Vec::new() };
        Self {
            context: Context::new(root, settings, drop),
            discoveries,
            started: BTreeSet::new(),
            plugins: VecDeque::new(),
            closed: BTreeSet::new(),
            missing: Vec::new(),
        }
    }

    /// Looks into everything that is kept until nothing new comes of it: programs first, then the libraries that none of them names,
    /// then the texts that discoveries read.
    pub(crate) fn run(&mut self) -> Result<(), ClosureError> {
        let named = |path: &RootPath, result: io::Result<()>| result.map_err(|e| ClosureError::io(path.to_string(), e));
        loop {
            if let Some(path) = self.context.ledger_mut().next_pending() {
                named(&path, self.visit(&path))?;
            } else if let Some(path) = self.plugins.pop_front() {
                named(&path, self.close_plugin(&path))?;
            } else if let Some(path) = self.context.next_text() {
                named(&path, self.read_text(&path))?;
            } else {
                return Ok(());
            }
        }
    }

    /// What was found, unless something that cannot be done without is missing.
    pub(crate) fn finish(mut self, advise: impl Fn(&str) -> Option<String>) -> Result<Closure, ClosureError> {
        if !self.missing.is_empty() {
            self.missing.iter_mut().for_each(|missing| missing.advice = advise(&missing.name));
            return Err(ClosureError::Missing(self.missing));
        }
        for discovery in &mut self.discoveries {
            discovery.finish(&mut self.context).map_err(|e| ClosureError::io("what kept files name", e))?;
        }
        Ok(self.context.into_ledger().into_closure())
    }

    /// Looks into a kept path: links lead on, ELF files are loaded, scripts name their interpreter.
    fn visit(&mut self, path: &RootPath) -> io::Result<()> {
        let name = absolute(path);
        let view = self.context.view();
        let place = match view.entry(path)? {
            // The links to a file bring their target along.
            Ok(Entry::Symlink(_)) => {
                if let Ok(place) = view.place(&name)?
                    && place.entry != Entry::Directory
                {
                    self.context.keep_place(&place, Why::Target, Some(path));
                }
                return Ok(());
            }
            Ok(Entry::File { size, .. }) if size >= 4 => match view.file(&name)? {
                Some(place) => place,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        let (bytes, object) = view.look_into(&place)?;
        if let Some(object) = object {
            return self.visit_elf(path, &object);
        }
        if bytes.starts_with(b"#!") {
            return self.visit_script(path, &place, &bytes, 0);
        }
        if self.discoveries.iter().any(|discovery| discovery.reads(path)) {
            self.context.read_later(path);
        }
        Ok(())
    }

    fn visit_elf(&mut self, path: &RootPath, object: &Object) -> io::Result<()> {
        let Ok(facts) = &object.facts else { return Ok(()) };
        if facts.kind != goblin::elf::header::ET_EXEC && facts.kind != goblin::elf::header::ET_DYN {
            return Ok(());
        }
        // A library may be named as a program all the same.
        let is_started = || !facts.is_library_named(path.file_name()) || self.context.ledger().comes_from_program(path);
        if facts.is_program() && is_started() {
            self.start(path)
        } else {
            self.plugins.push_back(path.clone());
            Ok(())
        }
    }

    fn read_text(&mut self, path: &RootPath) -> io::Result<()> {
        let Some(content) = self.context.view().content(&absolute(path))? else { return Ok(()) };
        let text = String::from_utf8_lossy(&content[..content.len().min(LONGEST_TEXT)]);
        match self.discoveries.iter_mut().find(|discovery| discovery.reads(path)) {
            Some(discovery) => discovery.text(&mut self.context, path, &text),
            None => Ok(()),
        }
    }
}
