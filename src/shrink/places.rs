//! Places of a tree that belong to what the image is for, and not to the system.

use std::collections::BTreeMap;

use crate::profile::Pattern;
use minimg_tree::{Entry, RootPath, RootTree, resolve};

/// Directories that everybody uses, so that what is in them need not be the program's.
const SHARED: [&str; 72] = [
    "bin",
    "boot",
    "dev",
    "etc",
    "lib",
    "lib32",
    "lib64",
    "proc",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "var",
    "etc/alternatives",
    "etc/apk",
    "etc/apt",
    "etc/cron.d",
    "etc/cron.daily",
    "etc/default",
    "etc/dpkg",
    "etc/init.d",
    "etc/ld.so.conf.d",
    "etc/logrotate.d",
    "etc/pam.d",
    "etc/profile.d",
    "etc/security",
    "etc/skel",
    "etc/ssl",
    "etc/systemd",
    "etc/terminfo",
    "usr/bin",
    "usr/games",
    "usr/include",
    "usr/lib",
    "usr/lib32",
    "usr/lib64",
    "usr/libexec",
    "usr/local",
    "usr/sbin",
    "usr/share",
    "usr/lib/locale",
    "usr/lib/ssl",
    "usr/lib/systemd",
    "usr/lib/terminfo",
    "usr/local/bin",
    "usr/local/etc",
    "usr/local/go",
    "usr/local/include",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "usr/share/doc",
    "usr/share/fonts",
    "usr/share/i18n",
    "usr/share/icons",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/misc",
    "usr/share/terminfo",
    "var/cache",
    "var/lib",
    "var/lib/apk",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/rpm",
    "var/lib/systemd",
    "var/log",
    "var/run",
    "var/spool",
    "var/tmp",
];

/// Whether a directory is everybody's; the root is.
pub(super) fn is_shared(directory: &RootPath) -> bool {
    let text = String::from_utf8_lossy(directory.as_bytes());
    // The directory of an architecture's libraries, such as /usr/lib/x86_64-linux-gnu.
    let is_multiarch = text.rsplit_once('/').is_some_and(|(parent, name)| {
        matches!(parent, "lib" | "usr/lib" | "usr/local/lib" | "usr/include") && name.contains("-linux-")
    });
    directory.is_root() || is_multiarch || SHARED.contains(&&*text)
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
    pub(super) fn keep(&mut self, place: &RootPath, reason: &str) {
        let Ok(found) = resolve(self.tree, &RootPath::root(), place.as_bytes()) else { return };
        let Some(entry) = found.entry.filter(|_| !found.path.is_root()) else { return };
        self.keep_entry(place, reason);
        if entry != Entry::Directory || is_shared(&found.path) {
            return;
        }
        let tree = self.tree;
        if tree.below(&found.path).all(|(_, node)| node.package.is_none()) {
            self.keep_below(place, &found.path, reason);
        } else {
            let own = tree.below(&found.path).filter(|(_, node)| node.package.is_none());
            own.for_each(|(path, _)| self.keep_entry(path, reason));
        }
    }

    /// Keeps what a program was installed with: the directory that it is in, or that its `bin` is in.
    pub(super) fn keep_installation(&mut self, program: &RootPath) {
        let Some(mut directory) = program.parent() else { return };
        if matches!(directory.file_name(), b"bin" | b"sbin" | b"libexec") {
            directory = directory.parent().unwrap_or_default();
        }
        if !is_shared(&directory) {
            self.keep(&directory, &format!("the program {program} was installed with it"));
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
