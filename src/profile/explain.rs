//! A profile as text, for `minimg show`.

use serde::Serialize;

use super::{Profile, Test};

/// A profile in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The profile's name.
    pub name: String,
    /// One line that describes it.
    pub description: String,
    /// What it says, part by part, in the order in which a build uses it; parts that say nothing are left out.
    pub sections: Vec<Section>,
}

/// One part of a profile in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What the part is about: `packages`, `keeps`.
    pub title: &'static str,
    /// What it says, in the order in which it should be shown.
    pub lines: Vec<Line>,
}

/// One thing that a profile says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The thing: a path, a name, a command.
    pub what: String,
    /// What it is or why it is there; may be empty.
    pub why: String,
}

impl Profile {
    /// The profile in words, for people.
    pub fn explain(&self) -> Explanation {
        let all = [
            ("source", self.source_lines()),
            ("packages", self.package_lines()),
            ("keeps", self.keep_lines()),
            ("drops", self.keep.drop.iter().map(|pattern| line(&pattern.glob, &pattern.reason)).collect()),
            ("adds", self.add_lines()),
            ("runs", self.run_lines()),
            ("tests", self.tests.iter().map(|test| line(&test.name, test_words(test))).collect()),
        ];
        let sections =
            all.into_iter().map(|(title, lines)| Section { title, lines }).filter(|part| !part.lines.is_empty());
        Explanation { name: self.name.clone(), description: self.description.clone(), sections: sections.collect() }
    }

    fn source_lines(&self) -> Vec<Line> {
        let source = &self.source;
        let mut lines = vec![line(&self.backend, "backend")];
        let release = format!("{} {} {}", source.distribution, source.suite, source.components.join(" "));
        lines.push(line(release.trim(), "distribution, suite, components"));
        lines.extend(source.mirror.iter().map(|mirror| line(mirror, "mirror")));
        lines.extend(source.security_mirror.iter().map(|mirror| line(mirror, "mirror of security updates")));
        lines.extend(source.entries.iter().map(|entry| line(entry, "source entry")));
        lines.extend(source.pins.iter().map(|(name, version)| line(format!("{name} = {version}"), "pinned")));
        lines.extend(source.exclude.iter().map(|name| line(name, "must not be in the tree")));
        lines
    }

    fn package_lines(&self) -> Vec<Line> {
        self.packages.iter().map(|(family, names)| line(names.join(" "), family)).collect()
    }

    fn keep_lines(&self) -> Vec<Line> {
        let keep = &self.keep;
        let programs = keep.programs.iter().map(|path| line(path, "program, with everything it needs"));
        let optional = keep.optional_programs.iter().map(|path| line(path, "program, if the packages have it"));
        let rules = keep.rules.iter().map(|name| line(name, "rule set"));
        let packages = keep.packages.iter().map(|name| line(name, "whole package"));
        let globs = keep.keep.iter().map(|pattern| line(&pattern.glob, &pattern.reason));
        programs.chain(optional).chain(rules).chain(packages).chain(globs).collect()
    }

    fn add_lines(&self) -> Vec<Line> {
        let add = &self.add;
        let base = add.base.then(|| line("base files", "accounts, nsswitch.conf, hosts, os-release, machine-id, /tmp"));
        let applets = add.applets.iter().map(|program| line(program, "a link for each of its applets"));
        let accounts = add.accounts.iter().map(|account| {
            line(&account.name, format!("account, uid {}, group {} ({})", account.uid, account.group, account.gid))
        });
        let files = add.files.iter().map(|file| {
            line(
                &file.path,
                format!("file, {} bytes, {:04o} {}:{}", file.content.len(), file.mode, file.owner, file.group),
            )
        });
        let trees = add.trees.iter().map(|tree| {
            let count = tree.content.tree().len();
            line(&tree.path, format!("a directory's content, {count} paths, {}:{}", tree.owner, tree.group))
        });
        let links = add.links.iter().map(|(path, target)| line(path, format!("link to {target}")));
        let directories = add.directories.iter().map(|directory| {
            line(&directory.path, format!("directory, {:04o} {}:{}", directory.mode, directory.owner, directory.group))
        });
        base.into_iter()
            .chain(applets)
            .chain(accounts)
            .chain(directories)
            .chain(trees)
            .chain(files)
            .chain(links)
            .collect()
    }

    fn run_lines(&self) -> Vec<Line> {
        let image = &self.image;
        let mut lines = Vec::new();
        let mut say = |what: String, why: &str| {
            if !what.is_empty() {
                lines.push(line(what, why));
            }
        };
        say(words(&image.entrypoint), "entrypoint");
        say(words(&image.cmd), "command");
        say(image.user.clone(), "user");
        say(image.workdir.clone(), "working directory");
        image.env.iter().for_each(|(name, value)| say(format!("{name}={value}"), "environment"));
        image.ports.iter().for_each(|port| say(port.clone(), "port"));
        image.volumes.iter().for_each(|path| say(path.clone(), "volume"));
        image.labels.iter().for_each(|(name, value)| say(format!("{name}={value}"), "label"));
        say(image.stop_signal.clone().unwrap_or_default(), "stop signal");
        say(image.healthcheck.as_ref().map(|check| words(&check.command)).unwrap_or_default(), "health check");
        lines
    }
}

fn line(what: impl Into<String>, why: impl Into<String>) -> Line {
    Line { what: what.into(), why: why.into() }
}

/// What a test does.
fn test_words(test: &Test) -> String {
    match test.port {
        None => words(&test.command),
        Some(port) if test.command.is_empty() => format!("port {port}"),
        Some(port) => format!("{}, beside port {port}", words(&test.command)),
    }
}

/// A command as a shell would take it, so that people can see where its words end.
fn words(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    let quoted = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
