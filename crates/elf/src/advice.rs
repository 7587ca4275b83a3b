//! What to do about a missing library: where the tree has it, or which package may hold it.

use crate::text::{base_name, show};
use minimg_tree::{Kind, RootTree};

/// What to do about a missing library: where the tree has it, or what Debian would call its package.
pub(crate) fn for_library(tree: &RootTree, name: &str) -> Option<String> {
    let wanted = base_name(name.as_bytes());
    let elsewhere =
        tree.iter().find(|(path, node)| !matches!(node.kind, Kind::Directory) && path.file_name() == wanted);
    if let Some((path, node)) = elsewhere {
        let owner =
            tree.package_of(node).map(|package| format!(" of the package {}", package.name)).unwrap_or_default();
        let remedy = "name its directory in LD_LIBRARY_PATH or /etc/ld.so.conf";
        return Some(format!("the tree has {path}{owner}, where the loader does not look: {remedy}"));
    }
    let package = debian_package(&show(wanted))?;
    Some(format!("add the package that holds it; Debian would call it {package}"))
}

/// Debian's custom: `libssl.so.3` is in `libssl3`, `libexpat.so.1` in `libexpat1`, `libpcre2-8.so.0` in `libpcre2-8-0`.
fn debian_package(soname: &str) -> Option<String> {
    let (stem, version) = soname.split_once(".so.")?;
    let dash = if stem.ends_with(|c: char| c.is_ascii_digit()) { "-" } else { "" };
    Some(format!("{stem}{dash}{version}").to_lowercase().replace('_', "-"))
}
