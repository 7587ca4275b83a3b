//! Answers to "why is this in the image", "why is it not", and "what does this program load".

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::closure::{Closure, Why};
use crate::glob::{glob_path, parse_glob};
use crate::keep::Keep;
use crate::loader::{CacheSource, Loader, LoaderSettings, Process, Role};
use crate::text::show;
use minimg_tree::{Kind, Root, RootPath, RootTree};

/// One step of a chain: a kept path and what brought it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The path.
    pub path: RootPath,
    /// What brought it in.
    pub why: Why,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

/// The chain from a line of the profile to `path`: the profile's own step first. Empty when the path is not kept; for a directory that
/// is kept because of what is in it, the chain of the first path in it.
pub fn why(closure: &Closure, path: &RootPath) -> Vec<Step> {
    let within = |path: &RootPath| closure.kept.keys().find(|kept| kept.starts_with(path)).cloned();
    let mut at = if closure.kept.contains_key(path) { Some(path.clone()) } else { within(path) };
    let mut chain: Vec<Step> = Vec::new();
    while let Some(path) = at.take() {
        // Reasons are written once and never in a circle, but a record may have been edited.
        let Some(reason) = closure.kept.get(&path).filter(|_| chain.iter().all(|step| step.path != path)) else {
            break;
        };
        at = reason.via.clone();
        chain.push(Step { path, why: reason.why.clone() });
    }
    chain.reverse();
    chain
}

/// Why a path is not in the image, and what would keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyNot {
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// The package that has it, as `name version`.
    pub package: Option<String>,
    /// What would keep it, as lines of a profile.
    pub remedies: Vec<String>,
}

/// What became of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate", content = "of")]
pub enum Fate {
    /// It is in the image.
    Kept,
    /// The tree before pruning does not have it; similar paths.
    Unknown(Vec<String>),
    /// A drop glob leaves it out.
    Dropped(String),
    /// Nothing that is kept needs it.
    NotNeeded,
}

/// Why `path` of the full `tree` is not in the closure that `keep` gave.
pub fn why_not(tree: &RootTree, closure: &Closure, keep: &Keep, path: &RootPath) -> WhyNot {
    let package = tree.get(path).and_then(|node| tree.package_of(node));
    let mut answer = WhyNot {
        fate: Fate::NotNeeded,
        package: package.map(|package| format!("{} {}", package.name, package.version)),
        remedies: Vec::new(),
    };
    if !why(closure, path).is_empty() {
        answer.fate = Fate::Kept;
        return answer;
    }
    let Some(node) = tree.get(path) else {
        answer.fate = Fate::Unknown(same_name(tree, path));
        return answer;
    };
    let matches = |glob: &str| parse_glob(glob).is_ok_and(|glob| glob.compile_matcher().is_match(glob_path(path)));
    if let Some(pattern) = keep.drop.iter().find(|pattern| matches(&pattern.glob)) {
        answer.fate = Fate::Dropped(format!("{} ({})", pattern.glob, pattern.reason));
        answer.remedies.push(format!("narrow the drop glob {}", pattern.glob));
        return answer;
    }
    for rule in keep.rule_sets.all().filter(|rule| rule.keep.iter().any(|glob| matches(glob))) {
        answer.remedies.push(format!("rules = [\"{}\"] under [keep] ({})", rule.name, rule.description));
    }
    if matches!(node.kind, Kind::File(_)) && node.meta.mode & 0o111 != 0 {
        answer.remedies.push(format!("programs = [\"{path}\"] under [keep]"));
    }
    let reason = "say why";
    answer.remedies.push(format!("\"{path}\" = \"{reason}\" under [keep.globs]"));
    answer
        .remedies
        .extend(package.map(|package| format!("packages = [\"{}\"] under [keep], for all of its files", package.name)));
    answer
}

fn same_name(tree: &RootTree, path: &RootPath) -> Vec<String> {
    let same = tree.iter().filter(|(other, _)| other.file_name() == path.file_name());
    same.take(5).map(|(path, _)| path.to_string()).collect()
}

/// A program or library with what it names, as `libtree` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LibraryTree {
    /// The name that was asked for.
    pub name: String,
    /// Where it was found; `None` when it was not.
    pub path: Option<RootPath>,
    /// How it was found or what is wrong with it.
    pub how: String,
    /// Whether its own libraries were listed further up already.
    pub repeated: bool,
    /// What it names.
    pub needs: Vec<LibraryTree>,
}

/// The libraries of one program of `root`; `None` when there is no ELF file of that name.
///
/// # Errors
/// When the root cannot be read.
pub fn library_tree<R: Root + ?Sized>(
    root: &R,
    program: &str,
    env: &BTreeMap<String, String>,
) -> io::Result<Option<LibraryTree>> {
    let settings = LoaderSettings { environment: env.clone(), cache: CacheSource::Either, ..LoaderSettings::default() };
    let name = format!("/{}", program.trim_start_matches('/'));
    let process = Loader::new(root, settings).start(name.as_bytes())?;
    Ok(process.map(|process| branch(&process, 0, program.to_owned(), &mut vec![false; process.loaded.len()])))
}

fn branch(process: &Process, at: usize, name: String, listed: &mut [bool]) -> LibraryTree {
    let loaded = &process.loaded[at];
    let repeated = std::mem::replace(&mut listed[at], true);
    let how = match loaded.role {
        Role::Program => "program".to_owned(),
        Role::Interpreter => "loader".to_owned(),
        _ => format!("found as {}", show(&loaded.opened)),
    };
    let mut needs = Vec::new();
    if !repeated {
        for &dependency in &loaded.depends {
            needs.push(branch(process, dependency, show(&process.loaded[dependency].name), listed));
        }
        for missing in process.missing.iter().filter(|missing| missing.asker == at) {
            let tried = missing.tried.iter().map(|tried| format!("{} ({})", show(&tried.path), tried.why));
            let how = format!("not found: {}", tried.collect::<Vec<_>>().join(", "));
            needs.push(LibraryTree { name: show(&missing.name), path: None, how, repeated: false, needs: Vec::new() });
        }
    }
    LibraryTree { name, path: Some(loaded.place.path.clone()), how, repeated, needs }
}
