//! Directories of the user's whose content goes into an image.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Serialize, Serializer};

use minimg_base::digest::{Digest, Hasher};
use minimg_tree::{Kind, RootPath, RootTree, read_directory, read_limited};

/// The file in a directory that says what does not come along, as for `docker build`.
const IGNORE: &str = ".dockerignore";
/// The most bytes that this file may have.
const LONGEST_IGNORE: u64 = 1 << 20;

/// A directory as it was when the profile was read. Two are equal when all names, modes, links and contents are.
#[derive(Clone)]
pub struct LocalTree {
    tree: Arc<RootTree>,
    digest: Digest,
}

impl LocalTree {
    /// Reads a directory without what the globs exclude, and without what its `.dockerignore` does.
    ///
    /// # Errors
    /// In words, when a file cannot be read, is of a kind that no image should have, or a glob is none.
    pub fn read(directory: &Path, exclude: &[String]) -> Result<Self, String> {
        let mut excluded = Excluded::default();
        let ignore = directory.join(IGNORE);
        if ignore.is_file() {
            let bytes = read_limited(&ignore, LONGEST_IGNORE).map_err(|error| error.to_string())?;
            excluded
                .read(&String::from_utf8_lossy(&bytes))
                .map_err(|error| format!("{}: {error}", ignore.display()))?;
            excluded.add(IGNORE)?;
        }
        exclude.iter().try_for_each(|glob| excluded.add(glob))?;
        if !directory.is_dir() {
            return Err(format!("{} is not a directory", directory.display()));
        }
        let tree = read_directory(directory).map_err(|error| error.to_string())?;
        let mut tree = tree.subset(|path, _| !excluded.covers(path));
        // What this machine notes beside its files means nothing in an image.
        tree.nodes_mut().for_each(|node| node.meta.xattrs.clear());
        let digest = digest_of(directory, &tree)?;
        Ok(Self { tree: Arc::new(tree), digest })
    }

    /// What is in it, by the paths below the directory.
    pub fn tree(&self) -> &RootTree {
        &self.tree
    }
}

/// What identifies all that goes into an image.
fn digest_of(directory: &Path, tree: &RootTree) -> Result<Digest, String> {
    let mut hasher = Hasher::default();
    let mut part = |bytes: &[u8]| {
        // Writing to a hasher cannot fail.
        let _ = hasher.write_all(&(bytes.len() as u64).to_le_bytes()).and_then(|()| hasher.write_all(bytes));
    };
    for (path, node) in tree {
        part(path.as_bytes());
        part(&node.meta.mode.to_le_bytes());
        match &node.kind {
            Kind::Directory => part(b"directory"),
            Kind::Symlink(target) => part(target),
            Kind::Hardlink(first) => part(first.as_bytes()),
            Kind::File(content) => part(&content.map().map_err(|error| error.to_string())?),
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                let path = path.below(directory);
                return Err(format!("{} is a pipe or device, which no image gets; exclude it", path.display()));
            }
        }
    }
    Ok(hasher.finish())
}

impl fmt::Debug for LocalTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} paths, {}", self.tree.len(), self.digest)
    }
}

impl PartialEq for LocalTree {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for LocalTree {}

impl Serialize for LocalTree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.digest.serialize(serializer)
    }
}

/// What does not come along: patterns in their order, of which the last that fits decides. The grammar is that of `.dockerignore`: a pattern
/// begins at the directory, `**` stands for any number of directories, and `!` before it makes an exception.
#[derive(Default)]
struct Excluded(Vec<(GlobMatcher, bool)>);

impl Excluded {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).try_for_each(|line| self.add(line))
    }

    fn add(&mut self, pattern: &str) -> Result<(), String> {
        let (pattern, excludes) = match pattern.strip_prefix('!') {
            Some(pattern) => (pattern.trim(), false),
            None => (pattern, true),
        };
        let pattern = pattern.trim_start_matches("./").trim_matches('/');
        let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| format!("`{pattern}` is not a glob: {}", error.kind()))?;
        self.0.push((glob.compile_matcher(), excludes));
        Ok(())
    }

    /// Whether a path, or a directory above it, is excluded.
    fn covers(&self, path: &RootPath) -> bool {
        let fits = |glob: &GlobMatcher| {
            let above = path.ancestors().filter(|above| !above.is_root());
            above.chain([path.clone()]).any(|path| glob.is_match(path.below(Path::new(""))))
        };
        self.0.iter().rev().find(|(glob, _)| fits(glob)).is_some_and(|(_, excludes)| *excludes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn patterns_are_those_of_dockerignore() {
        let mut excluded = Excluded::default();
        excluded
            .read("# a comment\n\n*.map\n**/*.tmp\n/node_modules/\nsecret*\n!secret.pub\ndocs\n!docs/README.md\n")
            .unwrap();
        for (path, expected) in [
            ("app.map", true),
            ("js/app.map", false),
            ("js/a.tmp", true),
            ("a.tmp", true),
            ("node_modules/x/y.js", true),
            ("lib/node_modules/x", false),
            ("secret.key", true),
            ("secret.pub", false),
            ("docs/a/b", true),
            ("docs/README.md", false),
            ("index.html", false),
        ] {
            assert_eq!(excluded.covers(&RootPath::new(path).unwrap()), expected, "{path}");
        }
        assert!(Excluded::default().add("a[").is_err());
    }

    #[test]
    fn names_modes_links_and_contents_make_a_difference_and_times_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("run");
        fs::write(&file, "x").unwrap();
        symlink("run", directory.path().join("link")).unwrap();
        fs::create_dir_all(directory.path().join("skip/deep")).unwrap();
        fs::write(directory.path().join("skip/deep/file"), "y").unwrap();
        let read = || LocalTree::read(directory.path(), &["skip".to_owned()]).unwrap();
        let first = read();
        assert_eq!(first.tree().iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/link", "/run"]);
        fs::File::open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(read(), first);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let executable = read();
        assert_ne!(executable, first);
        fs::write(&file, "z").unwrap();
        assert_ne!(read(), executable);
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join("pipe"), 0o644.into()).unwrap();
        assert!(LocalTree::read(directory.path(), &[]).unwrap_err().contains("pipe is a pipe or device"));
    }
}
