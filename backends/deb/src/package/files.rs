//! The contents of one package's files, read on first use: from the pack, or by decoding the package once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use super::deb;
use super::error::Problem;
use super::listing::Listing;
use super::pack::{self, Pack};
use super::ration::Ration;
use super::reach::Reach;
use minimg_backend::{Archive, Context, PinnedPackage, Pins};
use minimg_base::error::Result;
use minimg_base::report::Silent;
use minimg_base::sync::lock;
use minimg_deb822::Control;
use minimg_store::StoreError;
use minimg_tree::ContentSource;
use minimg_tree::archive::{Collector, Member, Scratch, Spill, Spilled, TarError};

/// Makes every package of the pins a verified blob of the store, and hands over each as soon as it is there, opened at its beginning.
pub type Fetch = Arc<dyn Fn(&Pins, &Context, &(dyn Fn(&PinnedPackage, File) + Sync)) -> Result<()> + Send + Sync>;

/// Where packages come from, even long after `produce` returned.
pub(crate) struct Origin {
    /// Tells nobody: whoever asks for contents later has phases of his own.
    pub(crate) context: Context,
    pub(crate) scratch: Arc<Scratch>,
    archives: Vec<Archive>,
    epoch: i64,
    fetch: Fetch,
    /// How many packages are half read.
    half_read: Arc<AtomicUsize>,
}

/// Packages of which less was read are read again from their beginning when more of them is wanted.
const WORTH_KEEPING: u64 = 1 << 20;
/// So many packages are left half read at most: the decoder of one may hold 8 MiB and more.
const MOST_HALF_READ: usize = 8;

impl Origin {
    pub(crate) fn new(pins: &Pins, context: &Context, fetch: &Fetch, scratch: &Arc<Scratch>) -> Self {
        Self {
            context: context.clone().with_reporter(Arc::new(Silent)),
            scratch: scratch.clone(),
            archives: pins.archives.clone(),
            epoch: pins.epoch,
            fetch: fetch.clone(),
            half_read: Arc::default(),
        }
    }

    /// The package's file, verified, fetched when the store has none.
    pub(crate) fn open(&self, package: &PinnedPackage) -> Result<File> {
        let failed = |error: StoreError| Problem::Store(error).of_pinned(package);
        if let Some(file) = self.context.store.open_blob(&package.sha256).map_err(failed)? {
            return Ok(file);
        }
        let pins =
            Pins { archives: self.archives.clone(), packages: vec![package.clone()], epoch: self.epoch, root: None };
        (self.fetch)(&pins, &self.context, &|_, _| {})?;
        let file = self.context.store.open_blob(&package.sha256).map_err(failed)?;
        Ok(file.ok_or_else(|| Problem::Absent.of_pinned(package))?)
    }
}

/// Refuses a package that is another one than was pinned, as where somebody edited a lock.
pub(crate) fn check_identity(control: &Control, package: &PinnedPackage) -> Result<()> {
    let found = (&*control.package, &*control.version, &*control.architecture);
    if found == (&*package.name, &*package.version, &*package.architecture) {
        return Ok(());
    }
    let found = format!("{} {} {}", found.0, found.1, found.2);
    Err(Problem::Identity { found }.of_pinned(package).into())
}

/// Decodes a package once: its listing and the contents of its files. `file` is the package, verified, at its beginning.
pub(super) fn unpack(
    scratch: &Arc<Scratch>,
    package: &PinnedPackage,
    file: impl io::Read + Send + 'static,
    ration: &Arc<Ration>,
) -> Result<(Listing, Spilled)> {
    let wrong = |problem: Problem| problem.of_pinned(package);
    let (metadata, mut reading) = Reading::begin(file, Some(ration.clone())).map_err(wrong)?;
    let spilled = reading.through(None, |_| true, scratch).map_err(wrong)?;
    check_identity(&metadata.control, package)?;
    let listing = Listing::new(metadata, reading.collector.into_members(), &spilled)
        .map_err(|error| wrong(Problem::Io(error)))?;
    Ok((listing, spilled))
}

/// One of the [`MOST_HALF_READ`] places; free again when dropped.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let free = |taken: usize| (taken < MOST_HALF_READ).then_some(taken + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Self(taken.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A package that is being read, and may be left half read: what comes next can still be asked for.
struct Reading {
    data: deb::Data<'static>,
    ration: Option<Arc<Ration>>,
    collector: Collector,
    /// The lowest key that the next file can have.
    next: u64,
    /// How many bytes of files were read.
    read: u64,
}

impl Reading {
    fn begin(
        file: impl io::Read + Send + 'static,
        ration: Option<Arc<Ration>>,
    ) -> Result<(deb::Metadata, Self), Problem> {
        let (metadata, data) = deb::read_rationed(BufReader::with_capacity(64 * 1024, file), ration.clone())?;
        Ok((metadata, Self { data, ration, collector: Collector::default(), next: 0, read: 0 }))
    }

    /// Reads on, no further than the member `last`, and keeps of its files those that are wanted.
    fn through(
        &mut self,
        last: Option<u64>,
        is_wanted: impl Fn(u64) -> bool,
        scratch: &Arc<Scratch>,
    ) -> Result<Spilled, Problem> {
        let wrong = |source| Problem::Archive { member: "data.tar", source };
        let mut spill = Spill::new(scratch);
        while last.is_none_or(|last| self.next <= last) {
            let Some(entry) = self.data.next_entry().map_err(wrong)? else {
                self.data.drain().map_err(wrong)?;
                break;
            };
            let (path, size) = (entry.path.clone(), entry.size);
            let Some(key) = self.collector.add(entry).map_err(wrong)? else { continue };
            // A file that is there twice would have another content for whoever stops before the second one.
            if (key as u64) < self.next {
                return Err(wrong(TarError::Duplicate { path }));
            }
            self.next = key as u64 + 1;
            self.read += size;
            if is_wanted(key as u64) {
                // What is only claimed must not take up room forever.
                let is_enough = self.ration.as_ref().map_or(Ok(()), |ration| ration.expect(size));
                is_enough.map_err(|e| wrong(TarError::Io(e)))?;
                spill.add(key, &mut self.data, size).map_err(|e| wrong(TarError::Io(e)))?;
            }
        }
        Ok(spill.finish())
    }
}

/// The contents of one package's files. The key of a file is its place in the listing.
pub struct PackageFiles {
    origin: Arc<Origin>,
    package: PinnedPackage,
    /// How far to read for the sake of each member, so that what is beside it is at hand too; by key, of the files alone.
    reach: Reach,
    /// Every key that was asked for: what the next build will ask for, too.
    demanded: Mutex<BTreeSet<u64>>,
    pack: OnceLock<Option<Arc<Pack>>>,
    unpacked: RwLock<Vec<Arc<Spilled>>>,
    /// The package, where it was left half read; one reads it at a time.
    reading: Mutex<Option<(Reading, Slot)>>,
}

impl PackageFiles {
    pub(crate) fn new(
        origin: &Arc<Origin>,
        package: &PinnedPackage,
        members: &[Member],
        unpacked: Option<Spilled>,
    ) -> Self {
        Self {
            origin: origin.clone(),
            package: package.clone(),
            reach: Reach::new(members),
            demanded: Mutex::default(),
            pack: OnceLock::new(),
            unpacked: RwLock::new(unpacked.map(Arc::new).into_iter().collect()),
            reading: Mutex::default(),
        }
    }

    /// Stores the contents `kept`, and those that were asked for, in the package's pack, unless it has them.
    pub(crate) fn retain(&self, kept: &BTreeSet<u64>) -> Result<(), io::Error> {
        let mut wanted: BTreeSet<u64> = kept.union(&lock(&self.demanded)).copied().collect();
        if let Some(pack) = self.pack()? {
            if wanted.iter().all(|&key| pack.contains(key)) {
                return Ok(());
            }
            wanted.extend(pack.keys());
        }
        let source = Holders { files: self, wanted: &wanted };
        let keys = wanted.iter().copied();
        pack::write(&self.origin.context.store, &self.package.sha256, keys, &source).map_err(io::Error::other)?;
        *lock(&self.reading) = None;
        Ok(())
    }

    fn pack(&self) -> io::Result<Option<&Arc<Pack>>> {
        if let Some(pack) = self.pack.get() {
            return Ok(pack.as_ref());
        }
        let pack = Pack::open(&self.origin.context.store, &self.package.sha256).map_err(io::Error::other)?;
        Ok(self.pack.get_or_init(|| pack.map(Arc::new)).as_ref())
    }

    /// Who has the content of this member. When nobody has, the package is decoded: only the members `only`, or else as far as this one
    /// reaches; all of it where it must be begun again.
    fn holder(&self, key: u64, only: Option<&BTreeSet<u64>>) -> io::Result<Arc<dyn ContentSource>> {
        if let Some(unpacked) = self.unpacked_with(key) {
            return Ok(unpacked);
        }
        if let Some(pack) = self.pack()?
            && pack.has_sound(key)
        {
            return Ok(pack.clone());
        }
        let mut left = lock(&self.reading);
        if let Some(unpacked) = self.unpacked_with(key) {
            return Ok(unpacked);
        }
        let wrong = |problem: Problem| io::Error::other(problem.of_pinned(&self.package));
        let (mut reading, is_again) = match left.take().filter(|(reading, _)| reading.next <= key) {
            Some((reading, _)) => (reading, false),
            None => {
                let file = self.origin.open(&self.package).map_err(io::Error::other)?;
                (Reading::begin(file, None).map_err(wrong)?.1, !self.unpacked().is_empty())
            }
        };
        let last = match only {
            Some(only) => only.iter().rev().copied().find(|&key| self.unpacked_with(key).is_none()),
            // Not a third time.
            None if is_again => None,
            None => Some(self.reach.from(key)),
        };
        let is_wanted = |key| only.is_none_or(|only| only.contains(&key)) && self.unpacked_with(key).is_none();
        let spilled = Arc::new(reading.through(last, is_wanted, &self.origin.scratch).map_err(wrong)?);
        self.unpacked.write().unwrap_or_else(PoisonError::into_inner).push(spilled.clone());
        // To begin again with a small package costs less than to keep its decoder's memory.
        let is_worth_it = only.is_none() && reading.read >= WORTH_KEEPING;
        *left = if is_worth_it { Slot::take(&self.origin.half_read).map(|slot| (reading, slot)) } else { None };
        Ok(spilled)
    }

    fn unpacked(&self) -> RwLockReadGuard<'_, Vec<Arc<Spilled>>> {
        self.unpacked.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpacked_with(&self, key: u64) -> Option<Arc<Spilled>> {
        self.unpacked().iter().find(|spilled| spilled.contains(key)).cloned()
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
