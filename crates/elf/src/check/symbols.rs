//! Versions and symbols: each is looked up in the scope of the program that loads the file.
//!
//! Most symbols of a library are found in the libraries that it names itself, which are in the scope of every program that loads it. So
//! each file is looked up once against what it names, and only what is left is looked up in each program.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::elf::{Referenced, SymbolTable, Version, copied_symbols, gnu_hash, referenced_symbols};
use crate::finding::{Finding, Severity};
use crate::loader::Process;
use crate::system::Libc;
use crate::text::show;
use crate::view::Object;
use minimg_tree::FileId;

/// How much it matters that something is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The program fails.
    Program,
    /// The program that opens the library may provide it.
    Plugin,
}

/// A symbol that a file needs of others.
struct Reference<'a> {
    name: &'a [u8],
    hash: u32,
    version: Option<Version<'a>>,
    when: Referenced,
    /// The content is copied into the program, so its own definition does not count.
    copied: bool,
}

struct File<'a> {
    table: Option<SymbolTable<'a>>,
    references: Vec<Reference<'a>>,
}

/// All files of all processes.
pub(super) struct Scopes<'a> {
    files: HashMap<FileId, File<'a>>,
    /// What is left of a file's references after those that the files it names satisfy.
    left: HashMap<(FileId, Vec<FileId>), Vec<usize>>,
    versions_checked: BTreeSet<(FileId, FileId)>,
    reported: BTreeSet<(FileId, usize)>,
}

impl<'a> Scopes<'a> {
    pub(super) fn new(processes: impl Iterator<Item = &'a Process>) -> Self {
        let mut files = HashMap::new();
        for loaded in processes.flat_map(|process| &process.loaded) {
            files.entry(loaded.object.id).or_insert_with(|| File::of(&loaded.object));
        }
        Self { files, left: HashMap::new(), versions_checked: BTreeSet::new(), reported: BTreeSet::new() }
    }

    /// What is not found for the files of one process. `openers` are the programs that may open it, when it is a plugin.
    pub(super) fn check(&mut self, process: &Process, strictness: Strictness, openers: &[Process]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let scope: Vec<FileId> = process.order.iter().map(|&at| process.loaded[at].object.id).collect();
        for &at in &process.order {
            // musl knows no versions.
            if process.libc() == Some(Libc::Glibc) {
                self.check_versions(process, at, &mut findings);
            }
            let id = process.loaded[at].object.id;
            let left = self.left_over(process, at);
            let mut missing: Vec<usize> =
                left.into_iter().filter(|&index| !self.provided(process, id, index, &scope)).collect();
            if missing.is_empty() || !process.missing.is_empty() {
                continue;
            }
            if strictness == Strictness::Plugin && openers.iter().any(|opener| self.all_provided(opener, id, &missing))
            {
                continue;
            }
            missing.retain(|&index| self.reported.insert((id, index)));
            findings.extend(self.report(process, at, strictness, &missing));
        }
        findings
    }

    /// The references of a file that nothing it names satisfies.
    fn left_over(&mut self, process: &Process, at: usize) -> Vec<usize> {
        let id = process.loaded[at].object.id;
        let near: Vec<FileId> = reachable(process, at).into_iter().map(|at| process.loaded[at].object.id).collect();
        let key = (id, near);
        if let Some(known) = self.left.get(&key) {
            return known.clone();
        }
        let count = self.files.get(&id).map_or(0, |file| file.references.len());
        let left: Vec<usize> = (0..count).filter(|&index| !self.provided(process, id, index, &key.1)).collect();
        self.left.insert(key, left.clone());
        left
    }

    fn provided(&self, process: &Process, id: FileId, index: usize, scope: &[FileId]) -> bool {
        let Some(reference) = self.files.get(&id).and_then(|file| file.references.get(index)) else { return true };
        let version = reference.version.as_ref().filter(|_| process.libc() == Some(Libc::Glibc));
        scope.iter().filter(|&&other| !reference.copied || other != id).any(|other| {
            let table = self.files.get(other).and_then(|file| file.table.as_ref());
            table.is_some_and(|table| table.satisfies(reference.name, reference.hash, version))
        })
    }

    fn all_provided(&self, opener: &Process, id: FileId, indexes: &[usize]) -> bool {
        let scope: Vec<FileId> = opener.order.iter().map(|&at| opener.loaded[at].object.id).collect();
        indexes.iter().all(|&index| self.provided(opener, id, index, &scope))
    }

    fn report(&self, process: &Process, at: usize, strictness: Strictness, missing: &[usize]) -> Vec<Finding> {
        let Some(file) = self.files.get(&process.loaded[at].object.id) else { return Vec::new() };
        // What a program opens may bring along what its library lacks.
        let mut by_severity: BTreeMap<Severity, Vec<String>> = BTreeMap::new();
        for reference in missing.iter().filter_map(|&index| file.references.get(index)) {
            let lazy = reference.when == Referenced::Lazily && process.libc() != Some(Libc::Musl);
            let severity = match (strictness, lazy) {
                (Strictness::Plugin, _) => Severity::Note,
                (Strictness::Program, true) => Severity::Warning,
                (Strictness::Program, false) => Severity::Error,
            };
            let version = reference.version.map(|version| format!("@{}", show(version.name))).unwrap_or_default();
            by_severity.entry(severity).or_default().push(format!("{}{version}", show(reference.name)));
        }
        let path = process.loaded[at].place.path.to_string();
        let chain = chain(process, at);
        let finding = |(severity, names): (Severity, Vec<String>)| {
            let effect = match severity {
                Severity::Error => "the program does not start",
                Severity::Warning => "the program fails when it calls it",
                Severity::Note => "the program that opens this library must provide it",
            };
            let message = format!("nothing defines {}, needed by {chain}: {effect}", shorten(names));
            Finding { severity, path: path.clone(), message }
        };
        by_severity.into_iter().map(finding).collect()
    }

    fn check_versions(&mut self, process: &Process, at: usize, findings: &mut Vec<Finding>) {
        let id = process.loaded[at].object.id;
        let Some(table) = self.files.get(&id).and_then(|file| file.table.as_ref()) else { return };
        for requirement in table.requirements() {
            let Some(provider) = process.named(requirement.file).map(|index| &process.loaded[index]) else { continue };
            if !self.versions_checked.insert((id, provider.object.id)) {
                continue;
            }
            let theirs = self.files.get(&provider.object.id).and_then(|file| file.table.as_ref());
            let path = process.loaded[at].place.path.to_string();
            let mut find = |severity, message| findings.push(Finding { severity, path: path.clone(), message });
            let from = &provider.place.path;
            let Some(theirs) = theirs.filter(|table| table.defines_versions()) else {
                // With a table of versions, be it only for what it needs, the loader warns; without one its assertion in
                // `check_match` aborts the program.
                let (severity, effect) = match theirs.is_some_and(SymbolTable::has_versions) {
                    true => (Severity::Warning, "the loader warns of it at every start"),
                    false => (Severity::Error, "the loader aborts the program"),
                };
                let text = "has no versions, but this file was linked with a version that has them";
                find(severity, format!("{from} {text}: {effect}"));
                continue;
            };
            for (version, _) in
                requirement.versions.iter().filter(|(name, weak)| !weak && !theirs.defines_version(name))
            {
                let chain = chain(process, at);
                find(Severity::Error, format!("the version {} is not in {from}, needed by {chain}", show(version)));
            }
        }
    }
}

impl<'a> File<'a> {
    fn of(object: &'a Object) -> Self {
        let facts = object.facts.as_ref().ok();
        let table = facts.and_then(|facts| SymbolTable::new(&object.bytes, facts));
        let references = match (facts, &table) {
            (Some(facts), Some(table)) => references(object, facts, table),
            _ => Vec::new(),
        };
        Self { table, references }
    }
}

fn references<'a>(object: &Object, facts: &crate::elf::Facts, table: &SymbolTable<'a>) -> Vec<Reference<'a>> {
    let copied: BTreeSet<u32> = copied_symbols(&object.bytes, facts).into_iter().collect();
    let mut found = Vec::new();
    for (index, when) in referenced_symbols(&object.bytes, facts) {
        let Some(symbol) = table.get(index as usize) else { continue };
        let copied = copied.contains(&index);
        if symbol.is_weak() || symbol.is_local() || symbol.name.is_empty() || !(copied || symbol.is_undefined()) {
            continue;
        }
        let version = table.version_needed(index as usize);
        found.push(Reference { name: symbol.name, hash: gnu_hash(symbol.name), version, when, copied });
    }
    found
}

/// The file itself and all that it names, directly or not, nearest first.
fn reachable(process: &Process, at: usize) -> Vec<usize> {
    let mut found = vec![at];
    let mut next = 0;
    while let Some(&current) = found.get(next) {
        let new: Vec<usize> = process.loaded[current].depends.iter().copied().filter(|d| !found.contains(d)).collect();
        found.extend(new);
        next += 1;
    }
    found
}

fn chain(process: &Process, at: usize) -> String {
    let mut chain: Vec<String> =
        process.askers(at).into_iter().map(|at| process.loaded[at].place.path.to_string()).collect();
    chain.reverse();
    chain.join(" -> ")
}

fn shorten(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(8);
    names.truncate(8);
    let list = names.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}
