//! Reading on in a package, as far as somebody wants.

use std::io::{self, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Problem;
use crate::format::{Format, Head, Payload};
use crate::ration::Ration;
use minimg_tree::archive::{Collector, Member, Scratch, Spill, Spilled, TarError};

/// Packages of which less was read are read again from their beginning when more of them is wanted.
const WORTH_KEEPING: u64 = 1 << 20;
/// So many packages are left half read at most: the decoder of one may hold 8 MiB and more.
const MOST_HALF_READ: usize = 8;

/// The places for packages that are left half read.
#[derive(Default)]
pub(crate) struct Slots(Arc<AtomicUsize>);

impl Slots {
    /// One of the [`MOST_HALF_READ`] places, if one is free.
    fn take(&self) -> Option<Slot> {
        let free = |taken: usize| (taken < MOST_HALF_READ).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Slot(self.0.clone()))
    }
}

/// A place; free again when dropped.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A package that is being read, and may be left half read: what comes next can still be asked for.
pub(crate) struct Reading {
    payload: Box<dyn Payload>,
    /// What the archive with the files is called, for errors.
    name: &'static str,
    ration: Arc<Ration>,
    collector: Collector,
    /// The lowest key that the next file can have.
    pub(crate) next: u64,
    /// How many bytes of files were read.
    read: u64,
}

impl Reading {
    pub(crate) fn begin<F: Format>(
        file: impl io::Read + Send + 'static,
        ration: &Arc<Ration>,
    ) -> Result<(Head, Self), Problem> {
        let (head, payload) = F::open(Box::new(BufReader::with_capacity(64 * 1024, file)), ration)?;
        let (name, ration, collector) = (F::PAYLOAD, ration.clone(), Collector::default());
        Ok((head, Self { payload, name, ration, collector, next: 0, read: 0 }))
    }

    /// A place for this package, where reading on from here is worth the memory of its decoder, and one is free.
    pub(crate) fn keep(&self, slots: &Slots) -> Option<Slot> {
        // To begin again with a small package costs less.
        (self.read >= WORTH_KEEPING).then(|| slots.take())?
    }

    /// The members that were read.
    pub(crate) fn into_members(self) -> Vec<Member> {
        self.collector.into_members()
    }

    /// Reads on, no further than the member `last`, and keeps of its files those that are wanted.
    pub(crate) fn through(
        &mut self,
        last: Option<u64>,
        is_wanted: impl Fn(u64) -> bool,
        scratch: &Arc<Scratch>,
    ) -> Result<Spilled, Problem> {
        let member = self.name;
        let wrong = |source| Problem::Archive { member, source };
        let mut spill = Spill::new(scratch);
        while last.is_none_or(|last| self.next <= last) {
            let Some(entry) = self.payload.next_entry().map_err(wrong)? else {
                self.payload.drain().map_err(wrong)?;
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
                self.ration.expect(size).map_err(|e| wrong(TarError::Io(e)))?;
                spill.add(key, &mut self.payload, size).map_err(|e| wrong(TarError::Io(e)))?;
            }
        }
        Ok(spill.finish())
    }
}
