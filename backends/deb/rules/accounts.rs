//! Accounts: passwd(5), group(5), shadow(5) and gshadow(5) as base-passwd, `adduser`, `useradd` and systemd-sysusers would have
//! written them. Numbers are given out in the order of the packages, so the same packages always give the same numbers.

use std::collections::BTreeMap;

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
        let user = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, gecos, home, shell] = fields[..] else { return None };
            let [name, gecos, home, shell] = [name, gecos, home, shell].map(str::to_owned);
            Some(User { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, gecos, home, shell })
        };
        let group_of = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else { return None };
            let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
            Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
        };
        Self { users: passwd.lines().filter_map(user).collect(), groups: group.lines().filter_map(group_of).collect() }
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

/// The options of a command line: those that take a value with it, then what is no option.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) values: BTreeMap<String, String>,
    pub(super) positional: Vec<String>,
}

impl Options {
    /// Splits arguments; `with_value` tells which options are followed by a value.
    pub(super) fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>, with_value: &[&str]) -> Self {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if !argument.starts_with('-') || argument == "-" {
                options.positional.push(argument.to_owned());
                continue;
            }
            let (name, value) = argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
            let value = match value {
                Some(value) => value.to_owned(),
                None if with_value.contains(&name) => arguments.next().unwrap_or_default().to_owned(),
                None => String::new(),
            };
            options.values.insert(name.to_owned(), value);
        }
        options
    }

    /// Whether there are no other options than these.
    pub(super) fn only(&self, names: &[&str]) -> Option<()> {
        self.values.keys().all(|name| names.contains(&name.as_str())).then_some(())
    }

    pub(super) fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.values.contains_key(*name))
    }

    pub(super) fn value(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.values.get(*name)).map(String::as_str)
    }
}

/// Does what `adduser` with these arguments does (adduser(8), Debian's). Returns the new user's home when it is to be made; `None`
/// when the call is not understood.
pub(super) fn adduser(accounts: &mut Accounts, arguments: &[&str]) -> Option<Option<String>> {
    const VALUES: [&str; 10] = [
        "--home",
        "--shell",
        "--gecos",
        "--comment",
        "--ingroup",
        "--uid",
        "--gid",
        "--firstuid",
        "--lastuid",
        "--conf",
    ];
    let options = Options::parse(arguments.iter().copied(), &VALUES);
    let names: Vec<&str> = options.positional.iter().map(String::as_str).collect();
    match names[..] {
        [user, group] => accounts.add_member(user, group).map(|()| None),
        [name] if options.has(&["--group"]) && !options.has(&["--system"]) => {
            accounts.add_group(name, options.value(&["--gid"])?.parse().ok(), From::Low).map(|_| None)
        }
        [name] if options.has(&["--system"]) => {
            let group = match (options.value(&["--ingroup"]), options.value(&["--gid"])) {
                (Some(group), _) => NewGroup::Named(group.to_owned()),
                (None, Some(gid)) => NewGroup::Numbered(gid.parse().ok()?),
                (None, None) if options.has(&["--group"]) => NewGroup::Own,
                (None, None) => NewGroup::Nogroup,
            };
            let home = options.value(&["--home"]).map(str::to_owned);
            let made = home.clone().filter(|home| !options.has(&["--no-create-home"]) && home != "/nonexistent");
            accounts.add_user(NewUser {
                name: name.to_owned(),
                uid: options.value(&["--uid"]).map(str::parse).transpose().ok()?,
                group,
                gecos: options.value(&["--gecos", "--comment"]).unwrap_or_default().to_owned(),
                home,
                shell: options.value(&["--shell"]).map(str::to_owned),
                from: From::Low,
            })?;
            Some(made)
        }
        _ => None,
    }
}

/// Does what `addgroup` with these arguments does; `None` when the call is not understood.
pub(super) fn addgroup(accounts: &mut Accounts, arguments: &[&str]) -> Option<()> {
    let options = Options::parse(arguments.iter().copied(), &["--gid", "--conf"]);
    match &options.positional[..] {
        [name] => {
            let gid = options.value(&["--gid"]).map(str::parse).transpose().ok()?;
            accounts.add_group(name, gid, From::Low).map(drop)
        }
        [user, group] => accounts.add_member(user, group),
        _ => None,
    }
}

/// Does what `useradd` with these arguments does for system accounts (useradd(8)). Returns as [`adduser`].
pub(super) fn useradd(accounts: &mut Accounts, arguments: &[&str]) -> Option<Option<String>> {
    const VALUES: [&str; 16] = [
        "-g",
        "--gid",
        "-d",
        "--home",
        "--home-dir",
        "-s",
        "--shell",
        "-c",
        "--comment",
        "-u",
        "--uid",
        "-G",
        "--groups",
        "-K",
        "-p",
        "--password",
    ];
    let options = Options::parse(arguments.iter().copied(), &VALUES);
    let [name] = &options.positional[..] else { return None };
    if !options.has(&["-r", "--system"]) {
        return None;
    }
    let group = match options.value(&["-g", "--gid"]) {
        Some(group) => group.parse().map_or_else(|_| NewGroup::Named(group.to_owned()), NewGroup::Numbered),
        None => NewGroup::Own,
    };
    let home = options.value(&["-d", "--home", "--home-dir"]).map(str::to_owned);
    accounts.add_user(NewUser {
        name: name.clone(),
        uid: options.value(&["-u", "--uid"]).map(str::parse).transpose().ok()?,
        group,
        gecos: options.value(&["-c", "--comment"]).unwrap_or_default().to_owned(),
        home: home.clone(),
        shell: options.value(&["-s", "--shell"]).map(str::to_owned),
        from: From::High,
    })?;
    for group in options.value(&["-G", "--groups"]).unwrap_or_default().split(',').filter(|group| !group.is_empty()) {
        accounts.add_member(name, group)?;
    }
    Some(home.filter(|_| options.has(&["-m", "--create-home"])))
}

/// Does what `groupadd` with these arguments does; `None` when the call is not understood.
pub(super) fn groupadd(accounts: &mut Accounts, arguments: &[&str]) -> Option<()> {
    let options = Options::parse(arguments.iter().copied(), &["-g", "--gid", "-K", "-p"]);
    let [name] = &options.positional[..] else { return None };
    let gid = options.value(&["-g", "--gid"]).map(str::parse).transpose().ok()?;
    accounts.add_group(name, gid, From::High).map(drop)
}

/// Does what a line of sysusers.d(5) says; `None` when it is not understood.
pub(super) fn sysusers(accounts: &mut Accounts, line: &str) -> Option<()> {
    let fields = quoted_fields(line);
    let field = |at: usize| fields.get(at).map(String::as_str).filter(|field| !field.is_empty() && *field != "-");
    let (kind, name) = (field(0)?, field(1)?);
    match kind.trim_end_matches('!') {
        "g" => accounts.add_group(name, field(2).map(str::parse).transpose().ok()?, From::High).map(drop),
        "m" => accounts.add_member(name, field(2)?),
        "u" => {
            let (uid, gid) = field(2)
                .map_or((None, None), |id| id.split_once(':').map_or((Some(id), None), |(u, g)| (Some(u), Some(g))));
            let uid: Option<u32> = uid.filter(|uid| *uid != "-").map(str::parse).transpose().ok()?;
            let group = match gid {
                Some(gid) => gid.parse().map_or_else(|_| NewGroup::Named(gid.to_owned()), NewGroup::Numbered),
                None => NewGroup::Own,
            };
            accounts.add_user(NewUser {
                name: name.to_owned(),
                uid,
                group,
                gecos: field(3).unwrap_or_default().to_owned(),
                home: Some(field(4).unwrap_or("/").to_owned()),
                shell: field(5).map(str::to_owned),
                from: From::High,
            })
        }
        _ => None,
    }
}

/// Splits at white space outside of double quotes.
fn quoted_fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for next in line.chars() {
        match next {
            '"' => (quoted, begun) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if std::mem::take(&mut begun) {
                    fields.push(std::mem::take(&mut field));
                }
            }
            c => {
                field.push(c);
                begun = true;
            }
        }
    }
    if begun {
        fields.push(field);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Accounts {
        Accounts::parse("root:*:0:0:root:/root:/bin/bash\n", "root:*:0:\nssl-cert:*:110:\nnogroup:*:65534:\n")
    }

    type Call = fn(&mut Accounts, &[&str]) -> Option<()>;

    #[test]
    fn calls_give_the_accounts_of_the_tools() {
        let adduser: Call = |accounts, arguments| adduser(accounts, arguments).map(drop);
        let useradd: Call = |accounts, arguments| useradd(accounts, arguments).map(drop);
        let cases: [(Call, &str, Option<&str>); 11] = [
            (
                adduser,
                "--system --home /var/lib/redis --quiet --group redis",
                Some("redis:x:100:100::/var/lib/redis:/usr/sbin/nologin"),
            ),
            (
                adduser,
                "--quiet --system --no-create-home --home /run/sshd --shell /usr/sbin/nologin sshd",
                Some("sshd:x:100:65534::/run/sshd:/usr/sbin/nologin"),
            ),
            (adduser, "--system --ingroup ssl-cert --shell=/bin/sh x", Some("x:x:100:110::/nonexistent:/bin/sh")),
            (adduser, "--system --uid 150 x", Some("x:x:150:65534::/nonexistent:/usr/sbin/nologin")),
            (adduser, "--system --ingroup none x", None),
            (adduser, "x", None),
            (adduser, "--system a:b", None),
            (adduser, "root ssl-cert", Some("root:x:0:0:root:/root:/bin/bash")),
            (useradd, "-r -g ssl-cert -d /x -s /bin/sh y", Some("y:x:999:110::/x:/bin/sh")),
            (useradd, "--system y", Some("y:x:999:999::/nonexistent:/usr/sbin/nologin")),
            (useradd, "y", None),
        ];
        for (call, arguments, expected) in cases {
            let mut accounts = base();
            let done = call(&mut accounts, &arguments.split(' ').collect::<Vec<_>>());
            assert_eq!(done.is_some(), expected.is_some(), "{arguments}");
            if let Some(expected) = expected {
                assert_eq!(accounts.passwd().lines().last(), Some(expected), "{arguments}");
            }
        }
    }

    #[test]
    fn sysusers_lines() {
        let mut accounts = base();
        for line in [
            "u! redis - \"Redis server\" /var/lib/redis /bin/false",
            "g input - -",
            "u _x 200:ssl-cert - -",
            "m redis ssl-cert",
        ] {
            assert_eq!(sysusers(&mut accounts, line), Some(()), "{line}");
        }
        assert_eq!(sysusers(&mut accounts, "u y /etc/passwd - -"), None, "a number that a file's owner gives");
        insta::assert_snapshot!(accounts.passwd() + &accounts.group_file() + &accounts.shadow(86_400 * 20_000), @r"
        root:x:0:0:root:/root:/bin/bash
        redis:x:999:999:Redis server:/var/lib/redis:/bin/false
        _x:x:200:110::/:/usr/sbin/nologin
        root:x:0:
        ssl-cert:x:110:redis
        nogroup:x:65534:
        redis:x:999:
        input:x:998:
        root:*:20000:0:99999:7:::
        redis:*:20000:0:99999:7:::
        _x:*:20000:0:99999:7:::
        ");
    }
}
