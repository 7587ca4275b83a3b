//! The contents of one package's files, read on first use: from the pack, or by decoding the package once.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::error::Problem;
use crate::format::Format;
use crate::origin::Origin;
use crate::pack::{self, Pack};
use crate::ration::Ration;
use crate::reach::Reach;
use crate::reading::{Reading, Slot};
use minimg_backend::PinnedPackage;
use minimg_base::sync::lock;
use minimg_tree::ContentSource;
use minimg_tree::archive::{Member, Spilled};

/// The contents of one package's files. The key of a file is its place in the listing.
pub struct PackageFiles<F: Format> {
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
    format: PhantomData<F>,
}

impl<F: Format> PackageFiles<F> {
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
            format: PhantomData,
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
                (Reading::begin::<F>(file, &Ration::unlimited()).map_err(wrong)?.1, !self.unpacked().is_empty())
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
        let slot = if only.is_none() { reading.keep(&self.origin.slots) } else { None };
        *left = slot.map(|slot| (reading, slot));
        Ok(spilled)
    }

    fn unpacked(&self) -> RwLockReadGuard<'_, Vec<Arc<Spilled>>> {
        self.unpacked.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpacked_with(&self, key: u64) -> Option<Arc<Spilled>> {
        self.unpacked().iter().find(|spilled| spilled.contains(key)).cloned()
    }
}

impl<F: Format> ContentSource for PackageFiles<F> {
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
struct Holders<'a, F: Format> {
    files: &'a PackageFiles<F>,
    wanted: &'a BTreeSet<u64>,
}

impl<F: Format> ContentSource for Holders<'_, F> {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        self.files.holder(key, Some(self.wanted))?.map(key)
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        self.files.holder(key, Some(self.wanted))?.copy(key, out)
    }
}
