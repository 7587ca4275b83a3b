//! Fetching indexes while the Release files are still on their way, for suites that this store has never seen.
//!
//! An index is fetched by its usual name and read as it comes; it counts only if the verified Release file then promises exactly these bytes.
//! Otherwise it is as if it had never been asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Scope;

use bytes::Bytes;

use super::Ready;
use super::error::ArchiveError;
use super::guess::{Follower, Guess};
use super::indexes::{self, DECODED_LIMIT, EARLY, EARLY_OF_OTHERS};
use super::plan::Suite;
use super::signed;
use super::wanted::Wanted;
use minimg_backend::{Context, Pins, Source};
use minimg_base::digest::Digest;
use minimg_base::sync::lock;
use minimg_fetch::Fetcher;

/// The longest compressed index that is fetched without anybody having said how long it is.
const COMPRESSED_LIMIT: u64 = 64 << 20;

/// What is fetched before it is known to be wanted. Dropped, the fetching ends.
pub(super) struct Early {
    lists: Vec<Arc<List>>,
    guess: Option<Guess>,
    /// Set when nobody waits for an index any more.
    stop: Arc<AtomicBool>,
}

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

enum Outcome {
    Awaited,
    /// The digest of what came, and the index that it was read into.
    Here(Digest, Bytes),
    Nothing,
}

impl List {
    fn of(suite: &Suite, architecture: &str, form: &'static str) -> Option<Self> {
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
    fn get(&self, fetcher: &Fetcher, follower: Option<Follower>) {
        // Whatever happens, nobody waits for ever.
        let _given_up = GivenUp(self);
        if let Some((digest, bytes)) = self.read(fetcher, follower) {
            self.end(Outcome::Here(digest, bytes));
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

    fn read(&self, fetcher: &Fetcher, mut follower: Option<Follower>) -> Option<(Digest, Bytes)> {
        let url = format!("{}/{}", self.directory, self.path);
        let download = fetcher.open(&self.name, &url, None, COMPRESSED_LIMIT).ok()?;
        let read = indexes::read(download, self.form, &self.limit, &mut |package, before| {
            if let Some(follower) = &mut follower {
                follower.see(package, before);
            }
        });
        read.drained.ok()?;
        Some((read.found, read.result.ok()?.finish()?.into()))
    }

    /// Waits until it is there: the digest of what came, and the index; `None` when it could not be had.
    pub(super) fn wait(&self) -> Option<(Digest, Bytes)> {
        let mut outcome = lock(&self.outcome);
        loop {
            match &*outcome {
                Outcome::Awaited => {}
                Outcome::Here(digest, bytes) => return Some((*digest, bytes.clone())),
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

/// What is known of a request before anything is fetched.
pub(super) struct Plan<'p> {
    pub suites: &'p [Suite],
    pub architecture: &'p str,
    pub wanted: &'p [Wanted<'p>],
    pub source: &'p Source,
    /// How many things may be done at once; 0 leaves it open.
    pub jobs: usize,
}

impl Early {
    /// Begins to fetch the first component of each suite that the store does not know; and, when it knows none and somebody takes them, the
    /// packages that are most likely wanted. Offline, nothing is begun.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn begin<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &Plan<'_>,
        ready: Option<Ready<'env>>,
        fetcher: &'env Fetcher,
        context: &Context,
    ) -> Result<Self, ArchiveError> {
        let mut early = Self { lists: Vec::new(), guess: None, stop: Arc::default() };
        let forms = std::iter::once(EARLY).chain(std::iter::repeat(EARLY_OF_OTHERS));
        for (suite, form) in plan.suites.iter().zip(forms) {
            if !context.offline && !signed::is_known(suite, context)? {
                early.lists.extend(List::of(suite, plan.architecture, form).map(Arc::new));
            }
        }
        let mut follower = None;
        if let (Some((_, others)), Some(suite), Some(ready)) = (early.lists.split_first(), plan.suites.first(), ready)
            && early.lists.len() == plan.suites.len()
            && plan.jobs != 1
        {
            let guess = Guess::begin(scope, plan, (&suite.address, others), ready, fetcher);
            (early.guess, follower) = guess.unzip();
        }
        for list in early.lists.clone() {
            let (stop, follower) = (early.stop.clone(), follower.take());
            scope.spawn(move || list.get(&fetcher.speculative(stop), follower));
        }
        Ok(early)
    }

    /// The index at this path of the suite, if it was fetched early and has the promised digest and at most so many bytes.
    pub(super) fn take(&self, suite: &Suite, path: &str, digest: &Digest, limit: u64) -> Option<Bytes> {
        let directory = suite.directory();
        let list = self.lists.iter().find(|list| list.directory == directory && list.path == path)?;
        list.limit.store(limit, Ordering::Relaxed);
        let (found, bytes) = list.wait()?;
        (found == *digest).then_some(bytes)
    }

    /// It is known what is chosen: no other packages are fetched any more.
    pub(super) fn settle(&self, pins: &Pins) {
        if let Some(guess) = &self.guess {
            guess.settle(pins);
        }
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for list in &self.lists {
            list.end(Outcome::Nothing);
        }
    }
}
