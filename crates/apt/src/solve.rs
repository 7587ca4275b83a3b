//! Choosing packages: the request and the relations of packages as a problem for the solver.
//!
//! What is preferred is told by order alone: the first alternative before the next ones, real packages before providers, required providers
//! before optional ones, newer versions before older ones. Conflicts are only told to the solver when a solution without them
//! breaks one, which is rare; so the many packages that are only mentioned in a Breaks are not even looked up.

use std::collections::BTreeMap;

use resolvo::{ConditionalRequirement, Problem, Solver, UnsolvableOrCancelled};

use super::explain;
use super::item::Item;
use super::provider::{Provider, excludes, negative_relations};
use super::relation;
use super::universe::{Candidate, Universe};

/// The chosen packages, sorted by name and architecture.
///
/// # Errors
/// An explanation of why there is no solution.
pub(super) fn solve<'a>(
    universe: &Universe<'a>,
    wanted: &[Item<'_>],
    recommends: bool,
) -> Result<Vec<Candidate<'a>>, String> {
    let mut chosen = solve_with(universe, wanted, &[])?;
    if recommends {
        chosen = add_recommended(universe, wanted, chosen)?;
    }
    chosen.sort_by_key(|candidate| (candidate.package.name, candidate.package.architecture));
    Ok(chosen)
}

/// A Recommends that is followed: the text of one group, and the architecture of the package that has it.
type Recommended<'a> = (&'a str, &'a str);

/// Adds what is recommended as long as that can be satisfied: all of it at once if possible, else one after the other.
fn add_recommended<'a>(
    universe: &Universe<'a>,
    wanted: &[Item<'_>],
    mut chosen: Vec<Candidate<'a>>,
) -> Result<Vec<Candidate<'a>>, String> {
    let (mut followed, mut refused) = (Vec::<Recommended<'a>>::new(), Vec::<Recommended<'a>>::new());
    loop {
        let new = unsatisfied_recommends(universe, &chosen, &refused);
        if new.is_empty() {
            return Ok(chosen);
        }
        let all = [followed.as_slice(), &new].concat();
        if let Ok(solution) = solve_with(universe, wanted, &all) {
            (chosen, followed) = (solution, all);
            continue;
        }
        for group in new {
            let more = [followed.as_slice(), &[group]].concat();
            match solve_with(universe, wanted, &more) {
                Ok(solution) => (chosen, followed) = (solution, more),
                Err(_) => refused.push(group),
            }
        }
    }
}

fn unsatisfied_recommends<'a>(
    universe: &Universe<'a>,
    chosen: &[Candidate<'a>],
    refused: &[Recommended<'a>],
) -> Vec<Recommended<'a>> {
    let mut groups = Vec::new();
    for candidate in chosen {
        let architecture = universe.architecture_of(candidate);
        let fields = candidate.package.recommends.split(',').map(str::trim);
        for text in fields.filter(|text| !text.is_empty()) {
            let Ok(alternatives) = relation::parse(text) else { continue };
            let satisfied = |relation| chosen.iter().any(|other| other.satisfies(relation));
            let group = (text, architecture);
            if !refused.contains(&group) && !groups.contains(&group) && !alternatives.iter().flatten().any(satisfied) {
                groups.push(group);
            }
        }
    }
    groups
}

fn solve_with<'a>(
    universe: &Universe<'a>,
    wanted: &[Item<'_>],
    recommended: &[Recommended<'a>],
) -> Result<Vec<Candidate<'a>>, String> {
    let relaxed = attempt(universe, wanted, recommended, false)?;
    if find_conflict(universe, &relaxed).is_none() {
        return Ok(relaxed);
    }
    attempt(universe, wanted, recommended, true)
}

fn attempt<'a>(
    universe: &Universe<'a>,
    wanted: &[Item<'_>],
    recommended: &[Recommended<'a>],
    conflicts: bool,
) -> Result<Vec<Candidate<'a>>, String> {
    let provider = Provider::new(universe, conflicts);
    let mut requirements: Vec<ConditionalRequirement> =
        wanted.iter().map(|item| provider.wanted(item).into()).collect();
    for (text, architecture) in recommended {
        let alternatives = relation::parse(text).unwrap_or_default().into_iter().flatten().collect::<Vec<_>>();
        requirements.push(provider.group(None, &alternatives, architecture).into());
    }
    let mut solver = Solver::new(provider);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solution) => Ok(solution.into_iter().map(|id| solver.provider().candidate(id)).collect()),
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => Err(explain::explain(&solver, &conflict)),
        Err(UnsolvableOrCancelled::Cancelled(_)) => Err("the search was cancelled".to_owned()),
    }
}

/// Two chosen packages of which the first does not bear the second.
fn find_conflict<'a, 's>(
    universe: &Universe<'a>,
    chosen: &'s [Candidate<'a>],
) -> Option<(&'s Candidate<'a>, &'s Candidate<'a>)> {
    let mut by_name: BTreeMap<&str, Vec<&Candidate<'a>>> = BTreeMap::new();
    for candidate in chosen {
        let provided = relation::list(candidate.package.provides).map(|provided| provided.name);
        for name in provided.chain([candidate.package.name]) {
            by_name.entry(name).or_default().push(candidate);
        }
    }
    let others = |name: &str| by_name.get(name).into_iter().flatten().copied();
    for candidate in chosen {
        for relation in negative_relations(candidate) {
            let hit = others(relation.name).find(|other| excludes(candidate, &relation, other));
            if let Some(hit) = hit {
                return Some((candidate, hit));
            }
        }
        let twin = others(candidate.package.name).find(|other| {
            other.package.name == candidate.package.name
                && universe.architecture_of(other) != universe.architecture_of(candidate)
                && !candidate.goes_with(other)
        });
        if let Some(twin) = twin {
            return Some((candidate, twin));
        }
    }
    None
}

#[cfg(test)]
mod tests;
