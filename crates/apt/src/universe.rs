//! All packages that a request may choose from: the indexes of several suites as one, with pins and exclusions applied.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use super::index::{Index, MultiArch, Package};
use super::relation::{self, Relation};
use minimg_deb822::compare;

/// An index and what its archive says of it.
pub(super) struct Indexed {
    pub index: Index,
    /// The place of its suite among all that are read; of equal packages the first one's is taken.
    pub archive: usize,
    /// What pins may call the suite.
    pub suite_names: Vec<String>,
    /// Whether its packages are only taken when a version or suite is named.
    pub not_automatic: bool,
}

/// A package that may be chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub package: Package<'a>,
    /// The place of its suite.
    pub archive: usize,
    not_automatic: bool,
}

impl fmt::Display for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package.name, self.package.version)
    }
}

impl Candidate<'_> {
    /// Whether it fits a relation by its own name, or by one that it provides.
    pub(super) fn satisfies(&self, relation: &Relation<'_>) -> bool {
        (self.package.name == relation.name && relation.admits(self.package.version)) || self.provides(relation)
    }

    /// Whether it provides what fits a relation.
    pub(super) fn provides(&self, relation: &Relation<'_>) -> bool {
        relation::list(self.package.provides).any(|provided| {
            provided.name == relation.name && relation.admits_provided(provided.version.map(|(_, version)| version))
        })
    }

    /// Required packages before optional ones, and among equals by name.
    pub(super) fn provider_rank(&self) -> (bool, u8, &str) {
        (!self.package.essential, self.package.priority, self.package.name)
    }

    /// Whether the same package of another architecture may be installed beside it.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let same = |candidate: &Self| candidate.package.multi_arch == MultiArch::Same;
        same(self) && same(other) && self.package.version == other.package.version
    }
}

/// The names of packages, with what is known of them.
pub(super) struct Universe<'a> {
    pub indexes: &'a [Indexed],
    /// The architecture of the board.
    pub architecture: &'a str,
    pub pins: &'a BTreeMap<String, String>,
    pub exclude: BTreeSet<&'a str>,
    cache: RefCell<BTreeMap<String, Rc<Found<'a>>>>,
}

/// What is found under one name.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// The packages of that name, of all architectures: the one to be preferred first.
    pub real: Vec<Candidate<'a>>,
    /// The packages that provide it, not yet filtered by pins.
    pub providers: Vec<Candidate<'a>>,
    /// The packages of that name that a pin or an exclusion rules out, and why.
    pub ruled_out: Vec<(Candidate<'a>, String)>,
}

impl Found<'_> {
    /// Whether there is no package of that name; what others provide has their names.
    pub(super) fn is_unknown(&self) -> bool {
        self.real.is_empty() && self.ruled_out.is_empty()
    }
}

impl<'a> Universe<'a> {
    pub(super) fn new(
        indexes: &'a [Indexed],
        architecture: &'a str,
        pins: &'a BTreeMap<String, String>,
        exclude: &'a [String],
    ) -> Self {
        let exclude = exclude.iter().map(String::as_str).collect();
        Self { indexes, architecture, pins, exclude, cache: RefCell::default() }
    }

    /// The architecture for which a package counts: packages for all count as the board's.
    pub(super) fn architecture_of(&self, candidate: &Candidate<'a>) -> &'a str {
        match candidate.package.architecture {
            "all" => self.architecture,
            architecture => architecture,
        }
    }

    /// What is found under a name.
    pub(super) fn find(&self, name: &str) -> Rc<Found<'a>> {
        if let Some(found) = self.cache.borrow().get(name) {
            return found.clone();
        }
        let found = Rc::new(self.search(name));
        self.cache.borrow_mut().insert(name.to_owned(), found.clone());
        found
    }

    fn search(&self, name: &str) -> Found<'a> {
        let mut found = Found::default();
        for indexed in self.indexes {
            for package in indexed.index.named_or_providing(name) {
                let candidate = Candidate { package, archive: indexed.archive, not_automatic: indexed.not_automatic };
                let list = if package.name == name { &mut found.real } else { &mut found.providers };
                let same = |other: &Candidate<'_>| {
                    let (a, b) = (&other.package, &package);
                    (a.name, a.version, a.architecture) == (b.name, b.version, b.architecture)
                };
                match list.iter_mut().find(|other| same(other)) {
                    Some(first) => first.not_automatic &= candidate.not_automatic,
                    None => list.push(candidate),
                }
            }
        }
        found.real.sort_by(|a, b| {
            let version = || compare(b.package.version, a.package.version);
            a.not_automatic.cmp(&b.not_automatic).then_with(version).then_with(|| a.archive.cmp(&b.archive))
        });
        self.rule_out(name, &mut found);
        found
    }

    /// Applies exclusions and pins to the packages of a name.
    fn rule_out(&self, name: &str, found: &mut Found<'a>) {
        if self.exclude.contains(name) {
            let excluded = std::mem::take(&mut found.real).into_iter();
            found.ruled_out.extend(excluded.map(|candidate| (candidate, "it is excluded".to_owned())));
        }
        if let Some(pin) = self.pins.get(name) {
            let (kept, other): (Vec<_>, Vec<_>) =
                std::mem::take(&mut found.real).into_iter().partition(|candidate| self.fits_pin(candidate, pin));
            found.real = kept;
            found.ruled_out.extend(other.into_iter().map(|candidate| (candidate, format!("it is pinned to {pin}"))));
        }
    }

    /// Whether a candidate is of the version or the suite that a pin names.
    pub(super) fn fits_pin(&self, candidate: &Candidate<'_>, pin: &str) -> bool {
        let of_suite = |indexed: &Indexed| {
            indexed.suite_names.iter().any(|name| name == pin)
                && indexed.index.named_or_providing(candidate.package.name).any(|package| {
                    (package.name, package.version, package.architecture)
                        == (candidate.package.name, candidate.package.version, candidate.package.architecture)
                })
        };
        candidate.package.version == pin || self.indexes.iter().any(of_suite)
    }

    /// The packages of this very name that fit a relation of a package of `architecture`.
    pub(super) fn real(&self, relation: &Relation<'_>, architecture: &str) -> Vec<Candidate<'a>> {
        let found = self.find(relation.name);
        let fits = |candidate: &&Candidate<'a>| {
            relation.admits(candidate.package.version) && self.serves(candidate, relation.qualifier, architecture)
        };
        found.real.iter().filter(fits).copied().collect()
    }

    /// The packages that provide what fits a relation of a package of `architecture`, each name's in a group of its own.
    pub(super) fn providers(&self, relation: &Relation<'_>, architecture: &str) -> Vec<Vec<Candidate<'a>>> {
        let found = self.find(relation.name);
        let mut by_name: BTreeMap<&str, Vec<Candidate<'a>>> = BTreeMap::new();
        for provider in &found.providers {
            if provider.provides(relation) && self.serves(provider, relation.qualifier, architecture) {
                by_name.entry(provider.package.name).or_default().push(*provider);
            }
        }
        let mut groups: Vec<_> = by_name.into_iter().map(|(name, group)| self.not_ruled_out(name, &group)).collect();
        groups.retain(|group| !group.is_empty());
        groups.sort_by(|a, b| a.first().map(Candidate::provider_rank).cmp(&b.first().map(Candidate::provider_rank)));
        groups
    }

    /// The candidates of a name that are in `group`, in the order of preference.
    fn not_ruled_out(&self, name: &str, group: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
        let same = |a: &Candidate<'a>, b: &Candidate<'a>| {
            (a.package.version, a.package.architecture) == (b.package.version, b.package.architecture)
        };
        let found = self.find(name);
        found.real.iter().filter(|real| group.iter().any(|provider| same(real, provider))).copied().collect()
    }

    /// Whether a package may serve one of `architecture` that asks for it with this qualifier.
    fn serves(&self, candidate: &Candidate<'a>, qualifier: Option<&str>, architecture: &str) -> bool {
        let own = self.architecture_of(candidate);
        match qualifier {
            None => own == architecture || candidate.package.multi_arch == MultiArch::Foreign,
            Some("any") => candidate.package.multi_arch == MultiArch::Allowed,
            Some("native") => own == self.architecture,
            Some(named) => own == named,
        }
    }

    /// The names nearest to one that is not known, best first.
    pub(super) fn nearest(&self, name: &str) -> Vec<&'a str> {
        let mut near = BTreeSet::new();
        for known in self.indexes.iter().flat_map(|indexed| indexed.index.names()) {
            if known.len().abs_diff(name.len()) <= 2 {
                let distance = strsim::damerau_levenshtein(name, known);
                if distance <= 1 + name.len() / 5 {
                    near.insert((distance, known));
                }
            }
        }
        near.into_iter().take(3).map(|(_, known)| known).collect()
    }
}
