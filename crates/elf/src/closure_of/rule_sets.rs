//! The rule sets of one closure: those that are asked for, and those that something kept triggers.

use std::collections::BTreeSet;
use std::io;

use globset::GlobMatcher;

use super::globs::Globs;
use crate::closure::Why;
use crate::context::Context;
use crate::error::ClosureError;
use crate::features::Feature;
use crate::glob::{glob_path, has_wildcard, parse_glob};
use crate::rules::{Baked, Rule, Rules, Trigger};
use crate::settings::Policy;
use crate::text::absolute;
use minimg_tree::{RootPath, RootTree};

/// Rule sets, and what became of them so far.
pub(super) struct RuleSets<'a> {
    tree: &'a RootTree,
    /// Those whose files are kept.
    kept: Vec<&'a Rule>,
    /// Those that nothing has hinted at yet.
    open: Vec<Open<'a>>,
    /// Directories that were looked for already: the rule set, which of its kinds, and the library.
    looked_into: BTreeSet<(&'a str, usize, RootPath)>,
}

/// A rule set that may be triggered yet.
struct Open<'a> {
    rule: &'a Rule,
    watches: Vec<(Watch<'a>, bool)>,
}

/// A trigger, ready to be compared.
enum Watch<'a> {
    Library(&'a str),
    Path(RootPath),
    Feature(Feature),
    /// A glob over file names, each as a path of its own.
    Names(GlobMatcher),
    Paths(GlobMatcher),
}

/// A rule set that was triggered.
struct Triggered<'a> {
    rule: &'a Rule,
    by: RootPath,
    certain: bool,
}

impl<'a> RuleSets<'a> {
    /// The rule sets of these names, with all that they require, are asked for; the others may be triggered.
    pub(super) fn new(rules: &'a Rules, names: &'a [String], tree: &'a RootTree) -> Result<Self, ClosureError> {
        let kept = rules.with_required(names)?;
        let is_open = |rule: &&Rule| kept.iter().all(|kept| kept.name != rule.name);
        let open = rules.all().filter(is_open).map(Open::new).collect::<Result<_, _>>()?;
        Ok(Self { tree, kept, open, looked_into: BTreeSet::new() })
    }

    /// Wants the files of those that are asked for, and keeps their programs.
    pub(super) fn ask_for_named(
        &self,
        context: &mut Context<'_, RootTree>,
        wanted: &mut Globs,
    ) -> Result<(), ClosureError> {
        self.kept.iter().try_for_each(|rule| ask_for(rule, context, wanted))
    }

    /// Keeps what is compiled into kept libraries for the rule sets that are kept, and the rule sets that something kept triggers;
    /// whether there was any, so that the walk has to go on.
    pub(super) fn keep_more(&mut self, context: &mut Context<'_, RootTree>) -> Result<bool, ClosureError> {
        let mut wanted = Globs::default();
        for rule in &self.kept {
            add_baked(context, rule, &mut wanted, &mut self.looked_into)?;
        }
        let triggered = self.take_triggered(context);
        if triggered.is_empty() && wanted.is_empty() {
            return Ok(false);
        }
        for Triggered { rule, by, certain } in triggered {
            let text = || {
                format!(
                    "it uses files of the rule set {} ({}): add that under rules, or set triggers = \"keep\" under [closure]",
                    rule.name, rule.description
                )
            };
            let policy = if certain { Policy::Keep } else { context.settings().closure.triggers };
            let mut all = Globs::of(rule);
            add_baked(context, rule, &mut all, &mut BTreeSet::new())?;
            // A rule set of which the tree has nothing is not worth a word.
            if all.matches_any(self.tree)? && context.ask(policy, &by, text) {
                ask_for(rule, context, &mut wanted)?;
                self.kept.push(rule);
            }
        }
        wanted.keep(context, self.tree)?;
        Ok(true)
    }

    /// Those that something in the closure hints at now, once each.
    fn take_triggered(&mut self, context: &Context<'_, RootTree>) -> Vec<Triggered<'a>> {
        let names: Names<'_> = context.ledger().paths().map(|path| (path.file_name(), path)).collect();
        let mut triggered = Vec::new();
        self.open.retain(|open| {
            let found = open.triggered(context, &names);
            let is_open = found.is_none();
            triggered.extend(found);
            is_open
        });
        triggered
    }
}

/// Wants the files of a rule set, and keeps its programs.
fn ask_for(rule: &Rule, context: &mut Context<'_, RootTree>, wanted: &mut Globs) -> Result<(), ClosureError> {
    wanted.extend(Globs::of(rule));
    rule.programs.iter().try_for_each(|program| context.keep_optional_program(program))
}

/// The kept paths by file name.
type Names<'k> = BTreeSet<(&'k [u8], &'k RootPath)>;

impl<'a> Open<'a> {
    fn new(rule: &'a Rule) -> Result<Self, ClosureError> {
        let watch = |trigger: &'a Trigger| Ok(Watch::new(trigger)?.map(|watch| (watch, trigger.certain)));
        let watches = rule.trigger.iter().filter_map(|trigger| watch(trigger).transpose());
        Ok(Self { rule, watches: watches.collect::<Result<_, _>>()? })
    }

    fn triggered(&self, context: &Context<'_, RootTree>, names: &Names<'_>) -> Option<Triggered<'a>> {
        let mut fired =
            self.watches.iter().filter_map(|(watch, certain)| Some((watch.fired(context, names)?, *certain)));
        let (by, certain) = fired.next()?;
        Some(Triggered { rule: self.rule, by, certain: certain || fired.any(|(_, certain)| certain) })
    }
}

impl<'a> Watch<'a> {
    /// `None` for a trigger that can never fire.
    fn new(trigger: &'a Trigger) -> Result<Option<Self>, ClosureError> {
        let matcher = |glob: &str| Ok(parse_glob(glob)?.compile_matcher());
        Ok(match (&trigger.library, &trigger.path, trigger.feature) {
            (Some(library), ..) if has_wildcard(library) => Some(Watch::Names(matcher(&format!("/{library}"))?)),
            (Some(library), ..) => Some(Watch::Library(library)),
            (_, Some(path), _) if has_wildcard(path) => Some(Watch::Paths(matcher(path)?)),
            (_, Some(path), _) => RootPath::new(path).ok().map(Watch::Path),
            (.., feature) => feature.map(Watch::Feature),
        })
    }

    /// The first kept path that fires it.
    fn fired(&self, context: &Context<'_, RootTree>, names: &Names<'_>) -> Option<RootPath> {
        let root = RootPath::root();
        match self {
            Watch::Library(library) => {
                let (name, path) = names.range((library.as_bytes(), &root)..).next()?;
                name.starts_with(library.as_bytes()).then(|| (*path).clone())
            }
            Watch::Path(path) => context.ledger().keeps(path).then(|| path.clone()),
            Watch::Feature(feature) => context.first_with(*feature).cloned(),
            Watch::Names(glob) => {
                let is_match = |name: &[u8]| glob.is_match(glob_path(&root.child(name)));
                names.iter().find(|(name, _)| is_match(name)).map(|(_, path)| (*path).clone())
            }
            Watch::Paths(glob) => context.ledger().paths().find(|path| glob.is_match(glob_path(path))).cloned(),
        }
    }
}

/// Wants what is compiled into kept files for a rule set; files in `looked_into` were looked at before.
fn add_baked<'a>(
    context: &Context<'_, RootTree>,
    rule: &'a Rule,
    wanted: &mut Globs,
    looked_into: &mut BTreeSet<(&'a str, usize, RootPath)>,
) -> Result<(), ClosureError> {
    let mut globs = BTreeSet::new();
    for (index, baked) in rule.baked.iter().enumerate() {
        for path in context.ledger().paths().filter(|path| baked.is_in(path)) {
            if looked_into.insert((&rule.name, index, path.clone())) {
                let found = baked_globs(context, baked, path);
                globs.extend(
                    found.map_err(|e| ClosureError::io(format!("the files of the rule set {}", rule.name), e))?,
                );
            }
        }
    }
    globs.iter().for_each(|glob| wanted.add(glob, Why::Rule(rule.name.clone()), false));
    Ok(())
}

fn baked_globs(context: &Context<'_, RootTree>, baked: &Baked, path: &RootPath) -> io::Result<BTreeSet<String>> {
    let view = context.view();
    let Some(place) = view.file(&absolute(path))?.filter(|place| place.path == *path) else {
        return Ok(BTreeSet::new());
    };
    let Some(object) = view.object(&place)? else { return Ok(BTreeSet::new()) };
    Ok(object.facts.as_ref().map_or_else(|_| BTreeSet::new(), |facts| baked.globs(&object.bytes, facts)))
}
