//! Alpine's database: one file with a paragraph for each package, a letter, a colon and a value on each line (apk-tools, `database.c`).

use super::{Installed, MOST_PATHS, OwnershipError, collect, content, fixed_path};
use minimg_tree::{Content, Kind, PATH_MAX, Package, RootPath, RootTree, resolve};

/// Where the database is; newer releases keep it below /usr.
pub const PLACES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// Reads the tree's database, where it has one.
pub(super) fn read(tree: &mut RootTree) -> Result<Vec<Installed>, OwnershipError> {
    match database(tree) {
        None => Ok(Vec::new()),
        Some(path) => {
            let parsed = content(tree, &path)?.map(|bytes| parse(&bytes)).transpose();
            parsed.map(Option::unwrap_or_default).map_err(|message| OwnershipError::Malformed { path, message })
        }
    }
}

fn database(tree: &RootTree) -> Option<RootPath> {
    PLACES
        .map(fixed_path)
        .into_iter()
        .find(|path| matches!(tree.get(path), Some(node) if matches!(node.kind, Kind::File(_))))
}

/// Reads a database. Paragraphs without name, version or architecture name no package and are passed over.
///
/// # Errors
/// In words, when it names more than can be.
pub fn parse(bytes: &[u8]) -> Result<Vec<Installed>, String> {
    let (mut all, mut left) = (Vec::new(), MOST_PATHS);
    for paragraph in paragraphs(bytes) {
        let value = |key: &[u8]| {
            let line = paragraph.iter().find_map(|line| line.strip_prefix(key))?;
            (!line.is_empty()).then(|| String::from_utf8_lossy(line).into_owned())
        };
        let (Some(name), Some(version), Some(architecture)) = (value(b"P:"), value(b"V:"), value(b"A:")) else {
            continue;
        };
        let paths = collect(Files::new(&paragraph).filter_map(|(_, path)| path), &mut left)?;
        all.push(Installed { package: Package { name, version, architecture }, paths });
    }
    Ok(all)
}

/// Shortens the database in a pruned tree to the packages and files that are there.
///
/// # Errors
/// When it cannot be read.
pub fn trim(kept: &mut RootTree) -> Result<(), OwnershipError> {
    let Some(path) = database(kept) else { return Ok(()) };
    let Some(bytes) = content(kept, &path)? else { return Ok(()) };
    // Directories may be links, as in a merged /usr.
    let has = |path: &[u8]| resolve(kept, &RootPath::root(), path).is_ok_and(|found| found.entry.is_some());
    let mut trimmed = Vec::new();
    for paragraph in paragraphs(&bytes) {
        let is_there = Files::new(&paragraph).any(|(_, path)| path.is_some_and(|path| has(&path)));
        if !is_there {
            continue;
        }
        // What follows a file's or directory's line (owner, mode, checksum) goes with it.
        let mut keeping = true;
        for (line, path) in Files::new(&paragraph) {
            keeping = match (line.first(), path) {
                (Some(b'R'), Some(path)) => has(&path),
                (Some(b'F'), _) => line.get(2..).is_some_and(has),
                (Some(b'M' | b'Z' | b'a'), _) => keeping,
                _ => true,
            };
            if keeping {
                trimmed.extend_from_slice(line);
                trimmed.push(b'\n');
            }
        }
        trimmed.push(b'\n');
    }
    if let Some(node) = kept.get_mut(&path) {
        node.kind = Kind::File(Content::memory(trimmed));
    }
    Ok(())
}

fn paragraphs(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    lines.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty()).map(<[&[u8]]>::to_vec).collect()
}

/// The lines of a paragraph, and the path of the file that a line is of: `F:` names a directory, each `R:` after it a file there.
struct Files<'a> {
    lines: std::slice::Iter<'a, &'a [u8]>,
    directory: &'a [u8],
}

impl<'a> Files<'a> {
    fn new(paragraph: &'a [&'a [u8]]) -> Self {
        Self { lines: paragraph.iter(), directory: b"" }
    }
}

impl<'a> Iterator for Files<'a> {
    type Item = (&'a [u8], Option<Box<[u8]>>);

    fn next(&mut self) -> Option<Self::Item> {
        let line: &'a [u8] = self.lines.next()?;
        if let Some(directory) = line.strip_prefix(b"F:") {
            // None in a tree is longer.
            self.directory = directory.get(..PATH_MAX).unwrap_or(directory);
        }
        let name = line.strip_prefix(b"R:").filter(|name| !name.is_empty() && !name.contains(&b'/'));
        Some((line, name.map(|name| [self.directory, b"/", name].concat().into())))
    }
}
