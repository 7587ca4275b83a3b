//! A profile with all of its conditions still open: what differs by suite, architecture and board is not yet decided.

use std::collections::BTreeMap;

use super::check::{self, Known};
use super::file::{OverrideTable, Parts};
use super::{Additions, Keep, Profile};
use crate::backends;
use minimg_backend::Source;
use minimg_base::board::Board;
use minimg_document::document::At;
use minimg_document::problem::Problems;
use minimg_elf::Rules;
use minimg_oci::image::Config;

/// The backend of profiles that name none.
const BACKEND: &str = "deb";
/// The family whose backends have a usual distribution.
const BACKEND_FAMILY: &str = "deb";
/// The distribution of profiles that name none, on a backend of that family.
const DISTRIBUTION: &str = "debian";
/// Its current stable suite.
const SUITE: &str = "trixie";

/// A profile and those that it builds on, checked, with what differs by suite, architecture and board still open.
#[derive(Debug)]
pub struct Definition {
    name: String,
    /// From the one that builds on nothing to the profile itself.
    files: Vec<Parts>,
    /// In place of the backend that the files name.
    backend: Option<String>,
    /// The rule sets that may be named or triggered.
    rules: Rules,
}

impl Definition {
    pub(super) fn new(name: String, files: Vec<Parts>, rules: Rules) -> Self {
        Self { name, files, backend: None, rules }
    }

    /// The same profile for another backend than it names, if one is given.
    #[must_use]
    pub fn with_backend(self, backend: Option<&str>) -> Self {
        Self { backend: backend.map(str::to_owned).or(self.backend), ..self }
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The suites that the profile makes a difference for, sorted.
    pub fn suites(&self) -> Vec<&str> {
        let mut suites: Vec<_> =
            self.files.iter().flat_map(|file| file.suite.keys()).map(|key| key.get().as_str()).collect();
        suites.sort_unstable();
        suites.dedup();
        suites
    }

    /// The profile as it is for a suite (`None`: its own) and a board (`None`: what holds for all boards). First comes what holds
    /// always, then what differs for the architecture, then for the board, then for the suite.
    pub fn profile(&self, suite: Option<&str>, board: Option<&Board>) -> Profile {
        let mut profile = empty(&self.name, &self.rules);
        self.apply(&mut profile, |file| vec![&file.always]);
        if let Some(description) = self.files.iter().rev().find_map(|file| file.description.as_ref()) {
            profile.description.clone_from(description);
        }
        if let Some(board) = board {
            let architecture = &board.platform.architecture;
            let exact = board.platform.variant.as_ref().map(|variant| format!("{architecture}/{variant}"));
            self.apply(&mut profile, |file| matching(&file.arch, [Some(architecture), exact.as_ref()]));
            self.apply(&mut profile, |file| matching(&file.board, [Some(&board.name), None]));
        }
        if let Some(backend) = &self.backend {
            profile.backend.clone_from(backend);
        }
        fill_source(&mut profile);
        let suite = suite.unwrap_or(&profile.source.suite).to_owned();
        self.apply(&mut profile, |file| matching(&file.suite, [Some(&suite), None]));
        profile.source.suite = suite;
        if let Some(backend) = &self.backend {
            profile.backend.clone_from(backend);
        }
        profile
    }

    fn apply<'f>(&'f self, profile: &mut Profile, parts: impl Fn(&'f Parts) -> Vec<&'f OverrideTable>) {
        let mut problems = Problems::default();
        self.files.iter().flat_map(parts).for_each(|part| part.apply(profile, &mut problems));
        debug_assert!(problems.is_empty(), "`check` saw every part when the file was read");
    }
}

impl Parts {
    /// Checks every part, whatever its condition.
    pub(super) fn check(&self, known: &Known, problems: &mut Problems) {
        let mut scratch = empty("", &known.rules);
        for architecture in self.arch.keys() {
            problems.check(architecture.span(), check::architecture(architecture.get()));
        }
        for board in self.board.keys() {
            problems.check(board.span(), check::one_of("board", board.get(), known.boards.iter().map(String::as_str)));
        }
        for suite in self.suite.keys() {
            problems.check(suite.span(), check::suite(suite.get()));
        }
        for part in self.all() {
            if let Some(backend) = &part.backend {
                problems.check(backend.span(), check::backend(backend.get(), &known.settings));
            }
            for name in part.source.options.keys() {
                if let Err(message) = check::backend(name, &known.settings) {
                    problems.add_for_file(format!("[source.options.{name}]: {message}"));
                }
            }
            part.apply(&mut scratch, problems);
        }
    }
}

fn matching<'f>(
    overrides: &'f BTreeMap<At<String>, OverrideTable>,
    names: [Option<&String>; 2],
) -> Vec<&'f OverrideTable> {
    overrides.iter().filter(|(key, _)| names.contains(&Some(key.get()))).map(|(_, part)| part).collect()
}

fn empty(name: &str, rules: &Rules) -> Profile {
    Profile {
        name: name.to_owned(),
        description: String::new(),
        backend: String::new(),
        source: Source::default(),
        packages: BTreeMap::new(),
        keep: Keep { rule_sets: rules.clone(), ..Keep::default() },
        add: Additions { base: true, ..Additions::default() },
        image: Config::default(),
        tests: Vec::new(),
    }
}

/// Fills in the usual source where the profile leaves it open.
fn fill_source(profile: &mut Profile) {
    let source = &mut profile.source;
    if profile.backend.is_empty() {
        profile.backend = BACKEND.to_owned();
    }
    let takes_debian = backends::ALL.iter().any(|b| b.name() == profile.backend && b.family() == BACKEND_FAMILY);
    if source.distribution.is_empty() && takes_debian {
        source.distribution = DISTRIBUTION.to_owned();
    }
    if source.suite.is_empty() && source.distribution == DISTRIBUTION {
        source.suite = SUITE.to_owned();
    }
    if source.components.is_empty() && source.distribution == DISTRIBUTION {
        source.components = vec!["main".to_owned()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_backend_gets_no_debian() {
        let mut profile = empty("x", &Rules::default());
        profile.backend = "another".into();
        fill_source(&mut profile);
        assert_eq!((profile.source.distribution.as_str(), profile.source.suite.as_str()), ("", ""));
        assert!(profile.source.components.is_empty());
    }
}
