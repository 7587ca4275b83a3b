//! Files and directories that appear whole: written beside their destination under a name of their own, then renamed.
//!
//! Such a name begins with `.minimg-partial-`. The writer holds a lock on what has it, which the kernel releases when the process dies; so whoever
//! writes to the same directory next can tell what a killed process left there, and removes it.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::{NamedTempFile, TempDir};

use crate::interrupt::{self, Guard, Leftover};

/// What the names begin with. Long, so that nobody has files of his own that are called so.
const PREFIX: &str = ".minimg-partial-";

/// A directory that is being filled.
#[derive(Debug)]
pub struct PartialDirectory {
    directory: TempDir,
    /// The open directory is the lock.
    _lock: File,
}

impl PartialDirectory {
    /// The directory, which nothing removes any more.
    pub fn keep(self) -> std::path::PathBuf {
        self.directory.keep()
    }

    /// Removes it.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn close(self) -> io::Result<()> {
        self.directory.close()
    }
}

impl Deref for PartialDirectory {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.directory
    }
}

/// A new file beside `path`, with what the umask leaves of the mode. It is removed when it is dropped before it got its name, and when the program
/// is interrupted.
///
/// # Errors
/// When it cannot be made.
pub fn file_beside(path: &Path, mode: u32) -> io::Result<(NamedTempFile, Guard)> {
    let directory = parent(path);
    sweep(directory);
    loop {
        let make = || builder(mode).tempfile_in(directory);
        let (file, guard) = interrupt::guard(make, |made| Leftover::Path(made.path().to_owned()))?;
        if is_held(file.as_file(), file.path())? {
            return Ok((file, guard));
        }
    }
}

/// Like [`file_beside`], a directory.
///
/// # Errors
/// When it cannot be made.
pub fn directory_beside(path: &Path, mode: u32) -> io::Result<(PartialDirectory, Guard)> {
    let parent = parent(path);
    sweep(parent);
    loop {
        let make = || builder(mode).tempdir_in(parent);
        let (directory, guard) = interrupt::guard(make, |made| Leftover::Path(made.path().to_owned()))?;
        let lock = match File::open(directory.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lock => lock?,
        };
        if is_held(&lock, directory.path())? {
            return Ok((PartialDirectory { directory, _lock: lock }, guard));
        }
    }
}

/// Locks what was just made. Before that, another process may have swept it: then it is not there any more.
fn is_held(file: &File, path: &Path) -> io::Result<bool> {
    match file.lock() {
        // Some network file systems have no locks. Nothing is swept there.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(true),
        locked => locked?,
    }
    let there = fs::symlink_metadata(path);
    Ok(there.is_ok_and(|there| file.metadata().is_ok_and(|held| held.ino() == there.ino())))
}

/// Removes what killed processes of this user left in a directory. Whatever hinders it is left to the next.
fn sweep(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_partial(&entry.file_name())) {
        let path = entry.path();
        let Ok(meta) = entry.metadata() else { continue };
        let is_ours = meta.uid() == rustix::process::geteuid().as_raw() && (meta.is_file() || meta.is_dir());
        if !is_ours || File::open(&path).and_then(|file| Ok(file.try_lock()?)).is_err() {
            continue;
        }
        let _ = if meta.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

fn is_partial(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).permissions(Permissions::from_mode(mode));
    builder
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_killed_processes_left_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at(".minimg-partial-file"), "half").unwrap();
        fs::create_dir_all(at(".minimg-partial-directory/blobs")).unwrap();
        fs::write(at(".minimg-partial-directory/blobs/x"), "half").unwrap();
        // What has another name, is no file, or belongs to a living process stays.
        fs::write(at(".minimg-notes"), "mine").unwrap();
        std::os::unix::fs::symlink(".minimg-notes", at(".minimg-partial-link")).unwrap();
        let (file, _guard) = file_beside(&at("a.tar"), 0o666).unwrap();
        let (held, _guard) = directory_beside(&at("a.oci"), 0o777).unwrap();
        let (other, _guard) = file_beside(&at("b.tar"), 0o600).unwrap();
        for path in [file.path(), held.path(), other.path()] {
            assert!(path.exists(), "{}", path.display());
        }
        drop((file, held, other));
        assert_eq!(names(directory.path()), [".minimg-notes", ".minimg-partial-link"]);
    }
}
