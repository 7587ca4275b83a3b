//! Decoding packages side by side, the largest first, while others are still being fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::files::unpack;
use super::listing::Listing;
use crate::archive::{Scratch, Spilled};
use crate::backend::PinnedPackage;
use crate::digest::Digest;
use crate::error::Result;
use crate::store::Store;

/// The kind of the store's entries that hold listings.
pub(super) const LISTING: &str = "listing";

/// How many bytes of files may be in memory at once before they go to a scratch file.
const MEMORY: u64 = 2 << 20;

/// What comes of a package.
type Unpacked = Result<(Listing, Spilled)>;

/// Opens a package's verified file at its beginning.
type Open = Box<dyn FnOnce() -> Result<File> + Send>;

/// Decodes packages, and stores their listings. Dropped, it decodes no more of them; a thread that is in the middle of one ends it by
/// itself, and nobody waits.
pub struct Unpacker {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    store: Store,
    scratch: Arc<Scratch>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By size.
    waiting: BTreeMap<(u64, PinnedPackage), Open>,
    /// All that ever waited.
    known: BTreeSet<Digest>,
    done: BTreeMap<Digest, Unpacked>,
    /// Whether nothing more comes.
    is_closed: bool,
    /// Whether all that waits is wanted, so that one failure is the end.
    is_settled: bool,
}

impl State {
    fn close(&mut self) {
        self.is_closed = true;
        self.waiting.clear();
    }
}

impl Unpacker {
    /// One without threads, which does nothing before [`Unpacker::grow`].
    pub fn new(store: &Store) -> Self {
        let shared = Shared {
            store: store.clone(),
            scratch: Scratch::new(store, MEMORY),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared), threads: Mutex::default() }
    }

    /// Where the contents of files go.
    pub(super) fn scratch(&self) -> &Arc<Scratch> {
        &self.shared.scratch
    }

    /// Lets so many packages be decoded at once, unless it is more already.
    pub fn grow(&self, count: usize) {
        let mut threads = lock(&self.threads);
        while threads.len() < count {
            let shared = self.shared.clone();
            threads.push(std::thread::spawn(move || shared.work()));
        }
    }

    /// Adds a package whose verified file `open` gives. One that was added before is passed over.
    pub fn push(&self, package: &PinnedPackage, open: impl FnOnce() -> Result<File> + Send + 'static) {
        let mut state = lock(&self.shared.state);
        if !state.is_closed && state.known.insert(package.sha256) {
            state.waiting.insert((package.size, package.clone()), Box::new(open));
            self.shared.changed.notify_one();
        }
    }

    /// Whether this package was added.
    pub(super) fn has(&self, package: &PinnedPackage) -> bool {
        lock(&self.shared.state).known.contains(&package.sha256)
    }

    /// Forgets what waits and is none of these packages. From now on all are wanted, and the first failure ends the decoding.
    pub(super) fn settle(&self, packages: &[PinnedPackage]) {
        let wanted: BTreeSet<Digest> = packages.iter().map(|package| package.sha256).collect();
        let mut state = lock(&self.shared.state);
        state.is_settled = true;
        state.waiting.retain(|(_, package), _| wanted.contains(&package.sha256));
        state.known.retain(|digest| wanted.contains(digest));
        if state.done.iter().any(|(digest, unpacked)| wanted.contains(digest) && unpacked.is_err()) {
            state.close();
        }
    }

    /// What came of every package; when the build has failed already, those that wait are left out.
    pub(super) fn finish(self, has_failed: bool) -> BTreeMap<Digest, Unpacked> {
        {
            let mut state = lock(&self.shared.state);
            state.is_closed = true;
            if has_failed {
                state.close();
            }
            self.shared.changed.notify_all();
        }
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        std::mem::take(&mut lock(&self.shared.state).done)
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        lock(&self.shared.state).close();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some((package, open)) = self.next() {
            let unpacked = open().and_then(|file| unpack(&self.scratch, &package, file)).and_then(|unpacked| {
                self.store.put_entry(LISTING, &package.sha256, &unpacked.0.encode())?;
                Ok(unpacked)
            });
            let mut state = lock(&self.state);
            if unpacked.is_err() && state.is_settled {
                state.close();
                self.changed.notify_all();
            }
            state.done.insert(package.sha256, unpacked);
        }
    }

    /// The next package, waiting for it; `None` when no more come.
    fn next(&self) -> Option<(PinnedPackage, Open)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(((_, package), open)) = state.waiting.pop_last() {
                return Some((package, open));
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
