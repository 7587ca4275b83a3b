//! Locks between processes, so that two builds do not fetch or make the same thing at once.

use std::fs::{File, OpenOptions};

use super::{Store, StoreError, io_error};

/// Holds a lock until it is dropped or the process dies.
#[derive(Debug)]
pub struct LockGuard(#[allow(dead_code, reason = "the open file is the lock")] File);

impl Store {
    /// Waits until no other process holds the lock of this name, and takes it. Names are hex digits, words and dashes.
    ///
    /// # Errors
    /// When the lock's file cannot be made or locked.
    pub fn lock(&self, name: &str) -> Result<LockGuard, StoreError> {
        let path = self.root.join("locks").join(name);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|e| io_error(&path, e))?;
        file.lock().map_err(|e| io_error(&path, e))?;
        Ok(LockGuard(file))
    }
}
