//! `ld.so.conf`: the directories that `ldconfig` searches besides the built-in ones.

use std::collections::BTreeSet;
use std::io;

use crate::view::View;
use minimg_tree::{Entry, Root, RootPath};

/// How deep `include` may nest; real files nest once.
const MAX_DEPTH: usize = 8;
/// More directories than this are a mistake.
const MAX_DIRECTORIES: usize = 4096;
/// More files, or patterns that name some, are one too.
const MAX_INCLUDES: usize = 1024;

/// The directories in the order of the file at `path`, each as it is written. A file that several others include is read once: its directories
/// are known from then on.
pub(super) fn directories<R: Root + ?Sized>(view: &View<'_, R>, path: &[u8]) -> io::Result<Vec<Box<[u8]>>> {
    let mut reading = Reading { view, found: Vec::new(), files: BTreeSet::new(), patterns: BTreeSet::new() };
    reading.read(path, MAX_DEPTH)?;
    Ok(reading.found)
}

struct Reading<'v, 'r, R: ?Sized> {
    view: &'v View<'r, R>,
    found: Vec<Box<[u8]>>,
    /// The files that were read.
    files: BTreeSet<RootPath>,
    /// The patterns that were expanded.
    patterns: BTreeSet<Vec<u8>>,
}

impl<R: Root + ?Sized> Reading<'_, '_, R> {
    fn read(&mut self, path: &[u8], depth: usize) -> io::Result<()> {
        let Some(place) = self.view.file(path)? else { return Ok(()) };
        if self.files.len() == MAX_INCLUDES || !self.files.insert(place.path.clone()) {
            return Ok(());
        }
        let Some(content) = self.view.content(path)? else { return Ok(()) };
        for line in content.split(|&b| b == b'\n') {
            let line = line.split(|&b| b == b'#').next().unwrap_or_default().trim_ascii();
            let include =
                line.strip_prefix(b"include").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
            if let Some(patterns) = include {
                for pattern in patterns.split(u8::is_ascii_whitespace).filter(|p| !p.is_empty() && depth > 0) {
                    self.include(path, pattern, depth - 1)?;
                }
                continue;
            }
            if line.starts_with(b"hwcap ") || line.starts_with(b"hwcap\t") {
                continue;
            }
            // Old files give a directory's type after an equals sign.
            let directory = line.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
            if directory.starts_with(b"/") && self.found.len() < MAX_DIRECTORIES {
                self.found.push(directory.into());
            }
        }
        Ok(())
    }

    fn include(&mut self, file: &[u8], pattern: &[u8], depth: usize) -> io::Result<()> {
        let pattern = if pattern.starts_with(b"/") {
            pattern.to_vec()
        } else {
            let directory = file.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
            [&file[..directory], pattern].concat()
        };
        if self.patterns.len() == MAX_INCLUDES || !self.patterns.insert(pattern.clone()) {
            return Ok(());
        }
        expand(self.view, pattern)?.iter().try_for_each(|file| self.read(file, depth))
    }
}

/// The files that a pattern names, sorted. Wildcards are known in the last component, where all real files have them.
fn expand<R: Root + ?Sized>(view: &View<'_, R>, pattern: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
    if !pattern.iter().any(|b| b"*?[".contains(b)) {
        return Ok(vec![pattern]);
    }
    let slash = pattern.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let (directory, name) = pattern.split_at(slash);
    let glob = std::str::from_utf8(name).ok().and_then(|name| globset::Glob::new(name).ok());
    let Some(glob) = glob.map(|glob| glob.compile_matcher()) else { return Ok(Vec::new()) };
    let names = match view.place(directory)? {
        Ok(place) if place.entry == Entry::Directory => view.root().list(&place.path)?,
        _ => return Ok(Vec::new()),
    };
    let matching = names.iter().filter(|name| name.first() != Some(&b'.') && glob.is_match(as_path(name)));
    Ok(matching.map(|name| [directory, name].concat()).collect())
}

fn as_path(name: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(name))
}
