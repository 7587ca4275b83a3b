//! Accounts: passwd(5), group(5), shadow(5) and gshadow(5) as base-passwd, `adduser`, `useradd` and systemd-sysusers would have
//! written them. Numbers are given out in the order of the packages, so the same packages always give the same numbers.

use minimg_tree::{Account, accounts};

/// The users and groups of a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
}

/// A line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) gecos: String,
    pub(super) home: String,
    pub(super) shell: String,
}

/// A line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) members: Vec<String>,
}

/// A user as a script or a file asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NewUser {
    pub(super) name: String,
    pub(super) uid: Option<u32>,
    pub(super) group: NewGroup,
    pub(super) gecos: String,
    pub(super) home: Option<String>,
    pub(super) shell: Option<String>,
    pub(super) from: From,
}

/// The main group of a new user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum NewGroup {
    /// `nogroup`, as `adduser --system` has it by itself.
    #[default]
    Nogroup,
    /// One of the user's own name, with the user's number if it is free.
    Own,
    /// That one.
    Named(String),
    /// The one with that number.
    Numbered(u32),
}

/// From which end free numbers are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum From {
    /// 100 up to 999: adduser.
    #[default]
    Low,
    /// 999 down to 100: useradd --system and systemd-sysusers.
    High,
}

/// The numbers of system accounts that are given out as they are needed (Debian policy 9.2.2; adduser.conf, login.defs).
const DYNAMIC: std::ops::RangeInclusive<u32> = 100..=999;
const NOGROUP: u32 = 65534;
const NOLOGIN: &str = "/usr/sbin/nologin";

impl Accounts {
    /// Reads passwd(5) and group(5); lines that are none are left out.
    pub(super) fn parse(passwd: &str, group: &str) -> Self {
        let user = |user: Account<'_>| {
            let [name, _, _, gid, gecos, home, shell] = user.fields[..] else { return None };
            let [name, gecos, home, shell] = [name, gecos, home, shell].map(str::to_owned);
            Some(User { name, uid: user.id, gid: gid.parse().ok()?, gecos, home, shell })
        };
        let group_of = |group: Account<'_>| {
            let [name, _, _, members] = group.fields[..] else { return None };
            let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
            Some(Group { name: name.to_owned(), gid: group.id, members })
        };
        Self {
            users: accounts(passwd).filter_map(user).collect(),
            groups: accounts(group).filter_map(group_of).collect(),
        }
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The number of a user given by name or number.
    pub(super) fn uid(&self, name: &str) -> Option<u32> {
        self.user(name).map(|user| user.uid).or_else(|| name.parse().ok())
    }

    /// The number of a group given by name or number.
    pub(super) fn gid(&self, name: &str) -> Option<u32> {
        self.group(name).map(|group| group.gid).or_else(|| name.parse().ok())
    }

    /// Adds a group unless there is one of that name. `None` when no number is free or the name is none.
    pub(super) fn add_group(&mut self, name: &str, gid: Option<u32>, from: From) -> Option<u32> {
        if let Some(group) = self.group(name) {
            return Some(group.gid);
        }
        if !is_name(name) {
            return None;
        }
        let free = |gid: &u32| !self.groups.iter().any(|group| group.gid == *gid);
        let gid = gid.filter(free).or_else(|| first_free(from, free))?;
        self.groups.push(Group { name: name.to_owned(), gid, members: Vec::new() });
        Some(gid)
    }

    /// Adds a user, and its group where it is to have one, unless there is one of that name. `None` as for groups, and when the named
    /// group does not exist.
    pub(super) fn add_user(&mut self, new: NewUser) -> Option<()> {
        if self.user(&new.name).is_some() {
            return Some(());
        }
        if !is_name(&new.name)
            || [&new.gecos].into_iter().chain(&new.home).chain(&new.shell).any(|text| text.contains([':', '\n']))
        {
            return None;
        }
        let uid_is_free = |uid: &u32| !self.users.iter().any(|user| user.uid == *uid);
        let both_are_free = |id: &u32| uid_is_free(id) && !self.groups.iter().any(|group| group.gid == *id);
        let own = new.group == NewGroup::Own && self.group(&new.name).is_none();
        // A user whose own group exists already gets that group's number, if it is free.
        let same = self.group(&new.name).filter(|_| new.group == NewGroup::Own).map(|group| group.gid);
        let uid = new.uid.filter(uid_is_free).or(same.filter(uid_is_free));
        let uid =
            uid.or_else(|| if own { first_free(new.from, both_are_free) } else { first_free(new.from, uid_is_free) })?;
        let gid = match &new.group {
            NewGroup::Nogroup => NOGROUP,
            NewGroup::Own => self.add_group(&new.name, Some(uid), new.from)?,
            NewGroup::Named(name) => self.gid(name)?,
            NewGroup::Numbered(gid) => *gid,
        };
        self.users.push(User {
            name: new.name,
            uid,
            gid,
            gecos: new.gecos,
            home: new.home.unwrap_or_else(|| "/nonexistent".into()),
            shell: new.shell.unwrap_or_else(|| NOLOGIN.into()),
        });
        Some(())
    }

    /// Makes a user a member of a group; `None` when one of them does not exist.
    pub(super) fn add_member(&mut self, user: &str, group: &str) -> Option<()> {
        self.user(user)?;
        let group = self.groups.iter_mut().find(|candidate| candidate.name == group)?;
        if !group.members.iter().any(|member| member == user) {
            group.members.push(user.to_owned());
        }
        Some(())
    }

    /// The text of `/etc/passwd`; passwords are in shadow.
    pub(super) fn passwd(&self) -> String {
        let line = |u: &User| format!("{}:x:{}:{}:{}:{}:{}\n", u.name, u.uid, u.gid, u.gecos, u.home, u.shell);
        self.users.iter().map(line).collect()
    }

    /// The text of `/etc/group`.
    pub(super) fn group_file(&self) -> String {
        let line = |g: &Group| format!("{}:x:{}:{}\n", g.name, g.gid, g.members.join(","));
        self.groups.iter().map(line).collect()
    }

    /// The text of `/etc/shadow`: every account locked, last changed on the day of `epoch`.
    pub(super) fn shadow(&self, epoch: i64) -> String {
        let day = epoch.div_euclid(86_400);
        self.users.iter().map(|user| format!("{}:*:{day}:0:99999:7:::\n", user.name)).collect()
    }

    /// The text of `/etc/gshadow`: every group locked.
    pub(super) fn gshadow(&self) -> String {
        self.groups.iter().map(|group| format!("{}:*::{}\n", group.name, group.members.join(","))).collect()
    }
}

fn first_free(from: From, free: impl Fn(&u32) -> bool) -> Option<u32> {
    match from {
        From::Low => DYNAMIC.clone().find(free),
        From::High => DYNAMIC.clone().rev().find(free),
    }
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    !name.is_empty() && name.len() <= 32 && name.bytes().all(good) && !name.starts_with(['-', '.'])
}
