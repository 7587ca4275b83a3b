//! Strings in a file that look like the names of libraries: a guess at what an object opens by name.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::rc::Rc;

use super::Discovery;
use crate::context::Context;
use crate::elf::Facts;
use crate::features::Feature;
use crate::finding::Severity;
use crate::loader::{Process, Role};
use crate::settings::Policy;
use crate::text::show;
use crate::view::Object;
use minimg_tree::{FileId, Root, RootPath};

/// No program opens more libraries than this by name.
const MAX_GUESSES: usize = 4096;
/// Longer strings are not the names of libraries.
const LONGEST: usize = 128;

/// Opens or reports the libraries that strings name, in objects that use `dlopen`.
#[derive(Default)]
pub(super) struct LibraryNames {
    /// The strings of each object: programs share their libraries, and the search is long.
    strings: HashMap<FileId, Strings>,
    /// Strings with the object and the place that the loader would find.
    guesses: BTreeSet<(RootPath, String, RootPath)>,
}

type Strings = Rc<Vec<Box<[u8]>>>;

impl<R: Root + ?Sized> Discovery<R> for LibraryNames {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        let policy = context.settings().closure.dlopen_strings;
        let object = process.loaded[at].object.clone();
        let opens = policy != Policy::Ignore && context.features(&object).contains_key(&Feature::Dlopen);
        // A loader and a C library name what they open; those are known.
        if !opens || process.loaded[at].role == Role::Interpreter {
            return Ok(());
        }
        let path = process.loaded[at].place.path.clone();
        for name in self.strings(&object).iter() {
            if process.named(name).is_some() {
                continue;
            }
            if policy == Policy::Keep {
                let why = format!("{path} opens libraries by name and holds the string {}", show(name));
                context.loader().open(process, at, name, &why)?;
            } else if let Some(place) = context.loader().locate(process, at, name)? {
                self.guesses.insert((path.clone(), show(name), place.path.clone()));
            }
        }
        Ok(())
    }

    /// Reports the guesses that nothing else has kept.
    fn finish(&mut self, context: &mut Context<'_, R>) -> io::Result<()> {
        for (path, name, place) in std::mem::take(&mut self.guesses) {
            if !context.ledger().keeps(&place) {
                let text = format!(
                    "it opens libraries by name and holds the string {name}: if it needs {place}, keep that path, or set dlopen-strings = \"keep\" under [closure]"
                );
                context.find(Severity::Note, &path, text);
            }
        }
        Ok(())
    }
}

impl LibraryNames {
    fn strings(&mut self, object: &Object) -> Strings {
        let read = || {
            let Ok(facts) = &object.facts else { return Strings::default() };
            let names = library_names(&object.bytes, facts).into_iter().take(MAX_GUESSES);
            Rc::new(names.map(Into::into).collect())
        };
        self.strings.entry(object.id).or_insert_with(read).clone()
    }
}

/// The strings `lib*.so*` in the segments that hold no code, sorted; whole strings only, as a program would hand them to `dlopen`.
fn library_names<'a>(bytes: &'a [u8], facts: &Facts) -> BTreeSet<&'a [u8]> {
    let data = facts.segments.iter().filter(|segment| !segment.executable).map(|segment| segment.bytes(bytes));
    data.flat_map(|data| memchr::memmem::find_iter(data, b".so").filter_map(|at| name_around(data, at))).collect()
}

fn name_around(data: &[u8], at: usize) -> Option<&[u8]> {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-".contains(byte);
    let before = data[..at].iter().rev().take(LONGEST).take_while(|b| part(b)).count();
    let after = data[at..].iter().take(LONGEST).take_while(|b| part(b)).count();
    let (start, end) = (at - before, at + after);
    let whole = (start == 0 || data[start - 1] == 0) && data.get(end) == Some(&0);
    let name = &data[start..end];
    let suffix = &data[at + 3..end];
    let version =
        suffix.is_empty() || suffix.starts_with(b".") && suffix.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    (whole && version && name.starts_with(b"lib")).then_some(name)
}
