//! Decoding ahead: while the closure reads one program, the libraries that it will ask for next are decoded on other cores.
//!
//! The guess: the packages that the request names have the programs, and their dependencies what those load. A wrong guess costs a core
//! that had nothing to do, and never changes what is built.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::assemble::Loaded;
use super::files::PackageFiles;
use super::listing::Listing;
use super::reach::{is_library, is_program};
use minimg_backend::Request;
use minimg_base::sync::lock;
use minimg_tree::archive::Member;

/// The packages to decode, and where to stop in each.
type Waiting = Arc<Mutex<VecDeque<(Arc<PackageFiles>, u64)>>>;

/// What is decoded ahead, until this is dropped. A thread that is in the middle of a package then ends it by itself: nobody waits.
pub(crate) struct Prefetch(Waiting);

impl Prefetch {
    /// Begins to decode what `request` will need of these packages, with so many threads; with one, nothing is done ahead.
    pub(crate) fn start(packages: &[Loaded], request: &Request, threads: usize) -> Self {
        let waiting: Waiting = Arc::new(Mutex::new(likely(packages, request)));
        let threads = if threads > 1 { threads.min(lock(&waiting).len()) } else { 0 };
        for _ in 0..threads {
            let waiting = waiting.clone();
            std::thread::spawn(move || {
                while let Some((files, last)) = next(&waiting) {
                    // The reader that needs the file gets the same error, and reports it.
                    let _ = files.prepare(last);
                }
            });
        }
        Self(waiting)
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        lock(&self.0).clear();
    }
}

fn next(waiting: &Waiting) -> Option<(Arc<PackageFiles>, u64)> {
    lock(waiting).pop_front()
}

/// The packages that will be asked for, nearest first, with the last file of each that will be.
fn likely(packages: &[Loaded], request: &Request) -> VecDeque<(Arc<PackageFiles>, u64)> {
    let by_name: BTreeMap<&str, &Loaded> = packages.iter().map(|loaded| (&*loaded.package.name, loaded)).collect();
    let mut queue: VecDeque<(&str, bool)> = request.packages.iter().map(|name| (bare(name), true)).collect();
    let mut seen = BTreeSet::new();
    let mut found = VecDeque::new();
    while let Some((name, is_named)) = queue.pop_front() {
        let Some(loaded) = by_name.get(name).filter(|_| seen.insert(name)) else { continue };
        let last = last_likely(&loaded.listing, is_named);
        if let Some(last) = last.filter(|_| !loaded.files.is_at_hand()) {
            found.push_back((loaded.files.clone(), last));
        }
        queue.extend(dependencies(&loaded.listing).into_iter().map(|name| (name, false)));
    }
    found
}

/// The last file of a package that is likely to be asked for: a library in the usual place, or, where it was named, a program; else a
/// module that programs load from a place of their own.
fn last_likely(listing: &Listing, is_named: bool) -> Option<u64> {
    let last = |is_likely: &dyn Fn(&Member) -> bool| {
        (0..).zip(&listing.members).filter(|(_, member)| is_likely(member)).map(|(key, _)| key).last()
    };
    last(&|member| is_library(member) || (is_named && is_program(member)))
        .or_else(|| last(&|member| member.path.as_bytes().ends_with(b".so")))
}

/// The names in Depends and Pre-Depends; all alternatives, since only one of them is usually there.
fn dependencies(listing: &Listing) -> Vec<&str> {
    let fields = ["Pre-Depends", "Depends"].into_iter().filter_map(|field| listing.control.field(field));
    fields.flat_map(|field| field.split([',', '|'])).map(|one| bare(one.trim())).collect()
}

/// A package's name without version and architecture.
fn bare(relation: &str) -> &str {
    relation.split([' ', '(', ':', '=', '[']).next().unwrap_or(relation)
}
