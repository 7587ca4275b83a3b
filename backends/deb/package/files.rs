//! The contents of one package's files, had when they are first asked for: from the pack, else by decoding the package once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;

use super::deb;
use super::error::Problem;
use super::listing::Listing;
use super::pack::{self, Pack};
use crate::archive::{Collector, Scratch, Spill, Spilled, TarError};
use crate::backend::{Archive, Context, PinnedPackage, Pins, Settings};
use crate::error::Result;
use crate::report::Silent;
use crate::store::{Store, StoreError};
use crate::tree::ContentSource;

/// Makes every package of the pins a verified blob of the store, and hands over each as soon as it is there, opened at its beginning.
pub type Fetch = Arc<dyn Fn(&Pins, &Context<'_>, &(dyn Fn(&PinnedPackage, File) + Sync)) -> Result<()> + Send + Sync>;

/// Where packages come from, even long after `produce` returned: what a context has, owned.
pub(super) struct Origin {
    pub(super) store: Store,
    pub(super) scratch: Arc<Scratch>,
    settings: Settings,
    offline: bool,
    archives: Vec<Archive>,
    epoch: i64,
    fetch: Fetch,
}

/// How many bytes of files may be in memory at once before they go to a scratch file.
const MEMORY: u64 = 24 << 20;

impl Origin {
    pub(super) fn new(pins: &Pins, context: &Context<'_>, fetch: &Fetch) -> Self {
        Self {
            store: context.store.clone(),
            scratch: Scratch::new(context.store, MEMORY),
            settings: context.settings.clone(),
            offline: context.offline,
            archives: pins.archives.clone(),
            epoch: pins.epoch,
            fetch: fetch.clone(),
        }
    }

    /// The package's file, verified, fetched when the store has none.
    pub(super) fn open(&self, package: &PinnedPackage) -> Result<File> {
        let failed = |error: StoreError| Problem::Store(error).of_pinned(package);
        if let Some(file) = self.store.open_blob(&package.sha256).map_err(failed)? {
            return Ok(file);
        }
        let pins =
            Pins { archives: self.archives.clone(), packages: vec![package.clone()], epoch: self.epoch, root: None };
        let context =
            Context { store: &self.store, reporter: &Silent, offline: self.offline, settings: &self.settings };
        (self.fetch)(&pins, &context, &|_, _| {})?;
        let file = self.store.open_blob(&package.sha256).map_err(failed)?;
        Ok(file.ok_or_else(|| Problem::Absent.of_pinned(package))?)
    }
}

/// Decodes a package once: its listing and the contents of its files. `file` is the package, where it is open and verified already.
pub(super) fn unpack(origin: &Origin, package: &PinnedPackage, file: Option<File>) -> Result<(Listing, Spilled)> {
    let file = file.map_or_else(|| origin.open(package), Ok)?;
    let wrong = |problem: Problem| problem.of_pinned(package);
    let (metadata, members, spilled) = read_all(file, &origin.scratch, None).map_err(wrong)?;
    let control = &metadata.control;
    let found = (&*control.package, &*control.version, &*control.architecture);
    if found != (&*package.name, &*package.version, &*package.architecture) {
        let found = format!("{} {} {}", found.0, found.1, found.2);
        return Err(wrong(Problem::Identity { found }).into());
    }
    Ok((Listing::new(metadata, members), spilled))
}

/// Reads a package; with `only`, no further than the last of those members, and only their contents.
fn read_all(
    file: File,
    scratch: &Arc<Scratch>,
    only: Option<&BTreeSet<u64>>,
) -> Result<(deb::Metadata, Vec<crate::archive::Member>, Spilled), Problem> {
    let wrong = |source| Problem::Archive { member: "data.tar", source };
    let (metadata, mut data) = deb::read(BufReader::with_capacity(64 * 1024, file))?;
    let (mut collector, mut spill) = (Collector::default(), Spill::new(scratch));
    let last = only.map(|only| only.last().copied());
    let mut next = 0;
    while let Some(entry) = data.next_entry().map_err(wrong)? {
        let (path, size) = (entry.path.clone(), entry.size);
        let Some(key) = collector.add(entry).map_err(wrong)? else { continue };
        // A file that is there twice would have another content for whoever stops before the second one.
        if key < next {
            return Err(wrong(TarError::Duplicate { path }));
        }
        next = key + 1;
        if only.is_none_or(|only| only.contains(&(key as u64))) {
            spill.add(key, &mut data, size).map_err(|e| wrong(TarError::Io(e)))?;
        }
        if last.is_some_and(|last| last.is_none_or(|last| key as u64 >= last)) {
            break;
        }
    }
    Ok((metadata, collector.into_members(), spill.finish()))
}

/// The contents of one package's files. The key of a file is its place in the listing.
pub struct PackageFiles {
    origin: Arc<Origin>,
    package: PinnedPackage,
    /// Every key that was asked for: what the next build will ask for, too.
    demanded: Mutex<BTreeSet<u64>>,
    pack: OnceLock<Option<Arc<Pack>>>,
    unpacked: RwLock<Option<Arc<Spilled>>>,
    unpacking: Mutex<()>,
}

impl PackageFiles {
    pub(super) fn new(origin: &Arc<Origin>, package: &PinnedPackage, unpacked: Option<Spilled>) -> Self {
        Self {
            origin: origin.clone(),
            package: package.clone(),
            demanded: Mutex::default(),
            pack: OnceLock::new(),
            unpacked: RwLock::new(unpacked.map(Arc::new)),
            unpacking: Mutex::default(),
        }
    }

    /// Stores the contents `kept`, and those that were asked for, in the package's pack, unless it has them.
    pub(super) fn retain(&self, kept: &BTreeSet<u64>) -> Result<(), io::Error> {
        let mut wanted: BTreeSet<u64> = kept.union(&lock(&self.demanded)).copied().collect();
        if let Some(pack) = self.pack()? {
            if wanted.iter().all(|&key| pack.contains(key)) {
                return Ok(());
            }
            wanted.extend(pack.keys());
        }
        let source = Holders { files: self, wanted: &wanted };
        pack::write(&self.origin.store, &self.package.sha256, wanted.iter().copied(), &source).map_err(io::Error::other)
    }

    fn pack(&self) -> io::Result<Option<&Arc<Pack>>> {
        if let Some(pack) = self.pack.get() {
            return Ok(pack.as_ref());
        }
        let pack = Pack::open(&self.origin.store, &self.package.sha256).map_err(io::Error::other)?;
        Ok(self.pack.get_or_init(|| pack.map(Arc::new)).as_ref())
    }

    /// Who has the content of this member. When nobody has, the package is decoded: all of it, or only the members `only`.
    fn holder(&self, key: u64, only: Option<&BTreeSet<u64>>) -> io::Result<Arc<dyn ContentSource>> {
        if let Some(unpacked) = self.unpacked_with(key) {
            return Ok(unpacked);
        }
        if let Some(pack) = self.pack()?
            && pack.has_sound(key)
        {
            return Ok(pack.clone());
        }
        let _one_at_a_time = lock(&self.unpacking);
        if let Some(unpacked) = self.unpacked_with(key) {
            return Ok(unpacked);
        }
        let file = self.origin.open(&self.package).map_err(io::Error::other)?;
        let wrong = |problem: Problem| io::Error::other(problem.of_pinned(&self.package));
        let (_, _, spilled) = read_all(file, &self.origin.scratch, only).map_err(wrong)?;
        let spilled = Arc::new(spilled);
        *self.unpacked.write().unwrap_or_else(PoisonError::into_inner) = Some(spilled.clone());
        Ok(spilled)
    }

    fn unpacked_with(&self, key: u64) -> Option<Arc<Spilled>> {
        let unpacked = self.unpacked.read().unwrap_or_else(PoisonError::into_inner);
        unpacked.as_ref().filter(|spilled| spilled.contains(key)).cloned()
    }
}

impl ContentSource for PackageFiles {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        lock(&self.demanded).insert(key);
        self.holder(key, None)?.map(key)
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        lock(&self.demanded).insert(key);
        self.holder(key, None)?.copy(key, out)
    }
}

/// The same contents, of which it is known that no others than these will be wanted.
struct Holders<'a> {
    files: &'a PackageFiles,
    wanted: &'a BTreeSet<u64>,
}

impl ContentSource for Holders<'_> {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        self.files.holder(key, Some(self.wanted))?.map(key)
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        self.files.holder(key, Some(self.wanted))?.copy(key, out)
    }
}

/// A thread that panicked while it held the lock left nothing half done: sets of numbers are always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
