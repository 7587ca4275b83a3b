//! From a profile's `[keep]` to the closure of a whole tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::loader::CacheSource;
use super::rules::{self, Rule};
use super::walker::{WalkSettings, Walker};
use super::{Closure, ClosureError, Reason, Severity, Why, advice};
use crate::{Keep, Pattern};
use minimg_tree::{Kind, RootPath, RootTree, resolve};

/// What else a closure depends on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The directory that the image's program starts in.
    pub working_directory: RootPath,
}

/// The part of `tree` that `keep` asks for, in an image with the environment `env`.
///
/// Programs, optional programs, rule sets, packages and globs come first; then everything that is kept is looked into, as long as that
/// brings in more: ELF files are loaded, scripts name their interpreters, rule sets are triggered. Drop globs win over all of it.
///
/// # Errors
/// When something that the profile names is not in the tree, when a program needs what the tree does not have, and when the tree cannot
/// be read.
pub fn close(
    tree: &RootTree,
    keep: &Keep,
    env: &BTreeMap<String, String>,
    options: Options,
) -> Result<Closure, ClosureError> {
    let settings = WalkSettings {
        env: env.clone(),
        working_directory: options.working_directory,
        cache: CacheSource::Computed,
        closure: keep.closure.clone(),
        hidden: true,
    };
    let mut walker = Walker::new(tree, settings, drop_globs(tree, &keep.drop)?);
    for program in &keep.programs {
        walker.program(program)?;
    }
    for program in &keep.optional_programs {
        walker.optional_program(program)?;
    }
    let mut wanted = Wanted::default();
    for rule in rules::with_required(keep.rules.iter().map(String::as_str))? {
        wanted.add_rule(&mut walker, rule)?;
    }
    keep_packages(&mut walker, tree, &keep.packages)?;
    for pattern in &keep.keep {
        wanted.add(&pattern.glob, Why::Keep(pattern.reason.clone()), true);
    }
    wanted.keep(&mut walker, tree)?;
    walker.run()?;
    keep_triggered(&mut walker, tree, &keep.rules)?;
    walker.finish(|name| advice::for_library(tree, name))
}

/// Applies the rule sets whose triggers are in the closure, until that brings in no more.
fn keep_triggered(walker: &mut Walker<'_, RootTree>, tree: &RootTree, applied: &[String]) -> Result<(), ClosureError> {
    let mut kept: Vec<&'static Rule> = rules::with_required(applied.iter().map(String::as_str))?;
    let mut asked: Vec<&str> = kept.iter().map(|rule| &*rule.name).collect();
    let mut done = BTreeSet::new();
    loop {
        let mut wanted = Wanted::default();
        for rule in &kept {
            wanted.add_baked(walker, rule, &mut done)?;
        }
        let triggered = rules::triggered(walker, &asked);
        if triggered.is_empty() && wanted.globs.is_empty() {
            return Ok(());
        }
        for (rule, by, keep) in triggered {
            asked.push(&rule.name);
            let text = || {
                format!(
                    "it uses files of the rule set {} ({}): add that under rules, or set triggers = \"keep\" under [closure]",
                    rule.name, rule.description
                )
            };
            let policy = if keep { crate::Policy::Keep } else { walker.settings.closure.triggers };
            let mut all = Wanted::of(rule);
            all.add_baked(walker, rule, &mut BTreeSet::new())?;
            // A rule set of which the tree has nothing is not worth a word.
            if all.matches_any(tree)? && walker.ask(policy, &by.to_string(), text) {
                wanted.add_rule(walker, rule)?;
                kept.push(rule);
            }
        }
        wanted.keep(walker, tree)?;
        walker.run()?;
    }
}

/// Globs that wait to be matched against the tree, all at once.
#[derive(Default)]
struct Wanted {
    globs: Vec<(String, Why, bool)>,
}

impl Wanted {
    fn of(rule: &Rule) -> Self {
        let mut wanted = Self::default();
        rule.keep.iter().for_each(|glob| wanted.add(glob, Why::Rule(rule.name.clone()), false));
        wanted
    }

    fn add(&mut self, glob: &str, why: Why, must_match: bool) {
        self.globs.push((glob.to_owned(), why, must_match));
    }

    fn add_rule(&mut self, walker: &mut Walker<'_, RootTree>, rule: &Rule) -> Result<(), ClosureError> {
        self.globs.extend(Self::of(rule).globs);
        rule.programs.iter().try_for_each(|program| walker.optional_program(program))
    }

    /// What is compiled into kept libraries for this rule set.
    fn add_baked(
        &mut self,
        walker: &Walker<'_, RootTree>,
        rule: &Rule,
        done: &mut BTreeSet<(String, RootPath)>,
    ) -> Result<(), ClosureError> {
        let globs = rules::baked(walker, rule, done)
            .map_err(|source| ClosureError::Io { path: format!("the files of the rule set {}", rule.name), source })?;
        globs.iter().for_each(|glob| self.add(glob, Why::Rule(rule.name.clone()), false));
        Ok(())
    }

    fn set(&self, tree: &RootTree) -> Result<(GlobSet, Vec<Vec<RootPath>>), ClosureError> {
        let mut set = GlobSetBuilder::new();
        let mut hops = Vec::new();
        for (glob, ..) in &self.globs {
            let (glob, links) = through_links(tree, glob);
            set.add(parse_glob(&glob)?);
            hops.push(links);
        }
        let set = set
            .build()
            .map_err(|e| ClosureError::Glob { glob: "all globs together".to_owned(), message: e.to_string() })?;
        Ok((set, hops))
    }

    fn matches_any(&self, tree: &RootTree) -> Result<bool, ClosureError> {
        let (set, _) = self.set(tree)?;
        Ok(tree.iter().any(|(path, _)| set.is_match(glob_path(path))))
    }

    fn keep(self, walker: &mut Walker<'_, RootTree>, tree: &RootTree) -> Result<(), ClosureError> {
        if self.globs.is_empty() {
            return Ok(());
        }
        let (set, hops) = self.set(tree)?;
        let mut matched = vec![false; self.globs.len()];
        for (path, _) in tree {
            let all = set.matches(glob_path(path));
            if let Some(first) = all.first() {
                let why = self.globs[*first].1.clone();
                for link in &hops[*first] {
                    walker.keep(link, Reason { why: Why::Link, via: Some(path.clone()) });
                }
                walker.keep(path, Reason { why, via: None });
            }
            all.into_iter().for_each(|index| matched[index] = true);
        }
        for ((glob, _, must_match), matched) in self.globs.iter().zip(matched) {
            if *must_match && !matched {
                walker.find(Severity::Warning, glob, "this keep glob matches nothing in the tree");
            }
        }
        Ok(())
    }
}

fn keep_packages(walker: &mut Walker<'_, RootTree>, tree: &RootTree, packages: &[String]) -> Result<(), ClosureError> {
    for name in packages {
        if !tree.packages().iter().any(|package| package.name == *name) {
            let nearest = advice::nearest(name, tree.packages().iter().map(|package| package.name.as_str()));
            return Err(ClosureError::Package { name: name.clone(), nearest });
        }
    }
    let wanted = |node| tree.package_of(node).filter(|package| packages.contains(&package.name));
    for (path, node) in tree {
        if let Some(package) = wanted(node).filter(|_| !packages.is_empty())
            && !matches!(node.kind, Kind::Directory)
        {
            walker.keep(path, Reason { why: Why::Package(package.name.clone()), via: None });
        }
    }
    Ok(())
}

fn drop_globs(tree: &RootTree, patterns: &[Pattern]) -> Result<GlobSet, ClosureError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(parse_glob(&through_links(tree, &pattern.glob).0)?);
    }
    set.build().map_err(|e| ClosureError::Glob { glob: "all drop globs together".to_owned(), message: e.to_string() })
}

/// `*` stops at a slash, `**` does not.
pub(super) fn parse_glob(glob: &str) -> Result<globset::Glob, ClosureError> {
    let error = |message: String| ClosureError::Glob { glob: glob.to_owned(), message };
    if !glob.starts_with('/') {
        return Err(error("it must begin with a slash, as paths in the image do".to_owned()));
    }
    GlobBuilder::new(glob).literal_separator(true).build().map_err(|e| error(e.kind().to_string()))
}

/// A path as globs see it: with a leading slash.
pub(super) fn glob_path(path: &RootPath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&[b"/", path.as_bytes()].concat()))
}

/// The glob with the links of the tree followed in the directories that it spells out, so that `/lib/...` means the same as
/// `/usr/lib/...` in a tree where one is a link to the other; and those links.
fn through_links(tree: &RootTree, glob: &str) -> (String, Vec<RootPath>) {
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
            return (format!("{base}{rest}"), found.hops);
        }
        directory = &directory[..directory.rfind('/').unwrap_or(0)];
    }
    (glob.to_owned(), Vec::new())
}
