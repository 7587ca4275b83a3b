//! What tells scanners and lawyers which packages the kept files came from.

use std::collections::BTreeSet;

use crate::closure::{Closure, Reason, Why};
use crate::tree::{Entry, PackageId, RootPath, RootTree, resolve};

/// Keeps, for every package of which a file is kept: its entry in `var/lib/dpkg/status.d` with the checksums beside it, and its copyright
/// file, following links to the documentation of another package, which then counts as kept too.
pub fn keep_package_metadata(tree: &RootTree, closure: &mut Closure) {
    let mut pending: BTreeSet<PackageId> = kept_packages(tree, closure);
    let mut done = BTreeSet::new();
    while let Some(id) = pending.pop_first() {
        if !done.insert(id) {
            continue;
        }
        let Some(package) = tree.packages().get(id.0 as usize) else { continue };
        let name = &package.name;
        for path in [format!("var/lib/dpkg/status.d/{name}"), format!("var/lib/dpkg/status.d/{name}.md5sums")] {
            keep(tree, closure, &path, &format!("the package metadata of {name}"), &mut pending);
        }
        keep(
            tree,
            closure,
            &format!("usr/share/doc/{name}/copyright"),
            &format!("the copyright of {name}"),
            &mut pending,
        );
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
    for path in found.hops.into_iter().chain([found.path]) {
        pending.extend(tree.get(&path).and_then(|node| node.package));
        closure.kept.entry(path).or_insert_with(|| Reason { why: Why::Rule(why.to_owned()), via: None });
    }
}
