//! Fetching packages that will most likely be chosen, while the longest index is still being read.
//!
//! The guess: what is asked for, and what that depends on, as the main suite has it, unless another suite has a newer version.
//! A wrong guess costs a download and never changes what is chosen; a right one is a blob in the store like any other, under the digest of
//! what came.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use super::early::{List, Plan};
use super::index::{Builder, Index, Package};
use super::relation;
use super::{package_file, package_path};
use crate::backend::Pins;
use crate::backends::deb::version::compare;
use crate::digest::Digest;
use crate::fetch::{self, Fetcher};

/// How many packages are fetched at once.
const CONNECTIONS: usize = 6;

/// What is fetched by guess. Dropped before [`Guess::settle`], the fetching ends.
pub(super) struct Guess(Arc<State>);

#[derive(Default)]
struct State {
    /// Whether it is known what is chosen: nothing more is begun.
    settled: AtomicBool,
    /// Set when nobody waits for what was begun either.
    stop: Arc<AtomicBool>,
    begun: Mutex<BTreeSet<Digest>>,
}

/// A package that was guessed.
struct Guessed {
    name: String,
    version: String,
    file: fetch::Wanted,
}

impl Guess {
    /// Begins to fetch what the returned value finds in the index of the suite at `address`, which it is to be shown; `others` are those of
    /// all other suites. `None` where pins or exclusions decide.
    pub(super) fn begin<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &Plan<'_>,
        (address, others): (&str, &[Arc<List>]),
        fetcher: &'env Fetcher<'_>,
    ) -> Option<(Self, Follower)> {
        if !plan.source.pins.is_empty() || !plan.source.exclude.is_empty() {
            return None;
        }
        let guess = Self(Arc::default());
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..CONNECTIONS {
            let (state, receiver, others) = (guess.0.clone(), receiver.clone(), others.to_vec());
            scope.spawn(move || state.fetch(&receiver, &others, &fetcher.speculative(state.stop.clone())));
        }
        let plain = plan.wanted.iter().filter(|item| item.architecture.is_none() && item.from.is_none());
        let names: BTreeSet<String> = plain.map(|item| item.name.to_owned()).collect();
        Some((guess, Follower { address: address.to_owned(), known: names.clone(), awaited: names, found: sender }))
    }

    /// It is known what is chosen: what was not begun is left alone, and what was begun is awaited unless some of it was guessed wrong.
    pub(super) fn settle(&self, pins: &Pins) {
        self.0.settled.store(true, Ordering::Relaxed);
        let chosen: BTreeSet<&Digest> = pins.packages.iter().map(|package| &package.sha256).collect();
        if lock(&self.0.begun).iter().any(|digest| !chosen.contains(digest)) {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        if !self.0.settled.swap(true, Ordering::Relaxed) {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl State {
    fn fetch(&self, receiver: &Mutex<Receiver<Guessed>>, others: &[Arc<List>], fetcher: &Fetcher<'_>) {
        // Without the index of a suite nobody knows whether it has a newer version.
        let others: Option<Vec<Index>> = others.iter().map(|list| Index::open(list.wait()?.1)).collect();
        let Some(others) = others else { return };
        while let Some(guessed) = next(receiver) {
            if self.settled.load(Ordering::Relaxed) {
                return;
            }
            let is_newer = |package: Package<'_>| {
                package.name == guessed.name && compare(package.version, &guessed.version).is_gt()
            };
            if others.iter().any(|index| index.named_or_providing(&guessed.name).any(is_newer)) {
                continue;
            }
            lock(&self.begun).insert(guessed.file.sha256);
            // Who needs the package will meet the same error, and tell it.
            let _ = fetcher.blob(&guessed.file);
        }
    }
}

fn next(receiver: &Mutex<Receiver<Guessed>>) -> Option<Guessed> {
    lock(receiver).recv().ok()
}

/// Follows dependencies through an index while it is read.
pub(super) struct Follower {
    /// Where the packages of the index lie.
    address: String,
    /// The names that were not met yet.
    awaited: BTreeSet<String>,
    /// Every name that was ever asked for.
    known: BTreeSet<String>,
    found: Sender<Guessed>,
}

impl Follower {
    /// Looks at the next package of the index; `before` has those that came before it.
    pub(super) fn see(&mut self, package: &Package<'_>, before: &Builder) {
        if !self.awaited.remove(package.name) {
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

    /// Guesses that this package is chosen; the names that it depends on and that are new.
    fn take(&mut self, package: &Package<'_>) -> Vec<String> {
        let (name, version) = (package.name.to_owned(), package.version.to_owned());
        let (size, sha256) = (package.size, package.sha256.into());
        let file = package_file(&self.address, package_path(package), format!("{name} {version}"), size, sha256);
        // When nobody fetches any more, nothing is lost.
        let _ = self.found.send(Guessed { name, version, file });
        let groups = [package.pre_depends, package.depends].into_iter().filter_map(|field| relation::parse(field).ok());
        let first = groups.flatten().filter_map(|group| Some(group.first()?.name.to_owned()));
        first.filter(|name| self.known.insert(name.clone())).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::super::packages;
    use super::*;

    #[test]
    fn dependencies_are_followed_forwards_and_backwards() {
        let stanza = |(name, fields): (&str, &str)| {
            format!(
                "Package: {name}\nVersion: 1\nArchitecture: all\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {}\n{fields}\n",
                Digest::of(name).hex()
            )
        };
        let text: String = [
            ("base", ""),
            ("early", "Depends: later (>= 1), nowhere\n"),
            ("extra", ""),
            ("program", "Pre-Depends: zlib | base\nDepends: early, absent-1 | base\n"),
            ("later", "Depends: base:any, program\n"),
            ("program", "Depends: extra\n"),
            ("zlib", "Recommends: extra\n"),
        ]
        .map(stanza)
        .concat();
        let (sender, receiver) = channel();
        let names = BTreeSet::from(["program".to_owned()]);
        let address = "http://m.example/debian".to_owned();
        let mut follower = Follower { address, awaited: names.clone(), known: names, found: sender };
        let limit = AtomicU64::new(u64::MAX);
        let watch = &mut |package: &Package<'_>, before: &Builder| follower.see(package, before);
        packages::read_watched(text.as_bytes(), &limit, watch).ok().unwrap();
        drop(follower);
        let guessed: Vec<_> = receiver.iter().map(|guessed| guessed.name).collect();
        assert_eq!(guessed, ["program", "early", "later", "base", "zlib"]);
    }
}
