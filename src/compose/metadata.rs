//! The metadata that tells scanners and lawyers which packages the kept files came from.

use std::collections::BTreeSet;

use super::ComposeError;
use minimg_elf::{Closure, Reason, Why};
use minimg_ownership::{apk, portage, rpm};
use minimg_tree::{Content, Entry, Kind, Node, PackageId, RootPath, RootTree, resolve};

/// Keeps, for every package of which a file is kept: its entry in `var/lib/dpkg/status.d` with the checksums beside it, or in the database
/// of Portage or apk, or in the manifest of rpm's packages, and its copyright or license files, following links to the documentation of another package, which then counts as kept too.
pub fn keep_package_metadata(tree: &RootTree, closure: &mut Closure) {
    let mut pending: BTreeSet<PackageId> = kept_packages(tree, closure);
    let mut done = BTreeSet::new();
    while let Some(id) = pending.pop_first() {
        if !done.insert(id) {
            continue;
        }
        let Some(package) = tree.packages().get(id.0 as usize) else { continue };
        let name = &package.name;
        let entry = format!("{name}-{}", package.version);
        let own =
            [format!("var/lib/dpkg/status.d/{name}"), format!("var/lib/dpkg/status.d/{name}.md5sums")].into_iter();
        let portage = portage::KEPT.map(|file| format!("{}/{entry}/{file}", portage::PLACE));
        let joint = apk::PLACES.into_iter().chain([rpm::MANIFEST]).map(str::to_owned);
        for path in own.chain(portage).chain(joint) {
            keep(tree, closure, &path, &format!("the package metadata of {name}"), &mut pending);
        }
        let licenses = RootPath::root().join_clamped(format!("usr/share/licenses/{name}"));
        let licenses = tree.below(&licenses).map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        for path in licenses.into_iter().chain([format!("usr/share/doc/{name}/copyright")]) {
            keep(tree, closure, &path, &format!("the copyright of {name}"), &mut pending);
        }
    }
}

/// Shortens the lists of checksums, and the databases of Portage and apk, to the files that are kept: a scanner should not miss what was never there.
///
/// # Errors
/// When a list cannot be read.
pub fn trim_checksums(kept: &mut RootTree) -> Result<(), ComposeError> {
    apk::trim(kept)?;
    portage::trim(kept)?;
    rpm::trim(kept)?;
    let directory = RootPath::new("var/lib/dpkg/status.d")?;
    let is_list = |path: &&RootPath| path.file_name().ends_with(b".md5sums");
    let lists: Vec<RootPath> = kept.below(&directory).map(|(path, _)| path).filter(is_list).cloned().collect();
    for path in lists {
        let Some(Node { kind: Kind::File(content), .. }) = kept.get(&path) else { continue };
        let text = content.map().map_err(|source| ComposeError::Read { path: path.clone(), source })?;
        let lines = text.split_inclusive(|&b| b == b'\n').filter(|line| lists_kept_file(kept, line));
        let trimmed = lines.collect::<Vec<_>>().concat();
        if let Some(node) = kept.get_mut(&path) {
            node.kind = Kind::File(Content::memory(trimmed));
        }
    }
    Ok(())
}

/// Whether a line `DIGEST  PATH` is of a file in the tree, where directories may be links.
fn lists_kept_file(tree: &RootTree, line: &[u8]) -> bool {
    let Some(name) = line.trim_ascii_end().splitn(2, |&b| b == b' ').nth(1) else { return false };
    resolve(tree, &RootPath::root(), name.trim_ascii_start()).is_ok_and(|found| found.entry.is_some())
}

fn kept_packages(tree: &RootTree, closure: &Closure) -> BTreeSet<PackageId> {
    closure.kept.keys().filter_map(|path| tree.get(path)?.package).collect()
}

fn keep(tree: &RootTree, closure: &mut Closure, path: &str, why: &str, pending: &mut BTreeSet<PackageId>) {
    let Ok(found) = resolve(tree, &RootPath::root(), path.as_bytes()) else { return };
    if !matches!(found.entry, Some(Entry::File { .. })) {
        return;
    }
    for path in found.hops.into_iter().chain([found.path]) {
        pending.extend(tree.get(&path).and_then(|node| node.package));
        closure.kept.entry(path).or_insert_with(|| Reason { why: Why::Rule(why.to_owned()), via: None });
    }
}
