//! The list of packages that images without an rpm database have, in the place and form that scanners know: a line for each package, with
//! tabs between the fields of `rpm -qa --qf` (Azure Linux's distroless images).

use std::collections::BTreeSet;

use super::{Header, package};
use crate::{OwnershipError, content, fixed_path};
use minimg_tree::{Content, Kind, Node, Package, RootTree};

/// Where it is.
pub const PLACE: &str = "var/lib/rpmmanifest/container-manifest-2";

/// Adds it to a tree that has an rpm database.
pub(super) fn add(tree: &mut RootTree, headers: &[Header]) {
    let path = fixed_path(PLACE);
    if headers.is_empty() || tree.contains(&path) {
        return;
    }
    let newest = headers.iter().map(|header| header.built).max().unwrap_or_default();
    let lines: Vec<String> = headers.iter().map(|header| line(header, newest)).collect();
    tree.insert(path, Node::file(0o644, lines.concat()).at(i64::from(newest)));
    tree.add_missing_parents();
}

/// Name, version, installed, built, vendor, epoch, size, architecture, epoch as a number, source. The time of the installation is that of
/// the newest package's build: when it really was would make every image another one.
fn line(header: &Header, installed: u32) -> String {
    let Header { name, version, release, built, size, architecture, .. } = header;
    let or_none = |text: &str| if text.is_empty() { "(none)".to_owned() } else { text.replace(['\t', '\n'], " ") };
    let (vendor, source) = (or_none(&header.vendor), or_none(&header.source));
    let epoch = header.epoch.map_or_else(|| "(none)".to_owned(), |epoch| epoch.to_string());
    let number = header.epoch.unwrap_or_default();
    format!(
        "{name}\t{version}-{release}\t{installed}\t{built}\t{vendor}\t{epoch}\t{size}\t{architecture}\t{number}\t{source}\n"
    )
}

/// Shortens the manifest in a pruned tree to the packages of which something is there.
///
/// # Errors
/// When it cannot be read.
pub fn trim(kept: &mut RootTree) -> Result<(), OwnershipError> {
    let path = fixed_path(PLACE);
    let Some(bytes) = content(kept, &path)? else { return Ok(()) };
    let there: BTreeSet<Package> = kept.iter().filter_map(|(_, node)| kept.package_of(node)).cloned().collect();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.split_inclusive('\n').filter(|line| of_line(line).is_some_and(|package| there.contains(&package)));
    let trimmed = lines.collect::<String>();
    if let Some(node) = kept.get_mut(&path) {
        node.kind = Kind::File(Content::memory(trimmed));
    }
    Ok(())
}

/// The package that a line is of.
fn of_line(line: &str) -> Option<Package> {
    let fields: Vec<&str> = line.trim_end().split('\t').collect();
    let [name, version, _, _, _, epoch, _, architecture, ..] = fields.as_slice() else { return None };
    let (version, release) = version.rsplit_once('-')?;
    let header = Header {
        name: (*name).to_owned(),
        version: version.to_owned(),
        release: release.to_owned(),
        epoch: epoch.parse().ok(),
        architecture: (*architecture).to_owned(),
        ..Header::default()
    };
    Some(package(&header))
}
