//! What maintainer scripts would have done and an image needs, by explicit rules. No script is ever run: what a rule cannot read with
//! certainty it leaves undone and notes.

mod accounts;
mod alternatives;
mod base;
mod calls;
mod certificates;
mod ownership;
mod script;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use accounts::Accounts;
use minimg_shell::{Command, Word};
use script::commands;

use crate::assemble::merge;
use crate::format::{Listing, Loaded};
use minimg_backend::Request;
use minimg_base::error::Result;
use minimg_package::Problem;
use minimg_tree::{Kind, Node, PackageId, RootPath, RootTree, resolve};

/// Something that an installation would have done and that was left undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The package.
    pub package: String,
    /// What asks for it: `postinst`, or the path of a sysusers.d(5) file.
    pub by: String,
    /// What it would have done: a command, or a line.
    pub what: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: left undone of its {}: `{}`", self.package, self.by, self.what)
    }
}

/// Applies every rule to the tree. What is made is dated `epoch`. Returns what was left undone, sorted.
///
/// # Errors
/// When a package's content that a rule needs cannot be read.
pub fn apply(tree: &mut RootTree, packages: &[Loaded], request: &Request, epoch: i64) -> Result<Vec<Note>> {
    let scripts = packages.iter().map(|loaded| run_on_install(&loaded.listing)).collect();
    let mut rules = Rules { tree, packages, request, epoch, scripts, accounts: Accounts::default(), notes: Vec::new() };
    let steps: [(&str, Rule); 9] = [
        ("base-files", base::files),
        ("base-files", base::directories),
        ("base-passwd", accounts_of_scripts),
        ("tzdata", base::time_zone),
        ("base-files", base::identity),
        ("ucf", base::copied_configuration),
        ("dpkg", links_of_alternatives),
        ("ca-certificates", certificate_bundle),
        ("dpkg", ownership::apply),
    ];
    for (package, rule) in steps {
        rule(&mut rules).map_err(|error| Problem::Io(error).of(package))?;
    }
    rules.write_accounts();
    let mut notes = rules.notes;
    tree.add_missing_parents();
    notes.sort();
    notes.dedup();
    Ok(notes)
}

type Rule = fn(&mut Rules<'_>) -> io::Result<()>;

/// The commands of a package's postinst that run in a new root.
fn run_on_install(listing: &Listing) -> Vec<Command> {
    commands(&listing.text("postinst"))
}

/// What the rules work on.
struct Rules<'a> {
    tree: &'a mut RootTree,
    packages: &'a [Loaded],
    request: &'a Request,
    epoch: i64,
    /// The commands of each package's postinst, in the order of the packages.
    scripts: Vec<Vec<Command>>,
    accounts: Accounts,
    notes: Vec<Note>,
}

impl Rules<'_> {
    fn package(&self, name: &str) -> Option<PackageId> {
        let at = self.packages.iter().position(|loaded| loaded.package.name == name)?;
        Some(PackageId(at as u32))
    }

    /// Where a path of a script is in the tree; links of directories are followed, a link at its end is not.
    fn place(&self, path: &str) -> RootPath {
        let path = merge(RootPath::root().join_clamped(path));
        let Some(parent) = path.parent() else { return path };
        match resolve(self.tree, &RootPath::root(), parent.as_bytes()) {
            Ok(resolved) => resolved.path.child(path.file_name()),
            Err(_) => path,
        }
    }

    fn has(&self, path: &str) -> bool {
        let path = merge(RootPath::root().join_clamped(path));
        resolve(self.tree, &RootPath::root(), path.as_bytes()).is_ok_and(|resolved| resolved.entry.is_some())
    }

    /// The content of a regular file, `None` when there is none.
    fn read(&self, path: &str) -> io::Result<Option<bytes::Bytes>> {
        let path = self.place(path);
        match self.tree.content_node(&path).map(|(_, node)| &node.kind) {
            Some(Kind::File(content)) => content.map().map(Some),
            _ => Ok(None),
        }
    }

    /// Puts a node where nothing is.
    fn add(&mut self, path: &str, node: Node, package: Option<PackageId>) {
        if self.has(path) || self.tree.contains(&self.place(path)) {
            return;
        }
        let mut node = node.at(self.epoch);
        node.package = package;
        let path = self.place(path);
        self.tree.insert(path, node);
    }

    fn note(&mut self, package: usize, command: &Command) {
        let package = self.packages.get(package).map(|loaded| loaded.package.name.clone()).unwrap_or_default();
        if !DONE_OTHERWISE.contains(&&*package) {
            self.notes.push(Note { package, by: "postinst".into(), what: command.shown() });
        }
    }

    fn write_accounts(&mut self) {
        let owner = self.package("base-passwd");
        let shadow_group = self.accounts.gid("shadow").unwrap_or(0);
        let files = [
            ("etc/passwd", 0o644, 0, self.accounts.passwd()),
            ("etc/group", 0o644, 0, self.accounts.group_file()),
            ("etc/shadow", 0o640, shadow_group, self.accounts.shadow(self.epoch)),
            ("etc/gshadow", 0o640, shadow_group, self.accounts.gshadow()),
        ];
        for (path, mode, group, text) in files {
            self.add(path, Node::file(mode, text).owned_by(0, group), owner);
        }
    }
}

/// Packages that have rules of their own ([`base`], [`certificate_bundle`]), whatever way their scripts go about it. What these leave
/// undone concerns a directory for certificates that the machine's administrator puts there.
const DONE_OTHERWISE: [&str; 2] = ["base-files", "ca-certificates"];

const PASSWD_MASTER: &str = include_str!("data/passwd.master");
const GROUP_MASTER: &str = include_str!("data/group.master");

/// Accounts: base-passwd's masters (shipped here for when base-passwd is not among the packages), then what scripts ask for, then what
/// sysusers.d(5) files ask for.
fn accounts_of_scripts(rules: &mut Rules<'_>) -> io::Result<()> {
    let master = |name: &str, shipped: &str| {
        let bytes = rules.read(&format!("usr/share/base-passwd/{name}.master"))?;
        Ok::<_, io::Error>(
            bytes.map_or_else(|| shipped.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned()),
        )
    };
    rules.accounts = Accounts::parse(&master("passwd", PASSWD_MASTER)?, &master("group", GROUP_MASTER)?);
    let calls = |name: &str| matches!(name, "adduser" | "addgroup" | "useradd" | "groupadd");
    let scripts = std::mem::take(&mut rules.scripts);
    let all = scripts.iter().enumerate().flat_map(|(at, script)| script.iter().map(move |command| (at, command)));
    let mut pending: Vec<(usize, &Command)> = all.filter(|(_, command)| calls(command.name())).collect();
    // A group may come from a package that sorts later, so what fails is tried once more.
    for last in [false, true] {
        for (at, command) in std::mem::take(&mut pending) {
            match (account_call(rules, at, command), last) {
                (Some(()), _) => {}
                (None, false) => pending.push((at, command)),
                (None, true) => rules.note(at, command),
            }
        }
        if !last {
            sysusers(rules)?;
        }
    }
    rules.scripts = scripts;
    Ok(())
}

/// Does what one call of a script asks for; `None` when it is not understood.
fn account_call(rules: &mut Rules<'_>, package: usize, command: &Command) -> Option<()> {
    // `$quiet` is how scripts pass an option on that changes nothing here.
    let is_quiet = |word: &&Word| word.known().is_none() && word.shown().to_lowercase().contains("quiet");
    let arguments = command.arguments().iter().filter(|word| !is_quiet(word));
    let arguments: Vec<&str> = arguments.map(Word::known).collect::<Option<_>>()?;
    let accounts = &mut rules.accounts;
    let home = match command.name() {
        "adduser" => calls::adduser(accounts, &arguments)?,
        "useradd" => calls::useradd(accounts, &arguments)?,
        "addgroup" => calls::addgroup(accounts, &arguments).map(|()| None)?,
        _ => calls::groupadd(accounts, &arguments).map(|()| None)?,
    };
    if let Some(home) = home
        && let Some(user) = rules.accounts.users.last()
    {
        let node = Node::directory(0o755).owned_by(user.uid, user.gid);
        rules.add(&home, node, Some(PackageId(package as u32)));
    }
    Some(())
}

fn sysusers(rules: &mut Rules<'_>) -> io::Result<()> {
    let directory = RootPath::root().join_clamped("usr/lib/sysusers.d");
    let files = rules.tree.below(&directory).filter(|(path, _)| path.file_name().ends_with(b".conf"));
    let files: Vec<String> = files.map(|(path, _)| path.to_string()).collect();
    for file in files {
        let owner = rules.tree.get(&rules.place(&file)).and_then(|node| rules.tree.package_of(node));
        let package = owner.map_or_else(|| "-".to_owned(), |package| package.name.clone());
        let Some(bytes) = rules.read(&file)? else { continue };
        for line in
            String::from_utf8_lossy(&bytes).lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            if calls::sysusers(&mut rules.accounts, line).is_none() {
                rules.notes.push(Note { package: package.clone(), by: file.clone(), what: line.to_owned() });
            }
        }
    }
    Ok(())
}

/// Links of `update-alternatives`. What does not exist in the tree is not a choice, as for the tool.
fn links_of_alternatives(rules: &mut Rules<'_>) -> io::Result<()> {
    let mut choices = Vec::new();
    let mut unclear = Vec::new();
    for (at, script) in rules.scripts.iter().enumerate() {
        for command in script {
            match alternatives::choice(command) {
                Some(Ok(choice)) if rules.has(&choice.path) => choices.push((at, choice)),
                Some(Err(())) => unclear.push((at, command.clone())),
                _ => {}
            }
        }
    }
    for (at, command) in unclear {
        rules.note(at, &command);
    }
    for (name, (package, choice)) in alternatives::winners(choices) {
        let owner = Some(PackageId(package as u32));
        let slaves = choice.slaves.into_iter().filter(|[_, _, path]| rules.has(path)).collect::<Vec<_>>();
        for [link, name, path] in [[choice.link, name, choice.path]].into_iter().chain(slaves) {
            let named = format!("/etc/alternatives/{name}");
            rules.add(&named, Node::symlink(&path), owner);
            rules.add(&link, Node::symlink(&named), owner);
        }
    }
    Ok(())
}

/// `/etc/ca-certificates.conf`, `/etc/ssl/certs/ca-certificates.crt` and the links beside it.
fn certificate_bundle(rules: &mut Rules<'_>) -> io::Result<()> {
    const SHARE: &str = "usr/share/ca-certificates";
    let Some(owner) = rules.package("ca-certificates") else { return Ok(()) };
    let directory = RootPath::root().join_clamped(SHARE);
    let files = rules.tree.below(&directory).filter(|(path, _)| path.file_name().ends_with(b".crt"));
    let files: Vec<String> = files.map(|(path, _)| path.to_string()).collect();
    let (mut bundle, mut configuration, mut hashes) = (Vec::new(), String::new(), Vec::new());
    for file in &files {
        let Some(pem) = rules.read(file)? else { continue };
        bundle.extend_from_slice(&pem);
        if !pem.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        configuration += &format!("{}\n", file.trim_start_matches(&format!("/{SHARE}/")));
        let link = certificates::link_name(file.rsplit('/').next().unwrap_or_default());
        rules.add(&format!("etc/ssl/certs/{link}"), Node::symlink(file), Some(owner));
        hashes.extend(certificates::subject_hash(&pem).map(|hash| (link, hash)));
    }
    for (link, file) in certificates::hash_links(hashes.iter().map(|(file, hash)| (&**file, *hash))) {
        rules.add(&format!("etc/ssl/certs/{link}"), Node::symlink(file), Some(owner));
    }
    rules.add("etc/ssl/certs/ca-certificates.crt", Node::file(0o644, bundle), Some(owner));
    rules.add("etc/ca-certificates.conf", Node::file(0o644, configuration), Some(owner));
    Ok(())
}

/// The paths that a package diverts for all others, and where to: `dpkg-divert --add` in its preinst (dpkg-divert(1)).
pub fn diversions(listing: &Listing) -> BTreeMap<RootPath, RootPath> {
    let diverts = |command: &Command| command.name() == "dpkg-divert";
    let scripts = commands(&listing.text("preinst"));
    scripts.iter().filter(|command| diverts(command)).filter_map(diversion).collect()
}

fn diversion(command: &Command) -> Option<(RootPath, RootPath)> {
    let words: Vec<&str> = command.arguments().iter().map(Word::known).collect::<Option<_>>()?;
    let options = calls::Arguments::parse(words, &["--package", "--divert"]);
    let [path] = &options.positional[..] else { return None };
    if options.has(&["--remove"]) {
        return None;
    }
    let target = options.value(&["--divert"]).map_or_else(|| format!("{path}.distrib"), str::to_owned);
    let place = |path: &str| merge(RootPath::root().join_clamped(path));
    Some((place(path), place(&target)))
}
