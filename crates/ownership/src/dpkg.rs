//! dpkg's database: the status file, a list of files for each package, and the diversions (dpkg(1), dpkg-divert(1)); and the form that
//! images without dpkg have, with one status file for each package and only checksums to name the files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Installed, MOST_PATHS, OwnershipError, collect, content, fixed_path};
use minimg_deb822::Control;
use minimg_tree::{Node, Package, RootPath, RootTree};

const STATUS: &str = "var/lib/dpkg/status";
const LISTS: &str = "var/lib/dpkg/info";
const DIVERSIONS: &str = "var/lib/dpkg/diversions";
/// One file for each package; what scanners of images read where there is no dpkg.
const SEPARATE: &str = "var/lib/dpkg/status.d";

/// Reads the tree's database, where it has one, and adds the separate status files that it lacks.
pub(super) fn read(tree: &mut RootTree) -> Result<Vec<Installed>, OwnershipError> {
    let path = fixed_path(STATUS);
    match content(tree, &path)? {
        Some(status) if !status.trim_ascii().is_empty() => {
            let paragraphs = paragraphs(&status).map_err(|message| OwnershipError::Malformed { path, message })?;
            joint(tree, &paragraphs)
        }
        _ => separate(tree),
    }
}

/// The paragraphs of those packages in a status file whose files are unpacked.
///
/// # Errors
/// When one names no package that can be.
pub fn paragraphs(status: &[u8]) -> Result<Vec<Control>, String> {
    let text = String::from_utf8_lossy(status);
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::new();
    for paragraph in lines.split(|line| line.trim().is_empty()).filter(|paragraph| !paragraph.is_empty()) {
        let state = paragraph.iter().find_map(|line| line.strip_prefix("Status:")).unwrap_or("installed");
        // The third word; what was removed or only selected has no files, and of what is half installed nobody knows which.
        if matches!(state.split_whitespace().next_back(), Some("not-installed" | "config-files" | "half-installed")) {
            continue;
        }
        let text = paragraph.join("\n") + "\n";
        let control = Control::parse(&text).map_err(|problem| problem.to_string())?;
        if !control.architecture.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("{} has the invalid architecture {:?}", control.package, control.architecture));
        }
        all.push(control);
    }
    Ok(all)
}

/// The paths of a `.list` file.
pub fn listing(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b'\n').filter(|line| !line.is_empty() && *line != b"/.")
}

/// The paths of an `.md5sums` file.
pub fn sums(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = |line: &'_ [u8]| line.iter().position(|&b| b == b' ').map(|at| at + 1);
    list.split(|&b| b == b'\n').filter_map(move |line| Some(line.get(path(line)?..)?.trim_ascii_start()))
}

/// A path that all packages but one have moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// Where the others' file is.
    pub to: Box<[u8]>,
    /// The one package whose file stays in place.
    pub by: String,
}

/// The diversions by the path that packages believe in: three lines each.
pub fn diversions(file: &[u8]) -> BTreeMap<Box<[u8]>, Diversion> {
    let lines: Vec<&[u8]> = file.split(|&b| b == b'\n').collect();
    let by = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let diversion = |three: &[&[u8]]| (three[0].into(), Diversion { to: three[1].into(), by: by(three[2]) });
    lines.chunks_exact(3).map(diversion).collect()
}

/// One status file for all packages.
fn joint(tree: &mut RootTree, controls: &[Control]) -> Result<Vec<Installed>, OwnershipError> {
    let moved = content(tree, &fixed_path(DIVERSIONS))?.map(|file| diversions(&file)).unwrap_or_default();
    let (lists, separate) = (fixed_path(LISTS), fixed_path(SEPARATE));
    let time = tree.get(&fixed_path(STATUS)).map_or(0, |node| node.meta.mtime);
    let (mut all, mut names, mut left) = (Vec::new(), BTreeSet::new(), MOST_PATHS);
    for control in controls {
        let package = package(control);
        // Packages of which several architectures may be installed have theirs in the name of the list.
        let find = |extension: &str| -> Result<_, OwnershipError> {
            let exact = format!("{}:{}.{extension}", package.name, package.architecture);
            match content(tree, &lists.child(exact))? {
                Some(found) => Ok(Some(found)),
                None => content(tree, &lists.child(format!("{}.{extension}", package.name))),
            }
        };
        let list = find("list")?.unwrap_or_default();
        let place = |path: &[u8]| match moved.get(path) {
            Some(Diversion { to, by }) if *by != package.name => to.clone(),
            _ => path.into(),
        };
        let too_many = |message| OwnershipError::Malformed { path: lists.clone(), message };
        let mut paths = collect(listing(&list).map(place), &mut left).map_err(too_many)?;
        let name = match names.insert(package.name.clone()) {
            true => package.name.clone(),
            false => format!("{}:{}", package.name, package.architecture),
        };
        let kept = [(name.clone(), Some(bytes::Bytes::from(control.text().to_owned())))]
            .into_iter()
            .chain([(format!("{name}.md5sums"), find("md5sums")?), (format!("{name}.conffiles"), find("conffiles")?)]);
        for (name, content) in kept.collect::<Vec<_>>() {
            let (path, Some(content)) = (separate.child(name), content) else { continue };
            paths.push(path.as_bytes().into());
            if !tree.contains(&path) {
                tree.insert(path, Node::file(0o644, content).at(time));
            }
        }
        all.push(Installed { package, paths });
    }
    tree.add_missing_parents();
    Ok(all)
}

/// A status file for each package, its checksums beside it.
fn separate(tree: &RootTree) -> Result<Vec<Installed>, OwnershipError> {
    let directory = fixed_path(SEPARATE);
    let is_extra =
        |path: &RootPath| [&b".md5sums"[..], b".conffiles"].iter().any(|end| path.file_name().ends_with(end));
    let (mut all, mut left) = (Vec::new(), MOST_PATHS);
    for (path, _) in
        tree.below(&directory).filter(|(path, _)| path.parent().as_ref() == Some(&directory) && !is_extra(path))
    {
        let Some(bytes) = content(tree, path)? else { continue };
        let malformed = |message| OwnershipError::Malformed { path: path.clone(), message };
        let list = fixed_path(&format!("{path}.md5sums"));
        let sums_file = content(tree, &list)?.unwrap_or_default();
        for control in paragraphs(&bytes).map_err(malformed)? {
            let own = [path.as_bytes(), list.as_bytes()].into_iter();
            let paths = collect(sums(&sums_file).chain(own).map(Into::into), &mut left).map_err(malformed)?;
            all.push(Installed { package: package(&control), paths });
        }
    }
    Ok(all)
}

fn package(control: &Control) -> Package {
    let Control { package, version, architecture, .. } = control;
    Package { name: package.clone(), version: version.clone(), architecture: architecture.clone() }
}
