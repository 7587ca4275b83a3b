//! The story: a profile and a board become an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compose;
use crate::lock::{Found, Lock};
use crate::profile::{Keep, Profile};
use crate::recipe::Recipe;
use crate::record::{Pruned, Record};
use minimg_backend::{Backend, Context, Pinned, Pins, Produced, Request, Resolution};
use minimg_base::board::Board;
use minimg_base::cancel::Cancelled;
use minimg_base::digest::{Digest, digest_of};
use minimg_base::error::{Class, Error, Result};
use minimg_base::report::{Event, Phase, Reused};
use minimg_elf::check::CheckSettings;
use minimg_elf::{self as closure, Closure, ClosureOptions, Finding, Severity};
use minimg_oci::image::{Compression, Config, Image, Layer};
use minimg_oci::layer;
use minimg_store::Store;
use minimg_tree::search::places_of_program;
use minimg_tree::{self as tree, Entry, Kind, Node, RootPath, RootTree};

/// One image to be built.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The verb that the image's history names: `build`.
    pub command: &'a str,
    /// What is wanted.
    pub profile: &'a Profile,
    /// The machine it is for.
    pub board: &'a Board,
    /// The way to obtain the root tree.
    pub backend: &'a dyn Backend,
    /// The lock beside the profile, where there is one.
    pub lock: Option<&'a Lock>,
    /// Whether only the lock may say what is chosen.
    pub locked: bool,
    /// SOURCE_DATE_EPOCH, where the user sets it: no time in the image is later.
    pub epoch: Option<i64>,
    /// How layers are compressed.
    pub compression: Compression,
    /// The name that engines will show.
    pub reference: &'a str,
}

/// An image that was built.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Built {
    /// What exporters need.
    pub image: Image,
    /// What identifies the plan of its layers; [`Record::load`] finds the whole record by it.
    pub recipe: Digest,
    /// Whether the layers came from the store.
    pub reused: bool,
    /// What people should know of.
    pub findings: Vec<Finding>,
    /// Whether the lock decided what was chosen.
    pub locked: bool,
}

impl Built {
    /// How many bytes the compressed layers take beyond the size budget of the board; `None` within it, and for a board without one.
    pub fn over_budget(&self, board: &Board) -> Option<u64> {
        let size: u64 = self.image.layers.iter().map(|layer| layer.size).sum();
        size.checked_sub(board.size_budget?).filter(|over| *over > 0)
    }
}

/// The kind of the store's entries that hold what a recipe gave.
const MADE: &str = "layers";

/// What the store holds of an image under its recipe: enough for a build in which nothing changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    /// From the lowest up.
    layers: Vec<Layer>,
    epoch: i64,
    findings: Vec<Finding>,
}

/// Builds an image.
///
/// # Errors
/// Those of every step, each with its class; [`Cancelled`] alone once the context's token was cancelled.
pub fn build(job: &Job<'_>, context: &Context) -> Result<Built> {
    build_in_steps(job, context).map_err(|error| match context.cancellation.is_cancelled() {
        // What failed because of it is of no interest.
        true => Cancelled.into(),
        false => error,
    })
}

fn build_in_steps(job: &Job<'_>, context: &Context) -> Result<Built> {
    context.cancellation.check()?;
    let request = request(job)?;
    let (resolution, locked) = resolve(job, &request, context)?;
    context.cancellation.check()?;
    let recipe = Recipe::new(job.profile, &request, resolution.pins(), job.epoch, job.compression);
    let (made, reused) = match stored(&recipe, context)? {
        Some(made) => (made, true),
        None => {
            tell_miss(job, &recipe, context)?;
            let made = make(job, resolution, &recipe, context)?;
            (made, false)
        }
    };
    remember(job, &recipe, context)?;
    let image = image(job, &made);
    Ok(Built { image, recipe: recipe.digest(), reused, findings: made.findings, locked })
}

/// Whether the store has the layers of these images undamaged. A damaged one is dropped, so that the next build makes it again.
///
/// # Errors
/// When the store fails.
pub fn is_whole(built: &[Built], store: &Store) -> Result<bool> {
    let reused = built.iter().filter(|built| built.reused).flat_map(|built| &built.image.layers);
    let mut whole = true;
    for layer in reused {
        whole &= store.open_blob(&layer.digest)?.is_some();
    }
    Ok(whole)
}

/// Chooses the packages anew and pins them in `lock`.
///
/// # Errors
/// Those of resolving.
pub fn lock(job: &Job<'_>, lock: &mut Lock, context: &Context) -> Result<Pins> {
    let request = request(job)?;
    context.reporter.event(Event::Phase(Phase::Resolve));
    let pins = job.backend.pin(&request, context)?;
    lock.set(job.backend.name(), &request, pins.clone());
    Ok(pins)
}

/// The whole root tree of a job, completed but not pruned, and its closure: for those who ask why, and why not.
///
/// # Errors
/// Those of resolving, producing and walking.
pub fn explain(job: &Job<'_>, context: &Context) -> Result<(RootTree, Closure)> {
    let request = request(job)?;
    let (resolution, _) = resolve(job, &request, context)?;
    let Produced { mut tree, .. } = produce(resolution, context)?;
    let (closure, _) = prune(job, &mut tree)?;
    Ok((tree, closure))
}

/// What a profile asks of a backend for a board.
///
/// # Errors
/// When the profile names no packages for a backend that needs some.
pub fn request_of(profile: &Profile, board: &Board, backend: &dyn Backend) -> Result<Request> {
    let family = backend.family();
    let packages = profile.packages.get(family).cloned().unwrap_or_default();
    if packages.is_empty() && !backend.works_without_packages() {
        let known: Vec<&str> = profile.packages.keys().map(String::as_str).collect();
        let message = format!(
            "the profile {} names no packages for the backend {}: add `{family} = [...]` under [packages] (it has: {})",
            profile.name,
            backend.name(),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        );
        return Err(Error::new(Class::Profile, message));
    }
    Ok(Request { board: board.clone(), source: profile.source.clone(), packages })
}

fn request(job: &Job<'_>) -> Result<Request> {
    request_of(job.profile, job.board, job.backend)
}

/// The pins from the lock, or else chosen now; and whether the lock had them.
fn resolve<'j>(job: &Job<'j>, request: &Request, context: &Context) -> Result<(Box<dyn Resolution + 'j>, bool)> {
    let why = match job.lock.map(|lock| lock.pins(job.backend.name(), request)) {
        Some(Found::Pins(pins)) => {
            let pinned = Pinned::new(job.backend, request.clone(), pins.clone(), context.clone());
            return Ok((Box::new(pinned), true));
        }
        Some(Found::Stale(why)) => Some(why),
        None => None,
    };
    if job.locked {
        let why = why.unwrap_or_else(|| "there is no lock next to the profile".to_owned());
        let message =
            format!("--locked was given, but {why}; write it with `minimg lock` and the same profile and options");
        return Err(Error::new(Class::Stale, message));
    }
    if let Some(why) = why {
        context
            .reporter
            .event(Event::Warning(&format!("the lock is not used: {why}; `minimg lock` brings it up to date")));
    }
    context.reporter.event(Event::Phase(Phase::Resolve));
    Ok((job.backend.resolve(request, context)?, false))
}

/// The layers that the store holds for this recipe, if all their blobs and the record are there too.
fn stored(recipe: &Recipe, context: &Context) -> Result<Option<Made>> {
    let Some(bytes) = context.store.entry(MADE, &recipe.digest())? else { return Ok(None) };
    let made: Option<Made> = serde_json::from_slice(&bytes).ok();
    let Some(made) = made else { return Ok(None) };
    // Only looked at: when no output needs the blobs, nobody reads them. Who needs them asks `is_whole`.
    if !made.layers.iter().all(|layer| context.store.has_blob(&layer.digest, Some(layer.size))) {
        return Ok(None);
    }
    // Layers that nobody could explain are made anew with their record.
    if Record::stored(&context.store, &recipe.digest())?.is_none() {
        return Ok(None);
    }
    for layer in &made.layers {
        context.reporter.event(Event::Reused { what: Reused::Layer, bytes: layer.size });
    }
    Ok(Some(made))
}

fn make(job: &Job<'_>, resolution: Box<dyn Resolution + '_>, recipe: &Recipe, context: &Context) -> Result<Made> {
    let Produced { mut tree, retain } = produce(resolution, context)?;
    context.cancellation.check()?;
    context.reporter.event(Event::Phase(Phase::Prune));
    let (closure, epoch) = prune(job, &mut tree)?;
    let kept = kept_tree(&tree, &closure, epoch)?;
    layer::refuse_whiteouts(&kept)?;
    let findings = check(job, &kept, &closure)?;
    context.cancellation.check()?;
    context.reporter.event(Event::Phase(Phase::WriteLayer));
    // Before the layer is written, since it then reads what was just stored, and nothing is unpacked twice.
    if let Some(retain) = retain {
        retain.retain(&kept)?;
    }
    let options = layer::Options {
        epoch,
        compression: job.compression,
        created_by: "minimg",
        jobs: context.settings.jobs,
        reporter: &*context.reporter,
    };
    let layers = vec![layer::write(&kept, &options, &context.store)?];
    let made = Made { layers, epoch, findings };
    let pruned = Pruned { tree: &tree, kept: &kept, closure: &closure };
    Record::new(job.profile, job.board, recipe, &made.layers, pruned, &made.findings).save(&context.store)?;
    let bytes = serde_json::to_vec(&made).map_err(|error| Error::new(Class::Machine, error))?;
    context.store.put_entry(MADE, &recipe.digest(), &bytes)?;
    Ok(made)
}

fn produce(resolution: Box<dyn Resolution + '_>, context: &Context) -> Result<Produced> {
    context.reporter.event(Event::Phase(Phase::FetchAndUnpack));
    resolution.produce()
}

/// Completes the tree and marks what stays of it; the second value is the time that no file of the image exceeds.
fn prune(job: &Job<'_>, tree: &mut RootTree) -> Result<(Closure, i64)> {
    let newest =
        |counts: fn(&Node) -> bool| tree.iter().filter(|(_, node)| counts(node)).map(|(_, node)| node.meta.mtime).max();
    // What no package owns may have been made while the tree was; a tree without packages has nothing better to tell.
    let newest = newest(|node| node.package.is_some()).or_else(|| newest(|_| true));
    let epoch = job.epoch.or(newest).unwrap_or(0);
    let added = compose::complete(tree, job.profile, epoch)?;
    let keep = Keep { programs: programs(job, tree, &added), ..job.profile.keep.clone() };
    let image = &job.profile.image;
    let options = ClosureOptions {
        env: image.env.clone(),
        working_directory: working_directory(job),
        added: objects(tree, &added),
    };
    let mut closure = closure::closure_of(tree, &keep, options)?;
    for (path, why) in added {
        closure.kept.entry(path).or_insert_with(|| closure::Reason { why: closure::Why::Added(why), via: None });
    }
    compose::keep_package_metadata(tree, &mut closure);
    Ok((closure, epoch))
}

/// The directory that the image's program starts in.
fn working_directory(job: &Job<'_>) -> RootPath {
    RootPath::root().join_clamped(&job.profile.image.workdir)
}

/// What the profile adds that a program may load, such as the modules of an interpreter: it is no program, but needs libraries.
fn objects(tree: &RootTree, added: &compose::Added) -> compose::Added {
    let is_object = |path: &&RootPath| match tree.get(path) {
        Some(Node { kind: Kind::File(content), .. }) => content.map().is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")),
        _ => false,
    };
    let objects = added.keys().filter(is_object);
    objects.filter_map(|path| Some((path.clone(), added.get(path)?.clone()))).collect()
}

/// The profile's programs, and what it adds that can be run itself.
fn programs(job: &Job<'_>, tree: &RootTree, added: &compose::Added) -> Vec<String> {
    let runs = |path: &&RootPath| match tree.get(path) {
        Some(Node { kind: Kind::File(content), meta, .. }) if meta.mode & 0o111 != 0 => {
            content.map().is_ok_and(|bytes| bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!"))
        }
        _ => false,
    };
    let added = added.keys().filter(runs).map(ToString::to_string);
    job.profile.keep.programs.iter().cloned().chain(added).collect()
}

/// The part of the tree that stays, with the loaders' caches written for exactly that part.
fn kept_tree(tree: &RootTree, closure: &Closure, epoch: i64) -> Result<RootTree> {
    let mut kept = tree.subset(|path, _| closure.kept.contains_key(path));
    compose::trim_metadata(&mut kept)?;
    for (path, cache) in closure::ldcache::for_tree(&kept, tree)? {
        kept.insert(path, Node::file(0o644, cache).at(epoch));
    }
    kept.add_parents_from(tree);
    Ok(kept)
}

/// What people should know of the kept tree; what would make the image fail is an error here.
fn check(job: &Job<'_>, kept: &RootTree, closure: &Closure) -> Result<Vec<Finding>> {
    let mut findings = closure.findings.clone();
    let settings = CheckSettings {
        env: job.profile.image.env.clone(),
        working_directory: working_directory(job),
        ..CheckSettings::default()
    };
    findings.extend(closure::check::check(kept, &settings)?);
    findings.extend(missing_start(&job.profile.image, kept));
    findings.sort();
    findings.dedup();
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    if errors.is_empty() {
        return Ok(findings);
    }
    let lines: Vec<String> = errors.iter().map(|error| format!("\n  {}: {}", error.path, error.message)).collect();
    Err(Error::new(Class::Incomplete, format!("the image would not be complete:{}", lines.concat())))
}

/// The program that the image starts, where it is not in it.
fn missing_start(config: &Config, kept: &RootTree) -> Option<Finding> {
    let program = config.entrypoint.first().or(config.cmd.first())?;
    let places = places_of_program(program, &config.env, &config.workdir);
    let is_there = |place: &String| {
        tree::resolve(kept, &RootPath::root(), place.as_bytes())
            .is_ok_and(|found| matches!(found.entry, Some(Entry::File { .. })))
    };
    (!places.iter().any(is_there)).then(|| Finding {
        severity: Severity::Error,
        path: program.clone(),
        message: "the image starts this program, which is not in it; add it to `programs` under [keep], or mend `entrypoint` or `cmd`".into(),
    })
}

/// Says why the layer must be made: what changed since the last build of the same profile and board.
fn tell_miss(job: &Job<'_>, recipe: &Recipe, context: &Context) -> Result<()> {
    let last = context.store.entry("last-recipe", &subject(job))?;
    let last: Option<Recipe> = last.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let why = last.map_or_else(|| "it was not built before".to_owned(), |last| recipe.difference(&last));
    context.reporter.event(Event::Missed { what: "layer", why: &why });
    Ok(())
}

fn remember(job: &Job<'_>, recipe: &Recipe, context: &Context) -> Result<()> {
    let bytes = serde_json::to_vec(recipe).map_err(|error| Error::new(Class::Machine, error))?;
    let same = context.store.entry("last-recipe", &subject(job))?.is_some_and(|last| last == bytes);
    if !same {
        context.store.put_entry("last-recipe", &subject(job), &bytes)?;
    }
    Ok(())
}

/// What two builds must have in common for the second to be called a repetition.
fn subject(job: &Job<'_>) -> Digest {
    digest_of(&(&job.profile.name, &job.board.name, job.backend.name()))
}

fn created_by(job: &Job<'_>) -> String {
    format!("minimg {} {} --board {}", job.command, job.profile.name, job.board.name)
}

/// The image. What it says of how it was made comes from this job: the layers may have been made by another one.
fn image(job: &Job<'_>, made: &Made) -> Image {
    let own = |layer: &Layer| Layer { created_by: created_by(job), ..layer.clone() };
    Image {
        reference: job.reference.to_owned(),
        platform: job.board.platform.clone(),
        config: job.profile.image.clone(),
        layers: made.layers.iter().map(own).collect(),
        created: made.epoch,
        annotations: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
