//! Gentoo's database: a directory for each package with its list of files (PMS, "The installed package database"; portage(5)).

use std::collections::BTreeSet;

use super::{Installed, MOST_PATHS, OwnershipError, collect, content, fixed_path};
use minimg_tree::{Content, Kind, Package, RootPath, RootTree};

/// Where the database is: `CATEGORY/NAME-VERSION` below this.
pub const PLACE: &str = "var/db/pkg";
/// What of a package's entry says that it is there, to people and scanners.
pub const KEPT: [&str; 3] = ["CONTENTS", "LICENSE", "SIZE"];

/// Reads the tree's database, where it has one. What is below a package's own directory belongs to it.
pub(super) fn read(tree: &mut RootTree) -> Result<Vec<Installed>, OwnershipError> {
    let place = fixed_path(PLACE);
    let depth = place.components().count() + 2;
    let directories: BTreeSet<RootPath> = tree
        .below(&place)
        .filter_map(|(path, _)| path.parent())
        .filter(|path| path.components().count() == depth)
        .collect();
    let (mut all, mut left) = (Vec::new(), MOST_PATHS);
    for directory in directories {
        let Some(contents) = content(tree, &directory.child("CONTENTS"))? else { continue };
        let category = directory.parent().map(|parent| String::from_utf8_lossy(parent.file_name()).into_owned());
        let full = String::from_utf8_lossy(directory.file_name()).into_owned();
        let Some((name, version)) = split(&full) else { continue };
        let machine = content(tree, &directory.child("CHOST"))?.unwrap_or_default();
        let machine = String::from_utf8_lossy(&machine).trim().split('-').next().unwrap_or_default().to_owned();
        let own = tree.below(&directory).map(|(path, _)| path.as_bytes().into());
        let paths = collect(parse(&contents).into_iter().chain(own), &mut left);
        let paths = paths.map_err(|message| OwnershipError::Malformed { path: place.clone(), message })?;
        let package = Package {
            name: format!("{}/{name}", category.unwrap_or_default()),
            version: version.to_owned(),
            architecture: machine,
        };
        all.push(Installed { package, paths });
    }
    Ok(all)
}

/// The paths of files and links that a `CONTENTS` file lists: `obj PATH MD5 TIME`, `sym PATH -> TARGET TIME`, `fif PATH`, `dev PATH`.
pub fn parse(contents: &[u8]) -> Vec<Box<[u8]>> {
    contents.split(|&b| b == b'\n').filter_map(path_of).map(Into::into).collect()
}

fn path_of(line: &[u8]) -> Option<&[u8]> {
    let path = match line.split_at_checked(4)? {
        (b"obj ", rest) => {
            let digest = memchr::memrchr(b' ', rest)?;
            rest.get(..memchr::memrchr(b' ', rest.get(..digest)?)?)?
        }
        (b"sym ", rest) => rest.get(..memchr::memmem::find(rest, b" -> ")?)?,
        (b"fif " | b"dev ", rest) => rest,
        _ => return None,
    };
    (!path.is_empty()).then_some(path)
}

/// Tells name and version of `NAME-VERSION` apart: the version begins after the last dash that a digit follows, a revision `-rN` aside
/// (PMS, "Package names", "Version specifications").
pub fn split(full: &str) -> Option<(&str, &str)> {
    let is_revision =
        |text: &str| text.strip_prefix('r').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let without = match full.rsplit_once('-') {
        Some((rest, revision)) if is_revision(revision) => rest,
        _ => full,
    };
    let dash = without.rfind('-')?;
    let (name, version) = (full.get(..dash)?, full.get(dash + 1..)?);
    (!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit())).then_some((name, version))
}

/// Shortens the lists of files in a pruned tree to the files that are there.
///
/// # Errors
/// When a list cannot be read.
pub fn trim(kept: &mut RootTree) -> Result<(), OwnershipError> {
    let lists: Vec<RootPath> = kept
        .below(&fixed_path(PLACE))
        .map(|(path, _)| path)
        .filter(|path| path.file_name() == b"CONTENTS")
        .cloned()
        .collect();
    for path in lists {
        let Some(bytes) = content(kept, &path)? else { continue };
        let is_there = |line: &&[u8]| {
            path_of(line).and_then(|path| RootPath::new(path).ok()).is_some_and(|path| kept.contains(&path))
        };
        let trimmed = bytes.split_inclusive(|&b| b == b'\n').filter(is_there).collect::<Vec<_>>().concat();
        if let Some(node) = kept.get_mut(&path) {
            node.kind = Kind::File(Content::memory(trimmed));
        }
    }
    Ok(())
}
