//! ELF files: each program is a process with all that it loads; libraries that no program names are closed by themselves.

use std::io;

use super::Walk;
use crate::closure::Why;
use crate::finding::Severity;
use crate::loader::{Loaded, Process, Role};
use crate::text::{absolute, show};
use minimg_tree::{Entry, Root, RootPath};

impl<R: Root + ?Sized> Walk<'_, R> {
    pub(super) fn start(&mut self, path: &RootPath) -> io::Result<()> {
        if !self.started.insert(path.clone()) {
            return Ok(());
        }
        let Some(mut process) = self.context.loader().start(&absolute(path))? else { return Ok(()) };
        self.open_hidden(&mut process)?;
        for discovery in &mut self.discoveries {
            discovery.program(&mut self.context, &process)?;
        }
        self.keep_process(&process);
        self.missing.extend(process.missing.iter().map(|missing| process.describe(missing)));
        Ok(())
    }

    /// A library that no program named is closed by itself: the loader searches for what a plugin needs in the
    /// plugin's own lists, and what its program has loaded already is kept anyway.
    pub(super) fn close_plugin(&mut self, path: &RootPath) -> io::Result<()> {
        let Some(place) = self.context.view().file(&absolute(path))? else { return Ok(()) };
        let Entry::File { id, .. } = place.entry else { return Ok(()) };
        if self.closed.contains(&id) {
            return Ok(());
        }
        let Some(mut process) = self.context.loader().start_library(&absolute(path))? else { return Ok(()) };
        self.open_hidden(&mut process)?;
        self.keep_process(&process);
        for missing in &process.missing {
            if !self.is_kept_elsewhere(&missing.name) {
                let text = process.describe(missing).to_string();
                let advice = "no kept program names this file, so it can fail only when something opens it: add the library, or drop the file";
                self.context.find(Severity::Warning, path, format!("{text}; {advice}"));
            }
        }
        Ok(())
    }

    /// Whether a library of this name is kept anyway: once a program has loaded it, it serves the program's plugins too.
    fn is_kept_elsewhere(&self, name: &[u8]) -> bool {
        self.context.ledger().paths().any(|path| path.file_name() == name)
    }

    /// Opens in a process what its objects will open while they run, as far as that is certain or wanted.
    fn open_hidden(&mut self, process: &mut Process) -> io::Result<()> {
        let mut at = 0;
        // What is opened may open more.
        while at < process.loaded.len() {
            for discovery in &mut self.discoveries {
                discovery.object(&mut self.context, process, at)?;
            }
            at += 1;
        }
        Ok(())
    }

    /// Keeps everything that a process has loaded.
    fn keep_process(&mut self, process: &Process) {
        for loaded in &process.loaded {
            let asker = loaded.asker.map(|asker| process.loaded[asker].place.path.clone());
            let why = why(loaded);
            self.closed.insert(loaded.object.id);
            self.context.keep_place(&loaded.place, why.clone(), asker.as_ref());
            for variant in &loaded.variants {
                self.context.keep_place(variant, why.clone(), asker.as_ref());
            }
            self.report_processors(loaded);
            if self.context.settings().hidden {
                self.context.note_features(&loaded.place.path, &loaded.object);
            }
        }
        for place in &process.consulted {
            let why = Why::Opened("the loader reads it to know what to load".to_owned());
            self.context.keep_place(place, why, Some(&process.loaded[0].place.path));
        }
    }

    /// Reports what depends on the processor.
    fn report_processors(&mut self, loaded: &Loaded) {
        let path = &loaded.place.path;
        if let Some(level) = loaded.level {
            let text = match level.strip_prefix("glibc-hwcaps/") {
                Some(level) => format!("it exists for processors of the level {level} only, so the image needs one"),
                None => format!(
                    "it is only in a directory {level}, where glibc looks up to version 2.36, and on some processors: move it up"
                ),
            };
            self.context.find(Severity::Warning, path, text);
        }
        if loaded.by_platform && loaded.variants.iter().any(|variant| variant.path != *path) {
            let text = "it was found through $PLATFORM, which depends on the processor: what other processors find is kept too";
            self.context.find(Severity::Note, path, text);
        }
    }
}

/// The step that brought a file into its process.
fn why(loaded: &Loaded) -> Why {
    match loaded.role {
        Role::Program => Why::Target,
        Role::Interpreter => Why::Interpreter,
        Role::Needed | Role::Auxiliary | Role::Filter => Why::Needed(show(&loaded.name)),
        Role::Preloaded => Why::Opened("it is preloaded by LD_PRELOAD or /etc/ld.so.preload".to_owned()),
        Role::Audit => Why::Opened("it is an audit library (DT_AUDIT)".to_owned()),
        Role::Opened => Why::Opened(loaded.why.as_deref().unwrap_or_default().to_owned()),
    }
}
