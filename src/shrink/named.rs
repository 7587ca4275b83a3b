//! Files that a program names in its own text: configuration, data, and directories that it writes into.

use std::collections::{BTreeSet, VecDeque};

use super::Started;
use super::places::{Places, is_shared};
use minimg_elf::{Shebang, commands_of};
use minimg_tree::{Entry, Kind, Node, PATH_MAX, RootPath};

/// No program names more paths than this.
const MAX_PATHS: usize = 20_000;
/// Larger files beside a program are data and not configuration.
const MAX_CONFIGURATION: u64 = 1 << 20;
/// Of a longer script the beginning is read.
const LONGEST_SCRIPT: usize = 1 << 20;
/// No more files than this are read for what they name.
const MAX_READ: usize = 10_000;

/// Keeps what these programs name and were installed with, and so for the programs that their scripts run and for the configuration that
/// is kept; returns every file that was read for it. `find` finds a program by path or by name.
pub(super) fn keep(
    places: &mut Places<'_>,
    started: impl Iterator<Item = Started>,
    find: impl Fn(&str) -> Option<Started>,
) -> BTreeSet<RootPath> {
    let mut pending: VecDeque<RootPath> = started.map(|program| install(places, program)).collect();
    let mut read: BTreeSet<RootPath> = BTreeSet::new();
    while let Some(file) = pending.pop_front() {
        if read.len() >= MAX_READ || !read.insert(file.clone()) {
            continue;
        }
        let Some((_, Node { kind: Kind::File(content), .. })) = places.tree().content_node(&file) else { continue };
        // A file that cannot be read is the walk's to report.
        let Ok(bytes) = content.map() else { continue };
        for program in run_by(&bytes).iter().filter_map(|program| find(program)) {
            pending.push_back(install(places, program));
        }
        for path in paths(&bytes) {
            pending.extend(keep_named(places, &path, &file));
        }
    }
    read
}

fn install(places: &mut Places<'_>, program: Started) -> RootPath {
    places.keep_installation(&program.path);
    places.keep_installation(&program.file);
    program.file
}

/// The interpreter of a script and the commands in it. That they stay is the walk's business.
fn run_by(bytes: &[u8]) -> Vec<String> {
    let Ok(Some(shebang)) = Shebang::parse(bytes) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_SCRIPT)]);
    std::iter::once(shebang.program()).chain(commands_of(&shebang, &text)).collect()
}

/// Keeps what is at a path that `by` names, and returns the configuration among it.
fn keep_named(places: &mut Places<'_>, name: &str, by: &RootPath) -> Vec<RootPath> {
    let reason = format!("{by} names {name}");
    let Some((path, found)) = places.go(name.as_bytes(), &reason) else { return Vec::new() };
    match found.entry {
        // A file that the program makes itself.
        None => {
            if let Some(parent) = path.parent().filter(|_| found.path.parent().is_some_and(|place| !is_shared(&place)))
            {
                places.keep_entry(&parent, &reason);
            }
            Vec::new()
        }
        Some(Entry::Directory) if is_shared(&found.path) => Vec::new(),
        Some(Entry::Directory) => {
            places.keep_entry(&path, &reason);
            keep_directory(places, &path, &found.path, &reason)
        }
        Some(_) => {
            places.keep_entry(&path, &reason);
            match configuration_directory(&path).filter(|directory| !is_shared(directory)) {
                Some(directory) => keep_directory(places, &directory, &directory, &reason),
                None if path.components().next() == Some(b"etc") => vec![found.path],
                None => Vec::new(),
            }
        }
    }
}

fn keep_directory(places: &mut Places<'_>, place: &RootPath, directory: &RootPath, reason: &str) -> Vec<RootPath> {
    let is_in = |parents: &[&[u8]]| {
        let mut components = directory.components();
        components.next() == Some(parents[0]) && parents.get(1).is_none_or(|second| components.next() == Some(second))
    };
    // What was written there while the image was made is of no use; that the directory is there is.
    if is_in(&[b"var", b"log"]) || is_in(&[b"var", b"cache"]) {
        return Vec::new();
    }
    places.keep_below(place, directory, reason);
    if is_in(&[b"usr"]) || is_in(&[b"var"]) {
        return Vec::new();
    }
    let is_read = |node: &Node| match &node.kind {
        Kind::File(content) => content.size() <= MAX_CONFIGURATION && (is_in(&[b"etc"]) || node.meta.mode & 0o111 != 0),
        _ => false,
    };
    places.tree().below(directory).filter(|(_, node)| is_read(node)).map(|(path, _)| path.clone()).collect()
}

/// `/etc/x` for `/etc/x/...`.
fn configuration_directory(path: &RootPath) -> Option<RootPath> {
    let mut components = path.components();
    let (first, second, _) = (components.next()?, components.next()?, components.next()?);
    (first == b"etc").then(|| RootPath::root().child(first).child(second))
}

/// The absolute names in a program or text, without those of kernel file systems and those that only people read.
fn paths(bytes: &[u8]) -> BTreeSet<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+@~/".contains(byte);
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'/', &bytes[from..]).map(|at| from + at) {
        let length = bytes[at..].iter().take(PATH_MAX).take_while(|byte| is_part(byte)).count();
        from = at + length;
        if at > 0 && is_part(&bytes[at - 1]) {
            continue;
        }
        // The end of a sentence is no part of the name.
        let text = &bytes[at..from];
        let text = text.strip_suffix(b".").unwrap_or(text);
        let name = String::from_utf8_lossy(text);
        let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let Some(first) = parts.first() else { continue };
        if found.len() < MAX_PATHS && !is_virtual(first) && !is_for_people(text) {
            found.insert(format!("/{}", parts.join("/")));
        }
    }
    found
}

fn is_virtual(top: &str) -> bool {
    matches!(top, "boot" | "dev" | "proc" | "run" | "sys" | "tmp")
}

/// Manuals, and the source code that debuggers want.
fn is_for_people(text: &[u8]) -> bool {
    let is_source =
        [".c", ".cc", ".cpp", ".go", ".h", ".hpp", ".rs", ".S", ".s"].iter().any(|e| text.ends_with(e.as_bytes()));
    is_source || ["doc", "info", "man"].iter().any(|name| text.starts_with(format!("/usr/share/{name}/").as_bytes()))
}
