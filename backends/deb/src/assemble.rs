//! Puts packages together as one tree, as dpkg would have on a system with merged /usr.
//!
//! The order is fixed: base-files first, then by name and architecture. A directory that several packages ship is as the first one
//! has it. A path that a package ships as a directory and the tree has as a link to one stays the link, and what is below goes where
//! the link leads, as for dpkg. Two packages may ship a file that is the same in both, or one of them replaces the other's, or has
//! diverted it; all else is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::format::{Listing, Loaded};
use minimg_backend::PinnedPackage;
use minimg_package::{PackageError, Problem};
use minimg_tree::archive::{Member, MemberKind};
use minimg_tree::{ContentSource, Kind, MAX_LINKS, MERGED, Node, Package, PackageId, RootPath, RootTree, is_merged};

/// The merged directories that are there on every architecture.
const ALWAYS_MERGED: [&str; 3] = ["bin", "lib", "sbin"];

/// Sorts packages in the order in which [`assemble`] wants them.
pub fn sort(packages: &mut [Loaded]) {
    packages.sort_by(|a, b| key(&a.package).cmp(&key(&b.package)));
}

fn key(package: &PinnedPackage) -> (bool, &str, &str) {
    (package.name != "base-files", &package.name, &package.architecture)
}

/// The paths that a package diverts for all others, and where to.
pub type Diversions<'d> = &'d dyn Fn(&Listing) -> BTreeMap<RootPath, RootPath>;

/// The tree of all packages. What is made here is dated `epoch`.
///
/// # Errors
/// When two packages ship one path and neither gives way, or a path leads through something that is not a directory.
pub fn assemble(packages: &[Loaded], epoch: i64, diversions: Diversions<'_>) -> Result<RootTree, PackageError> {
    let mut assembly = Assembly { tree: RootTree::new(), packages, diversions, last: None };
    for (at, loaded) in packages.iter().enumerate() {
        let package = &loaded.package;
        let id = assembly.tree.add_package(Package {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
        });
        let source: Arc<dyn ContentSource> = loaded.files.clone();
        for (key, member) in loaded.listing.members.iter().enumerate() {
            assembly.add(at, id, &source, key as u64, member).map_err(|problem| problem.of_pinned(package))?;
        }
    }
    let mut tree = assembly.tree;
    add_root_links(&mut tree, epoch);
    add_status(&mut tree, packages, epoch);
    tree.add_missing_parents();
    Ok(tree)
}

struct Assembly<'a> {
    tree: RootTree,
    packages: &'a [Loaded],
    diversions: Diversions<'a>,
    /// The directory that was placed last, and where: members come in an order in which the next one is often beside it.
    last: Option<(RootPath, RootPath)>,
}

impl Assembly<'_> {
    fn add(
        &mut self,
        at: usize,
        id: PackageId,
        source: &Arc<dyn ContentSource>,
        key: u64,
        member: &Member,
    ) -> Result<(), Problem> {
        if is_merged(&member.path) && matches!(member.kind, MemberKind::Directory | MemberKind::Symlink(_)) {
            return Ok(());
        }
        let path = self.place(&member.path)?;
        let mut kind = member.kind.to_node(|size| self.packages[at].listing.content(key, size, source));
        if let Kind::Hardlink(target) = &kind {
            let target = self.place(target)?;
            // When another package's file won over the first name, the others have nothing to link to in the tree.
            kind = match self.tree.get(&target) {
                Some(file) if file.package == Some(id) && matches!(file.kind, Kind::File(_)) => Kind::Hardlink(target),
                _ => self.content_of_own(at, source, member)?,
            };
        }
        let node = Node { kind, meta: member.meta.clone(), package: Some(id) };
        match self.tree.get(&path) {
            None => drop(self.tree.insert(path, node)),
            Some(existing) => {
                let other = existing.package;
                match self.decide(at, &path, existing, &node)? {
                    Winner::Old => {}
                    Winner::New => self.replace(path, node),
                    Winner::NewAt(target) => drop(self.tree.insert(target, node)),
                    Winner::OldTo(target) => {
                        if let Some(mut old) = self.tree.remove(&path) {
                            old.package = other;
                            self.tree.insert(target, old);
                        }
                        self.tree.insert(path, node);
                    }
                }
            }
        }
        Ok(())
    }

    /// The content of the file that a hard link of this package stands for.
    fn content_of_own(&self, at: usize, source: &Arc<dyn ContentSource>, link: &Member) -> Result<Kind, Problem> {
        let MemberKind::Hardlink(target) = &link.kind else { return Ok(Kind::Fifo) };
        let listing = &self.packages[at].listing;
        let found = listing.members.iter().enumerate().find_map(|(key, member)| match member.kind {
            MemberKind::File(size) if member.path == *target => Some((key, size)),
            _ => None,
        });
        let (key, size) =
            found.ok_or_else(|| Problem::Unplaceable { path: link.path.clone(), above: target.clone() })?;
        Ok(Kind::File(listing.content(key as u64, size, source)))
    }

    /// Puts a node in place of another one; other names of the old file go on being that file.
    fn replace(&mut self, path: RootPath, node: Node) {
        let Some(old) = self.tree.insert(path.clone(), node) else { return };
        if !matches!(old.kind, Kind::File(_)) {
            return;
        }
        let links =
            self.tree.iter().filter(|(_, node)| matches!(&node.kind, Kind::Hardlink(target) if *target == path));
        let links: Vec<RootPath> = links.map(|(link, _)| link.clone()).collect();
        let Some((first, others)) = links.split_first() else { return };
        if let Some(node) = self.tree.get_mut(first) {
            node.kind = old.kind;
        }
        for link in others {
            if let Some(node) = self.tree.get_mut(link) {
                node.kind = Kind::Hardlink(first.clone());
            }
        }
    }

    /// Which of two nodes for one path stays.
    fn decide(&self, at: usize, path: &RootPath, old: &Node, new: &Node) -> Result<Winner, Problem> {
        match (&old.kind, &new.kind) {
            (Kind::Directory, Kind::Directory) => return Ok(Winner::Old),
            (Kind::Symlink(a), Kind::Symlink(b)) if a == b => return Ok(Winner::Old),
            // dpkg leaves alone what is there when one package has a directory where another has a link to one.
            (Kind::Directory, Kind::Symlink(_)) => return Ok(Winner::Old),
            (Kind::Symlink(_), Kind::Directory) if self.follow(path.clone()).is_ok() => return Ok(Winner::Old),
            // What was `/bin/x` and a link to it from `/usr/bin/x`, or the other way, before /usr was merged.
            (_, Kind::Symlink(target)) if self.lands_on(path, target) => return Ok(Winner::Old),
            (Kind::Symlink(target), _) if self.lands_on(path, target) => return Ok(Winner::New),
            _ => {}
        }
        let newer = &self.packages[at];
        let Some(older) = old.package.and_then(|id| self.packages.get(id.0 as usize)) else { return Ok(Winner::New) };
        if let Some(target) = (self.diversions)(&newer.listing).remove(path) {
            return Ok(Winner::OldTo(target));
        }
        if let Some(target) = (self.diversions)(&older.listing).remove(path) {
            return Ok(Winner::NewAt(target));
        }
        if newer.listing.facts.replaces(&older.listing.facts) {
            return Ok(Winner::New);
        }
        if older.listing.facts.replaces(&newer.listing.facts) || self.same_content(old, new)? {
            return Ok(Winner::Old);
        }
        Err(Problem::Conflict { path: path.clone(), other: older.package.name.clone() })
    }

    /// Whether a link at `path` would lead to itself by way of the merged directories.
    fn lands_on(&self, path: &RootPath, target: &[u8]) -> bool {
        merge(path.parent().unwrap_or_default().join_clamped(target)) == *path
    }

    fn same_content(&self, old: &Node, new: &Node) -> Result<bool, Problem> {
        let content = |node: &Node| match &node.kind {
            Kind::File(content) => Some(content.clone()),
            Kind::Hardlink(target) => match self.tree.get(target).map(|node| &node.kind) {
                Some(Kind::File(content)) => Some(content.clone()),
                _ => None,
            },
            _ => None,
        };
        let (Some(old), Some(new)) = (content(old), content(new)) else { return Ok(false) };
        Ok(old.size() == new.size() && old.map()? == new.map()?)
    }

    /// Where a member of a package goes: below `/usr` what is merged, and where links of the tree lead.
    fn place(&mut self, path: &RootPath) -> Result<RootPath, Problem> {
        let parent = path.parent().unwrap_or_default();
        if let Some((from, to)) = &self.last
            && *from == parent
        {
            return Ok(to.child(path.file_name()));
        }
        let to = self.place_directory(&parent).map_err(|above| Problem::Unplaceable { path: path.clone(), above })?;
        let placed = to.child(path.file_name());
        self.last = Some((parent, to));
        Ok(merge(placed))
    }

    /// Where a directory of a package is in the tree; else what is in the way.
    fn place_directory(&self, directory: &RootPath) -> Result<RootPath, RootPath> {
        let merged = merge(directory.clone());
        let mut at = RootPath::root();
        for component in merged.components() {
            let next = at.child(component);
            at = match self.tree.get(&next).map(|node| &node.kind) {
                None | Some(Kind::Directory) => next,
                Some(Kind::Symlink(_)) => self.follow(next)?,
                Some(_) => return Err(next),
            };
        }
        Ok(at)
    }

    /// Where a link leads that stands for a directory, which need not be there yet; else the link.
    fn follow(&self, link: RootPath) -> Result<RootPath, RootPath> {
        let mut at = link.clone();
        for _ in 0..MAX_LINKS {
            match self.tree.get(&at).map(|node| &node.kind) {
                None | Some(Kind::Directory) => return Ok(at),
                Some(Kind::Symlink(target)) => at = merge(at.parent().unwrap_or_default().join_clamped(target)),
                Some(_) => return Err(link),
            }
        }
        Err(link)
    }
}

enum Winner {
    Old,
    New,
    /// The new one, diverted to another path.
    NewAt(RootPath),
    /// The new one, and the old one is diverted to another path.
    OldTo(RootPath),
}

/// Moves a path from `/bin`, `/lib` and the like to below `/usr`.
pub(crate) fn merge(path: RootPath) -> RootPath {
    let first = path.components().next().unwrap_or_default();
    let moved = MERGED.iter().any(|name| first == name.as_bytes());
    if moved { RootPath::root().child("usr").join_clamped(path.as_bytes()) } else { path }
}

fn add_root_links(tree: &mut RootTree, epoch: i64) {
    let owner = tree.packages().iter().position(|package| package.name == "base-files").map(|at| PackageId(at as u32));
    let usr = RootPath::root().child("usr");
    for name in MERGED {
        let directory = usr.child(name);
        let is_there = tree.contains(&directory) || tree.below(&directory).next().is_some();
        if !is_there && !ALWAYS_MERGED.contains(&name) {
            continue;
        }
        if !tree.contains(&directory) {
            tree.insert(directory, Node::directory(0o755).at(epoch));
        }
        let mut link = Node::symlink([b"usr/", name.as_bytes()].concat()).at(epoch);
        link.package = owner;
        tree.insert(RootPath::root().child(name), link);
    }
}

/// Writes what scanners look for: one file for each package with its control paragraph, and its md5sums and conffiles beside it. They
/// belong to their package, so they stay as long as something of it does.
fn add_status(tree: &mut RootTree, packages: &[Loaded], epoch: i64) {
    let directory = RootPath::root().join_clamped("var/lib/dpkg/status.d");
    let mut names = std::collections::BTreeSet::new();
    for (at, Loaded { package, listing, .. }) in packages.iter().enumerate() {
        // Two architectures of one package can be in a tree.
        let name = match names.insert(&package.name) {
            true => package.name.clone(),
            false => format!("{}:{}", package.name, package.architecture),
        };
        let mut add = |extension: &str, content: bytes::Bytes| {
            let mut node = Node::file(0o644, content).at(epoch);
            node.package = Some(PackageId(at as u32));
            tree.insert(directory.child(format!("{name}{extension}")), node);
        };
        add("", with_status(listing.facts.text()).into());
        for kept in ["md5sums", "conffiles"] {
            if let Some(content) = listing.head.get(kept) {
                add(&format!(".{kept}"), content.clone());
            }
        }
    }
}

/// The paragraph as dpkg's status file has it: with a Status field after the first line.
fn with_status(control: &str) -> String {
    let (first, rest) = control.split_once('\n').unwrap_or((control, ""));
    format!("{first}\nStatus: install ok installed\n{rest}")
}
