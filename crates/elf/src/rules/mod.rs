//! Rule sets: named sets of files that no walk can see, as data. One TOML file holds one rule set; profiles name them under `rules`.
//!
//! A trigger says which kept library, program or function hints that a rule set is needed. A certain trigger keeps the files by itself;
//! the others are reported or kept as the profile's `triggers` policy says.
//!
//! [`Rules`] are the rule sets that can be named: the built-in ones, and those of a user's own directories.

mod baked;
mod read;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize, Serializer};

pub use baked::Baked;
pub use read::RuleSetError;

use crate::error::ClosureError;
use crate::features::Feature;
use minimg_base::suggest;

/// A named set of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// The name that profiles use.
    pub name: String,
    /// One line on what it is for.
    pub description: String,
    /// Globs over the tree's paths.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Programs that are kept when the tree has them.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Rule sets that come along.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Directories and files that are compiled into libraries.
    #[serde(default)]
    pub baked: Vec<Baked>,
    /// What hints that it is needed.
    #[serde(default)]
    pub trigger: Vec<Trigger>,
}

/// What hints that a rule set is needed; exactly one of the first three is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trigger {
    /// The beginning of the file name of a kept library, `libssl.so.`, or a glob over the whole name.
    #[serde(default)]
    pub library: Option<String>,
    /// The path of a kept program or other file, or a glob over paths.
    #[serde(default)]
    pub path: Option<String>,
    /// A function of the C library that a kept object uses, by feature: `local-time`, `services`.
    #[serde(default)]
    pub feature: Option<Feature>,
    /// Whether the files are needed for certain, so that they are kept without being asked for.
    #[serde(default)]
    pub certain: bool,
}

macro_rules! table {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!($name, ".toml")))),*]
    };
}

/// The table of rule sets: one line for each.
const TABLE: [(&str, &str); 31] = table![
    "accounts",
    "ca-certificates",
    "copyright",
    "ctypes",
    "debian-metadata",
    "fontconfig",
    "gconv",
    "gdk-pixbuf",
    "gio",
    "git",
    "java",
    "krb5",
    "locale-c-utf8",
    "locales",
    "magic",
    "netbase",
    "nodejs",
    "npm",
    "nss",
    "openssl",
    "pam",
    "perl",
    "perl-base",
    "php",
    "python3-stdlib",
    "ruby",
    "sasl",
    "shells",
    "terminfo",
    "terminfo-all",
    "tzdata",
];

/// Read when the first of them is looked into: a build that finds its layer in the store needs their names at most.
static BUILT_IN: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    // The files are part of the program and read by a test, so none of them is left out here.
    TABLE.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect()
});

/// Rule sets by name: the built-in ones, and a user's own, which add to them or hide them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// A user's own, sorted by name.
    own: Arc<Vec<Rule>>,
}

/// A user's own rule sets are written down: the others are known wherever this is read.
impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.own.serialize(serializer)
    }
}

impl Rules {
    /// The rule sets in this library.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// Adds every `*.toml` of a directory. One of a known name hides the known one.
    ///
    /// # Errors
    /// When the directory or a file cannot be read, or a file is not a sound rule set.
    pub fn with_directory(mut self, directory: &Path) -> Result<Self, RuleSetError> {
        let files = read::directory(directory)?;
        for (_, rule) in &files {
            self.put(rule.clone());
        }
        // What comes along may be in the same directory.
        for (path, rule) in &files {
            read::check_required(path, rule, &self)?;
        }
        Ok(self)
    }

    fn put(&mut self, rule: Rule) {
        let own = Arc::make_mut(&mut self.own);
        match own.binary_search_by(|known| known.name.cmp(&rule.name)) {
            Ok(known) => own[known] = rule,
            Err(place) => own.insert(place, rule),
        }
    }

    /// Whether there are none but the built-in ones.
    pub fn is_built_in(&self) -> bool {
        self.own.is_empty()
    }

    /// All rule sets, sorted by name.
    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        self.names().filter_map(|name| self.named(name))
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let built_in = TABLE.iter().map(|(name, _)| *name);
        let mut all: Vec<&str> = built_in.chain(self.own.iter().map(|rule| rule.name.as_str())).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// The rule set of this name.
    pub fn named(&self, name: &str) -> Option<&Rule> {
        let at = |rules: &[Rule]| rules.binary_search_by(|rule| rule.name.as_str().cmp(name)).ok();
        let own = at(&self.own).and_then(|place| self.own.get(place));
        own.or_else(|| at(&BUILT_IN).and_then(|place| BUILT_IN.get(place)))
    }

    /// The named rule sets and all that they require, each once.
    pub(crate) fn with_required<'a>(&'a self, names: &'a [String]) -> Result<Vec<&'a Rule>, ClosureError> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut pending: Vec<&str> = names.iter().rev().map(String::as_str).collect();
        while let Some(name) = pending.pop() {
            if !seen.insert(name) {
                continue;
            }
            let rule = self.named(name).ok_or_else(|| {
                let nearest = suggest::nearest(name, self.names()).map(str::to_owned);
                ClosureError::Rule { name: name.to_owned(), nearest }
            })?;
            found.push(rule);
            pending.extend(rule.requires.iter().rev().map(String::as_str));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_table_is_a_sound_rule_set() {
        for (name, text) in TABLE {
            let path = format!("{name}.toml");
            let rule = read::parse(Path::new(&path), text).unwrap_or_else(|error| panic!("{error}"));
            read::check_required(Path::new(&path), &rule, &Rules::built_in()).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(Rules::built_in().all().count(), TABLE.len());
        assert!(BUILT_IN.is_sorted_by_key(|rule| &rule.name));
    }
}
