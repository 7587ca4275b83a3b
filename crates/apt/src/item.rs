//! The items of a request: `name`, `name:architecture`, `name=version`, `name/suite`.

use super::error::ArchiveError;
use super::relation::{Relation, is_name_byte};
use super::universe::{Candidate, Universe};

/// One package that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item<'r> {
    /// As it was written.
    pub text: &'r str,
    /// The name of a package, or of something that packages provide.
    pub name: &'r str,
    /// The architecture, where it is named.
    pub architecture: Option<&'r str>,
    /// The version or suite, where it is named.
    pub from: Option<&'r str>,
}

impl<'r> Item<'r> {
    /// Reads an item.
    ///
    /// # Errors
    /// When it is not of one of the forms.
    pub(super) fn parse(text: &'r str) -> Result<Self, ArchiveError> {
        let (rest, from) = match text.split_once(['=', '/']) {
            Some((rest, from)) => (rest, Some(from)),
            None => (text, None),
        };
        let (name, architecture) = match rest.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (rest, None),
        };
        let sound = |word: &str| !word.is_empty() && word.bytes().all(is_name_byte);
        if !sound(name) || !architecture.is_none_or(sound) || from.is_some_and(str::is_empty) {
            let message = "expected NAME, NAME:ARCHITECTURE, NAME=VERSION or NAME/SUITE".to_owned();
            return Err(ArchiveError::Request { text: text.to_owned(), message });
        }
        Ok(Self { text, name, architecture, from })
    }

    /// The packages that answer it, in groups of one name, the preferred ones first.
    pub(super) fn candidates<'a>(&self, universe: &Universe<'a>) -> Vec<Vec<Candidate<'a>>> {
        let architecture = self.architecture.unwrap_or(universe.architecture);
        let found = universe.find(self.name);
        let fits = |candidate: &&Candidate<'a>| {
            universe.architecture_of(candidate) == architecture
                && self.from.is_none_or(|from| universe.fits_pin(candidate, from))
        };
        let real: Vec<_> = found.real.iter().filter(fits).copied().collect();
        if !found.real.is_empty() || self.from.is_some() {
            return vec![real];
        }
        universe.providers(&Relation { name: self.name, qualifier: None, version: None }, architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        for (text, expected) in [
            ("bash", Some(("bash", None, None))),
            ("g++:arm64", Some(("g++", Some("arm64"), None))),
            ("a=1:2-3", Some(("a", None, Some("1:2-3")))),
            ("a:i386=1", Some(("a", Some("i386"), Some("1")))),
            ("a/trixie-backports", Some(("a", None, Some("trixie-backports")))),
            ("", None),
            ("a=", None),
            ("a:", None),
            ("a b", None),
            ("=1", None),
        ] {
            let item = Item::parse(text).ok().map(|item| (item.name, item.architecture, item.from));
            assert_eq!(item, expected, "{text}");
        }
    }
}
