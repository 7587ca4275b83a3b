//! Looking into a kept path: ELF files are loaded, scripts name their interpreter, links lead on.

use std::io;

use super::Walker;
use crate::loader::{Missing, Object, Place, Process, Role};
use crate::shebang::MAX_NESTING;
use crate::{MissingFile, Severity, Shebang, Why, show};
use minimg_tree::{Entry, Root, RootPath};

impl<R: Root + ?Sized> Walker<'_, R> {
    pub(super) fn visit(&mut self, path: &RootPath) -> io::Result<()> {
        let name = absolute(path);
        let place = match self.loader.view().entry(path)? {
            // The links to a file bring their target along.
            Ok(Entry::Symlink(_)) => {
                if let Ok(place) = self.loader.view().place(&name)?
                    && place.entry != Entry::Directory
                {
                    self.keep_place(&place, Why::Target, Some(path));
                }
                return Ok(());
            }
            Ok(Entry::File { size, .. }) if size >= 4 => match self.loader.view().file(&name)? {
                Some(place) => place,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        let (bytes, object) = self.loader.view().look_into(&place)?;
        if let Some(object) = object {
            self.visit_elf(path, &object)
        } else if bytes.starts_with(b"#!") {
            self.visit_script(path, &place, &bytes, 0)
        } else {
            self.note_configuration(path);
            Ok(())
        }
    }

    fn visit_elf(&mut self, path: &RootPath, object: &Object) -> io::Result<()> {
        let Ok(facts) = &object.facts else { return Ok(()) };
        if facts.kind != goblin::elf::header::ET_EXEC && facts.kind != goblin::elf::header::ET_DYN {
            return Ok(());
        }
        if facts.is_program() {
            self.start(path)
        } else {
            self.plugins.push_back(path.clone());
            Ok(())
        }
    }

    fn start(&mut self, path: &RootPath) -> io::Result<()> {
        if !self.started.insert(path.clone()) {
            return Ok(());
        }
        let Some(mut process) = self.loader.start(&absolute(path))? else { return Ok(()) };
        if self.settings.hidden {
            self.open_hidden(&mut process)?;
            self.look_at_program(&process)?;
        }
        self.keep_process(&process);
        let missing = process.missing.iter().map(|missing| describe(&process, missing)).collect::<Vec<_>>();
        self.missing.extend(missing);
        Ok(())
    }

    /// A library that no program named is closed as if it were started by itself: the loader searches for what a plugin needs in the
    /// plugin's own lists, and what its program has loaded already is kept anyway.
    pub(super) fn close_plugin(&mut self, path: &RootPath) -> io::Result<()> {
        let Some(place) = self.loader.view().file(&absolute(path))? else { return Ok(()) };
        let Entry::File { id, .. } = place.entry else { return Ok(()) };
        if self.closed.contains(&id) {
            return Ok(());
        }
        let Some(mut process) = self.loader.start(&absolute(path))? else { return Ok(()) };
        if self.settings.hidden {
            self.open_hidden(&mut process)?;
        }
        self.keep_process(&process);
        for missing in &process.missing {
            if !self.is_kept_elsewhere(&missing.name) {
                let text = describe(&process, missing).to_string();
                let advice = "no kept program names this file, so it can fail only when something opens it: add the library, or drop the file";
                self.find(Severity::Warning, &path.to_string(), format!("{text}; {advice}"));
            }
        }
        Ok(())
    }

    /// Whether a library of this name is kept anyway: once a program has loaded it, it serves the program's plugins too.
    fn is_kept_elsewhere(&self, name: &[u8]) -> bool {
        self.kept.keys().any(|path| path.file_name() == name)
    }

    /// Keeps everything that a process has loaded.
    fn keep_process(&mut self, process: &Process) {
        for loaded in &process.loaded {
            let asker = loaded.asker.map(|asker| process.loaded[asker].place.path.clone());
            let why = match loaded.role {
                Role::Program => Why::Target,
                Role::Interpreter => Why::Interpreter,
                Role::Needed | Role::Auxiliary | Role::Filter => Why::Needed(show(&loaded.name)),
                Role::Preloaded => Why::Opened("it is preloaded by LD_PRELOAD or /etc/ld.so.preload".to_owned()),
                Role::Audit => Why::Opened("it is an audit library (DT_AUDIT)".to_owned()),
                Role::Opened => Why::Opened(loaded.why.as_deref().unwrap_or_default().to_owned()),
            };
            self.closed.insert(loaded.object.id);
            self.keep_place(&loaded.place, why.clone(), asker.as_ref());
            for variant in &loaded.variants {
                self.keep_place(variant, why.clone(), asker.as_ref());
            }
            if let Some(level) = loaded.level {
                let text = match level.strip_prefix("glibc-hwcaps/") {
                    Some(level) => {
                        format!("it exists for processors of the level {level} only, so the image needs one")
                    }
                    None => format!(
                        "it is only in a directory {level}, where glibc looks up to version 2.36, and on some processors: move it up"
                    ),
                };
                self.find(Severity::Warning, &loaded.place.path.to_string(), text);
            }
            if loaded.by_platform && (loaded.variants.iter().any(|variant| variant.path != loaded.place.path)) {
                let text = "it was found through $PLATFORM, which depends on the processor: what other processors find is kept too";
                self.find(Severity::Note, &loaded.place.path.to_string(), text);
            }
            self.note_imports(&loaded.place.path, &loaded.object);
        }
    }

    fn note_imports(&mut self, path: &RootPath, object: &Object) {
        if self.settings.hidden {
            self.imports.note(path, object);
        }
    }

    /// Keeps the interpreter of a script; an interpreter may be a script itself.
    fn visit_script(&mut self, path: &RootPath, place: &Place, bytes: &[u8], depth: usize) -> io::Result<()> {
        let Entry::File { mode, .. } = place.entry else { return Ok(()) };
        // Modules and examples have first lines that nobody runs.
        if mode & 0o111 == 0 {
            return Ok(());
        }
        let shebang = match Shebang::parse(bytes) {
            Ok(Some(shebang)) => shebang,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.find(Severity::Warning, &path.to_string(), error.to_string());
                return Ok(());
            }
        };
        if depth >= MAX_NESTING {
            let text = "its interpreters are scripts nested deeper than the kernel allows";
            self.find(Severity::Warning, &path.to_string(), text);
            return Ok(());
        }
        if depth == 0 {
            self.follow_commands(path, &shebang, bytes)?;
        }
        let name = show(&shebang.interpreter);
        match self.loader.view().file(&shebang.interpreter)? {
            Some(place) => {
                self.keep_place(&place, Why::Shebang, Some(path));
                let content = self.loader.view().root().read(&place.path)?;
                if content.starts_with(b"#!") {
                    self.visit_script(&place.path, &place, &content, depth + 1)?;
                }
            }
            None => self.lacks_interpreter(path, &name),
        }
        if let Some(program) = shebang.env_program() {
            match self.find_program(&program)? {
                Some((_, place)) => self.keep_place(&place, Why::Shebang, Some(path)),
                None => self.lacks_interpreter(path, &program),
            }
        }
        Ok(())
    }

    /// A script that the profile names must run; one that came with a package may never be used.
    fn lacks_interpreter(&mut self, path: &RootPath, name: &str) {
        if self.comes_from_program(path) {
            let chain = vec![path.to_string()];
            let (name, what) = (name.to_owned(), "interpreter");
            self.missing.push(MissingFile { name, what, chain, tried: Vec::new(), advice: None });
        } else {
            let text =
                format!("its interpreter {name} is not in the tree: add it, or drop the script if nothing runs it");
            self.find(Severity::Warning, &path.to_string(), text);
        }
    }
}

/// A missing name with the chain of those who asked, from the program down.
pub(crate) fn describe(process: &Process, missing: &Missing) -> MissingFile {
    let mut chain: Vec<String> =
        process.askers(missing.asker).into_iter().map(|at| process.loaded[at].place.path.to_string()).collect();
    chain.reverse();
    let tried = missing.tried.iter().map(|tried| (show(&tried.path), tried.why)).collect();
    let what = if missing.role == Role::Interpreter { "loader" } else { "library" };
    MissingFile { name: show(&missing.name), what, chain, tried, advice: None }
}

pub(super) fn absolute(path: &RootPath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}
