//! Gives the TOML shape its meaning: applies a file, or what differs under some condition, to a profile. Lists are appended to,
//! single values replaced; of things with the same name (files and links by path, accounts, tests) the last one stays.

use std::collections::BTreeMap;

use minimg_oci::image::Healthcheck;

use super::check;
use super::file::{
    AccountTable, AddTable, ClosureTable, DirectoryTable, DropTable, FileTable, HealthcheckTable, ImageTable,
    KeepTable, OverrideTable, PackagesTable, SourceTable, TestTable, TreeTable,
};
use super::{Account, AddedDirectory, AddedFile, AddedTree, Pattern, Profile, Test};
use minimg_document::document::At;
use minimg_document::problem::Problems;

impl OverrideTable {
    /// Applies all tables. What is wrong is noted and left out; what is wrong never depends on `profile`.
    pub(super) fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        replace(&mut profile.backend, &self.backend, problems, |text| check::word("a backend's name", text));
        self.source.apply(profile, problems);
        self.packages.apply(profile, problems);
        self.keep.apply(profile, problems);
        self.drop.apply(profile, problems);
        self.closure.apply(profile);
        self.add.apply(profile, problems);
        self.image.apply(profile, problems);
        for test in &self.tests {
            if let Some(test) = test.read(problems) {
                put(&mut profile.tests, test, |test| &test.name);
            }
        }
    }
}

impl SourceTable {
    fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        let source = &mut profile.source;
        let suite = |text: &str| check::word("a suite's name", text);
        let package = |text: &str| check::word("a package's name", text);
        replace(&mut source.distribution, &self.distribution, problems, |text| {
            check::word("a distribution's name", text)
        });
        replace(&mut source.suite, &self.suite, problems, suite);
        if let Some(components) = &self.components {
            source.components = list(components, problems, |text| check::word("a component's name", text));
        }
        if let Some(suites) = &self.extra_suites {
            source.extra_suites = Some(list(suites, problems, suite));
        }
        replace_some(&mut source.mirror, &self.mirror, problems, check::address);
        replace_some(&mut source.security_mirror, &self.security_mirror, problems, check::address);
        source.entries.extend(self.entries.iter().map(|entry| entry.get().clone()));
        if let Some(keyring) = &self.keyring {
            source.keyring = Some(keyring.get().into());
        }
        source.recommends = self.recommends.unwrap_or(source.recommends);
        for (name, version) in &self.pins {
            let name = problems.check(name.span(), package(name.get()));
            let version = problems.check(version.span(), check::word("a version or suite", version.get()));
            source.pins.extend(name.zip(version));
        }
        append(&mut source.exclude, &self.exclude, problems, package);
        source.allow_expired = self.allow_expired.unwrap_or(source.allow_expired);
        source.allow_other_suite = self.allow_other_suite.unwrap_or(source.allow_other_suite);
        if !self.options.is_empty() {
            source.directory.clone_from(&self.directory);
        }
        for (backend, options) in &self.options {
            let all = source.options.entry(backend.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(all) = all {
                all.extend(options.clone());
            }
        }
    }
}

impl PackagesTable {
    fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        for (family, names) in
            [("deb", &self.deb), ("rpm", &self.rpm), ("apk", &self.apk), ("buildroot", &self.buildroot)]
        {
            if !names.is_empty() {
                let all = profile.packages.entry(family.to_owned()).or_default();
                append(all, names, problems, |text| check::word("a package", text));
            }
        }
    }
}

impl KeepTable {
    fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        let keep = &mut profile.keep;
        append(&mut keep.programs, &self.programs, problems, check::program);
        append(&mut keep.optional_programs, &self.optional_programs, problems, check::program);
        append(&mut keep.rules, &self.rules, problems, |text| check::rule(text, &keep.rule_sets));
        append(&mut keep.packages, &self.packages, problems, |text| check::word("a package's name", text));
        patterns(&mut keep.keep, &self.globs, problems);
    }
}

impl DropTable {
    fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        patterns(&mut profile.keep.drop, &self.globs, problems);
    }
}

impl ClosureTable {
    fn apply(&self, profile: &mut Profile) {
        let settings = &mut profile.keep.closure;
        settings.dlopen_strings = self.dlopen_strings.unwrap_or(settings.dlopen_strings);
        settings.suggested = self.suggested.unwrap_or(settings.suggested);
        settings.script_commands = self.script_commands.unwrap_or(settings.script_commands);
        settings.hwcaps = self.hwcaps.unwrap_or(settings.hwcaps);
        settings.triggers = self.triggers.unwrap_or(settings.triggers);
    }
}

impl AddTable {
    fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        let add = &mut profile.add;
        add.base = self.base.unwrap_or(add.base);
        replace_some(&mut add.applets, &self.applets, problems, check::path_below_root);
        refuse_twice(self.accounts.iter().map(|account| &account.name), "account", problems);
        refuse_twice(self.files.iter().map(|file| &file.path), "file", problems);
        refuse_twice(self.trees.iter().map(|tree| &tree.to), "directory's content", problems);
        refuse_twice(self.directories.iter().map(|directory| &directory.path), "directory", problems);
        for account in &self.accounts {
            if let Some(account) = account.read(problems) {
                put(&mut add.accounts, account, |account| &account.name);
            }
        }
        for file in &self.files {
            if let Some(file) = file.read(problems) {
                put(&mut add.files, file, |file| &file.path);
            }
        }
        for tree in &self.trees {
            if let Some(tree) = tree.read(problems) {
                put(&mut add.trees, tree, |tree| &tree.path);
            }
        }
        for directory in &self.directories {
            if let Some(directory) = directory.read(problems) {
                put(&mut add.directories, directory, |directory| &directory.path);
            }
        }
        for (path, target) in &self.links {
            let path = problems.check(path.span(), check::path_below_root(path.get()));
            let target = problems.check(target.span(), link_target(target.get()));
            add.links.extend(path.zip(target));
        }
    }
}

impl AccountTable {
    fn read(&self, problems: &mut Problems) -> Option<Account> {
        let name = problems.check(self.name.span(), check::account_name(self.name.get()))?;
        let uid = problems.check(self.uid.span(), check::id(*self.uid.get()))?;
        let mut text =
            |value: &Option<At<String>>, otherwise: &str, rule: fn(&str) -> Result<String, String>| match value {
                Some(value) => problems.check(value.span(), rule(value.get())),
                None => Some(otherwise.to_owned()),
            };
        let path = |text: &str| check::image_path(text).and_then(|path| check::passwd_field(&path));
        let group = text(&self.group, &name, check::account_name)?;
        let home = text(&self.home, "/nonexistent", path)?;
        let shell = text(&self.shell, "/usr/sbin/nologin", path)?;
        let gecos = text(&self.gecos, "", check::passwd_field)?;
        let gid = match &self.gid {
            Some(gid) => problems.check(gid.span(), check::id(*gid.get()))?,
            None => uid,
        };
        Some(Account { name, uid, group, gid, home, shell, gecos })
    }
}

impl FileTable {
    fn read(&self, problems: &mut Problems) -> Option<AddedFile> {
        let path = problems.check(self.path.span(), check::path_below_root(self.path.get()));
        let mode = permissions(&self.mode, self.found.as_ref().map_or(0o644, |(_, mode)| *mode), problems);
        let user = owner(&self.owner, problems);
        let group = owner(&self.group, problems);
        let content = match (&self.content, &self.from, &self.found) {
            (Some(content), None, _) => Some(content.get().clone().into_bytes()),
            (None, Some(_), found) => found.as_ref().map(|(bytes, _)| bytes.clone()),
            (Some(_), Some(from), _) => {
                problems.add(from.span(), "a file has either `content` or `from`, not both");
                None
            }
            (None, None, _) => {
                let help = Some("write `content = \"…\"`, or `from = \"a-file-beside-this-one\"`".to_owned());
                problems.add_with_help(self.path.span(), "this file has neither `content` nor `from`", help);
                None
            }
        };
        Some(AddedFile { path: path?, content: content?, mode: mode?, owner: user?, group: group? })
    }
}

impl TreeTable {
    fn read(&self, problems: &mut Problems) -> Option<AddedTree> {
        let path = problems.check(self.to.span(), check::image_path(self.to.get()));
        let user = owner(&self.owner, problems);
        let group = owner(&self.group, problems);
        Some(AddedTree { path: path?, content: self.found.clone()?, owner: user?, group: group? })
    }
}

impl DirectoryTable {
    fn read(&self, problems: &mut Problems) -> Option<AddedDirectory> {
        let path = problems.check(self.path.span(), check::path_below_root(self.path.get()));
        let mode = permissions(&self.mode, 0o755, problems);
        let user = owner(&self.owner, problems);
        let group = owner(&self.group, problems);
        Some(AddedDirectory { path: path?, mode: mode?, owner: user?, group: group? })
    }
}

impl ImageTable {
    fn apply(&self, profile: &mut Profile, problems: &mut Problems) {
        let image = &mut profile.image;
        if let Some(entrypoint) = &self.entrypoint {
            // As in a Dockerfile: arguments that were meant for another program are of no use to this one.
            image.cmd.clear();
            image.entrypoint = problems.check(entrypoint.span(), command_or_none(entrypoint.get())).unwrap_or_default();
        }
        if let Some(cmd) = &self.cmd {
            image.cmd = cmd.get().clone();
        }
        for (name, value) in &self.env {
            let name = problems.check(name.span(), check::variable(name.get()));
            image.env.extend(name.map(|name| (name, value.get().clone())));
        }
        replace(&mut image.user, &self.user, problems, check::user);
        replace(&mut image.workdir, &self.workdir, problems, check::image_path);
        image.ports.extend(list(&self.ports, problems, check::port));
        image.volumes.extend(list(&self.volumes, problems, check::path_below_root));
        for (name, value) in &self.labels {
            let name = problems.check(name.span(), check::word("a label's name", name.get()));
            image.labels.extend(name.map(|name| (name, value.clone())));
        }
        replace_some(&mut image.stop_signal, &self.stop_signal, problems, check::signal);
        if let Some(healthcheck) = &self.healthcheck {
            image.healthcheck = Some(healthcheck.read(problems));
        }
    }
}

impl HealthcheckTable {
    fn read(&self, problems: &mut Problems) -> Healthcheck {
        let command = problems.check(self.command.span(), check::command(self.command.get()));
        let mut time = |value: &Option<At<String>>| {
            value.as_ref().and_then(|value| problems.check(value.span(), check::duration(value.get())))
        };
        Healthcheck {
            command: command.unwrap_or_default(),
            interval: time(&self.interval),
            timeout: time(&self.timeout),
            start_period: time(&self.start_period),
            retries: self.retries,
        }
    }
}

impl TestTable {
    fn read(&self, problems: &mut Problems) -> Option<Test> {
        let name = problems.check(self.name.span(), check::line(self.name.get()));
        let command = match (&self.command, &self.port) {
            (Some(command), _) => problems.check(command.span(), check::command(command.get())),
            (None, Some(_)) => Some(Vec::new()),
            (None, None) => {
                problems.add(self.name.span(), "the test has no `command`, and no `port` to send its `stdin` to");
                None
            }
        };
        let port = match &self.port {
            Some(port) if *port.get() == 0 => {
                problems.add(port.span(), "0 is not a port: they go from 1 to 65535");
                None
            }
            port => Some(port.as_ref().map(|port| *port.get())),
        };
        let exit = match &self.exit {
            None => Some(0),
            Some(exit) if (0..=255).contains(exit.get()) => Some(*exit.get()),
            Some(exit) => {
                problems.add(exit.span(), format!("{} is not an exit code: they go from 0 to 255", exit.get()));
                None
            }
        };
        Some(Test {
            name: name?,
            command: command?,
            port: port?,
            stdout: self.stdout.clone(),
            exit: exit?,
            stdin: self.stdin.clone(),
        })
    }
}

fn command_or_none(words: &[String]) -> Result<Vec<String>, String> {
    if words.is_empty() { Ok(Vec::new()) } else { check::command(words) }
}

fn link_target(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("the link leads nowhere: its target is empty".to_owned()) } else { check::line(text) }
}

fn permissions(mode: &Option<At<String>>, otherwise: u32, problems: &mut Problems) -> Option<u32> {
    match mode {
        Some(mode) => problems.check(mode.span(), check::mode(mode.get())),
        None => Some(otherwise),
    }
}

fn owner(owner: &Option<At<String>>, problems: &mut Problems) -> Option<String> {
    match owner {
        Some(owner) => problems.check(owner.span(), check::owner(owner.get())),
        None => Some("root".to_owned()),
    }
}

fn patterns(into: &mut Vec<Pattern>, globs: &BTreeMap<At<String>, At<String>>, problems: &mut Problems) {
    for (glob, reason) in globs {
        let glob = problems.check(glob.span(), check::glob(glob.get()));
        let reason = problems.check(reason.span(), check::reason(reason.get()));
        if let (Some(glob), Some(reason)) = (glob, reason) {
            put(into, Pattern { glob, reason }, |pattern| &pattern.glob);
        }
    }
}

/// Puts `item` in the place of the one with the same key, or at the end.
fn put<T>(into: &mut Vec<T>, item: T, key: impl Fn(&T) -> &String) {
    match into.iter_mut().find(|old| key(old) == key(&item)) {
        Some(old) => *old = item,
        None => into.push(item),
    }
}

fn refuse_twice<'a>(names: impl Iterator<Item = &'a At<String>>, what: &str, problems: &mut Problems) {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name.get()) {
            problems.add(name.span(), format!("the {what} `{}` is added twice", name.get()));
        }
    }
}

/// Appends what is not there yet.
fn append(
    into: &mut Vec<String>,
    more: &[At<String>],
    problems: &mut Problems,
    rule: impl Fn(&str) -> Result<String, String>,
) {
    for value in list(more, problems, rule) {
        if !into.contains(&value) {
            into.push(value);
        }
    }
}

fn list(values: &[At<String>], problems: &mut Problems, rule: impl Fn(&str) -> Result<String, String>) -> Vec<String> {
    values.iter().filter_map(|value| problems.check(value.span(), rule(value.get()))).collect()
}

fn replace(
    into: &mut String,
    value: &Option<At<String>>,
    problems: &mut Problems,
    rule: impl Fn(&str) -> Result<String, String>,
) {
    if let Some(value) = value {
        *into = problems.check(value.span(), rule(value.get())).unwrap_or_default();
    }
}

fn replace_some(
    into: &mut Option<String>,
    value: &Option<At<String>>,
    problems: &mut Problems,
    rule: impl Fn(&str) -> Result<String, String>,
) {
    if let Some(value) = value {
        *into = problems.check(value.span(), rule(value.get()));
    }
}
