//! The trees that a build's sources come from: Buildroot's own, and external ones (BR2_EXTERNAL).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::BuildrootError;
use minimg_base::digest::Digest;
use minimg_base::digest::digest_of;

/// What a shell or make takes for something else than a letter of a name: Buildroot's makefiles quote next to nothing.
const MISREAD: &str = ":$#%'\"\\;&|()<>*?[]`!";

/// Buildroot's tree and the external ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) tree: &'a Path,
    /// In the order in which they were named.
    pub(super) external: &'a [PathBuf],
}

impl<'a> Sources<'a> {
    /// The external trees and Buildroot's own.
    pub(super) fn all(self) -> Vec<&'a Path> {
        self.external.iter().map(PathBuf::as_path).chain([self.tree]).collect()
    }

    /// The file of a defconfig: of several trees that have it the one that is named last has it for Buildroot, whose own comes after those.
    pub(super) fn defconfig(self, name: &str) -> Option<PathBuf> {
        let places = self.external.iter().map(PathBuf::as_path).rev().chain([self.tree]);
        places.map(|place| place.join("configs").join(name)).find(|file| file.is_file())
    }

    /// Stands for the files of each tree.
    pub(super) fn fingerprints(self) -> Result<Vec<Digest>, BuildrootError> {
        self.all().into_iter().map(fingerprint).collect()
    }

    /// Refuses paths of the trees that Buildroot cannot use, and one at which it would build.
    pub(super) fn usable(self, out: &Path) -> Result<(), BuildrootError> {
        self.all().into_iter().try_for_each(|path| usable(path, false))?;
        usable(out, true)
    }
}

/// Whether this may be a tree of Buildroot.
pub(super) fn is_tree(path: &Path) -> bool {
    path.join("Makefile").is_file() && path.join("Config.in").is_file()
}

fn usable(path: &Path, is_out: bool) -> Result<(), BuildrootError> {
    // Buildroot goes on with the paths behind all links.
    let real = path.ancestors().find_map(|part| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?)));
    let real = real.map(|(there, rest)| there.join(rest));
    let paths = [Some(path.to_owned()), real];
    let misread = |c: &char| c.is_whitespace() || MISREAD.contains(*c) || (is_out && *c == '@');
    for path in paths.into_iter().flatten() {
        let letter = path.to_string_lossy().chars().find(misread);
        let letter = match letter {
            None => continue,
            Some(':') => "a colon".to_owned(),
            Some(c) if c.is_whitespace() => "a blank".to_owned(),
            Some(c) => format!("a `{c}`"),
        };
        return Err(BuildrootError::Path { path, letter });
    }
    Ok(())
}

/// Stands for the files of a tree, by their names, lengths and times: as make sees them.
fn fingerprint(tree: &Path) -> Result<Digest, BuildrootError> {
    /// What is not a source of a build at the top of a tree, or is made by one that is not ours.
    const PASSED_OVER: [&str; 6] = [".git", "dl", "output", "docs", ".config", ".config.old"];
    let mut files = Vec::new();
    let mut pending = vec![tree.to_owned()];
    while let Some(directory) = pending.pop() {
        let unreadable = |source| BuildrootError::Read { path: directory.clone(), source };
        for entry in directory.read_dir().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let meta = entry.metadata().map_err(unreadable)?;
            let is_top = directory == tree;
            if is_top && PASSED_OVER.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if meta.is_dir() {
                // Python writes there when Buildroot runs its scripts.
                if entry.file_name() != "__pycache__" {
                    pending.push(entry.path());
                }
            } else {
                let name = entry.path().strip_prefix(tree).map(|path| path.to_string_lossy().into_owned());
                files.push((name.unwrap_or_default(), meta.len(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    files.sort();
    Ok(digest_of(&(tree.display().to_string(), files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_external_trees_the_last_has_the_defconfig() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for tree in ["own", "first", "last"] {
            std::fs::create_dir_all(place(tree).join("configs")).unwrap();
            std::fs::write(place(tree).join("configs/x_defconfig"), "").unwrap();
        }
        std::fs::write(place("own/configs/y_defconfig"), "").unwrap();
        let external = [place("first"), place("last")];
        let sources = Sources { tree: &place("own"), external: &external };
        assert_eq!(sources.defconfig("x_defconfig"), Some(place("last/configs/x_defconfig")));
        assert_eq!(sources.defconfig("y_defconfig"), Some(place("own/configs/y_defconfig")));
        assert_eq!(sources.defconfig("z_defconfig"), None);
    }

    #[test]
    fn paths_that_makefiles_misread_are_refused_behind_links_too() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::fs::create_dir(directory.path().join("a blank")).unwrap();
        std::os::unix::fs::symlink("a blank", &link).unwrap();
        for (path, is_out, said) in [
            (link.join("not/there"), true, "a blank"),
            ("/a:b".into(), false, "a colon"),
            ("/a$b".into(), false, "a `$`"),
            ("/a@b".into(), true, "a `@`"),
        ] {
            let error = usable(&path, is_out).unwrap_err().to_string();
            assert!(error.contains(&format!("contains {said}")), "{error}");
        }
        assert!(usable(Path::new("/a@b"), false).is_ok() && usable(Path::new("/a-b_c.d+e"), true).is_ok());
    }

    #[test]
    fn what_others_leave_in_a_tree_makes_it_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("Makefile"), "").unwrap();
        let first = fingerprint(directory.path()).unwrap();
        std::fs::create_dir_all(place("utils/__pycache__")).unwrap();
        for name in [".config", "utils/__pycache__/x.pyc"] {
            std::fs::write(place(name), "").unwrap();
        }
        assert_eq!(fingerprint(directory.path()).unwrap(), first);
        std::fs::write(place("utils/x.py"), "").unwrap();
        assert_ne!(fingerprint(directory.path()).unwrap(), first);
    }
}
