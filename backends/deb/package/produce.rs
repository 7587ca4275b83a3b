//! The story: listings, assembly, rules, and afterwards the packs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::assemble::{Loaded, assemble, sort};
use super::error::Problem;
use super::files::{Fetch, Origin, PackageFiles, check_identity, unpack};
use super::listing::Listing;
use super::pack;
use super::prefetch::Prefetch;
use crate::archive::Spilled;
use crate::backend::{Context, PinnedPackage, Pins, Produced, Request, Retain};
use crate::backends::deb::rules;
use crate::error::{Class, Error, Result};
use crate::report::Event;
use crate::tree::{Kind, RootTree};

/// The kind of the store's entries that hold listings.
const LISTING: &str = "listing";
/// What follows the list of what scripts ask for and no rule can read.
const UNDONE: &str = "what is left undone is known only to a shell that runs it: add what the image needs of it under [add], or build with \
    `--backend debootstrap`";
/// More decoders than this only take memory.
const MAX_DECODERS: usize = 4;

/// Makes the root tree of exactly these packages. Packages that the store lacks and that are needed are had by `fetch`.
///
/// # Errors
/// When a package cannot be had, is not what was pinned, is malformed, or ships what another one ships.
pub fn produce(request: &Request, pins: &Pins, context: &Context<'_>, fetch: &Fetch) -> Result<Produced> {
    let origin = Arc::new(Origin::new(pins, context, fetch));
    let mut listings = cached_listings(pins, context)?;
    let absent = |package: &&PinnedPackage| !listings.contains_key(&package.sha256) || !is_at_hand(package, context);
    let wanted: Vec<PinnedPackage> = pins.packages.iter().filter(absent).cloned().collect();
    let mut unpacked = had_and_unpacked(&wanted, &mut listings, pins, context, &origin, fetch)?;

    let mut packages = Vec::with_capacity(pins.packages.len());
    for package in &pins.packages {
        let listing = listings.remove(&package.sha256).ok_or_else(|| Problem::Absent.of_pinned(package))?;
        let files = Arc::new(PackageFiles::new(&origin, package, &listing.members, unpacked.remove(&package.sha256)));
        packages.push(Loaded { package: package.clone(), listing, files });
    }
    sort(&mut packages);
    let prefetch = Prefetch::start(&packages, request, decoders(context));
    // Not the date of the archive: a new index without new packages must not change the tree.
    let newest = packages.iter().flat_map(|loaded| &loaded.listing.members).map(|member| member.meta.mtime).max();
    let epoch = newest.unwrap_or(pins.epoch);
    let mut tree = assemble(&packages, epoch)?;
    let notes = rules::apply(&mut tree, &packages, request, epoch)?;
    for note in &notes {
        context.reporter.event(Event::Detail(&note.to_string()));
    }
    if !notes.is_empty() {
        context.reporter.event(Event::Detail(UNDONE));
    }
    let files = packages.into_iter().map(|loaded| loaded.files).collect();
    Ok(Produced { tree, retain: Some(Box::new(Packs { files, threads: decoders(context), prefetch })) })
}

fn cached_listings(pins: &Pins, context: &Context<'_>) -> Result<BTreeMap<crate::digest::Digest, Listing>> {
    let mut listings = BTreeMap::new();
    for package in &pins.packages {
        if let Some(listing) = context.store.entry(LISTING, &package.sha256)?.and_then(Listing::decode) {
            check_identity(&listing.control, package)?;
            listings.insert(package.sha256, listing);
        }
    }
    Ok(listings)
}

/// Whether contents of a package can be had without the network, as far as a look at the names in the store tells.
fn is_at_hand(package: &PinnedPackage, context: &Context<'_>) -> bool {
    context.store.entry_path(pack::ENTRY, &package.sha256).exists()
        || context.store.has_blob(&package.sha256, Some(package.size))
}

type Unpacked = BTreeMap<crate::digest::Digest, Spilled>;

/// Fetches the packages that the store lacks, and decodes those whose listing is not known while others are still being fetched.
fn had_and_unpacked(
    wanted: &[PinnedPackage],
    listings: &mut BTreeMap<crate::digest::Digest, Listing>,
    pins: &Pins,
    context: &Context<'_>,
    origin: &Origin,
    fetch: &Fetch,
) -> Result<Unpacked> {
    if wanted.is_empty() {
        return Ok(Unpacked::new());
    }
    let unlisted: BTreeSet<_> =
        wanted.iter().map(|package| package.sha256).filter(|digest| !listings.contains_key(digest)).collect();
    let (here, absent): (Vec<_>, Vec<_>) =
        wanted.iter().cloned().partition(|package| context.store.has_blob(&package.sha256, Some(package.size)));
    let queue = Queue::new(here.iter().filter(|package| unlisted.contains(&package.sha256)));
    let results = Mutex::new(Vec::new());
    let fetched = std::thread::scope(|scope| {
        for _ in 0..decoders(context).min(unlisted.len()) {
            scope.spawn(|| {
                while let Some((package, file)) = queue.next() {
                    let result = unpack(origin, &package, file).and_then(|(listing, spilled)| {
                        context.store.put_entry(LISTING, &package.sha256, &listing.encode())?;
                        Ok((listing, spilled))
                    });
                    let failed = result.is_err();
                    lock(&results).push((package, result));
                    if failed {
                        queue.close();
                    }
                }
            });
        }
        let missing = Pins { archives: pins.archives.clone(), packages: absent, epoch: pins.epoch, root: None };
        let fetched = if missing.packages.is_empty() {
            Ok(())
        } else {
            fetch(&missing, context, &|package, file| {
                if unlisted.contains(&package.sha256) {
                    queue.push(package.clone(), file);
                }
            })
        };
        queue.finish(fetched.is_err());
        fetched
    });
    fetched?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // So that of several errors it is always the same one that is told.
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let mut unpacked = Unpacked::new();
    for (package, result) in results {
        let (listing, spilled) = result?;
        listings.insert(package.sha256, listing);
        unpacked.insert(package.sha256, spilled);
    }
    Ok(unpacked)
}

fn decoders(context: &Context<'_>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if context.settings.jobs == 0 { cores() } else { context.settings.jobs };
    jobs.min(MAX_DECODERS)
}

/// Packages that wait for a decoder, the largest first.
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    /// By size; with the file where it is open already.
    packages: BTreeMap<(u64, PinnedPackage), Option<File>>,
    open: bool,
}

impl Queue {
    fn new<'a>(packages: impl Iterator<Item = &'a PinnedPackage>) -> Self {
        let packages = packages.map(|package| ((package.size, package.clone()), None)).collect();
        Self { waiting: Mutex::new(Waiting { packages, open: true }), changed: Condvar::new() }
    }

    fn push(&self, package: PinnedPackage, file: File) {
        lock(&self.waiting).packages.insert((package.size, package), Some(file));
        self.changed.notify_one();
    }

    /// No more packages come. When the build failed, those that wait are not decoded.
    fn finish(&self, failed: bool) {
        let mut waiting = lock(&self.waiting);
        waiting.open = false;
        if failed {
            waiting.packages.clear();
        }
        self.changed.notify_all();
    }

    fn close(&self) {
        self.finish(true);
    }

    /// The next package, waiting for it; `None` when no more come.
    fn next(&self) -> Option<(PinnedPackage, Option<File>)> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(((_, package), file)) = waiting.packages.pop_last() {
                return Some((package, file));
            }
            if !waiting.open {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores what was kept of each package.
struct Packs {
    files: Vec<Arc<PackageFiles>>,
    threads: usize,
    prefetch: Prefetch,
}

impl Retain for Packs {
    fn retain(self: Box<Self>, kept: &RootTree) -> Result<()> {
        // From here on it is known what is wanted, and no guess is needed.
        drop(self.prefetch);
        let mut keys: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for (_, node) in kept {
            if let Kind::File(content) = &node.kind
                && let Some((source, key)) = content.origin()
            {
                keys.entry(Arc::as_ptr(source).addr()).or_default().insert(key);
            }
        }
        let jobs = self.files.iter().map(|files| (files, keys.remove(&Arc::as_ptr(files).addr()).unwrap_or_default()));
        let jobs = Mutex::new(jobs.collect::<Vec<_>>());
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let Some((files, keys)) = lock(&jobs).pop() else { return };
                        if let Err(error) = files.retain(&keys) {
                            lock(&failures).push(error);
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.into_iter().next().map_or(Ok(()), |error| Err(Error::new(Class::Machine, error)))
    }
}
