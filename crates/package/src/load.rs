//! From pins to packages that are ready to be put in a tree: what is in each is taken from the store, or found by decoding it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::contents::PackageFiles;
use crate::error::Problem;
use crate::format::Format;
use crate::listing::{self, Listing};
use crate::origin::{Fetch, Origin};
use crate::pack;
use crate::unpacker::{Unpacker, check_identity};
use minimg_backend::{Context, PinnedPackage, Pins, Retain};
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, Result};
use minimg_base::threads::{in_parallel, jobs};
use minimg_tree::archive::Spilled;
use minimg_tree::{Kind, RootTree};

/// More decoders than this only take memory, also where the user asks for more threads.
const MAX_DECODERS: usize = 4;

/// A package that is ready to be put in a tree.
pub struct Loaded<F: Format> {
    /// What was pinned.
    pub package: PinnedPackage,
    /// What is in it.
    pub listing: Listing<F>,
    /// The contents of its files.
    pub files: Arc<PackageFiles<F>>,
}

/// Loads exactly these packages, in their order. Those that the store lacks and that are needed are had by `fetch`; some may have been
/// given to `unpacker` before.
///
/// # Errors
/// When a package cannot be had, is not what was pinned, or is malformed.
pub fn load<F: Format>(pins: &Pins, unpacker: Unpacker<F>, context: &Context, fetch: &Fetch) -> Result<Vec<Loaded<F>>> {
    let origin = Arc::new(Origin::new(pins, context, fetch, unpacker.scratch()));
    let mut listings = cached_listings(pins, context)?;
    let mut unpacked = had_and_unpacked(&mut listings, pins, unpacker, context, &origin, fetch)?;
    let mut packages = Vec::with_capacity(pins.packages.len());
    for package in &pins.packages {
        let listing = listings.remove(&package.sha256).ok_or_else(|| Problem::Absent.of_pinned(package))?;
        let files = Arc::new(PackageFiles::new(&origin, package, &listing.members, unpacked.remove(&package.sha256)));
        packages.push(Loaded { package: package.clone(), listing, files });
    }
    Ok(packages)
}

fn cached_listings<F: Format>(pins: &Pins, context: &Context) -> Result<BTreeMap<Digest, Listing<F>>> {
    let mut listings = BTreeMap::new();
    for package in &pins.packages {
        if let Some(listing) = context.store.entry(listing::ENTRY, &package.sha256)?.and_then(Listing::<F>::decode) {
            check_identity::<F>(&listing.facts, package)?;
            listings.insert(package.sha256, listing);
        }
    }
    Ok(listings)
}

/// Whether contents of a package can be had without the network, as far as a look at the names in the store tells.
fn is_at_hand(package: &PinnedPackage, context: &Context) -> bool {
    context.store.entry_path(pack::ENTRY, &package.sha256).exists()
        || context.store.has_blob(&package.sha256, Some(package.size))
}

type Unpacked = BTreeMap<Digest, Spilled>;

/// Fetches the packages that the store lacks, and decodes those whose listing is not known while others are still being fetched.
fn had_and_unpacked<F: Format>(
    listings: &mut BTreeMap<Digest, Listing<F>>,
    pins: &Pins,
    unpacker: Unpacker<F>,
    context: &Context,
    origin: &Arc<Origin>,
    fetch: &Fetch,
) -> Result<Unpacked> {
    unpacker.settle(&pins.packages);
    let is_listed = |package: &PinnedPackage| listings.contains_key(&package.sha256);
    let is_wanted =
        |package: &&PinnedPackage| !unpacker.has(package) && (!is_listed(package) || !is_at_hand(package, context));
    let wanted = pins.packages.iter().filter(is_wanted).cloned();
    let (here, absent): (Vec<_>, Vec<_>) =
        wanted.partition(|package| context.store.has_blob(&package.sha256, Some(package.size)));
    for package in here.into_iter().filter(|package| !is_listed(package)) {
        let origin = origin.clone();
        unpacker.push(&package.clone(), move || origin.open(&package));
    }
    unpacker.grow(decoders(context).min(pins.packages.iter().filter(|package| !is_listed(package)).count()));
    let missing = Pins { archives: pins.archives.clone(), packages: absent, epoch: pins.epoch, root: None };
    let fetched = if missing.packages.is_empty() {
        Ok(())
    } else {
        fetch(&missing, context, &|package, file| {
            if !is_listed(package) {
                let (origin, again) = (origin.clone(), package.clone());
                if !unpacker.push_open(package, file) {
                    unpacker.push(package, move || origin.open(&again));
                }
            }
        })
    };
    let results = unpacker.finish(fetched.is_err());
    fetched?;
    let mut results = results?;
    let mut unpacked = Unpacked::new();
    for package in &pins.packages {
        if let Some(result) = results.take(package) {
            let (listing, spilled) = result?;
            listings.insert(package.sha256, listing);
            unpacked.insert(package.sha256, spilled);
        }
    }
    Ok(unpacked)
}

fn decoders(context: &Context) -> usize {
    jobs(context.settings.jobs).min(MAX_DECODERS)
}

/// What stores of each package what was kept of it.
pub fn packs<F: Format>(packages: Vec<Loaded<F>>, context: &Context) -> Box<dyn Retain> {
    let files = packages.into_iter().map(|loaded| loaded.files).collect();
    Box::new(Packs { files, threads: decoders(context) })
}

struct Packs<F: Format> {
    files: Vec<Arc<PackageFiles<F>>>,
    threads: usize,
}

impl<F: Format> Retain for Packs<F> {
    fn retain(self: Box<Self>, kept: &RootTree) -> Result<()> {
        let mut keys: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for (_, node) in kept {
            if let Kind::File(content) = &node.kind
                && let Some((source, key)) = content.origin()
            {
                keys.entry(Arc::as_ptr(source).addr()).or_default().insert(key);
            }
        }
        let jobs = self.files.iter().map(|files| (files, keys.remove(&Arc::as_ptr(files).addr()).unwrap_or_default()));
        let retained = in_parallel(jobs.collect(), self.threads, |(files, keys)| files.retain(&keys));
        retained.map(drop).map_err(|error| Error::new(Class::Machine, error))
    }
}
