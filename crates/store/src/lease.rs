//! Leases: a store knows who uses it. Every process that opens it has a file in `leases/`, locked while the process lives, whose time is when
//! that began. Nobody prunes what a living process may have used, however little time ago that was.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use tempfile::NamedTempFile;

use super::{Store, StoreError, housekeeping, io_error};
use minimg_base::interrupt::Guard;

/// A use is noted when the last one was noted before more than this: most reads then write nothing.
const NOTED: Duration = Duration::from_secs(3600);

/// The lock that separates noting a use from removing what is unused.
const USES: &str = "uses";

/// Says that this process uses the store, while it lives.
#[derive(Debug)]
pub(super) struct Lease {
    _file: NamedTempFile,
    _guard: Guard,
}

impl Store {
    /// A store that cannot be written to has no leases: whoever prunes it does not ask.
    pub(super) fn take_lease(&self) -> Option<Lease> {
        let _ = fs::create_dir(self.leases());
        let (file, guard) = self.temporary_in(&self.leases()).ok()?;
        Some(Lease { _file: file, _guard: guard })
    }

    /// What was used since then may be in use now; `None` when nobody uses the store. Leases of processes that were killed are removed.
    pub(super) fn in_use_since(&self) -> Result<Option<SystemTime>, StoreError> {
        let mut oldest: Option<SystemTime> = None;
        if !self.leases().is_dir() {
            return Ok(None);
        }
        for (path, meta) in housekeeping::files_of(&self.leases())? {
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_ok() {
                self.drop_damaged(&path)?;
            } else if let Ok(begun) = meta.modified() {
                oldest = Some(oldest.map_or(begun, |oldest| oldest.min(begun)));
            }
        }
        Ok(oldest.map(|oldest| oldest.checked_sub(NOTED).unwrap_or(SystemTime::UNIX_EPOCH)))
    }

    /// Notes that a file is about to be used. A store that cannot be written to is not a failure: its files only look older than they are.
    pub(super) fn touch(&self, path: &Path) {
        let age = fs::metadata(path).and_then(|meta| meta.modified()).map(|used| used.elapsed().unwrap_or_default());
        if !age.is_ok_and(|age| age > NOTED) {
            return;
        }
        let _separate = self.uses().and_then(|lock| lock.lock_shared().map(|()| lock));
        // Both of them now: that is allowed to all who may write to the file, other times to its owner alone.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = utimensat(CWD, path, &Timestamps { last_access: now, last_modification: now }, AtFlags::empty());
    }

    /// Removes a file unless it was used after `seen`. Whether it was removed.
    pub(super) fn remove_unused(&self, path: &Path, seen: SystemTime) -> Result<bool, StoreError> {
        let lock = self.uses().map_err(|e| io_error(path, e))?;
        lock.lock().map_err(|e| io_error(path, e))?;
        let is_unused = fs::metadata(path).and_then(|meta| meta.modified()).is_ok_and(|used| used <= seen);
        if is_unused {
            self.drop_damaged(path)?;
        }
        Ok(is_unused)
    }

    fn uses(&self) -> io::Result<File> {
        File::options().create(true).truncate(false).write(true).open(self.root.join("locks").join(USES))
    }

    fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }
}
