//! Rule sets: named sets of files that no walk can see, as data. One TOML file holds one rule set; profiles name them under `rules`.
//!
//! A trigger says which kept library, program or function hints that a rule set is needed. A certain trigger keeps the files by itself;
//! the others are reported or kept as the profile's `triggers` policy says.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;

use super::hidden::{Baked, Feature};
use super::walker::Walker;
use super::{ClosureError, advice};
use minimg_tree::{Root, RootPath};

/// A named set of files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trigger {
    /// The beginning of the file name of a kept library: `libssl.so.`.
    #[serde(default)]
    pub library: Option<String>,
    /// The path of a kept program or other file.
    #[serde(default)]
    pub path: Option<String>,
    /// A function of the C library that a kept object uses, by feature: `local-time`, `services`.
    #[serde(default)]
    pub feature: Option<String>,
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
const TABLE: [(&str, &str); 30] = table![
    "accounts",
    "ca-certificates",
    "copyright",
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

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    // The files are part of the program and read by a test, so none of them is left out here.
    TABLE.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect()
});

/// All rule sets, sorted by name.
pub fn all() -> &'static [Rule] {
    &RULES
}

/// The rule set of this name.
pub fn named(name: &str) -> Option<&'static Rule> {
    all().iter().find(|rule| rule.name == name)
}

/// The named rule sets and all that they require, each once.
pub(super) fn with_required<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<&'static Rule>, ClosureError> {
    let mut found: Vec<&'static Rule> = Vec::new();
    let mut pending: Vec<&str> = names.collect();
    pending.reverse();
    while let Some(name) = pending.pop() {
        let rule = named(name).ok_or_else(|| {
            let nearest = advice::nearest(name, all().iter().map(|rule| rule.name.as_str()));
            ClosureError::Rule { name: name.to_owned(), nearest }
        })?;
        if !found.contains(&rule) {
            found.push(rule);
            pending.extend(rule.requires.iter().rev().map(String::as_str));
        }
    }
    Ok(found)
}

/// The rule sets that something in the closure hints at and that were not applied yet: which, by what, and whether for certain.
pub(super) fn triggered<R: Root + ?Sized>(
    walker: &Walker<'_, R>,
    applied: &[&str],
) -> Vec<(&'static Rule, RootPath, bool)> {
    let names: BTreeSet<(&[u8], &RootPath)> = walker.kept.keys().map(|path| (path.file_name(), path)).collect();
    let root = RootPath::root();
    let fired = |trigger: &Trigger| -> Option<RootPath> {
        if let Some(library) = &trigger.library {
            let first = names.range((library.as_bytes(), &root)..).next()?;
            return first.0.starts_with(library.as_bytes()).then(|| first.1.clone());
        }
        if let Some(path) = &trigger.path {
            return RootPath::new(path).ok().filter(|path| walker.kept.contains_key(path));
        }
        let feature = match trigger.feature.as_deref()? {
            "local-time" => Feature::LocalTime,
            "services" => Feature::Services,
            "iconv" => Feature::Iconv,
            "locale" => Feature::Locale,
            _ => return None,
        };
        walker.imports.first(feature).cloned()
    };
    let open = all().iter().filter(|rule| !applied.contains(&rule.name.as_str()));
    open.filter_map(|rule| {
        let mut fired = rule.trigger.iter().filter_map(|trigger| Some((fired(trigger)?, trigger.certain)));
        let first = fired.next()?;
        Some((rule, first.0, first.1 || fired.any(|(_, certain)| certain)))
    })
    .collect()
}

/// The globs for what is compiled into kept files, by the file; those in `done` were looked at before.
pub(super) fn baked<R: Root + ?Sized>(
    walker: &Walker<'_, R>,
    rule: &Rule,
    done: &mut BTreeSet<(String, RootPath)>,
) -> std::io::Result<BTreeSet<String>> {
    let mut globs = BTreeSet::new();
    for baked in &rule.baked {
        let is_library = baked.library.contains(".so");
        let named = |path: &&RootPath| match is_library {
            true => path.file_name().starts_with(baked.library.as_bytes()),
            false => path.file_name() == baked.library.as_bytes(),
        };
        let paths: Vec<&RootPath> = walker.kept.keys().filter(named).collect();
        for path in paths {
            if done.insert((format!("{}:{baked:?}", rule.name), path.clone()))
                && let Some(place) = walker.loader.view().file(&[b"/", path.as_bytes()].concat())?
                && place.path == *path
                && let Some(object) = walker.loader.view().object(&place)?
                && let Ok(facts) = &object.facts
            {
                globs.extend(baked.globs(&object.bytes, facts));
            }
        }
    }
    Ok(globs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_table_is_a_sound_rule_set() {
        for (name, text) in TABLE {
            let rule: Rule = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(rule.name, name);
            assert!(!rule.description.is_empty() && !rule.description.ends_with('.'), "{name}");
            for glob in &rule.keep {
                super::super::close::parse_glob(glob).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            for trigger in &rule.trigger {
                let set = [&trigger.library, &trigger.path, &trigger.feature];
                assert_eq!(set.iter().filter(|o| o.is_some()).count(), 1, "{name}: {trigger:?}");
                if let Some(feature) = &trigger.feature {
                    assert!(
                        ["local-time", "services", "iconv", "locale"].contains(&feature.as_str()),
                        "{name}: {feature}"
                    );
                }
            }
            for baked in &rule.baked {
                let set = [&baked.after, &baked.starts_with, &baked.ends_with];
                assert_eq!(set.iter().filter(|o| o.is_some()).count(), 1, "{name}: {baked:?}");
            }
            with_required([name].into_iter()).unwrap();
        }
        assert_eq!(all().len(), TABLE.len());
        assert!(all().is_sorted_by_key(|rule| &rule.name));
    }
}
