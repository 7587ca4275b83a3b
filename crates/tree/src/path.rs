//! Paths inside a root: bytes, relative to the root, already free of `.`, `..` and empty components.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that a Linux system call accepts (`PATH_MAX`); longer names in archives are refused.
pub const PATH_MAX: usize = 4096;

/// A path inside a root tree: raw bytes without a leading slash; the empty path is the root itself.
///
/// A value of this type cannot leave its root: the constructors refuse or clamp `..`, so its holder need not check again.
/// The order is that of the bytes, in which a directory always comes before what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RootPath(Box<[u8]>);

/// Why a name from an archive, a profile or a command line is not a path inside a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The name has a `..` component.
    #[error("the path {0:?} has a `..` component and could leave the root")]
    Parent(String),
    /// The name has a NUL byte.
    #[error("the path {0:?} has a NUL byte")]
    Nul(String),
    /// The name is longer than [`PATH_MAX`].
    #[error("a path of {0} bytes is longer than the {PATH_MAX} that Linux accepts")]
    TooLong(usize),
}

impl RootPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a name as it stands in an archive or a profile: `./usr/bin`, `/usr/bin/` and `usr//bin` are all `usr/bin`.
    ///
    /// # Errors
    /// When the name has a `..` component or a NUL byte, or is too long: such a name is hostile or a mistake, never needed.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let name = name.as_ref();
        let shown = || String::from_utf8_lossy(name).into_owned();
        if name.len() > PATH_MAX {
            return Err(PathError::TooLong(name.len()));
        }
        if name.contains(&0) {
            return Err(PathError::Nul(shown()));
        }
        let mut path = Vec::with_capacity(name.len());
        for component in components(name) {
            if component == b".." {
                return Err(PathError::Parent(shown()));
            }
            push(&mut path, component);
        }
        Ok(Self(path.into()))
    }

    /// Resolves `name` by text alone from the directory `self`, as a chroot would: absolute names start at the root and `..` stops there.
    pub fn join_clamped(&self, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let mut path = if name.first() == Some(&b'/') { Vec::new() } else { self.0.to_vec() };
        for component in components(name) {
            if component == b".." {
                let end = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
                path.truncate(end);
            } else {
                push(&mut path, component);
            }
        }
        Self(path.into())
    }

    /// The entry called `name` in the directory `self`. `name` must be one component.
    pub fn child(&self, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        debug_assert!(!name.is_empty() && name != b".." && !name.contains(&b'/'));
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        push(&mut path, name);
        Self(path.into())
    }

    /// The directory that holds this path, `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => &self.0[slash + 1..],
            None => &self.0,
        }
    }

    /// The components from the root down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        components(&self.0)
    }

    /// Every directory above this path, from the first below the root down to the parent.
    pub fn ancestors(&self) -> impl DoubleEndedIterator<Item = RootPath> + '_ {
        self.0.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| Self(self.0[..at].into()))
    }

    /// Whether this path is `directory` or lies below it.
    pub fn starts_with(&self, directory: &RootPath) -> bool {
        match self.0.strip_prefix(&*directory.0) {
            Some(rest) => directory.is_root() || rest.is_empty() || rest[0] == b'/',
            None => false,
        }
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path with a leading slash, as text: one that is not UTF-8 is [`RootPath::escaped`].
    pub fn text(&self) -> String {
        str::from_utf8(&self.0).map_or_else(|_| self.escaped(), |text| format!("/{text}"))
    }

    /// The path with a leading slash, in which bytes that are not UTF-8 and backslashes are written as `\xNN`.
    pub fn escaped(&self) -> String {
        let mut text = String::from("/");
        for chunk in self.0.utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', "\\x5c"));
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        }
        text
    }

    /// The place of this path below a directory of the host. Only for reading trees and for tests: nothing resolves links here.
    pub fn below(&self, directory: &Path) -> PathBuf {
        directory.join(OsStr::from_bytes(&self.0))
    }
}

fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&b| b == b'/').filter(|component| !component.is_empty() && *component != b".")
}

fn push(path: &mut Vec<u8>, component: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(component);
}

impl Borrow<[u8]> for RootPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As people write it: with a leading slash, bytes that are not UTF-8 replaced.
impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl serde::Serialize for RootPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> RootPath {
        RootPath::new(name).expect("a good path")
    }

    #[test]
    fn names_of_one_file_are_one_path() {
        for name in ["usr/bin", "/usr/bin", "./usr/bin/", "usr//./bin"] {
            assert_eq!(path(name).to_string(), "/usr/bin", "{name}");
        }
        assert!(path("/").is_root() && path("./").is_root() && path("").is_root());
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in ["..", "../etc/passwd", "a/../../b", "/.."] {
            assert!(matches!(RootPath::new(name), Err(PathError::Parent(_))), "{name}");
        }
        assert!(matches!(RootPath::new(b"a\0b"), Err(PathError::Nul(_))));
        assert!(matches!(RootPath::new(vec![b'a'; 5000]), Err(PathError::TooLong(5000))));
    }

    #[test]
    fn joining_stays_inside() {
        assert_eq!(path("usr/lib").join_clamped("../../../../etc/passwd"), path("etc/passwd"));
        assert_eq!(path("usr/lib").join_clamped("/lib/x"), path("lib/x"));
        assert_eq!(path("usr/lib").join_clamped("./x/../y"), path("usr/lib/y"));
        assert_eq!(path("").join_clamped(".."), path(""));
    }

    #[test]
    fn every_path_is_a_text_of_its_own() {
        for (name, text) in [
            (&b"usr/caf\xc3\xa9"[..], "/usr/caf\u{e9}"),
            (b"usr/caf\xe9", "/usr/caf\\xe9"),
            (b"usr/\\\xff\xfe", "/usr/\\x5c\\xff\\xfe"),
            (b"system-systemd\\x2dcryptsetup.slice", "/system-systemd\\x2dcryptsetup.slice"),
            (b"", "/"),
        ] {
            assert_eq!(RootPath::new(name).unwrap().text(), text);
        }
    }

    #[test]
    fn relations() {
        assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
        assert_eq!(path("a").parent(), Some(path("")));
        assert_eq!(path("").parent(), None);
        assert_eq!(path("a/b/c").ancestors().collect::<Vec<_>>(), [path("a"), path("a/b")]);
        assert!(path("a/b").starts_with(&path("a")) && path("a").starts_with(&path("")));
        assert!(!path("ab").starts_with(&path("a")));
        assert_eq!(path("a/b").file_name(), b"b");
    }
}
