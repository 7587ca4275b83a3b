//! The ledger of a walk: what is kept and why, what only a drop glob keeps out, and what people should know of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use globset::GlobSet;

use crate::closure::{Closure, Reason, Why};
use crate::finding::{Finding, Severity};
use crate::glob::glob_path;
use crate::settings::Policy;
use crate::view::Place;
use minimg_tree::RootPath;

/// What is kept so far, and what was found.
#[derive(Debug)]
pub(crate) struct Ledger {
    kept: BTreeMap<RootPath, Reason>,
    findings: BTreeSet<Finding>,
    drop: GlobSet,
    /// What only a drop glob keeps out, and why it would be kept.
    dropped: BTreeMap<RootPath, Reason>,
    /// Kept paths that were not looked into yet.
    pending: VecDeque<RootPath>,
}

impl Ledger {
    /// An empty one, from which these globs keep paths out.
    pub(crate) fn new(drop: GlobSet) -> Self {
        Self {
            kept: BTreeMap::new(),
            findings: BTreeSet::new(),
            drop,
            dropped: BTreeMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// Keeps one path. The first reason stays. A drop glob wins.
    pub(crate) fn keep(&mut self, path: &RootPath, reason: Reason) {
        if path.is_root() || self.kept.contains_key(path) {
            return;
        }
        if !self.drop.is_empty() && self.drop.is_match(glob_path(path)) {
            self.dropped.entry(path.clone()).or_insert(reason);
            return;
        }
        self.kept.insert(path.clone(), reason);
        self.pending.push_back(path.clone());
    }

    /// Keeps a file and every link on the way to it: directory links as links that `via` follows, and the directories that the way leaves
    /// by `..`, the first link to the file (or the file itself) for the reason given.
    pub(crate) fn keep_place(&mut self, place: &Place, why: Why, via: Option<&RootPath>) {
        let owner = via.unwrap_or(&place.path);
        for link in &place.directory_links {
            self.keep(link, Reason { why: Why::Link, via: Some(owner.clone()) });
        }
        for directory in &place.left {
            self.keep(directory, Reason { why: Why::Crossed, via: Some(owner.clone()) });
        }
        let mut reason = Reason { why, via: via.cloned() };
        for link in &place.file_links {
            self.keep(link, reason);
            reason = Reason { why: Why::Target, via: Some(link.clone()) };
        }
        self.keep(&place.path, reason);
    }

    /// Whether exactly this path is kept.
    pub(crate) fn keeps(&self, path: &RootPath) -> bool {
        self.kept.contains_key(path)
    }

    /// The kept paths, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &RootPath> {
        self.kept.keys()
    }

    /// The next kept path that was not looked into yet.
    pub(crate) fn next_pending(&mut self) -> Option<RootPath> {
        self.pending.pop_front()
    }

    /// Whether the reasons of a kept path lead to a program that the profile names, by links and interpreters alone.
    pub(crate) fn comes_from_program(&self, path: &RootPath) -> bool {
        let mut at = Some(path);
        while let Some(reason) = at.and_then(|path| self.kept.get(path)) {
            match reason.why {
                Why::Program(_) => return true,
                Why::Target | Why::Shebang => at = reason.via.as_ref(),
                _ => return false,
            }
        }
        false
    }

    /// Notes what people should know of; the same once.
    pub(crate) fn find(&mut self, severity: Severity, path: &str, message: impl Into<String>) {
        self.findings.insert(Finding { severity, path: path.to_owned(), message: message.into() });
    }

    /// Reports something under a policy; returns whether to keep it.
    pub(crate) fn ask(&mut self, policy: Policy, path: &str, message: impl FnOnce() -> String) -> bool {
        match policy {
            Policy::Keep => true,
            Policy::Ignore => false,
            Policy::Report => {
                self.find(Severity::Note, path, message());
                false
            }
        }
    }

    /// The closure, with a finding for whatever was dropped and is needed.
    pub(crate) fn into_closure(mut self) -> Closure {
        self.forget_implied();
        for (path, reason) in std::mem::take(&mut self.dropped) {
            self.report_dropped(&path, &reason);
        }
        Closure { kept: self.kept, findings: self.findings.into_iter().collect() }
    }

    /// A directory on a way is implied by what is kept in it; only one that would be empty is a kept path of its own.
    fn forget_implied(&mut self) {
        let is_implied = |path: &RootPath| {
            let below = [path.as_bytes(), b"/"].concat();
            let next = self.kept.range::<[u8], _>((Bound::Included(&*below), Bound::Unbounded)).next();
            next.is_some_and(|(next, _)| next.starts_with(path))
        };
        let crossed = self.kept.iter().filter(|(_, reason)| reason.why == Why::Crossed).map(|(path, _)| path);
        let implied: Vec<RootPath> = crossed.filter(|path| is_implied(path)).cloned().collect();
        implied.iter().for_each(|path| drop(self.kept.remove(path)));
    }

    fn report_dropped(&mut self, path: &RootPath, reason: &Reason) {
        let (severity, how) = match &reason.why {
            Why::Program(_) | Why::Interpreter | Why::Needed(_) => (Severity::Error, "cannot do without it"),
            Why::Shebang | Why::Link | Why::Crossed | Why::Target | Why::Opened(_) => (Severity::Warning, "uses it"),
            _ => return,
        };
        let asker = reason.via.as_ref().map_or("the profile".to_owned(), ToString::to_string);
        self.find(
            severity,
            &path.to_string(),
            format!("a drop glob leaves it out, but {asker} {how}; narrow the glob"),
        );
    }
}
