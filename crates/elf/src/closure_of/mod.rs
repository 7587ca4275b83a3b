//! From a profile's `[keep]` to the closure of a whole tree.

mod globs;
mod rule_sets;

use std::collections::BTreeMap;

use crate::advice;
use crate::closure::{Closure, Reason, Why};
use crate::context::Context;
use crate::error::ClosureError;
use crate::keep::Keep;
use crate::ldcache::CacheSource;
use crate::settings::WalkSettings;
use crate::walk::Walk;
use globs::{Globs, drop_globs};
use minimg_base::suggest;
use minimg_tree::{Kind, RootPath, RootTree};
use rule_sets::RuleSets;

/// What a closure depends on besides the tree and what is kept of it: how the image's program starts.
#[derive(Debug, Clone, Default)]
pub struct ClosureOptions {
    /// The environment of the image: PATH, `LD_LIBRARY_PATH`, `LD_PRELOAD`, LANG.
    pub env: BTreeMap<String, String>,
    /// The directory that the image's program starts in.
    pub working_directory: RootPath,
    /// Files that are in the image whatever asks for them, and why: what they need is kept with them.
    pub added: BTreeMap<RootPath, String>,
}

/// The part of `tree` that `keep` asks for.
///
/// Programs, optional programs, rule sets, packages and globs come first; then everything that is kept is looked into, as long as that
/// brings in more: ELF files are loaded, scripts name their interpreters, rule sets are triggered. Drop globs win over all of it.
///
/// # Errors
/// When something that the profile names is not in the tree, when a program needs what the tree does not have, and when the tree cannot
/// be read.
pub fn closure_of(tree: &RootTree, keep: &Keep, options: ClosureOptions) -> Result<Closure, ClosureError> {
    let settings = WalkSettings {
        env: options.env,
        working_directory: options.working_directory,
        cache: CacheSource::Computed,
        closure: keep.closure.clone(),
        hidden: true,
    };
    let mut walk = Walk::new(tree, settings, drop_globs(tree, &keep.drop)?);
    let context = &mut walk.context;
    for program in &keep.programs {
        context.keep_program(program)?;
    }
    for program in &keep.optional_programs {
        context.keep_optional_program(program)?;
    }
    let mut wanted = Globs::default();
    let mut rule_sets = RuleSets::new(&keep.rule_sets, &keep.rules, tree)?;
    rule_sets.ask_for_named(context, &mut wanted)?;
    for (path, why) in options.added {
        context.keep(&path, Reason { why: Why::Added(why), via: None });
    }
    keep_packages(context, tree, &keep.packages)?;
    for pattern in &keep.keep {
        wanted.add(&pattern.glob, Why::Keep(pattern.reason.clone()), true);
    }
    wanted.keep(context, tree)?;
    walk.run()?;
    while rule_sets.keep_more(&mut walk.context)? {
        walk.run()?;
    }
    walk.finish(|name| advice::for_library(tree, name))
}

fn keep_packages(
    context: &mut Context<'_, RootTree>,
    tree: &RootTree,
    packages: &[String],
) -> Result<(), ClosureError> {
    for name in packages {
        if !tree.packages().iter().any(|package| package.name == *name) {
            let nearest = suggest::nearest(name, tree.packages().iter().map(|package| package.name.as_str()));
            return Err(ClosureError::Package { name: name.clone(), nearest: nearest.map(str::to_owned) });
        }
    }
    let wanted = |node| tree.package_of(node).filter(|package| packages.contains(&package.name));
    for (path, node) in tree {
        if let Some(package) = wanted(node).filter(|_| !packages.is_empty())
            && !matches!(node.kind, Kind::Directory)
        {
            context.keep(path, Reason { why: Why::Package(package.name.clone()), via: None });
        }
    }
    Ok(())
}
