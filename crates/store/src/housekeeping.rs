//! Showing, verifying and pruning the store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Store, StoreError, entry, io_error};
use minimg_base::digest::Digest;

/// The kind of the logs of outside tools, which are not checked.
const LOGS: &str = "logs";

/// The kind of the blobs.
const BLOBS: &str = "blobs";

/// How much space one kind takes in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct UsageOf {
    /// How many files.
    pub count: u64,
    /// Their lengths in bytes.
    pub bytes: u64,
}

impl UsageOf {
    fn add(&mut self, meta: &fs::Metadata) {
        self.count += 1;
        self.bytes += meta.len();
    }
}

/// How much is in the store, by kind: `blobs`, and the kinds of entries.
pub type Usage = BTreeMap<String, UsageOf>;

/// What came of pruning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// What was removed.
    #[serde(flatten)]
    pub freed: UsageOf,
    /// What would have been removed if no living process might use it.
    pub in_use: UsageOf,
}

/// How often [`Store::keep_below`] looks how much there is.
const BETWEEN_LOOKS: Duration = Duration::from_secs(24 * 3600);

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
            usage.entry(kind.to_owned()).or_default().add(meta);
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
            let key = path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok());
            let damage = match kind {
                LOGS => return Ok(()),
                BLOBS => self.damage_of_blob(key, path),
                kind => entry::damage(kind, key, path),
            };
            let Some(message) = damage.map_err(|e| io_error(path, e))? else {
                good += 1;
                return Ok(());
            };
            self.drop_damaged(path)?;
            problems.push(Problem { path: path.to_owned(), message: message.into() });
            Ok(())
        })?;
        Ok((good, problems))
    }

    /// Removes what was not used for `age`, and what killed processes left behind. What a living process may use stays: whatever was used since
    /// an hour before it opened the store.
    ///
    /// # Errors
    /// When the store cannot be read or something cannot be removed.
    pub fn prune(&self, age: Duration) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned { freed: self.sweep()?, in_use: UsageOf::default() };
        let in_use_since = self.in_use_since()?;
        let now = SystemTime::now();
        self.each_file(|_, path, meta| {
            let used = last_use(meta);
            if now.duration_since(used).unwrap_or_default() < age {
                return Ok(());
            }
            self.remove(path, meta, in_use_since, &mut pruned)
        })?;
        Ok(pruned)
    }

    /// Sees to it, at most once a day, that the store has at most `limit` bytes: what was not used for the longest time goes first. `None` when
    /// nothing was removed.
    ///
    /// # Errors
    /// Like [`Store::prune`].
    pub fn keep_below(&self, limit: u64) -> Result<Option<Pruned>, StoreError> {
        let looked = self.root.join("looked");
        let is_recent = |meta: fs::Metadata| last_use(&meta).elapsed().is_ok_and(|age| age < BETWEEN_LOOKS);
        if fs::metadata(&looked).is_ok_and(is_recent) {
            return Ok(None);
        }
        fs::write(&looked, "").map_err(|e| io_error(&looked, e))?;
        self.sweep()?;
        let (mut files, mut total) = (Vec::new(), 0);
        self.each_file(|_, path, meta| {
            total += meta.len();
            files.push((last_use(meta), path.to_owned(), meta.clone()));
            Ok(())
        })?;
        files.sort_by(|(a, path_a, _), (b, path_b, _)| (a, path_a).cmp(&(b, path_b)));
        let excess = total.saturating_sub(limit);
        let in_use_since = self.in_use_since()?;
        let mut pruned = Pruned::default();
        for (_, path, meta) in files {
            if pruned.freed.bytes >= excess {
                break;
            }
            self.remove(&path, &meta, in_use_since, &mut pruned)?;
        }
        Ok((pruned.freed.count > 0).then_some(pruned))
    }

    /// Removes a file that is not needed any more, unless a living process may use it.
    fn remove(
        &self,
        path: &Path,
        meta: &fs::Metadata,
        in_use_since: Option<SystemTime>,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        let used = last_use(meta);
        let is_free = in_use_since.is_none_or(|since| used < since);
        if is_free && self.remove_unused(path, used)? {
            pruned.freed.add(meta);
        } else {
            pruned.in_use.add(meta);
        }
        Ok(())
    }

    /// Removes temporary files that no living process holds.
    fn sweep(&self) -> Result<UsageOf, StoreError> {
        let mut freed = UsageOf::default();
        for (path, meta) in files_of(&self.temporary())? {
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_ok() {
                self.drop_damaged(&path)?;
                freed.add(&meta);
            }
        }
        Ok(freed)
    }

    /// What is wrong with a blob, all of which is read.
    fn damage_of_blob(&self, digest: Option<Digest>, path: &Path) -> io::Result<Option<&'static str>> {
        let (found, _) = Digest::of_reader(File::open(path)?)?;
        Ok(if digest != Some(found) {
            Some("its content does not fit its checksum")
        } else if self.blob_path(&found) != path {
            Some("it is not where it is looked for")
        } else {
            None
        })
    }

    /// Calls `visit` with the kind, path and metadata of every blob and entry, in sorted order.
    fn each_file(
        &self,
        mut visit: impl FnMut(&str, &Path, &fs::Metadata) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for directory in directories_of(&self.root.join(BLOBS))? {
            for (path, meta) in files_of(&directory)? {
                visit(BLOBS, &path, &meta)?;
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

/// When a file was used, as far as that was noted.
fn last_use(meta: &fs::Metadata) -> SystemTime {
    meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn directories_of(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let directories = paths_of(path)?;
    Ok(directories.into_iter().filter(|path| path.is_dir()).collect())
}

pub(super) fn files_of(path: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
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
