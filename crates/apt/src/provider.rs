//! The universe of packages as the solver asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId,
    VersionSetId, VersionSetUnionId,
};

use super::item::Item;
use super::relation::{self, Relation};
use super::universe::{Candidate, Universe};

/// What a package does not bear beside it.
pub(super) fn negative_relations<'a>(candidate: &Candidate<'a>) -> impl Iterator<Item = Relation<'a>> {
    relation::list(candidate.package.conflicts).chain(relation::list(candidate.package.breaks))
}

/// Whether a relation of Conflicts or Breaks hits another package. A package never excludes itself, in any version or architecture.
pub(super) fn excludes(candidate: &Candidate<'_>, relation: &Relation<'_>, other: &Candidate<'_>) -> bool {
    other.package.name != candidate.package.name && other.satisfies(relation)
}

/// A set of packages of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Choice<'a>(Vec<SolvableId>, PhantomData<&'a ()>);

impl<'a> VersionSet for Choice<'a> {
    type V = Candidate<'a>;
}

/// Who has a requirement (none for the request itself), and which.
type Origin = (Option<SolvableId>, Requirement);

/// Answers the solver's questions.
pub(super) struct Provider<'u, 'a> {
    pub universe: &'u Universe<'a>,
    conflicts: bool,
    pool: Pool<Choice<'a>, String>,
    solvables: RefCell<BTreeMap<(&'a str, &'a str, &'a str), SolvableId>>,
    /// What requirements were made of, for explanations.
    origins: RefCell<BTreeMap<Origin, String>>,
}

impl<'u, 'a> Provider<'u, 'a> {
    pub(super) fn new(universe: &'u Universe<'a>, conflicts: bool) -> Self {
        Self { universe, conflicts, pool: Pool::new(), solvables: RefCell::default(), origins: RefCell::default() }
    }

    pub(super) fn candidate(&self, id: SolvableId) -> Candidate<'a> {
        self.pool.resolve_solvable(id).record
    }

    /// The text of a requirement: relations with bars between them, or an item of the request.
    pub(super) fn origin(&self, of: Option<SolvableId>, requirement: Requirement) -> String {
        self.origins.borrow().get(&(of, requirement)).cloned().unwrap_or_default()
    }

    pub(super) fn reason(&self, id: StringId) -> &str {
        self.pool.resolve_string(id)
    }

    /// The name under which at most one package is chosen: with the architecture where that is not the board's.
    fn slot(&self, name: &str, architecture: &str) -> NameId {
        if architecture == self.universe.architecture {
            self.pool.intern_package_name(name)
        } else {
            self.pool.intern_package_name(format!("{name}:{architecture}"))
        }
    }

    fn slot_of(&self, candidate: &Candidate<'a>) -> NameId {
        self.slot(candidate.package.name, self.universe.architecture_of(candidate))
    }

    fn solvable(&self, candidate: &Candidate<'a>) -> SolvableId {
        let package = &candidate.package;
        let key = (package.name, package.version, package.architecture);
        let slot = self.slot_of(candidate);
        *self.solvables.borrow_mut().entry(key).or_insert_with(|| self.pool.intern_solvable(slot, *candidate))
    }

    fn choice(&self, slot: NameId, candidates: &[Candidate<'a>]) -> VersionSetId {
        let ids = candidates.iter().map(|candidate| self.solvable(candidate)).collect();
        self.pool.intern_version_set(slot, Choice(ids, PhantomData))
    }

    /// One version set for each slot of a list of candidates, those of `architecture` first.
    fn choices(&self, candidates: &[Candidate<'a>], architecture: &str, into: &mut Vec<VersionSetId>) {
        let mut slots: Vec<(NameId, Vec<Candidate<'a>>)> = Vec::new();
        for candidate in candidates {
            let slot = self.slot_of(candidate);
            match slots.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, list)) => list.push(*candidate),
                None => slots.push((slot, vec![*candidate])),
            }
        }
        slots.sort_by_key(|(_, list)| {
            let own = list.first().map(|first| self.universe.architecture_of(first));
            (own != Some(architecture), own.unwrap_or_default())
        });
        into.extend(slots.iter().map(|(slot, list)| self.choice(*slot, list)));
    }

    fn requirement(&self, of: Option<SolvableId>, sets: Vec<VersionSetId>, name: &str, text: String) -> Requirement {
        let mut sets = sets.into_iter();
        let requirement = match (sets.next(), sets.len()) {
            (None, _) => self.choice(self.pool.intern_package_name(name), &[]).into(),
            (Some(only), 0) => only.into(),
            (Some(first), _) => self.pool.intern_version_set_union(first, sets).into(),
        };
        self.origins.borrow_mut().entry((of, requirement)).or_insert(text);
        requirement
    }

    /// The requirement of a group of alternatives.
    pub(super) fn group(
        &self,
        of: Option<SolvableId>,
        alternatives: &[Relation<'_>],
        architecture: &str,
    ) -> Requirement {
        let mut sets = Vec::new();
        for relation in alternatives {
            self.choices(&self.universe.real(relation, architecture), architecture, &mut sets);
            for group in self.universe.providers(relation, architecture) {
                self.choices(&group, architecture, &mut sets);
            }
        }
        let text = alternatives.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ");
        self.requirement(of, sets, alternatives.first().map_or("", |relation| relation.name), text)
    }

    /// The requirement of an item of the request.
    pub(super) fn wanted(&self, item: &Item<'_>) -> Requirement {
        let architecture = item.architecture.unwrap_or(self.universe.architecture);
        let mut sets = Vec::new();
        for group in item.candidates(self.universe) {
            self.choices(&group, architecture, &mut sets);
        }
        self.requirement(None, sets, item.name, item.text.to_owned())
    }

    /// The packages of a slot, best first.
    fn members(&self, slot: NameId) -> Vec<Candidate<'a>> {
        let text = self.pool.resolve_package_name(slot);
        let (name, architecture) = text.split_once(':').unwrap_or((text, self.universe.architecture));
        let found = self.universe.find(name);
        let members = found.real.iter().filter(|candidate| self.universe.architecture_of(candidate) == architecture);
        members.copied().collect()
    }

    /// For each slot that a package's Conflicts and Breaks touch, and for the same package of other architectures, what may still be chosen.
    fn constraints(&self, candidate: &Candidate<'a>) -> Vec<VersionSetId> {
        let mut hits: BTreeMap<NameId, Vec<SolvableId>> = BTreeMap::new();
        let mut hit = |other: &Candidate<'a>| hits.entry(self.slot_of(other)).or_default().push(self.solvable(other));
        for relation in negative_relations(candidate) {
            let found = self.universe.find(relation.name);
            found
                .real
                .iter()
                .chain(&found.providers)
                .filter(|other| excludes(candidate, &relation, other))
                .for_each(&mut hit);
        }
        let own = self.slot_of(candidate);
        let twins = self.universe.find(candidate.package.name);
        twins.real.iter().filter(|twin| self.slot_of(twin) != own && !candidate.goes_with(twin)).for_each(&mut hit);
        let allowed = |(slot, hits): (NameId, Vec<SolvableId>)| {
            let mut members = self.members(slot);
            members.retain(|member| !hits.contains(&self.solvable(member)));
            self.choice(slot, &members)
        };
        hits.into_iter().map(allowed).collect()
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, id: SolvableId) -> impl Display + '_ {
        self.candidate(id)
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.pool.resolve_package_name(name)
    }

    fn display_version_set(&self, id: VersionSetId) -> impl Display + '_ {
        self.display_name(self.pool.resolve_version_set_package_name(id))
    }

    fn display_string(&self, id: StringId) -> impl Display + '_ {
        self.reason(id)
    }

    fn version_set_name(&self, id: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(id)
    }

    fn solvable_name(&self, id: SolvableId) -> NameId {
        self.pool.resolve_solvable(id).name
    }

    fn version_sets_in_union(&self, id: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(id)
    }

    fn resolve_condition(&self, id: ConditionId) -> Condition {
        self.pool.resolve_condition(id).clone()
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let Choice(chosen, _) = self.pool.resolve_version_set(set);
        candidates.iter().copied().filter(|id| chosen.contains(id) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates: Vec<_> = self.members(name).iter().map(|candidate| self.solvable(candidate)).collect();
        let hint_dependencies_available = HintDependenciesAvailable::None;
        Some(Candidates { candidates, hint_dependencies_available, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // Members of a slot are sorted already, but a set may name them in another order.
        let Some(&first) = solvables.first() else { return };
        let order: Vec<_> =
            self.members(self.solvable_name(first)).iter().map(|member| self.solvable(member)).collect();
        solvables.sort_by_key(|id| order.iter().position(|other| other == id));
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let candidate = self.candidate(solvable);
        let architecture = self.universe.architecture_of(&candidate);
        let mut requirements = Vec::new();
        for field in [candidate.package.pre_depends, candidate.package.depends] {
            match relation::parse(field) {
                Ok(groups) => {
                    let group = |group: &Vec<Relation<'_>>| self.group(Some(solvable), group, architecture);
                    requirements.extend(groups.iter().map(group).map(ConditionalRequirement::from));
                }
                Err(text) => {
                    return Dependencies::Unknown(
                        self.pool.intern_string(format!("its dependency {text:?} is malformed")),
                    );
                }
            }
        }
        let constrains = if self.conflicts { self.constraints(&candidate) } else { Vec::new() };
        Dependencies::Known(KnownDependencies { requirements, constrains })
    }
}
