//! dpkg's database: the status file, a list of files for each package, and the diversions (dpkg(1), dpkg-divert(1)); and the form that
//! images without dpkg have, with one status file for each package. There the checksums beside it name files, and the lists that dpkg
//! would have, which minimg writes for what is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{Installed, MOST_PATHS, OwnershipError, collect, content, fixed_path};
use minimg_deb822::Control;
use minimg_tree::{Content, Kind, Node, Package, PackageId, RootPath, RootTree, resolve};

const PLACE: &str = "var/lib/dpkg";
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

/// The status file that `package` has for itself. A second architecture of a package has its own in the name.
pub fn entry_of(tree: &RootTree, package: &Package, id: PackageId) -> Option<String> {
    let Package { name, architecture, .. } = package;
    let entries = [format!("{SEPARATE}/{name}"), format!("{SEPARATE}/{name}:{architecture}")];
    entries.into_iter().find(|entry| {
        let node = tree.get(&fixed_path(entry));
        node.is_some_and(|node| node.package.is_none_or(|owner| owner == id))
    })
}

/// Shortens the entries of packages in a pruned tree to the files that are there, and writes a list of these for each package, as
/// scanners read them.
///
/// # Errors
/// When an entry cannot be read.
pub fn trim(kept: &mut RootTree) -> Result<(), OwnershipError> {
    let mut files = owned_files(kept);
    let entries: Vec<RootPath> = kept.below(&fixed_path(SEPARATE)).map(|(path, _)| path.clone()).collect();
    for path in entries {
        let Some(bytes) = content(kept, &path)? else { continue };
        let is_sums = path.file_name().ends_with(b".md5sums");
        let trimmed = if is_sums { trim_sums(kept, &bytes) } else { trim_conffiles(kept, &bytes) };
        let Some(node) = kept.get_mut(&path) else { continue };
        node.kind = Kind::File(Content::memory(trimmed));
        let (owner, time) = (node.package, node.meta.mtime);
        let list = owner.filter(|_| !is_sums).and_then(|id| Some((id, files.remove(&id)?)));
        if let Some((id, list)) = list.filter(|(id, _)| !has_list(kept, *id)) {
            let mut node = Node::file(0o644, list).at(time);
            node.package = Some(id);
            kept.insert(list_beside(&path), node);
        }
    }
    Ok(())
}

/// Whether dpkg's own list of a package was kept, for a dpkg that works: it is dpkg's, and has what dpkg needs.
fn has_list(kept: &RootTree, id: PackageId) -> bool {
    let package = kept.packages().get(id.0 as usize);
    package.is_some_and(|Package { name, architecture, .. }| {
        let lists = fixed_path(LISTS);
        [format!("{name}.list"), format!("{name}:{architecture}.list")]
            .iter()
            .any(|list| kept.contains(&lists.child(list)))
    })
}

/// The list of each package's files. Names in it cannot have a line's end.
fn owned_files(kept: &RootTree) -> BTreeMap<PackageId, Vec<u8>> {
    let mut files: BTreeMap<PackageId, Vec<u8>> = BTreeMap::new();
    let own = fixed_path(PLACE);
    for (path, node) in kept {
        let is_file = !matches!(node.kind, Kind::Directory) && !path.starts_with(&own);
        if let Some(id) = node.package.filter(|_| is_file && !path.as_bytes().contains(&b'\n')) {
            files.entry(id).or_default().extend([b"/", path.as_bytes(), b"\n"].concat());
        }
    }
    files
}

/// The lines `DIGEST  PATH` of files that are there.
fn trim_sums(kept: &RootTree, list: &[u8]) -> Vec<u8> {
    let is_there = |line: &&[u8]| {
        let path = line.trim_ascii_end().splitn(2, |&b| b == b' ').nth(1);
        path.is_some_and(|path| leads_to_file(kept, path.trim_ascii_start()))
    };
    list.split_inclusive(|&b| b == b'\n').filter(is_there).collect::<Vec<_>>().concat()
}

/// A paragraph whose field Conffiles has only the files that are there.
fn trim_conffiles(kept: &RootTree, paragraph: &[u8]) -> Vec<u8> {
    let mut trimmed: Vec<u8> = Vec::with_capacity(paragraph.len());
    let (mut inside, mut heading): (bool, Option<&[u8]>) = (false, None);
    for line in paragraph.split_inclusive(|&b| b == b'\n') {
        if !line.starts_with(b" ") {
            inside = line.to_ascii_lowercase().starts_with(b"conffiles:");
            heading = inside.then_some(line);
        } else if inside && !leads_to_file(kept, line[1..].split(u8::is_ascii_whitespace).next().unwrap_or_default()) {
            continue;
        }
        // The field's name is worth a line when something follows it.
        if heading != Some(line) {
            trimmed.extend_from_slice(heading.take().unwrap_or_default());
            trimmed.extend_from_slice(line);
        }
    }
    trimmed
}

/// Whether there is something at a path of dpkg's, where directories may be links.
fn leads_to_file(kept: &RootTree, path: &[u8]) -> bool {
    resolve(kept, &RootPath::root(), path).is_ok_and(|found| found.entry.is_some())
}

/// A status file for each package, its checksums and its list beside it.
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
        let (sums_path, list_path) = (fixed_path(&format!("{path}.md5sums")), list_beside(path));
        let sums_file = content(tree, &sums_path)?.unwrap_or_default();
        let list = content(tree, &list_path)?.unwrap_or_default();
        for control in paragraphs(&bytes).map_err(malformed)? {
            let own = [path, &sums_path, &list_path].into_iter().map(RootPath::as_bytes);
            let named = sums(&sums_file).chain(listing(&list)).chain(own);
            let paths = collect(named.map(Into::into), &mut left).map_err(malformed)?;
            all.push(Installed { package: package(&control), paths });
        }
    }
    Ok(all)
}

/// The list of the package whose status file is at `path`.
fn list_beside(path: &RootPath) -> RootPath {
    fixed_path(LISTS).child([path.file_name(), b".list"].concat())
}

fn package(control: &Control) -> Package {
    let Control { package, version, architecture, .. } = control;
    Package { name: package.clone(), version: version.clone(), architecture: architecture.clone() }
}
