//! Fetching the longest index while the Release file is still on its way, for a suite that this store has never seen.
//!
//! It is fetched by its usual name and read as it comes; it counts only if the verified Release file then promises exactly these bytes.
//! Otherwise it is as if it had never been asked for.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use super::error::ArchiveError;
use super::indexes::{self, DECODED_LIMIT, EARLY};
use super::plan::Suite;
use super::signed;
use crate::backend::Context;
use crate::digest::Digest;
use crate::fetch::Fetcher;

/// The longest compressed index that is fetched without anybody having said how long it is.
const COMPRESSED_LIMIT: u64 = 64 << 20;

/// An index that is being fetched, or none. Dropped, the fetching ends.
pub(super) struct Early<'scope> {
    fetching: Mutex<Option<Fetching<'scope>>>,
    stop: Arc<AtomicBool>,
    /// The most bytes that the text may have: lowered when the Release file says how many it has.
    limit: Arc<AtomicU64>,
}

struct Fetching<'scope> {
    /// The directory of the suite's Release file, and the path below it.
    place: (String, String),
    thread: ScopedJoinHandle<'scope, Option<(Digest, Vec<u8>)>>,
}

impl<'scope> Early<'scope> {
    /// Begins to fetch the first component of the first suite, unless the store knows the suite or the network may not be used.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn begin<'env>(
        scope: &'scope Scope<'scope, 'env>,
        suites: &'env [Suite],
        architecture: &str,
        fetcher: &'env Fetcher<'_>,
        context: &Context<'_>,
    ) -> Result<Self, ArchiveError> {
        let early = Self {
            fetching: Mutex::new(None),
            stop: Arc::new(AtomicBool::new(false)),
            limit: Arc::new(AtomicU64::new(DECODED_LIMIT)),
        };
        let Some((suite, component)) = suites.first().and_then(|suite| Some((suite, suite.components.first()?))) else {
            return Ok(early);
        };
        if context.offline || suite.optional || signed::is_known(suite, context)? {
            return Ok(early);
        }
        let (stop, limit) = (early.stop.clone(), early.limit.clone());
        let path = format!("{component}/binary-{architecture}/Packages{EARLY}");
        let place = (suite.directory(), path);
        let url = format!("{}/{}", place.0, place.1);
        let name = format!("{} {component}/binary-{architecture}/Packages", suite.name);
        let thread = scope.spawn(move || {
            let download = fetcher.open(&name, &url, None, COMPRESSED_LIMIT).ok()?;
            let read = indexes::read(Stoppable { inner: download, stop }, EARLY, &limit);
            read.drained.ok()?;
            Some((read.found, read.result.ok()?.finish()?))
        });
        *early.lock() = Some(Fetching { place, thread });
        Ok(early)
    }

    /// The index at this path of the suite, if it was fetched early and has the promised digest and at most so many bytes.
    pub(super) fn take(&self, suite: &Suite, path: &str, digest: &Digest, limit: u64) -> Option<Vec<u8>> {
        let is_wanted = |fetching: &mut Fetching<'_>| fetching.place.0 == suite.directory() && fetching.place.1 == path;
        let fetching = self.lock().take_if(is_wanted)?;
        self.limit.store(limit, Ordering::Relaxed);
        let (found, bytes) = fetching.thread.join().ok()??;
        (found == *digest).then_some(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fetching<'scope>>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Early<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A reader that ends with an error when it is told to.
struct Stoppable<R> {
    inner: R,
    stop: Arc<AtomicBool>,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.inner.read(buffer)
    }
}
