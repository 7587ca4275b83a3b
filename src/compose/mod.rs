//! Completes a root tree with what the profile adds, and with the small files that every image needs and no package has.
//!
//! This happens before the closure, so that what is added can be a program whose libraries are then kept, and everything that is added
//! is kept for that reason. The files of a package's maintainer scripts are not made here but by the backend.

mod accounts;
mod applets;
mod metadata;

use std::collections::BTreeMap;
use std::io;

use accounts::Accounts;
pub use metadata::{keep_package_metadata, trim_metadata};

use crate::profile::{AddedTree, Profile};
use minimg_backend::HOSTS;
use minimg_base::error::{Class, Error};
use minimg_tree::{Kind, Node, PathError, RootPath, RootTree, is_merged, resolve};

/// An error of completing a tree.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The profile adds something at a path that cannot be one.
    #[error("the profile adds a file in the wrong place: {0}")]
    Path(#[from] PathError),
    /// A file of the tree cannot be read.
    #[error("cannot read {path} of the root tree: {source}")]
    Read {
        /// The file.
        path: RootPath,
        /// The error.
        source: io::Error,
    },
    /// The tree's package database cannot be read.
    #[error(transparent)]
    Database(#[from] minimg_ownership::OwnershipError),
    /// A file's owner is not an account of the image.
    #[error(
        "{path} is to be owned by the {what} {name:?}, which the image does not have; add it under [[add.accounts]] or give a number"
    )]
    UnknownAccount {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The file.
        path: String,
    },
    /// An account of the profile is in the tree with another number.
    #[error("the account {name:?} is to have the number {wanted}, but the packages give it {present}; use that number")]
    AccountClash {
        /// The account's name.
        name: String,
        /// The profile's number.
        wanted: u32,
        /// The tree's number.
        present: u32,
    },
    /// Something of the profile cannot take the place that it names.
    #[error("the profile puts {what} at {path}, but {why}; choose another place")]
    Occupied {
        /// What the profile puts there.
        what: &'static str,
        /// Where.
        path: RootPath,
        /// What is there.
        why: &'static str,
    },
    /// The program's working directory is not a directory.
    #[error(
        "the image's workdir {path} is not a directory in it; name a directory, or a path that does not exist: engines create it"
    )]
    Workdir {
        /// The directory.
        path: String,
    },
    /// The program whose applets are wanted has none or is absent.
    #[error("no applets can be linked: {path} {what}")]
    NoApplets {
        /// The program.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl From<ComposeError> for Error {
    fn from(error: ComposeError) -> Self {
        if let ComposeError::Database(error) = error {
            return error.into();
        }
        let class = match &error {
            ComposeError::Read { .. } => Class::Machine,
            ComposeError::NoApplets { .. } => Class::Incomplete,
            _ => Class::Profile,
        };
        Error::new(class, error)
    }
}

/// What was added to a tree, and why each path was.
pub type Added = BTreeMap<RootPath, String>;

/// Puts into `tree` what the profile adds, and the files that every image has. `epoch` is the time of what is made.
///
/// # Errors
/// When the profile contradicts the tree.
pub fn complete(tree: &mut RootTree, profile: &Profile, epoch: i64) -> Result<Added, ComposeError> {
    let additions = &profile.add;
    tree.add_missing_parents();
    let mut composer = Composer { added: Added::new(), epoch, tree };
    let accounts = Accounts::new(composer.tree, &additions.accounts)?;
    accounts.move_owners(composer.tree);
    let mut user = profile.image.user.splitn(2, ':');
    user.next().filter(|user| !user.is_empty()).map(|user| accounts.uid(user, "the image's program")).transpose()?;
    user.next().map(|group| accounts.gid(group, "the image's program")).transpose()?;
    if additions.base {
        composer.base_directories()?;
        composer.base_files()?;
    }
    for directory in &additions.directories {
        let (uid, gid) =
            (accounts.uid(&directory.owner, &directory.path)?, accounts.gid(&directory.group, &directory.path)?);
        composer.put(
            &directory.path,
            Node::directory(directory.mode).owned_by(uid, gid),
            "a directory of the profile",
        )?;
    }
    for added in &additions.trees {
        let owner = (accounts.uid(&added.owner, &added.path)?, accounts.gid(&added.group, &added.path)?);
        composer.put_tree(added, owner)?;
    }
    for file in &additions.files {
        let (uid, gid) = (accounts.uid(&file.owner, &file.path)?, accounts.gid(&file.group, &file.path)?);
        composer.put(
            &file.path,
            Node::file(file.mode, file.content.clone()).owned_by(uid, gid),
            "a file of the profile",
        )?;
    }
    for (path, target) in &additions.links {
        composer.put(path, Node::symlink(target), "a link of the profile")?;
    }
    if additions.base || !additions.accounts.is_empty() {
        for (path, node) in accounts.nodes(composer.tree)? {
            composer.put_at(path, node, "the image's accounts");
        }
    }
    if let Some(program) = &additions.applets {
        composer.link_applets(program, &profile.keep.programs)?;
    }
    let added = composer.added;
    tree.add_missing_parents();
    if !profile.image.workdir.is_empty() {
        check_workdir(tree, &profile.image.workdir)?;
    }
    Ok(added)
}

fn kind_name(node: &Node) -> &'static str {
    match node.kind {
        Kind::Directory => "a directory",
        Kind::Symlink(_) => "a link",
        _ => "a file",
    }
}

/// The program's directory is one, unless it is not there at all: then engines make it.
fn check_workdir(tree: &RootTree, workdir: &str) -> Result<(), ComposeError> {
    let wrong = || ComposeError::Workdir { path: workdir.to_owned() };
    let path = RootPath::new(workdir).map_err(|_| wrong())?;
    let is_directory =
        |path: &RootPath| path.is_root() || tree.get(path).is_none_or(|n| matches!(n.kind, Kind::Directory));
    match resolve(tree, &RootPath::root(), workdir.as_bytes()) {
        Ok(found) if !is_directory(&found.path) => Err(wrong()),
        Ok(_) => Ok(()),
        // Not there; but what is there of its parents must be directories, too.
        Err(_) if path.ancestors().all(|parent| tree.get(&parent).is_none_or(|n| !matches!(n.kind, Kind::File(_)))) => {
            Ok(())
        }
        Err(_) => Err(wrong()),
    }
}

struct Composer<'a> {
    tree: &'a mut RootTree,
    added: Added,
    epoch: i64,
}

impl Composer<'_> {
    /// Puts a node at a path of the profile, whose directories may be links: `/bin/x` lands in `/usr/bin` of a merged root.
    fn put(&mut self, path: &str, node: Node, why: &str) -> Result<(), ComposeError> {
        let path = self.real_place(path)?;
        if let Some(why) = self.obstacle(&path, &node) {
            return Err(ComposeError::Occupied { what: kind_name(&node), path, why });
        }
        self.put_at(path, node, why);
        Ok(())
    }

    /// Puts what is in a directory of the user's below a path. Directories that are there already stay as they are.
    fn put_tree(&mut self, added: &AddedTree, (uid, gid): (u32, u32)) -> Result<(), ComposeError> {
        let below = |path: &RootPath| format!("{}{path}", added.path.trim_end_matches('/'));
        for (path, node) in added.content.tree() {
            let place = self.real_place(&below(path))?;
            let is_there = matches!(self.tree.get(&place), Some(Node { kind: Kind::Directory, .. }));
            if matches!(node.kind, Kind::Directory) && is_there {
                continue;
            }
            let mut node = node.clone().owned_by(uid, gid);
            if let Kind::Hardlink(first) = &node.kind {
                node.kind = Kind::Hardlink(self.real_place(&below(first))?);
            }
            self.put(&below(path), node, "of a directory of the profile")?;
        }
        Ok(())
    }

    /// What keeps a node of the profile from its place. A file or link may take the place of another one: that is what profiles do.
    fn obstacle(&self, path: &RootPath, node: &Node) -> Option<&'static str> {
        let there = self.tree.get(path)?;
        let is_directory = |node: &Node| matches!(node.kind, Kind::Directory);
        let is_link = matches!(there.kind, Kind::Symlink(_));
        if is_link && is_merged(path) {
            return Some("that is a link of the merged /usr, without which no path of a program or library holds");
        }
        match (is_directory(node), is_directory(there)) {
            (true, false) => Some("there is already something other than a directory"),
            (false, true) if self.tree.below(path).any(|(other, _)| other != path) => {
                Some("there is a directory with files in it already")
            }
            _ => None,
        }
    }

    fn put_at(&mut self, path: RootPath, node: Node, why: &str) {
        self.added.insert(path.clone(), why.to_owned());
        self.tree.insert(path, node.at(self.epoch));
    }

    fn put_unless_there(&mut self, path: &str, node: Node) -> Result<(), ComposeError> {
        let path = self.real_place(path)?;
        if self.tree.contains(&path) {
            self.added.insert(path, "every image has it".to_owned());
        } else {
            self.put_at(path, node, "every image has it");
        }
        Ok(())
    }

    fn real_place(&self, path: &str) -> Result<RootPath, ComposeError> {
        let path = RootPath::new(path)?;
        let Some(parent) = path.parent() else { return Ok(path) };
        let parent = resolve(&*self.tree, &RootPath::root(), parent.as_bytes()).map_or(parent, |found| found.path);
        Ok(parent.child(path.file_name()))
    }

    /// Where engines mount things and where programs expect to write.
    fn base_directories(&mut self) -> Result<(), ComposeError> {
        for (path, mode) in [
            ("dev", 0o755),
            ("etc", 0o755),
            ("home", 0o755),
            ("proc", 0o555),
            ("run", 0o755),
            ("sys", 0o555),
            ("tmp", 0o1777),
            ("usr/bin", 0o755),
            ("var/tmp", 0o1777),
        ] {
            self.put_unless_there(path, Node::directory(mode))?;
        }
        self.keep_merged_links()
    }

    /// The links of a merged /usr: `/bin/sh` is in every script's first line, whether or not the walk came by.
    fn keep_merged_links(&mut self) -> Result<(), ComposeError> {
        for name in ["bin", "lib", "sbin"] {
            let path = RootPath::new(name)?;
            if matches!(self.tree.get(&path), Some(Node { kind: Kind::Symlink(_), .. })) {
                self.added.insert(path, "the merged /usr".to_owned());
            }
        }
        Ok(())
    }

    /// What glibc's own functions read, and what tells people and scanners what this is.
    fn base_files(&mut self) -> Result<(), ComposeError> {
        let nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n";
        self.put("etc/nsswitch.conf", Node::file(0o644, nsswitch), "every image has it")?;
        self.put_unless_there("etc/hosts", Node::file(0o644, HOSTS))?;
        self.put(
            "etc/machine-id",
            Node::file(0o444, ""),
            "every image has it; empty, for each machine to have its own",
        )?;
        let identity = metadata::identity(self.tree);
        self.added.extend(identity.into_iter().map(|path| (path, "tells what the image was made of".to_owned())));
        Ok(())
    }

    /// A link to the program for every applet that it has, where busybox itself would put it, in place of a package's own program of
    /// that name unless the profile names that.
    fn link_applets(&mut self, program: &str, named: &[String]) -> Result<(), ComposeError> {
        let wrong = |what| ComposeError::NoApplets { path: program.to_owned(), what };
        // Where /usr is not merged, programs for the first minutes of a machine are in /bin.
        let elsewhere = program.strip_prefix("/usr").unwrap_or(program);
        let found = [program, elsewhere].into_iter().find_map(|place| {
            resolve(&*self.tree, &RootPath::root(), place.as_bytes()).ok().filter(|found| found.entry.is_some())
        });
        let found = found.ok_or_else(|| wrong("is not in the root tree"))?;
        let Some(Node { kind: Kind::File(content), .. }) = self.tree.get(&found.path) else {
            return Err(wrong("is not in the root tree"));
        };
        let binary = content.map().map_err(|source| ComposeError::Read { path: found.path.clone(), source })?;
        let applets = applets::of_binary(&binary);
        if applets.is_empty() {
            return Err(wrong("is not a busybox"));
        }
        let target = format!("{}", found.path);
        let why = format!("an applet of {target}");
        for applet in applets {
            let place = self.real_place(&format!("{}/{}", applet.directory, applet.name))?;
            let is_named = named.iter().any(|name| name.as_bytes() == place.file_name() || *name == place.to_string());
            if place != found.path && !is_named {
                let target = if place.parent() == found.path.parent() {
                    found.path.file_name().to_vec()
                } else {
                    target.clone().into_bytes()
                };
                self.put_at(place, Node::symlink(target), &why);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
