//! Scripts: their first line names an interpreter, which may be a script itself.

use std::io;

use super::Walk;
use crate::closure::Why;
use crate::error::MissingFile;
use crate::finding::Severity;
use crate::shebang::{MAX_NESTING, Shebang};
use crate::text::show;
use crate::view::Place;
use minimg_tree::{Entry, Root, RootPath};

impl<R: Root + ?Sized> Walk<'_, R> {
    /// Keeps the interpreter of a script, which `depth` scripts name as theirs.
    pub(super) fn visit_script(
        &mut self,
        path: &RootPath,
        place: &Place,
        bytes: &[u8],
        depth: usize,
    ) -> io::Result<()> {
        let Entry::File { mode, .. } = place.entry else { return Ok(()) };
        // Modules and examples have first lines that nobody runs.
        if mode & 0o111 == 0 {
            return Ok(());
        }
        let shebang = match Shebang::parse(bytes) {
            Ok(Some(shebang)) => shebang,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.context.find(Severity::Warning, path, error.to_string());
                return Ok(());
            }
        };
        if depth >= MAX_NESTING {
            let text = "its interpreters are scripts nested deeper than the kernel allows";
            self.context.find(Severity::Warning, path, text);
            return Ok(());
        }
        if depth == 0 {
            for discovery in &mut self.discoveries {
                discovery.script(&mut self.context, path, &shebang, bytes)?;
            }
        }
        self.keep_interpreter(path, &shebang, depth)
    }

    fn keep_interpreter(&mut self, path: &RootPath, shebang: &Shebang, depth: usize) -> io::Result<()> {
        match self.context.view().file(&shebang.interpreter)? {
            Some(place) => {
                self.context.keep_place(&place, Why::Shebang, Some(path));
                let content = self.context.view().root().read(&place.path)?;
                if content.starts_with(b"#!") {
                    self.visit_script(&place.path, &place, &content, depth + 1)?;
                }
            }
            None => self.lacks_interpreter(path, &show(&shebang.interpreter)),
        }
        if let Some(program) = shebang.env_program() {
            match self.context.find_program(&program)? {
                Some((_, place)) => self.context.keep_place(&place, Why::Shebang, Some(path)),
                None => self.lacks_interpreter(path, &program),
            }
        }
        Ok(())
    }

    /// A script that the profile names must run; one that came with a package may never be used.
    fn lacks_interpreter(&mut self, path: &RootPath, name: &str) {
        if self.context.ledger().comes_from_program(path) {
            let chain = vec![path.to_string()];
            let (name, what) = (name.to_owned(), "interpreter");
            self.missing.push(MissingFile { name, what, chain, tried: Vec::new(), advice: None });
        } else {
            let text =
                format!("its interpreter {name} is not in the tree: add it, or drop the script if nothing runs it");
            self.context.find(Severity::Warning, path, text);
        }
    }
}
