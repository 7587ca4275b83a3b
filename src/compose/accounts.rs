//! `/etc/passwd` and `/etc/group`: what the packages brought, and what the profile adds.

use std::collections::BTreeMap;

use crate::profile;
use minimg_tree::{Account, Kind, Node, RootPath, RootTree, account_numbers, accounts};

use super::ComposeError;

/// The accounts that every image has, in the format of passwd(5). Root is locked: no password fits `*`.
const PASSWD: &str = "root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
/// The groups that every image has, in the format of group(5).
const GROUP: &str = "root:*:0:\nnogroup:*:65534:\n";

/// The account that programs without needs of their own run as.
const NONROOT: (&str, u32) = ("nonroot", 65532);

/// The accounts of an image, by name.
#[derive(Debug)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
    users: BTreeMap<String, (u32, u32)>,
    groups: BTreeMap<String, u32>,
    /// Home directories to be made, with their owners.
    homes: Vec<(String, u32, u32)>,
    /// Numbers that packages' scripts were given here, and the profile's in their place.
    moved_users: BTreeMap<u32, u32>,
    moved_groups: BTreeMap<u32, u32>,
}

/// The numbers that Debian gives away as packages ask (Debian policy 9.2.2): a profile may choose others. All else is fixed.
const DYNAMIC: std::ops::Range<u32> = 100..1000;

impl Accounts {
    /// Takes what the tree has, and adds what every image has and what the profile asks for.
    pub(super) fn new(tree: &RootTree, wanted: &[profile::Account]) -> Result<Self, ComposeError> {
        let text = |path: &str, default: &str| match text_of(tree, path)? {
            Some(text) => Ok::<_, ComposeError>(text),
            None => Ok(default.to_owned()),
        };
        let (passwd, group) = (text("etc/passwd", PASSWD)?, text("etc/group", GROUP)?);
        let mut accounts = Self {
            users: users(&passwd),
            groups: account_numbers(&group),
            passwd,
            group,
            homes: vec![("/root".into(), 0, 0)],
            moved_users: BTreeMap::new(),
            moved_groups: BTreeMap::new(),
        };
        let (name, id) = NONROOT;
        if !accounts.users.contains_key(name) && !wanted.iter().any(|account| account.name == name) {
            accounts.add_group(name, id);
            accounts.add_user(name, id, id, "nonroot", "/home/nonroot", "/usr/sbin/nologin");
        }
        for account in wanted {
            accounts.add(account)?;
        }
        Ok(accounts)
    }

    fn add(&mut self, account: &profile::Account) -> Result<(), ComposeError> {
        let group = if account.group.is_empty() { &account.name } else { &account.group };
        match self.groups.get(group) {
            Some(gid) if *gid != account.gid && DYNAMIC.contains(gid) => {
                self.moved_groups.insert(*gid, account.gid);
                remove_line(&mut self.group, group);
                self.add_group(group, account.gid);
            }
            Some(gid) if *gid != account.gid => {
                return Err(ComposeError::AccountClash { name: group.clone(), wanted: account.gid, present: *gid });
            }
            Some(_) => {}
            None => self.add_group(group, account.gid),
        }
        match self.users.get(&account.name) {
            Some((uid, _)) if *uid != account.uid && !DYNAMIC.contains(uid) => {
                Err(ComposeError::AccountClash { name: account.name.clone(), wanted: account.uid, present: *uid })
            }
            Some((uid, gid)) if (*uid, *gid) == (account.uid, account.gid) => Ok(()),
            found => {
                if let Some((uid, _)) = found {
                    self.moved_users.insert(*uid, account.uid);
                    remove_line(&mut self.passwd, &account.name);
                }
                let profile::Account { name, uid, gid, gecos, home, shell, .. } = account;
                self.add_user(name, *uid, *gid, gecos, home, shell);
                Ok(())
            }
        }
    }

    fn add_group(&mut self, name: &str, gid: u32) {
        self.group.push_str(&format!("{name}:*:{gid}:\n"));
        self.groups.insert(name.to_owned(), gid);
    }

    fn add_user(&mut self, name: &str, uid: u32, gid: u32, gecos: &str, home: &str, shell: &str) {
        self.passwd.push_str(&format!("{name}:*:{uid}:{gid}:{gecos}:{home}:{shell}\n"));
        self.users.insert(name.to_owned(), (uid, gid));
        if home != "/" && home != "/nonexistent" {
            self.homes.push((home.to_owned(), uid, gid));
        }
    }

    /// The number of a user that is given by name or number.
    pub(super) fn uid(&self, owner: &str, path: &str) -> Result<u32, ComposeError> {
        let known = self.users.get(owner).map(|(uid, _)| *uid);
        known.or_else(|| owner.parse().ok()).ok_or_else(|| unknown("user", owner, path))
    }

    /// The number of a group that is given by name or number.
    pub(super) fn gid(&self, group: &str, path: &str) -> Result<u32, ComposeError> {
        let known = self.groups.get(group).copied();
        known.or_else(|| group.parse().ok()).ok_or_else(|| unknown("group", group, path))
    }

    /// Gives the files of accounts that got another number to that number.
    pub(super) fn move_owners(&self, tree: &mut RootTree) {
        if self.moved_users.is_empty() && self.moved_groups.is_empty() {
            return;
        }
        for node in tree.nodes_mut() {
            let meta = &mut node.meta;
            meta.uid = *self.moved_users.get(&meta.uid).unwrap_or(&meta.uid);
            meta.gid = *self.moved_groups.get(&meta.gid).unwrap_or(&meta.gid);
        }
    }

    /// The files and homes, as nodes for the tree.
    pub(super) fn nodes(self, tree: &RootTree) -> Result<Vec<(RootPath, Node)>, ComposeError> {
        let mut nodes = vec![
            (RootPath::new("etc/passwd")?, Node::file(0o644, self.passwd)),
            (RootPath::new("etc/group")?, Node::file(0o644, self.group)),
        ];
        for (home, uid, gid) in self.homes {
            let path = RootPath::new(&home)?;
            if !tree.contains(&path) {
                nodes.push((path, Node::directory(0o700).owned_by(uid, gid)));
            }
        }
        Ok(nodes)
    }
}

/// Removes the line of an account from the text of passwd or group.
fn remove_line(text: &mut String, name: &str) {
    let begins = format!("{name}:");
    *text = text.split_inclusive('\n').filter(|line| !line.starts_with(&begins)).collect();
}

fn unknown(what: &'static str, name: &str, path: &str) -> ComposeError {
    ComposeError::UnknownAccount { what, name: name.to_owned(), path: path.to_owned() }
}

fn text_of(tree: &RootTree, path: &str) -> Result<Option<String>, ComposeError> {
    let path = RootPath::new(path)?;
    let Some(Node { kind: Kind::File(content), .. }) = tree.get(&path) else { return Ok(None) };
    let bytes = content.map().map_err(|source| ComposeError::Read { path: path.clone(), source })?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(Some(text))
}

/// The numbers of each user and of its main group.
fn users(passwd: &str) -> BTreeMap<String, (u32, u32)> {
    let gid = |user: &Account<'_>| user.fields.get(3)?.parse().ok();
    accounts(passwd).filter_map(|user| Some((user.name.to_owned(), (user.id, gid(&user)?)))).collect()
}
