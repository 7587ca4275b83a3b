//! Fetching packages that will most likely be chosen, while the longest index is still being read.
//!
//! The guess: what is asked for, and what that depends on, as the main suite has it, unless another suite has a newer version.
//! A wrong guess costs a download and never changes what is chosen; a right one is a blob in the store like any other, under the digest of
//! what came.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use super::Plan;
use super::list::List;
use crate::index::{Builder, Index, Package};
use crate::relation;
use crate::{Ready, file_of, pinned};
use minimg_backend::{PinnedPackage, Pins};
use minimg_base::digest::Digest;
use minimg_base::sync::lock;
use minimg_deb822::compare;
use minimg_fetch::Fetcher;

/// How many packages are fetched at once.
const CONNECTIONS: usize = 6;

/// Nobody has signed for the lengths yet: what is longer can wait.
const LARGEST: u64 = 64 << 20;

/// The most bytes that are fetched by guess in all, for the same reason.
const MOST_BYTES: u64 = 1 << 30;

/// So many names are followed at most: each is looked for in all that came before.
const MOST_NAMES: usize = 4096;

/// So far into an index they are followed, in names that it has packages for; a long one has 140 000.
const LAST: usize = 1 << 20;

/// What is fetched by guess. Dropped before [`Guess::settle`], the fetching ends.
pub(super) struct Guess(Arc<State>);

#[derive(Default)]
struct State {
    /// What was begun, until it is known what is chosen: then nothing more is.
    begun: Mutex<Option<BTreeSet<Digest>>>,
    /// Set when nobody waits for what was begun either.
    stop: Arc<AtomicBool>,
    /// How many bytes were begun.
    bytes: AtomicU64,
}

impl Guess {
    /// Begins to fetch what the returned value finds in the index of the suite at `address`, which it is to be shown; `others` are those of
    /// all other suites. What comes goes to `ready`. `None` where pins or exclusions decide.
    pub(super) fn begin<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &Plan<'_>,
        (address, others): (&str, &[Arc<List>]),
        ready: Ready<'env>,
        fetcher: &'env Fetcher,
    ) -> Option<(Self, Follower)> {
        if !plan.source.pins.is_empty() || !plan.source.exclude.is_empty() {
            return None;
        }
        let guess = Self(Arc::new(State { begun: Mutex::new(Some(BTreeSet::new())), ..State::default() }));
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let most = if plan.jobs == 0 { CONNECTIONS } else { CONNECTIONS.min(plan.jobs) };
        for _ in 0..most {
            let (state, receiver, others, address) =
                (guess.0.clone(), receiver.clone(), others.to_vec(), address.to_owned());
            scope.spawn(move || {
                let fetcher = fetcher.speculative(state.stop.clone());
                state.fetch(&receiver, &others, &address, ready, &fetcher);
            });
        }
        let plain = plan.wanted.iter().filter(|item| item.architecture.is_none() && item.from.is_none());
        let names: BTreeSet<String> = plain.map(|item| item.name.to_owned()).collect();
        Some((guess, Follower { known: names.clone(), awaited: names, found: sender }))
    }

    /// It is known what is chosen: what was not begun is left alone, and what was begun is awaited unless some of it was guessed wrong.
    pub(super) fn settle(&self, pins: &Pins) {
        let chosen: BTreeSet<&Digest> = pins.packages.iter().map(|package| &package.sha256).collect();
        let begun = lock(&self.0.begun).take().unwrap_or_default();
        self.0.stop.store(begun.iter().any(|digest| !chosen.contains(digest)), Ordering::Relaxed);
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        if lock(&self.0.begun).take().is_some() {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl State {
    fn fetch(
        &self,
        receiver: &Mutex<Receiver<PinnedPackage>>,
        others: &[Arc<List>],
        address: &str,
        ready: Ready<'_>,
        fetcher: &Fetcher,
    ) {
        // Without the index of a suite nobody knows whether it has a newer version.
        let others: Option<Vec<Index>> = others.iter().map(|list| Index::open(list.wait()?.index)).collect();
        let Some(others) = others else { return };
        while let Some(guessed) = next(receiver) {
            if lock(&self.begun).is_none() {
                return;
            }
            let is_newer =
                |found: Package<'_>| found.name == guessed.name && compare(found.version, &guessed.version).is_gt();
            let file = file_of(&guessed, address);
            if guessed.size > LARGEST
                || fetcher.has(&file)
                || others.iter().any(|index| index.named_or_providing(&guessed.name).any(is_newer))
            {
                continue;
            }
            if !self.reserve(guessed.size) {
                continue;
            }
            match &mut *lock(&self.begun) {
                Some(begun) => _ = begun.insert(guessed.sha256),
                None => return,
            }
            // When it does not come, who needs the package will meet the same error, and tell it.
            if let Ok(file) = fetcher.blob(&file) {
                ready(&guessed, file);
            }
        }
    }

    /// Whether so many bytes more may be fetched.
    fn reserve(&self, size: u64) -> bool {
        let more = |bytes: u64| bytes.checked_add(size).filter(|&bytes| bytes <= MOST_BYTES);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

fn next(receiver: &Mutex<Receiver<PinnedPackage>>) -> Option<PinnedPackage> {
    lock(receiver).recv().ok()
}

/// Follows dependencies through an index while it is read.
pub(super) struct Follower {
    /// The names that were not met yet.
    awaited: BTreeSet<String>,
    /// Every name that was ever asked for.
    known: BTreeSet<String>,
    found: Sender<PinnedPackage>,
}

impl Follower {
    /// Looks at the next package of the index; `before` has those that came before it.
    pub(super) fn see(&mut self, package: &Package<'_>, before: &Builder) {
        if before.names() > LAST || !self.awaited.remove(package.name) && !self.provides_what_is_awaited(package) {
            return;
        }
        let mut names = self.take(package);
        while let Some(name) = names.pop() {
            match before.find(&name) {
                Some(package) => names.extend(self.take(&package)),
                None => _ = self.awaited.insert(name),
            }
        }
    }

    /// Whether it is a required package with another name that is awaited: such ones are preferred among those that provide something.
    fn provides_what_is_awaited(&mut self, package: &Package<'_>) -> bool {
        let is_required = package.priority == 0 && !package.provides.is_empty();
        is_required && relation::list(package.provides).any(|provided| self.awaited.remove(provided.name))
    }

    /// Guesses that this package is chosen; the names that it depends on and that are new.
    fn take(&mut self, package: &Package<'_>) -> Vec<String> {
        if let Some(package) = pinned(package, 0) {
            // When nobody fetches any more, nothing is lost.
            let _ = self.found.send(package);
        }
        let groups = [package.pre_depends, package.depends].into_iter().filter_map(|field| relation::parse(field).ok());
        let first = groups.flatten().filter_map(|group| Some(group.first()?.name.to_owned()));
        first.filter(|name| self.known.len() < MOST_NAMES && self.known.insert(name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::packages;

    fn stanza(name: &str, fields: &str) -> String {
        format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {}\n{fields}\n",
            Digest::of(name).hex()
        )
    }

    /// What is guessed of this index when `program` is asked for.
    fn guessed(text: &str) -> Vec<String> {
        let (sender, receiver) = channel();
        let names = BTreeSet::from(["program".to_owned()]);
        let mut follower = Follower { awaited: names.clone(), known: names, found: sender };
        let limit = AtomicU64::new(u64::MAX);
        let watch = &mut |package: &Package<'_>, before: &Builder| follower.see(package, before);
        packages::read_watched(text.as_bytes(), &limit, watch).ok().unwrap();
        drop(follower);
        receiver.iter().map(|guessed| guessed.name).collect()
    }

    #[test]
    fn an_index_that_nobody_signed_is_followed_only_so_far() {
        let names = |count: usize| (0..count).map(|i| format!("n{i}")).collect::<Vec<_>>();
        let many = names(10_000);
        let depends = format!("Depends: {}\n", many.join(", "));
        let stanzas: String = many.iter().map(|name| stanza(name, "")).collect();
        assert_eq!(guessed(&(stanza("program", &depends) + &stanzas)).len(), MOST_NAMES);
        assert_eq!(guessed(&(stanzas + &stanza("program", &depends))).len(), MOST_NAMES);

        let provider = |i: usize| stanza(&format!("provider{i}"), &format!("Provides: {}\n", names(200_000).join(",")));
        let long: String = (0..6).map(provider).collect();
        assert_eq!(guessed(&(long + &stanza("program", ""))), [""; 0]);
    }

    #[test]
    fn only_so_many_bytes_are_fetched() {
        let state = State::default();
        let begun = (0..100).filter(|_| state.reserve(LARGEST)).count();
        assert_eq!(begun as u64, MOST_BYTES / LARGEST);
        assert!(!state.reserve(u64::MAX));
    }

    #[test]
    fn dependencies_are_followed_forwards_and_backwards() {
        let text: String = [
            ("base", ""),
            ("early", "Depends: later (>= 1), nowhere\n"),
            ("extra", ""),
            ("program", "Pre-Depends: zlib | base\nDepends: early, absent-1 | base\n"),
            ("later", "Depends: base:any, program, virtual\n"),
            ("one", "Provides: virtual\n"),
            ("program", "Depends: extra\n"),
            ("two", "Priority: required\nProvides: virtual (= 1), early\n"),
            ("three", "Priority: required\nProvides: virtual\n"),
            ("zlib", "Recommends: extra\n"),
        ]
        .map(|(name, fields)| stanza(name, fields))
        .concat();
        assert_eq!(guessed(&text), ["program", "early", "later", "base", "two", "zlib"]);
    }
}
