//! The proof that an image is complete: every interpreter, needed library, symbol version, symbol and shebang inside resolves.
//!
//! It works on any root, whoever made it. Every program is started as the root's own loader would, with the root's own cache; the symbols
//! that relocations refer to are then looked up as that loader does (`elf/dl-lookup.c`, `elf/dl-version.c`). Libraries that no program
//! names are checked in the scope of some program that opens libraries by name; what is missing there is a note.

mod inventory;
mod symbols;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;

use crate::error::ClosureError;
use crate::finding::{Finding, Severity};
use crate::loader::{CacheSource, Loader, LoaderSettings, Process};
use crate::shebang::Shebang;
use crate::text::{absolute, show};
use minimg_tree::{Entry, Root, RootPath};
use symbols::{Scopes, Strictness};

/// What the check assumes of the image's configuration.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// The environment of the image.
    pub env: BTreeMap<String, String>,
    /// The directory that the image's program starts in.
    pub working_directory: RootPath,
    /// Which `/etc/ld.so.cache` counts; for a finished image the one in it.
    pub cache: CacheSource,
    /// Whether symbols are looked up, or only files and versions.
    pub symbols: bool,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self { env: BTreeMap::new(), working_directory: RootPath::root(), cache: CacheSource::Shipped, symbols: true }
    }
}

/// What was looked at, and what does not resolve.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Checked {
    /// How many ELF programs were loaded.
    pub programs: usize,
    /// How many libraries and plugins there are.
    pub libraries: usize,
    /// How many scripts there are.
    pub scripts: usize,
    /// How many directories, programs and libraries may not be read.
    pub unreadable: usize,
    /// What does not resolve, sorted with the errors first.
    pub findings: Vec<Finding>,
}

/// What does not resolve in `root`, sorted with the errors first; nothing comes back for a root that is complete.
///
/// # Errors
/// When the root cannot be read.
pub fn check<R: Root + ?Sized>(root: &R, settings: &CheckSettings) -> Result<Vec<Finding>, ClosureError> {
    Ok(check_counted(root, settings)?.findings)
}

/// As [`check`], with how much was looked at: that nothing is wrong says little of a root in which nothing was found.
///
/// # Errors
/// When the root cannot be read.
pub fn check_counted<R: Root + ?Sized>(root: &R, settings: &CheckSettings) -> Result<Checked, ClosureError> {
    let mut checker = Checker::new(root, settings);
    let checked = checker.check_all().map_err(|source| ClosureError::Io { path: "the root".to_owned(), source });
    checked.map(|counted| Checked { findings: checker.findings.into_iter().collect(), ..counted })
}

/// As [`check_counted`], of these programs alone: names that lead to no ELF program of `root` are passed over.
///
/// # Errors
/// When the root cannot be read.
pub fn check_programs<R: Root + ?Sized>(
    root: &R,
    programs: &[String],
    settings: &CheckSettings,
) -> Result<Checked, ClosureError> {
    let mut checker = Checker::new(root, settings);
    let io = |source| ClosureError::Io { path: "the root".to_owned(), source };
    let mut processes = Vec::new();
    for program in programs {
        if let Some(process) = checker.loader.start(program.as_bytes()).map_err(io)? {
            checker.report_missing(&process);
            processes.push(process);
        }
    }
    if settings.symbols {
        checker.check_symbols(&processes, &[]);
    }
    let findings = checker.findings.into_iter().collect();
    Ok(Checked { programs: processes.len(), findings, ..Checked::default() })
}

struct Checker<'r, 's, R: Root + ?Sized> {
    loader: Loader<'r, R>,
    settings: &'s CheckSettings,
    findings: BTreeSet<Finding>,
}

impl<'r, 's, R: Root + ?Sized> Checker<'r, 's, R> {
    fn new(root: &'r R, settings: &'s CheckSettings) -> Self {
        let loader = LoaderSettings {
            environment: settings.env.clone(),
            working_directory: settings.working_directory.clone(),
            cache: settings.cache,
            hwcaps: false,
        };
        Self { loader: Loader::new(root, loader), settings, findings: BTreeSet::new() }
    }

    fn check_all(&mut self) -> io::Result<Checked> {
        let inventory = inventory::take(self.loader.view())?;
        for path in &inventory.unreadable {
            self.report_unreadable(path)?;
        }
        for script in &inventory.scripts {
            self.check_script(script)?;
        }
        let mut programs = Vec::new();
        for path in &inventory.programs {
            if let Some(process) = self.loader.start(&absolute(path))? {
                self.report_missing(&process);
                programs.push(process);
            }
        }
        let mut loaded: BTreeSet<_> = programs.iter().flat_map(|p| p.loaded.iter().map(|l| l.object.id)).collect();
        let mut plugins = Vec::new();
        for path in &inventory.libraries {
            let place = self.loader.view().file(&absolute(path))?;
            let Some(Entry::File { id, .. }) = place.map(|place| place.entry.clone()) else { continue };
            if !loaded.insert(id) {
                continue;
            }
            if let Some(process) = self.loader.start_library(&absolute(path))? {
                self.report_missing_of_plugin(&process, &inventory.libraries);
                plugins.push(process);
            }
        }
        if self.settings.symbols {
            self.check_symbols(&programs, &plugins);
        }
        Ok(Checked {
            programs: inventory.programs.len(),
            libraries: inventory.libraries.len(),
            scripts: inventory.scripts.len(),
            unreadable: inventory.unreadable.len(),
            findings: Vec::new(),
        })
    }

    /// A program or library that cannot be read is surely missed; a directory may hold none.
    fn report_unreadable(&mut self, path: &RootPath) -> io::Result<()> {
        let is_directory = self.loader.view().place(&absolute(path))?.is_ok_and(|p| p.entry == Entry::Directory);
        let severity = if is_directory { Severity::Warning } else { Severity::Error };
        let message =
            "it cannot be read and was not checked: run the check as root, or as a user who can read everything";
        self.findings.insert(Finding { severity, path: path.to_string(), message: message.to_owned() });
        Ok(())
    }

    fn check_symbols(&mut self, programs: &[Process], plugins: &[Process]) {
        let mut scopes = Scopes::new(programs.iter().chain(plugins));
        for process in programs {
            self.findings.extend(scopes.check(process, Strictness::Program, &[]));
        }
        for process in plugins {
            self.findings.extend(scopes.check(process, Strictness::Plugin, programs));
        }
    }

    fn report_missing(&mut self, process: &Process) {
        for missing in &process.missing {
            let path = process.loaded[missing.asker].place.path.to_string();
            let message = process.describe(missing).to_string();
            self.findings.insert(Finding { severity: Severity::Error, path, message });
        }
    }

    /// What a plugin itself lacks; a library that its program has loaded serves it too, wherever that lies.
    fn report_missing_of_plugin(&mut self, process: &Process, libraries: &[RootPath]) {
        for missing in process.missing.iter().filter(|missing| missing.asker == 0) {
            let somewhere = libraries.iter().find(|library| library.file_name() == &*missing.name);
            let (severity, text) = match somewhere {
                Some(library) => (Severity::Note, format!("a program that opens this file must open {library} first")),
                None => (
                    Severity::Warning,
                    "no program names this file, so it can fail only when something opens it".to_owned(),
                ),
            };
            let path = process.loaded[0].place.path.to_string();
            self.findings.insert(Finding { severity, path, message: format!("{}; {text}", process.describe(missing)) });
        }
    }

    /// A script in a directory of PATH must run; others are often only read.
    fn check_script(&mut self, path: &RootPath) -> io::Result<()> {
        let bytes = self.loader.view().root().read(path)?;
        let missing = match Shebang::parse(&bytes) {
            Ok(None) => return Ok(()),
            Err(error) => Some(error.to_string()),
            Ok(Some(shebang)) => {
                let missing = self.loader.view().file(&shebang.interpreter)?.is_none();
                missing.then(|| format!("its interpreter {} is missing", show(&shebang.interpreter)))
            }
        };
        let command = path.parent().is_some_and(|parent| {
            matches!(
                parent.as_bytes(),
                b"bin" | b"sbin" | b"usr/bin" | b"usr/sbin" | b"usr/local/bin" | b"usr/local/sbin"
            )
        });
        let severity = if command { Severity::Error } else { Severity::Warning };
        let finding = missing.map(|message| Finding { severity, path: path.to_string(), message });
        self.findings.extend(finding);
        Ok(())
    }
}
