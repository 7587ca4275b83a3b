//! The metadata that tells scanners and lawyers which packages the kept files came from.

use std::collections::BTreeSet;

use super::ComposeError;
use minimg_elf::{Closure, Reason, Why};
use minimg_ownership::{apk, dpkg, portage, rpm};
use minimg_tree::{Entry, PackageId, RootPath, RootTree, resolve};

/// Keeps, for every package of which a file is kept: its entry in `var/lib/dpkg/status.d` with the checksums beside it, or in the database
/// of Portage or apk, or in the manifest of rpm's packages, and its copyright or license files, following links to the documentation of
/// another package, which then counts as kept too. Where there are packages, what tells their distribution is kept with them.
pub fn keep_package_metadata(tree: &RootTree, closure: &mut Closure) {
    let mut pending: BTreeSet<PackageId> = kept_packages(tree, closure);
    if !pending.is_empty() {
        for path in identity(tree) {
            keep(tree, closure, &path.to_string(), "the distribution of the packages", &mut pending);
        }
    }
    let mut done = BTreeSet::new();
    while let Some(id) = pending.pop_first() {
        if !done.insert(id) {
            continue;
        }
        let Some(package) = tree.packages().get(id.0 as usize) else { continue };
        let name = &package.name;
        let entry = format!("{name}-{}", package.version);
        let dpkg = dpkg::entry_of(tree, package, id);
        let own = dpkg.iter().flat_map(|entry| [entry.clone(), format!("{entry}.md5sums")]);
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

/// Brings the databases of packages to what is kept: a scanner should not miss what was never there. The lists of files that dpkg would
/// have are written for that.
///
/// # Errors
/// When a database cannot be read.
pub fn trim_metadata(kept: &mut RootTree) -> Result<(), ComposeError> {
    dpkg::trim(kept)?;
    apk::trim(kept)?;
    portage::trim(kept)?;
    Ok(rpm::trim(kept)?)
}

/// The files by which people and scanners tell which distribution this is, with the links among them: each scanner knows some of them.
pub(super) fn identity(tree: &RootTree) -> BTreeSet<RootPath> {
    let places = ["etc", "usr/lib", "etc/dpkg/origins"].map(|place| RootPath::root().join_clamped(place));
    let named =
        places.iter().flat_map(|place| tree.below(place)).map(|(path, _)| path).filter(|path| is_identity(path));
    let found = named.filter_map(|path| resolve(tree, &RootPath::root(), path.as_bytes()).ok());
    let files = found.filter(|found| matches!(found.entry, Some(Entry::File { .. })));
    files.flat_map(|found| found.hops.into_iter().chain(found.left).chain([found.path])).collect()
}

/// os-release(5), lsb-release, debian_version, alpine-release, redhat-release and its kin with the names that CPE has for them, and the
/// vendor of Debian's derivatives (deb-origin(5)).
fn is_identity(path: &RootPath) -> bool {
    let name = path.file_name();
    match path.parent().unwrap_or_default().as_bytes() {
        b"etc" | b"usr/lib" => {
            name == b"debian_version" || name.ends_with(b"-release") || name.ends_with(b"-release-cpe")
        }
        b"etc/dpkg/origins" => name == b"default",
        _ => false,
    }
}

fn kept_packages(tree: &RootTree, closure: &Closure) -> BTreeSet<PackageId> {
    closure.kept.keys().filter_map(|path| tree.get(path)?.package).collect()
}

fn keep(tree: &RootTree, closure: &mut Closure, path: &str, why: &str, pending: &mut BTreeSet<PackageId>) {
    let Ok(found) = resolve(tree, &RootPath::root(), path.as_bytes()) else { return };
    if !matches!(found.entry, Some(Entry::File { .. })) {
        return;
    }
    for path in found.hops.into_iter().chain(found.left).chain([found.path]) {
        pending.extend(tree.get(&path).and_then(|node| node.package));
        closure.kept.entry(path).or_insert_with(|| Reason { why: Why::Rule(why.to_owned()), via: None });
    }
}
