//! Decoding packages side by side, the largest first, while others are still being fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::error::Problem;
use crate::format::Format;
use crate::listing::{self, Listing};
use crate::ration::Ration;
use crate::reading::Reading;
use minimg_backend::PinnedPackage;
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, Result};
use minimg_base::sync::lock;
use minimg_store::Store;
use minimg_tree::archive::{Scratch, Spilled};

/// How many bytes of files may be in memory at once before they go to a scratch file.
const MEMORY: u64 = 2 << 20;

/// How many bytes are decoded before it is known what is wanted: whoever is between us and the mirror can have packages of his own guessed,
/// for as long as he likes, and no room is given back. It is what may be fetched by guess, too.
const GUESSED: u64 = 1 << 30;

/// A decoded package: what is in it, and the contents of its files.
type Decoded<F> = (Listing<F>, Spilled);

/// What comes of a package.
pub(crate) type Unpacked<F> = Result<Decoded<F>>;

/// A package's verified file.
enum Source {
    Open(Arc<File>),
    Later(Box<dyn Fn() -> Result<File> + Send>),
}

impl Source {
    /// The file at its beginning.
    fn file(&self) -> Result<Arc<File>> {
        match self {
            Source::Open(file) => {
                file.as_ref().rewind().map_err(|error| Error::new(Class::Machine, error))?;
                Ok(file.clone())
            }
            Source::Later(open) => open().map(Arc::new),
        }
    }
}

/// How many files may wait open: what a process may have open is limited.
const MOST_OPEN: usize = 128;

/// What a package is said to be. The same bytes under another name are another package, which is refused.
type Identity = (Digest, String, String, String);

fn identity(package: &PinnedPackage) -> Identity {
    (package.sha256, package.name.clone(), package.version.clone(), package.architecture.clone())
}

/// Decodes packages, and stores the listings of those that are wanted. Dropped, it decodes no more of them; a thread that is in the middle
/// of one ends it by itself, and nobody waits.
///
/// Packages may be added by guess, until it is settled what is wanted. A guess that fails, as where it is too large for one, is forgotten: whoever
/// wants the package adds it again.
pub struct Unpacker<F: Format> {
    shared: Arc<Shared<F>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared<F: Format> {
    store: Store,
    scratch: Arc<Scratch>,
    /// What guesses may take, all that is decoded when nothing is guessed any more.
    ration: Arc<Ration>,
    state: Mutex<State<F>>,
    changed: Condvar,
}

struct State<F: Format> {
    /// By size.
    waiting: BTreeMap<(u64, PinnedPackage), Source>,
    /// All that ever waited, and are wanted as far as is known.
    known: BTreeSet<Identity>,
    done: BTreeMap<Identity, Unpacked<F>>,
    /// The encoded listings of guesses. A guess leaves nothing in the store before it is wanted: nobody waits for a thread that writes there.
    unstored: BTreeMap<Identity, Vec<u8>>,
    /// Whether nothing more comes.
    is_closed: bool,
    /// Whether all that waits is wanted, so that one failure is the end.
    is_settled: bool,
}

// Not derived: that would ask for a default of the format, too.
impl<F: Format> Default for State<F> {
    fn default() -> Self {
        let (waiting, known, done, unstored) = Default::default();
        Self { waiting, known, done, unstored, is_closed: false, is_settled: false }
    }
}

impl<F: Format> State<F> {
    fn close(&mut self) {
        self.is_closed = true;
        self.waiting.clear();
    }
}

impl<F: Format> Unpacker<F> {
    /// One without threads, which does nothing before [`Unpacker::grow`].
    pub fn new(store: &Store) -> Self {
        let shared = Shared {
            store: store.clone(),
            scratch: Scratch::new(store.temporary(), MEMORY),
            ration: Ration::new(GUESSED),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared), threads: Mutex::default() }
    }

    /// Where the contents of files go.
    pub(crate) fn scratch(&self) -> &Arc<Scratch> {
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
    pub(crate) fn push(&self, package: &PinnedPackage, open: impl Fn() -> Result<File> + Send + 'static) {
        self.add(&mut lock(&self.shared.state), package, Source::Later(Box::new(open)));
    }

    /// As `push`, with the file itself; `false`, and nothing is added, where too many files wait open already.
    pub fn push_open(&self, package: &PinnedPackage, file: File) -> bool {
        let mut state = lock(&self.shared.state);
        let has_room = state.waiting.values().filter(|source| matches!(source, Source::Open(_))).count() < MOST_OPEN;
        if has_room {
            self.add(&mut state, package, Source::Open(Arc::new(file)));
        }
        has_room
    }

    fn add(&self, state: &mut State<F>, package: &PinnedPackage, source: Source) {
        if !state.is_closed && state.known.insert(identity(package)) {
            state.waiting.insert((package.size, package.clone()), source);
            self.shared.changed.notify_one();
        }
    }

    /// Whether this package was added.
    pub(crate) fn has(&self, package: &PinnedPackage) -> bool {
        lock(&self.shared.state).known.contains(&identity(package))
    }

    /// Forgets what is none of these packages, and whatever comes of it. From now on all are wanted, and the first failure ends the
    /// decoding.
    pub(crate) fn settle(&self, packages: &[PinnedPackage]) {
        let wanted: BTreeSet<Identity> = packages.iter().map(identity).collect();
        let mut state = lock(&self.shared.state);
        state.is_settled = true;
        self.shared.ration.lift();
        state.waiting.retain(|(_, package), _| wanted.contains(&identity(package)));
        state.known.retain(|identity| wanted.contains(identity));
        state.done.retain(|identity, _| wanted.contains(identity));
        state.unstored.retain(|identity, _| wanted.contains(identity));
    }

    /// What came of every package; when the build has failed already, those that wait are left out.
    ///
    /// # Errors
    /// When a listing cannot be stored.
    pub(crate) fn finish(self, has_failed: bool) -> Result<Finished<F>> {
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
        let mut state = lock(&self.shared.state);
        for (identity, listing) in std::mem::take(&mut state.unstored) {
            self.shared.store.put_entry(listing::ENTRY, &identity.0, &listing)?;
        }
        Ok(Finished(std::mem::take(&mut state.done)))
    }
}

/// What came of the packages that were decoded.
pub(crate) struct Finished<F: Format>(BTreeMap<Identity, Unpacked<F>>);

impl<F: Format> Finished<F> {
    /// What came of this package, once.
    pub(crate) fn take(&mut self, package: &PinnedPackage) -> Option<Unpacked<F>> {
        self.0.remove(&identity(package))
    }
}

impl<F: Format> Drop for Unpacker<F> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.close();
        state.known.clear();
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl<F: Format> Shared<F> {
    fn work(&self) {
        while let Some((package, source, is_guess)) = self.next() {
            let unpacked = self.unpack(&package, &source);
            let (mut state, identity) = (lock(&self.state), identity(&package));
            if !state.known.contains(&identity) {
                continue;
            }
            let unpacked = match unpacked {
                Ok((unpacked, listing)) if !state.is_settled => {
                    state.unstored.insert(identity.clone(), listing);
                    Ok(unpacked)
                }
                Ok((unpacked, listing)) => {
                    drop(state);
                    let stored = self.store.put_entry(listing::ENTRY, &package.sha256, &listing);
                    state = lock(&self.state);
                    stored.map(|()| unpacked).map_err(Error::from)
                }
                Err(_) if !state.is_settled => {
                    state.known.remove(&identity);
                    continue;
                }
                // It came to be wanted meanwhile.
                Err(_) if is_guess => {
                    state.waiting.insert((package.size, package), source);
                    continue;
                }
                Err(error) => Err(error),
            };
            if unpacked.is_err() {
                state.close();
                self.changed.notify_all();
            }
            state.done.insert(identity, unpacked);
        }
    }

    /// Decodes a package: what comes of it, and its encoded listing.
    fn unpack(&self, package: &PinnedPackage, source: &Source) -> Result<(Decoded<F>, Vec<u8>)> {
        let unpacked = decode::<F>(&self.scratch, package, source.file()?, &self.ration)?;
        let listing = unpacked.0.encode();
        // Links copy attributes: it can be longer than all that was decoded.
        self.ration.take(listing.len() as u64).map_err(|error| Problem::Io(error).of_pinned(package))?;
        Ok((unpacked, listing))
    }

    /// The next package, waiting for it, and whether it is a guess; `None` when no more come.
    fn next(&self) -> Option<(PinnedPackage, Source, bool)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(((_, package), source)) = state.waiting.pop_last() {
                return Some((package, source, !state.is_settled));
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Decodes a package once: its listing and the contents of its files. `file` is the package, verified, at its beginning.
fn decode<F: Format>(
    scratch: &Arc<Scratch>,
    package: &PinnedPackage,
    file: impl Read + Send + 'static,
    ration: &Arc<Ration>,
) -> Result<Decoded<F>> {
    let wrong = |problem: Problem| problem.of_pinned(package);
    let (head, mut reading) = Reading::begin::<F>(file, ration).map_err(wrong)?;
    let spilled = reading.through(None, |_| true, scratch).map_err(wrong)?;
    let listing = Listing::new(head, reading.into_members(), &spilled).map_err(wrong)?;
    check_identity::<F>(&listing.facts, package)?;
    Ok((listing, spilled))
}

/// Refuses a package that is another one than was pinned, as where somebody edited a lock.
pub(crate) fn check_identity<F: Format>(facts: &F::Facts, package: &PinnedPackage) -> Result<()> {
    let found = F::identity(facts);
    if found == (&*package.name, &*package.version, &*package.architecture) {
        return Ok(());
    }
    let found = format!("{} {} {}", found.0, found.1, found.2);
    Err(Problem::Identity { found }.of_pinned(package).into())
}

#[cfg(test)]
mod tests;
