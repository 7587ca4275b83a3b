//! The calls of scripts, and the lines of sysusers.d(5), that make accounts.

use std::collections::BTreeMap;

use super::accounts::{Accounts, From, NewGroup, NewUser};

/// The options of a command line: those that take a value with it, then what is not an option.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) values: BTreeMap<String, String>,
    pub(super) positional: Vec<String>,
}

impl Arguments {
    /// Splits arguments; `with_value` tells which options are followed by a value.
    pub(super) fn parse<'a>(words: impl IntoIterator<Item = &'a str>, with_value: &[&str]) -> Self {
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(argument) = words.next() {
            if !argument.starts_with('-') || argument == "-" {
                arguments.positional.push(argument.to_owned());
                continue;
            }
            let (name, value) = argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
            let value = match value {
                Some(value) => value.to_owned(),
                None if with_value.contains(&name) => words.next().unwrap_or_default().to_owned(),
                None => String::new(),
            };
            arguments.values.insert(name.to_owned(), value);
        }
        arguments
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
    let arguments = Arguments::parse(arguments.iter().copied(), &VALUES);
    let names: Vec<&str> = arguments.positional.iter().map(String::as_str).collect();
    match names[..] {
        [user, group] => accounts.add_member(user, group).map(|()| None),
        [name] if arguments.has(&["--group"]) && !arguments.has(&["--system"]) => {
            accounts.add_group(name, arguments.value(&["--gid"])?.parse().ok(), From::Low).map(|_| None)
        }
        [name] if arguments.has(&["--system"]) => {
            let group = match (arguments.value(&["--ingroup"]), arguments.value(&["--gid"])) {
                (Some(group), _) => NewGroup::Named(group.to_owned()),
                (None, Some(gid)) => NewGroup::Numbered(gid.parse().ok()?),
                (None, None) if arguments.has(&["--group"]) => NewGroup::Own,
                (None, None) => NewGroup::Nogroup,
            };
            let home = arguments.value(&["--home"]).map(str::to_owned);
            let made = home.clone().filter(|home| !arguments.has(&["--no-create-home"]) && home != "/nonexistent");
            accounts.add_user(NewUser {
                name: name.to_owned(),
                uid: arguments.value(&["--uid"]).map(str::parse).transpose().ok()?,
                group,
                gecos: arguments.value(&["--gecos", "--comment"]).unwrap_or_default().to_owned(),
                home,
                shell: arguments.value(&["--shell"]).map(str::to_owned),
                from: From::Low,
            })?;
            Some(made)
        }
        _ => None,
    }
}

/// Does what `addgroup` with these arguments does; `None` when the call is not understood.
pub(super) fn addgroup(accounts: &mut Accounts, arguments: &[&str]) -> Option<()> {
    let arguments = Arguments::parse(arguments.iter().copied(), &["--gid", "--conf"]);
    match &arguments.positional[..] {
        [name] => {
            let gid = arguments.value(&["--gid"]).map(str::parse).transpose().ok()?;
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
    let arguments = Arguments::parse(arguments.iter().copied(), &VALUES);
    let [name] = &arguments.positional[..] else { return None };
    if !arguments.has(&["-r", "--system"]) {
        return None;
    }
    let group = match arguments.value(&["-g", "--gid"]) {
        Some(group) => group.parse().map_or_else(|_| NewGroup::Named(group.to_owned()), NewGroup::Numbered),
        None => NewGroup::Own,
    };
    let home = arguments.value(&["-d", "--home", "--home-dir"]).map(str::to_owned);
    accounts.add_user(NewUser {
        name: name.clone(),
        uid: arguments.value(&["-u", "--uid"]).map(str::parse).transpose().ok()?,
        group,
        gecos: arguments.value(&["-c", "--comment"]).unwrap_or_default().to_owned(),
        home: home.clone(),
        shell: arguments.value(&["-s", "--shell"]).map(str::to_owned),
        from: From::High,
    })?;
    for group in arguments.value(&["-G", "--groups"]).unwrap_or_default().split(',').filter(|group| !group.is_empty()) {
        accounts.add_member(name, group)?;
    }
    Some(home.filter(|_| arguments.has(&["-m", "--create-home"])))
}

/// Does what `groupadd` with these arguments does; `None` when the call is not understood.
pub(super) fn groupadd(accounts: &mut Accounts, arguments: &[&str]) -> Option<()> {
    let arguments = Arguments::parse(arguments.iter().copied(), &["-g", "--gid", "-K", "-p"]);
    let [name] = &arguments.positional[..] else { return None };
    let gid = arguments.value(&["-g", "--gid"]).map(str::parse).transpose().ok()?;
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
