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
pub(super) type Unpacked = Result<(Listing, Spilled)>;

/// A package's verified file at its beginning.
enum Source {
    Open(File),
    Later(Box<dyn FnOnce() -> Result<File> + Send>),
}

/// How many files may wait open: what a process may have open is limited.
const MOST_OPEN: usize = 128;

/// What a package is said to be. The same bytes under another name are another package, which is refused.
type Identity = (Digest, String, String, String);

fn identity(package: &PinnedPackage) -> Identity {
    (package.sha256, package.name.clone(), package.version.clone(), package.architecture.clone())
}

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
    waiting: BTreeMap<(u64, PinnedPackage), Source>,
    /// All that ever waited, and are wanted as far as is known.
    known: BTreeSet<Identity>,
    done: BTreeMap<Identity, Unpacked>,
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
    pub(super) fn push(&self, package: &PinnedPackage, open: impl FnOnce() -> Result<File> + Send + 'static) {
        self.add(&mut lock(&self.shared.state), package, Source::Later(Box::new(open)));
    }

    /// As `push`, with the file itself; `false`, and nothing is added, where too many files wait open already.
    pub fn push_open(&self, package: &PinnedPackage, file: File) -> bool {
        let mut state = lock(&self.shared.state);
        let has_room = state.waiting.values().filter(|source| matches!(source, Source::Open(_))).count() < MOST_OPEN;
        if has_room {
            self.add(&mut state, package, Source::Open(file));
        }
        has_room
    }

    fn add(&self, state: &mut State, package: &PinnedPackage, source: Source) {
        if !state.is_closed && state.known.insert(identity(package)) {
            state.waiting.insert((package.size, package.clone()), source);
            self.shared.changed.notify_one();
        }
    }

    /// Whether this package was added.
    pub(super) fn has(&self, package: &PinnedPackage) -> bool {
        lock(&self.shared.state).known.contains(&identity(package))
    }

    /// Forgets what is none of these packages, and whatever comes of it. From now on all are wanted, and the first failure ends the
    /// decoding.
    pub(super) fn settle(&self, packages: &[PinnedPackage]) {
        let wanted: BTreeSet<Identity> = packages.iter().map(identity).collect();
        let mut state = lock(&self.shared.state);
        state.is_settled = true;
        state.waiting.retain(|(_, package), _| wanted.contains(&identity(package)));
        state.known.retain(|identity| wanted.contains(identity));
        state.done.retain(|identity, _| wanted.contains(identity));
        if state.done.values().any(Result::is_err) {
            state.close();
        }
    }

    /// What came of every package; when the build has failed already, those that wait are left out.
    pub(super) fn finish(self, has_failed: bool) -> Finished {
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
        Finished(std::mem::take(&mut lock(&self.shared.state).done))
    }
}

/// What came of the packages that were decoded.
pub(super) struct Finished(BTreeMap<Identity, Unpacked>);

impl Finished {
    /// What came of this package, once.
    pub(super) fn take(&mut self, package: &PinnedPackage) -> Option<Unpacked> {
        self.0.remove(&identity(package))
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
        while let Some((package, source)) = self.next() {
            let file = match source {
                Source::Open(file) => Ok(file),
                Source::Later(open) => open(),
            };
            let unpacked = file.and_then(|file| unpack(&self.scratch, &package, file)).and_then(|unpacked| {
                self.store.put_entry(LISTING, &package.sha256, &unpacked.0.encode())?;
                Ok(unpacked)
            });
            let (mut state, identity) = (lock(&self.state), identity(&package));
            if !state.known.contains(&identity) {
                continue;
            }
            if unpacked.is_err() && state.is_settled {
                state.close();
                self.changed.notify_all();
            }
            state.done.insert(identity, unpacked);
        }
    }

    /// The next package, waiting for it; `None` when no more come.
    fn next(&self) -> Option<(PinnedPackage, Source)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(((_, package), source)) = state.waiting.pop_last() {
                return Some((package, source));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::error::{Class, Error};

    fn package(name: &str, content: &str) -> PinnedPackage {
        PinnedPackage {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            archive: 0,
            path: String::new(),
            size: 1,
            sha256: Digest::of(content),
        }
    }

    fn failure(message: &'static str) -> Result<File> {
        Err(Error::new(Class::Verification, message))
    }

    fn told(finished: &mut Finished, package: &PinnedPackage) -> Option<String> {
        finished.take(package)?.err().map(|error| error.to_string())
    }

    #[test]
    fn what_comes_of_a_wrong_guess_changes_nothing_even_when_it_comes_late() {
        let directory = tempfile::tempdir().unwrap();
        let unpacker = Unpacker::new(&Store::open(directory.path()).unwrap());
        let (begun, (go, wait)) = (channel(), channel::<()>());
        // The same bytes as the right one, under a name that the index which was read early had for them.
        let (wrong, right) = (package("wrong", "x"), package("right", "x"));
        unpacker.push(&wrong, move || {
            begun.0.send(()).unwrap();
            wait.recv().unwrap();
            failure("a wrong guess")
        });
        unpacker.grow(1);
        begun.1.recv().unwrap();
        unpacker.settle(std::slice::from_ref(&right));
        assert!(!unpacker.has(&right));
        unpacker.push(&right, || failure("the right one"));
        go.send(()).unwrap();
        let mut finished = unpacker.finish(false);
        assert_eq!(told(&mut finished, &wrong), None);
        assert_eq!(told(&mut finished, &right).unwrap(), "the right one");
    }

    #[test]
    fn only_so_many_files_wait_open() {
        let directory = tempfile::tempdir().unwrap();
        let unpacker = Unpacker::new(&Store::open(directory.path()).unwrap());
        let open = || tempfile::tempfile().unwrap();
        let taken = (0..200).filter(|i| unpacker.push_open(&package(&format!("p{i}"), "x"), open())).count();
        assert_eq!(taken, MOST_OPEN);
        assert!(!unpacker.has(&package("p199", "x")));
        unpacker.push(&package("p199", "x"), || failure("later"));
        assert!(unpacker.has(&package("p199", "x")));
    }
}
