//! The globs of a closure, matched against the whole tree.

use globset::{GlobSet, GlobSetBuilder};

use crate::closure::{Reason, Why};
use crate::context::Context;
use crate::error::ClosureError;
use crate::finding::Severity;
use crate::glob::{glob_path, parse_glob};
use crate::keep::Pattern;
use crate::rules::Rule;
use minimg_tree::{RootPath, RootTree, resolve};

/// The links and the left directories on the way to what a glob spells out.
type Way = Vec<(RootPath, Why)>;

/// Globs that wait to be matched against the tree, all at once.
#[derive(Default)]
pub(super) struct Globs {
    globs: Vec<(String, Why, bool)>,
}

impl Globs {
    /// The globs of a rule set.
    pub(super) fn of(rule: &Rule) -> Self {
        let mut wanted = Self::default();
        rule.keep.iter().for_each(|glob| wanted.add(glob, Why::Rule(rule.name.clone()), false));
        wanted
    }

    /// Adds a glob; one that `must_match` is reported when it matches nothing.
    pub(super) fn add(&mut self, glob: &str, why: Why, must_match: bool) {
        self.globs.push((glob.to_owned(), why, must_match));
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// Adds all of `other`.
    pub(super) fn extend(&mut self, other: Self) {
        self.globs.extend(other.globs);
    }

    fn set(&self, tree: &RootTree) -> Result<(GlobSet, Vec<Way>), ClosureError> {
        let mut set = GlobSetBuilder::new();
        let mut ways = Vec::new();
        for (glob, ..) in &self.globs {
            let (glob, way) = through_links(tree, glob);
            set.add(parse_glob(&glob)?);
            ways.push(way);
        }
        let set = set
            .build()
            .map_err(|e| ClosureError::Glob { glob: "all globs together".to_owned(), message: e.to_string() })?;
        Ok((set, ways))
    }

    /// Whether any of them matches anything.
    pub(super) fn matches_any(&self, tree: &RootTree) -> Result<bool, ClosureError> {
        let (set, _) = self.set(tree)?;
        Ok(tree.iter().any(|(path, _)| set.is_match(glob_path(path))))
    }

    /// Keeps what they match.
    pub(super) fn keep(self, context: &mut Context<'_, RootTree>, tree: &RootTree) -> Result<(), ClosureError> {
        if self.globs.is_empty() {
            return Ok(());
        }
        let (set, ways) = self.set(tree)?;
        let mut matched = vec![false; self.globs.len()];
        for (path, _) in tree {
            let all = set.matches(glob_path(path));
            if let Some(first) = all.first() {
                let why = self.globs[*first].1.clone();
                for (step, why) in &ways[*first] {
                    context.keep(step, Reason { why: why.clone(), via: Some(path.clone()) });
                }
                context.keep(path, Reason { why, via: None });
            }
            all.into_iter().for_each(|index| matched[index] = true);
        }
        for ((glob, _, must_match), matched) in self.globs.iter().zip(matched) {
            if *must_match && !matched {
                context.ledger_mut().find(Severity::Warning, glob, "this keep glob matches nothing in the tree");
            }
        }
        Ok(())
    }
}

/// What the globs of a profile keep out.
pub(super) fn drop_globs(tree: &RootTree, patterns: &[Pattern]) -> Result<GlobSet, ClosureError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(parse_glob(&through_links(tree, &pattern.glob).0)?);
    }
    set.build().map_err(|e| ClosureError::Glob { glob: "all drop globs together".to_owned(), message: e.to_string() })
}

/// The glob with the links of the tree followed in the directories that it spells out, so that `/lib/...` means the same as
/// `/usr/lib/...` in a tree where one is a link to the other; and the way there.
fn through_links(tree: &RootTree, glob: &str) -> (String, Way) {
    let literal = glob.find(|c| "*?[{\\".contains(c)).map_or(glob, |wild| &glob[..wild]);
    let Some(slash) = literal.rfind('/') else { return (glob.to_owned(), Vec::new()) };
    let mut directory = &literal[..slash];
    // The part that does not exist cannot have links; the rest may.
    while !directory.is_empty() {
        if let Ok(found) = resolve(tree, &RootPath::root(), directory.as_bytes())
            && found.entry.is_some()
        {
            let rest = &glob[directory.len()..];
            let base = if found.path.is_root() { String::new() } else { globset::escape(&found.path.to_string()) };
            let links = found.hops.into_iter().map(|link| (link, Why::Link));
            let left = found.left.into_iter().map(|directory| (directory, Why::Crossed));
            return (format!("{base}{rest}"), links.chain(left).collect());
        }
        directory = &directory[..directory.rfind('/').unwrap_or(0)];
    }
    (glob.to_owned(), Vec::new())
}
