//! Showing, verifying and pruning the store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Store, StoreError, io_error};
use minimg_base::digest::Digest;

/// The kind of the logs of outside tools, which are not checked.
const LOGS: &str = "logs";

/// How much space one kind takes in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct UsageOf {
    /// How many files.
    pub count: u64,
    /// Their lengths in bytes.
    pub bytes: u64,
}

/// How much is in the store, by kind: `blobs`, and the kinds of entries.
pub type Usage = BTreeMap<String, UsageOf>;

/// A damaged file that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The damage.
    pub message: String,
}

impl Store {
    /// How much is in the store.
    ///
    /// # Errors
    /// When its directories cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::new();
        self.each_file(|kind, _, meta| {
            let of = usage.entry(kind.to_owned()).or_default();
            of.count += 1;
            of.bytes += meta.len();
            Ok(())
        })?;
        Ok(usage)
    }

    /// Reads everything, drops what is damaged, and returns how many files were good and which were not.
    ///
    /// # Errors
    /// When the store cannot be read or a damaged file cannot be removed.
    pub fn verify(&self) -> Result<(u64, Vec<Problem>), StoreError> {
        let (mut good, mut problems) = (0, Vec::new());
        self.each_file(|kind, path, _| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if kind == LOGS {
                return Ok(());
            }
            let (promised, found) = if kind == "blobs" { blob_sums(&name, path) } else { entry_sums(path) }
                .map_err(|e| io_error(path, e))?;
            if promised == Some(found) {
                good += 1;
                return Ok(());
            }
            self.drop_damaged(path)?;
            problems.push(Problem { path: path.to_owned(), message: "its content does not fit its checksum".into() });
            Ok(())
        })?;
        Ok((good, problems))
    }

    /// Removes what was not used for `age`, and what killed processes left behind. Returns what was freed.
    ///
    /// # Errors
    /// When the store cannot be read or something cannot be removed.
    pub fn prune(&self, age: Duration) -> Result<UsageOf, StoreError> {
        let mut freed = self.sweep()?;
        let now = SystemTime::now();
        self.each_file(|_, path, meta| {
            let unused = meta.modified().ok().and_then(|then| now.duration_since(then).ok()).unwrap_or_default();
            if unused >= age {
                self.drop_damaged(path)?;
                freed.count += 1;
                freed.bytes += meta.len();
            }
            Ok(())
        })?;
        Ok(freed)
    }

    /// Removes temporary files that no living process holds.
    fn sweep(&self) -> Result<UsageOf, StoreError> {
        let mut freed = UsageOf::default();
        for (path, meta) in files_of(&self.temporary())? {
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_ok() {
                self.drop_damaged(&path)?;
                freed.count += 1;
                freed.bytes += meta.len();
            }
        }
        Ok(freed)
    }

    /// Calls `visit` with the kind, path and metadata of every blob and entry, in sorted order.
    fn each_file(
        &self,
        mut visit: impl FnMut(&str, &Path, &fs::Metadata) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for directory in directories_of(&self.root.join("blobs"))? {
            for (path, meta) in files_of(&directory)? {
                visit("blobs", &path, &meta)?;
            }
        }
        for directory in directories_of(&self.root.join("entries"))? {
            let kind = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            for (path, meta) in files_of(&directory)? {
                visit(&kind, &path, &meta)?;
            }
        }
        if self.logs().is_dir() {
            for (path, meta) in files_of(&self.logs())? {
                visit(LOGS, &path, &meta)?;
            }
        }
        Ok(())
    }
}

fn blob_sums(name: &str, path: &Path) -> io::Result<(Option<Digest>, Digest)> {
    Ok((name.parse().ok(), Digest::of_reader(File::open(path)?)?.0))
}

fn entry_sums(path: &Path) -> io::Result<(Option<Digest>, Digest)> {
    let mut file = File::open(path)?;
    let mut sum = [0; 32];
    let promised = file.read_exact(&mut sum).ok().map(|()| Digest::from(sum));
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((promised, Digest::from(*hasher.finalize().as_bytes())))
}

fn directories_of(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let directories = paths_of(path)?;
    Ok(directories.into_iter().filter(|path| path.is_dir()).collect())
}

fn files_of(path: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
    // What another process removes meanwhile is not there.
    let files = paths_of(path)?.into_iter().filter_map(|path| path.metadata().ok().map(|meta| (path, meta)));
    Ok(files.filter(|(_, meta)| meta.is_file()).collect())
}

fn paths_of(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = path.read_dir().and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>());
    let mut paths = entries.map_err(|e| io_error(path, e))?;
    paths.sort();
    Ok(paths)
}
