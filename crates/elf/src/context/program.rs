//! Programs by path, or by name in the image's PATH.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::Context;
use crate::closure::Why;
use crate::error::ClosureError;
use crate::finding::Severity;
use crate::text::show;
use crate::view::Place;
use minimg_base::suggest;
use minimg_tree::search::{path_of, places_of_program};
use minimg_tree::{Entry, Root};

impl<R: Root + ?Sized> Context<'_, R> {
    /// Keeps a program that the profile names.
    pub(crate) fn keep_program(&mut self, name: &str) -> Result<(), ClosureError> {
        match self.find_program(name).map_err(|e| ClosureError::io(name, e))? {
            Some((path, place)) => {
                self.keep_place(&place, Why::Program(name.to_owned()), None);
                self.note_unusable(&path, &place);
                Ok(())
            }
            None => Err(self.no_program(name)),
        }
    }

    /// Keeps a program that may be absent.
    pub(crate) fn keep_optional_program(&mut self, name: &str) -> Result<(), ClosureError> {
        if let Some((_, place)) = self.find_program(name).map_err(|e| ClosureError::io(name, e))? {
            self.keep_place(&place, Why::Program(name.to_owned()), None);
        }
        Ok(())
    }

    fn note_unusable(&mut self, path: &str, place: &Place) {
        if let Entry::File { mode, .. } = place.entry
            && mode & 0o111 == 0
        {
            self.ledger.find(Severity::Warning, path, "it is kept as a program, but is not executable");
        }
    }

    /// A name with a slash is a path; any other is looked up in the image's PATH.
    pub(crate) fn find_program(&self, name: &str) -> io::Result<Option<(String, Rc<Place>)>> {
        for path in places_of_program(name, &self.settings.env, "/") {
            if let Some(place) = self.view().file(path.as_bytes())? {
                return Ok(Some((path, place)));
            }
        }
        Ok(None)
    }

    fn path(&self) -> &str {
        path_of(&self.settings.env)
    }

    fn no_program(&self, name: &str) -> ClosureError {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let (directories, base): (Vec<&str>, &str) = match name.rsplit_once('/') {
            Some((directory, base)) => (vec![directory], base),
            None => (self.path().split(':').collect(), name),
        };
        for directory in &directories {
            if let Ok(Ok(place)) = self.view().place(format!("/{directory}").as_bytes())
                && place.entry == Entry::Directory
            {
                let list = self.view().root().list(&place.path).unwrap_or_default();
                names.extend(list.iter().map(|name| show(name)));
            }
        }
        // What is there under this very name is no file.
        let searched = match (names.remove(base), name.contains('/')) {
            (true, _) => "that path is not a file or a link to one".to_owned(),
            (false, true) => "the root has no such file".to_owned(),
            (false, false) => format!("it is not in PATH ({})", self.path()),
        };
        let nearest = suggest::nearest(base, names.iter().map(String::as_str));
        let nearest = nearest.map(|nearest| match name.rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/{nearest}"),
            None => nearest.to_owned(),
        });
        ClosureError::Program { name: name.to_owned(), searched, nearest }
    }
}
