//! A directory of the host as a root: looked at path by path, or read into a tree as a whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};

use super::{Content, Entry, FileId, HostFiles, Kind, Meta, Node, Root, RootPath, RootTree, map_open_file};

/// A directory that holds a root file system. Nothing is read before the walk asks for it.
#[derive(Debug, Clone)]
pub struct DirectoryRoot(PathBuf);

impl DirectoryRoot {
    /// The root file system in `directory`.
    ///
    /// # Errors
    /// When it is not a directory that can be looked at.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let directory = directory.canonicalize().map_err(|error| named(directory, error))?;
        if !directory.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{} is not a directory", directory.display()),
            ));
        }
        Ok(Self(directory))
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What was found of a path that was there a moment ago: `None` when something has removed it meanwhile, which is as good as its never
/// having been there.
fn if_there<T>(path: &Path, found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, error)),
    }
}

impl Root for DirectoryRoot {
    fn entry(&self, path: &RootPath) -> io::Result<Option<Entry>> {
        let host = path.below(&self.0);
        let found = match host.symlink_metadata() {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(named(&host, error)),
        };
        Ok(Some(if found.is_dir() {
            Entry::Directory
        } else if found.is_file() {
            Entry::File { mode: found.mode() & 0o7777, size: found.len(), id: FileId(found.dev(), found.ino()) }
        } else if found.is_symlink() {
            match if_there(&host, host.read_link())? {
                Some(target) => Entry::Symlink(target.into_os_string().into_vec().into()),
                None => return Ok(None),
            }
        } else {
            Entry::Special
        }))
    }

    fn read(&self, path: &RootPath) -> io::Result<Bytes> {
        let host = path.below(&self.0);
        let named = |error| named(&host, error);
        // A link in its place is not followed, and a pipe is not waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&host, flags, Mode::empty()).map_err(|error| named(error.into()))?);
        let found = file.metadata().map_err(named)?;
        if !found.is_file() {
            return Err(io::Error::other(format!("{path} is not a regular file")));
        }
        map_open_file(&file, found.len()).map_err(named)
    }

    fn list(&self, path: &RootPath) -> io::Result<Vec<Box<[u8]>>> {
        let host = path.below(&self.0);
        let entries = if_there(&host, host.read_dir())?;
        let names = entries.into_iter().flatten().map(|entry| Ok(entry?.file_name().as_bytes().into()));
        let mut names = names.collect::<io::Result<Vec<Box<[u8]>>>>().map_err(|error| named(&host, error))?;
        names.sort();
        Ok(names)
    }
}

/// Reads the metadata of all that is in `directory` into a tree; content is read from the files later. Sockets are left out, as an
/// archive would; other file systems below are read too, but for those that the kernel makes up, such as `/proc`: of them there is the
/// directory alone. Extended attributes are kept where they can be read.
///
/// # Errors
/// When something cannot be looked at; the error names it.
pub fn read_directory(directory: &Path) -> io::Result<RootTree> {
    let mut found = Vec::new();
    let device = directory.metadata().map_err(|error| named(directory, error))?.dev();
    walk(directory, &RootPath::root(), device, &mut found)?;
    let files = Arc::new(HostFiles(found.iter().map(|(path, _)| path.below(directory)).collect()));
    let mut tree = RootTree::new();
    let mut names: std::collections::BTreeMap<FileId, RootPath> = std::collections::BTreeMap::new();
    for (key, (path, meta)) in found.into_iter().enumerate() {
        let kind = match kind_of(&path.below(directory), &meta)? {
            None => continue,
            Some(Kind::File(_)) if meta.nlink() > 1 => {
                let id = FileId(meta.dev(), meta.ino());
                match names.get(&id) {
                    Some(first) => Kind::Hardlink(first.clone()),
                    None => {
                        names.insert(id, path.clone());
                        Kind::File(Content::lazy(files.clone(), key as u64, meta.len()))
                    }
                }
            }
            Some(Kind::File(_)) => Kind::File(Content::lazy(files.clone(), key as u64, meta.len())),
            Some(kind) => kind,
        };
        let xattrs = read_xattrs(&path.below(directory));
        let meta = Meta { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), mtime: meta.mtime(), xattrs };
        tree.insert(path, Node { kind, meta, package: None });
    }
    Ok(tree)
}

fn walk(
    directory: &Path,
    at: &RootPath,
    device: u64,
    found: &mut Vec<(RootPath, std::fs::Metadata)>,
) -> io::Result<()> {
    let host = at.below(directory);
    let entries = if_there(&host, host.read_dir())?.into_iter().flatten();
    let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(|error| named(&host, error))?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = at.child(entry.file_name().as_bytes());
        let Some(meta) = if_there(&entry.path(), entry.metadata())? else { continue };
        let (is_directory, own_device) = (meta.is_dir(), meta.dev());
        found.push((path.clone(), meta));
        if is_directory && (own_device == device || !is_made_up(&entry.path())) {
            walk(directory, &path, own_device, found)?;
        }
    }
    Ok(())
}

/// Whether the file system that is mounted there has no files of its own: proc(5), sysfs(5). The numbers are those of statfs(2).
fn is_made_up(mount_point: &Path) -> bool {
    const SYSFS: rustix::fs::FsWord = 0x6265_6572;
    rustix::fs::statfs(mount_point).is_ok_and(|found| [rustix::fs::PROC_SUPER_MAGIC, SYSFS].contains(&found.f_type))
}

fn kind_of(host: &Path, meta: &std::fs::Metadata) -> io::Result<Option<Kind>> {
    let kind = meta.file_type();
    let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    Ok(Some(if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        Kind::File(Content::memory(Vec::new()))
    } else if kind.is_symlink() {
        let Some(target) = if_there(host, host.read_link())? else { return Ok(None) };
        Kind::Symlink(target.into_os_string().into_vec().into())
    } else if kind.is_char_device() {
        Kind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        Kind::BlockDevice { major, minor }
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        return Ok(None);
    }))
}

/// The attributes that can be read; a file system without them has none.
fn read_xattrs(host: &Path) -> super::Xattrs {
    let mut xattrs = super::Xattrs::new();
    let mut list = vec![0u8; 4096];
    let Ok(length) = rustix::fs::llistxattr(host, &mut list) else { return xattrs };
    for name in list[..length].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 64 * 1024];
        if let Ok(length) = rustix::fs::lgetxattr(host, OsStr::from_bytes(name), &mut value) {
            value.truncate(length);
            xattrs.insert(String::from_utf8_lossy(name).into_owned(), value);
        }
    }
    xattrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_makes_up_is_known() {
        for (path, expected) in [("/proc", true), ("/proc/self/fdinfo", true), ("/", false), ("/none", false)] {
            assert_eq!(is_made_up(Path::new(path)), expected, "{path}");
        }
    }
}
