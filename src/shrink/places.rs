//! Places of a tree that belong to what the image is for, and not to the system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::profile::Pattern;
use minimg_tree::{Entry, Resolved, RootPath, RootTree, resolve};

/// What is in `places.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    shared: Vec<Group>,
    multiarch: Group,
}

/// Directories that have one thing in common; the reason beside them is for people.
#[derive(Debug, Deserialize)]
struct Group {
    directories: BTreeSet<String>,
}

// The file is part of the program and read by a test, so it is never empty.
static TABLE: LazyLock<Option<Table>> = LazyLock::new(|| toml::from_str(include_str!("places.toml")).ok());

/// Whether a directory is everybody's; the root is.
pub(super) fn is_shared(directory: &RootPath) -> bool {
    let text = String::from_utf8_lossy(directory.as_bytes());
    directory.is_root() || TABLE.as_ref().is_some_and(|table| table.is_shared(&text))
}

impl Table {
    fn is_shared(&self, directory: &str) -> bool {
        // The directory of an architecture's libraries, such as /usr/lib/x86_64-linux-gnu.
        let is_multiarch = directory
            .rsplit_once('/')
            .is_some_and(|(parent, name)| self.multiarch.directories.contains(parent) && name.contains("-linux-"));
        is_multiarch || self.shared.iter().any(|group| group.directories.contains(directory))
    }
}

/// What stays of a tree, as globs with their reasons; the first reason of a glob stays.
pub(super) struct Places<'t> {
    tree: &'t RootTree,
    globs: BTreeMap<String, String>,
}

impl<'t> Places<'t> {
    pub(super) fn new(tree: &'t RootTree) -> Self {
        Self { tree, globs: BTreeMap::new() }
    }

    pub(super) fn tree(&self) -> &'t RootTree {
        self.tree
    }

    /// Keeps what is at a place; a directory with all in it that is no package's, unless it is everybody's.
    pub(super) fn keep(&mut self, place: &str, reason: &str) {
        let Some((place, found)) = self.go(place.as_bytes(), reason) else { return };
        let Some(entry) = found.entry.filter(|_| !found.path.is_root()) else { return };
        self.keep_entry(&place, reason);
        if entry != Entry::Directory || is_shared(&found.path) {
            return;
        }
        let tree = self.tree;
        if tree.below(&found.path).all(|(_, node)| node.package.is_none()) {
            self.keep_below(&place, &found.path, reason);
        } else {
            let own = tree.below(&found.path).filter(|(_, node)| node.package.is_none());
            own.for_each(|(path, _)| self.keep_entry(path, reason));
        }
    }

    /// Goes to a name as the kernel does. A name with `..` in it is no place by itself: it stands for where it leads, and what is on the
    /// way stays.
    pub(super) fn go(&mut self, name: &[u8], reason: &str) -> Option<(RootPath, Resolved)> {
        let found = resolve(self.tree, &RootPath::root(), name).ok()?;
        if let Ok(place) = RootPath::new(name) {
            return Some((place, found));
        }
        if found.entry.is_some() {
            found.hops.iter().chain(&found.left).for_each(|step| self.keep_entry(step, reason));
        }
        Some((found.path.clone(), found))
    }

    /// Keeps what a program was installed with: the directory that it is in, or that its `bin` is in.
    pub(super) fn keep_installation(&mut self, program: &RootPath) {
        let Some(mut directory) = program.parent() else { return };
        if matches!(directory.file_name(), b"bin" | b"sbin" | b"libexec") {
            directory = directory.parent().unwrap_or_default();
        }
        if !is_shared(&directory) {
            self.keep(&directory.to_string(), &format!("the program {program} was installed with it"));
        }
    }

    /// Keeps a file or a directory, but nothing in it.
    pub(super) fn keep_entry(&mut self, place: &RootPath, reason: &str) {
        self.add(globset::escape(&place.to_string()), reason);
    }

    /// Keeps all that is below a place, which leads to `directory`.
    pub(super) fn keep_below(&mut self, place: &RootPath, directory: &RootPath, reason: &str) {
        if self.tree.below(directory).next().is_some() {
            self.add(format!("{}/**", globset::escape(&place.to_string())), reason);
        }
    }

    fn add(&mut self, glob: String, reason: &str) {
        self.globs.entry(glob).or_insert_with(|| reason.to_owned());
    }

    pub(super) fn into_patterns(self) -> impl Iterator<Item = Pattern> {
        self.globs.into_iter().map(|(glob, reason)| Pattern { glob, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound_and_each_group_has_a_reason() {
        let table: Table = toml::from_str(include_str!("places.toml")).unwrap();
        let mut seen = BTreeSet::new();
        for directory in table.shared.iter().chain([&table.multiarch]).flat_map(|group| &group.directories) {
            assert!(RootPath::new(directory).is_ok_and(|path| path.to_string() == format!("/{directory}")));
        }
        let groups = include_str!("places.toml").matches("directories = [").count();
        assert_eq!(include_str!("places.toml").matches("reason = \"").count(), groups);
        for directory in table.shared.iter().flat_map(|group| &group.directories) {
            assert!(seen.insert(directory), "{directory} is there twice");
        }
    }
}
