//! One index that is fetched before its Release file is there, and whoever waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use bytes::Bytes;

use crate::packages::Watch;
use crate::plan::Suite;
use crate::reading::{self, DECODED_LIMIT};
use crate::sum::{Sum, SumHasher};
use minimg_base::digest::Hasher;
use minimg_base::sync::lock;
use minimg_fetch::Fetcher;

/// The longest compressed index that is fetched without anybody having said how long it is.
const COMPRESSED_LIMIT: u64 = 64 << 20;

/// An index that is being fetched.
pub(super) struct List {
    /// The directory of the suite's Release file.
    directory: String,
    /// The path below it, which ends in `form`.
    path: String,
    form: &'static str,
    /// What people call it.
    name: String,
    /// The most bytes that the text may have: lowered when the Release file says how many it has.
    limit: AtomicU64,
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

/// An index that came before anybody had signed for it.
#[derive(Debug, Clone)]
pub(super) struct Came {
    /// The digest of the file.
    pub(super) digest: Sum,
    /// How many bytes the file has.
    pub(super) size: u64,
    /// The index that it was read into.
    pub(super) index: Bytes,
}

enum Outcome {
    Awaited,
    /// What came.
    Here(Came),
    Nothing,
}

impl List {
    /// The list of the first component of a suite, in one form.
    pub(super) fn of(suite: &Suite, architecture: &str, form: &'static str) -> Option<Self> {
        let component = suite.components.first()?;
        Some(Self {
            directory: suite.directory(),
            path: format!("{component}/binary-{architecture}/Packages{form}"),
            form,
            name: format!("{} {component}/binary-{architecture}/Packages", suite.name),
            limit: AtomicU64::new(DECODED_LIMIT),
            outcome: Mutex::new(Outcome::Awaited),
            changed: Condvar::new(),
        })
    }

    /// Fetches and reads it.
    pub(super) fn get(&self, fetcher: &Fetcher, watch: Watch<'_>) {
        // Whatever happens, nobody waits for ever.
        let _given_up = GivenUp(self);
        if let Some(came) = self.read(fetcher, watch) {
            self.end(Outcome::Here(came));
        }
    }

    /// Tells those who wait how it ended, unless they know.
    fn end(&self, how: Outcome) {
        let mut outcome = lock(&self.outcome);
        if matches!(*outcome, Outcome::Awaited) {
            *outcome = how;
        }
        drop(outcome);
        self.changed.notify_all();
    }

    fn read(&self, fetcher: &Fetcher, watch: Watch<'_>) -> Option<Came> {
        let url = format!("{}/{}", self.directory, self.path);
        let download = fetcher.open(&self.name, &url, None, COMPRESSED_LIMIT).ok()?;
        let hasher = SumHasher::Sha256(Hasher::default());
        let read = reading::read(download, hasher, self.form, &self.limit, watch);
        read.drained.ok()?;
        Some(Came { digest: read.found, size: read.size, index: read.result.ok()?.finish()?.into() })
    }

    /// Whether this is the index at a path of a suite.
    pub(super) fn is_at(&self, directory: &str, path: &str) -> bool {
        self.directory == directory && self.path == path
    }

    /// From now on its text may have at most so many bytes.
    pub(super) fn limit_to(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Nobody waits for it any more.
    pub(super) fn give_up(&self) {
        self.end(Outcome::Nothing);
    }

    /// Waits until it is there; `None` when it could not be had.
    pub(super) fn wait(&self) -> Option<Came> {
        let mut outcome = lock(&self.outcome);
        loop {
            match &*outcome {
                Outcome::Awaited => {}
                Outcome::Here(came) => return Some(came.clone()),
                Outcome::Nothing => return None,
            }
            outcome = self.changed.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Dropped, it ends the waiting for a list that did not come.
struct GivenUp<'l>(&'l List);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.end(Outcome::Nothing);
    }
}
