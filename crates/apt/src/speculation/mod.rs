//! Fetching indexes while the Release files are still on their way, for suites that this store has never seen.
//!
//! An index is fetched by its usual name and read as it comes; it counts only if the verified Release file then promises exactly these bytes.
//! Otherwise it is ignored.

mod guess;
mod list;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;

use bytes::Bytes;

use crate::Ready;
use crate::error::ArchiveError;
use crate::item::Item;
use crate::plan::Suite;
use crate::signed;
use crate::sum::Sum;
use guess::Guess;
use list::List;
use minimg_backend::{Context, Pins, Source};
use minimg_fetch::Fetcher;

/// The form that is fetched early of the main suite, which is long: the one that is decoded fastest.
pub(super) const EARLY: &str = ".gz";

/// The form that is fetched early of other suites, which are short: the one that every archive has.
pub(super) const EARLY_OF_OTHERS: &str = ".xz";

/// What is known of a request before anything is fetched.
pub(crate) struct Plan<'p> {
    pub suites: &'p [Suite],
    pub architecture: &'p str,
    pub wanted: &'p [Item<'p>],
    pub source: &'p Source,
    /// How many things may be done at once; 0 leaves it open.
    pub jobs: usize,
}

/// What is fetched before it is known to be wanted. Dropped, the fetching ends.
pub(super) struct Early {
    lists: Vec<Arc<List>>,
    guess: Option<Guess>,
    /// Set when nobody waits for an index any more.
    stop: Arc<AtomicBool>,
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
            scope.spawn(move || {
                let mut follower = follower;
                list.get(&fetcher.speculative(stop), &mut |package, before| {
                    if let Some(follower) = &mut follower {
                        follower.see(package, before);
                    }
                });
            });
        }
        Ok(early)
    }

    /// The index of the suite, if it was fetched early, its file has the promised digest and size, and its text at most so many bytes.
    pub(super) fn take(&self, suite: &Suite, (path, size, digest): (&str, u64, &Sum), limit: u64) -> Option<Bytes> {
        let directory = suite.directory();
        let list = self.lists.iter().find(|list| list.is_at(&directory, path))?;
        list.limit_to(limit);
        let came = list.wait()?;
        (came.digest == *digest && came.size == size).then_some(came.index)
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
            list.give_up();
        }
    }
}
