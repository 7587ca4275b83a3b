//! Explains why there is no solution: who needs what, the chain that leads there, and what is available instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use resolvo::conflict::{Conflict, ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{SolvableId, Solver};

use super::item::Item;
use super::provider::{Provider, excludes, negative_relations};
use super::relation::{self, Relation};
use super::universe::Universe;

/// The most reasons that are told.
const MOST: usize = 8;

/// One reason a line.
pub(super) fn explain(solver: &Solver<Provider<'_, '_>>, conflict: &Conflict) -> String {
    let explainer = Explainer::new(solver.provider(), &conflict.graph(solver));
    let mut reasons: Vec<String> = explainer.reasons().into_iter().collect();
    let more = reasons.len().saturating_sub(MOST);
    reasons.truncate(MOST);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    match &reasons[..] {
        [] => "no set of packages satisfies the request".to_owned(),
        [only] => only.clone(),
        several => format!("no set of packages satisfies the request:\n  {}", several.join("\n  ")),
    }
}

/// A node: a package, or none for the request.
type Node = Option<SolvableId>;

struct Explainer<'p, 'u, 'a> {
    provider: &'p Provider<'u, 'a>,
    edges: Vec<(Node, ConflictNode, ConflictEdge)>,
    /// How each package came in: who wanted it first.
    parents: BTreeMap<SolvableId, Node>,
}

impl<'p, 'u, 'a> Explainer<'p, 'u, 'a> {
    fn new(provider: &'p Provider<'u, 'a>, graph: &ConflictGraph) -> Self {
        let mut edges = Vec::new();
        for edge in graph.graph.edge_indices() {
            let (Some((from, to)), Some(what)) = (graph.graph.edge_endpoints(edge), graph.graph.edge_weight(edge))
            else {
                continue;
            };
            let from = match graph.graph.node_weight(from) {
                Some(ConflictNode::Solvable(id)) => Some(*id),
                Some(ConflictNode::Root) => None,
                _ => continue,
            };
            if let Some(to) = graph.graph.node_weight(to) {
                edges.push((from, *to, *what));
            }
        }
        let mut explainer = Self { provider, edges, parents: BTreeMap::new() };
        explainer.find_parents();
        explainer
    }

    /// The shortest way from the request to every package; among equally short ones the first by name.
    fn find_parents(&mut self) {
        let mut queue = VecDeque::from([None]);
        while let Some(node) = queue.pop_front() {
            let wanted = self.edges.iter().filter_map(|(from, to, what)| match (to, what) {
                (ConflictNode::Solvable(to), ConflictEdge::Requires(_)) if *from == node => Some(*to),
                _ => None,
            });
            let mut next: Vec<_> = wanted.filter(|to| !self.parents.contains_key(to)).collect();
            next.sort_by_key(|id| self.name(*id));
            for id in next {
                self.parents.entry(id).or_insert_with(|| {
                    queue.push_back(Some(id));
                    node
                });
            }
        }
    }

    fn name(&self, id: SolvableId) -> String {
        self.provider.candidate(id).to_string()
    }

    /// `a 1 → b 2`: how a package came in.
    fn chain(&self, id: SolvableId) -> String {
        let mut names = vec![self.name(id)];
        let mut node = id;
        while let Some(Some(parent)) = self.parents.get(&node) {
            names.push(self.name(*parent));
            node = *parent;
        }
        names.reverse();
        names.join(" → ")
    }

    fn reasons(&self) -> BTreeSet<String> {
        let mut reasons = BTreeSet::new();
        let mut rivals = BTreeSet::new();
        for (from, to, what) in &self.edges {
            match (from, to, what) {
                (None, ConflictNode::UnresolvedDependency, ConflictEdge::Requires(requirement)) => {
                    reasons.insert(self.unknown_wanted(&self.provider.origin(None, *requirement)));
                }
                (Some(id), ConflictNode::UnresolvedDependency, ConflictEdge::Requires(requirement)) => {
                    let text = self.provider.origin(*from, *requirement);
                    let why = unsatisfied(self.provider.universe, &text);
                    reasons.insert(format!("{} needs {text}, but {why}", self.chain(*id)));
                }
                (Some(id), ConflictNode::Solvable(other), ConflictEdge::Conflict(ConflictCause::Constrains(_))) => {
                    reasons.insert(self.exclusion(*id, *other));
                }
                (
                    Some(a),
                    ConflictNode::Solvable(b),
                    ConflictEdge::Conflict(ConflictCause::ForbidMultipleInstances),
                ) => {
                    rivals.extend([*a, *b]);
                }
                (Some(id), ConflictNode::Excluded(reason), _) => {
                    reasons.insert(format!(
                        "{} cannot be installed: {}",
                        self.chain(*id),
                        self.provider.reason(*reason)
                    ));
                }
                _ => {}
            }
        }
        let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for id in rivals {
            by_name.entry(self.provider.candidate(id).package.name).or_default().push(self.chain(id));
        }
        for (name, mut chains) in by_name {
            chains.sort();
            reasons.insert(format!("only one version of {name} can be installed: {}", chains.join(", or ")));
        }
        reasons
    }

    fn exclusion(&self, id: SolvableId, other: SolvableId) -> String {
        let (candidate, hit) = (self.provider.candidate(id), self.provider.candidate(other));
        let relation = negative_relations(&candidate).find(|relation| excludes(&candidate, relation, &hit));
        let (one, two) = (self.chain(id), self.chain(other));
        match relation {
            Some(relation) => format!("{one} excludes {relation}, which {two} is"),
            None => format!("{one} cannot be installed together with {two}, which has another architecture"),
        }
    }

    fn unknown_wanted(&self, text: &str) -> String {
        let universe = self.provider.universe;
        let Ok(wanted) = Item::parse(text) else { return unsatisfied(universe, text) };
        let found = universe.find(wanted.name);
        if found.real.is_empty() && found.ruled_out.is_empty() {
            let near = universe.nearest(wanted.name);
            let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
            return format!("there is no package {}, and nothing provides it{hint}", wanted.name);
        }
        let relation = Relation { name: wanted.name, qualifier: wanted.architecture, version: None };
        format!("{text} is requested, but {}", available(universe, &relation))
    }
}

/// Explains why none of the alternatives is available.
fn unsatisfied(universe: &Universe<'_>, text: &str) -> String {
    let groups = relation::parse(text).unwrap_or_default();
    let alternatives: Vec<_> = groups.iter().flatten().map(|relation| available(universe, relation)).collect();
    alternatives.join(", and ")
}

/// What there is of a name, though it does not do.
fn available(universe: &Universe<'_>, relation: &Relation<'_>) -> String {
    let found = universe.find(relation.name);
    let mut parts = Vec::new();
    let describe = |candidate: &super::universe::Candidate<'_>| match candidate.package.architecture {
        "all" => candidate.package.version.to_owned(),
        own if own == universe.architecture => candidate.package.version.to_owned(),
        other => format!("{} for {other}", candidate.package.version),
    };
    if !found.real.is_empty() {
        let versions: Vec<_> = found.real.iter().map(describe).collect();
        parts.push(format!("{} is available as {}", relation.name, versions.join(", ")));
    }
    if let Some((_, why)) = found.ruled_out.first() {
        let versions: Vec<_> = found.ruled_out.iter().map(|(candidate, _)| describe(candidate)).collect();
        let are = if versions.len() == 1 { "is" } else { "are" };
        parts.push(format!("{} is available as {}, which {are} ruled out: {why}", relation.name, versions.join(", ")));
    }
    for provider in &found.providers {
        let provided = relation::list(provider.package.provides).find(|provided| provided.name == relation.name);
        if let Some(provided) = provided {
            let excluded = if universe.exclude.contains(provider.package.name) { " and is excluded" } else { "" };
            parts.push(format!("{provider} provides {provided}{excluded}"));
        }
    }
    if parts.is_empty() {
        return format!("nothing is called {} or provides it", relation.name);
    }
    parts.join("; ")
}
