//! Owners, modes and directories that a postinst sets by plain commands: `chown`, `chgrp`, `chmod`, `install -d`, `mkdir`,
//! `dpkg-statoverride`. Only what is literal is done, and only to what the tree has or a directory that is asked for.

use std::io;

use super::Rules;
use super::accounts::Accounts;
use super::calls::Arguments;
use minimg_backend::capabilities;
use minimg_shell::{Command, Word};
use minimg_tree::{Kind, Node, PackageId, RootPath};

/// Does what the scripts' commands say, in the order of packages and lines.
pub(super) fn apply(rules: &mut Rules<'_>) -> io::Result<()> {
    let scripts = std::mem::take(&mut rules.scripts);
    for (at, script) in scripts.iter().enumerate() {
        for command in script {
            let understood = match command.name() {
                "chown" | "chgrp" => change_owner(rules, command),
                "chmod" => change_mode(rules, command),
                "dpkg-statoverride" => override_stat(rules, command),
                "install" | "mkdir" => make_directories(rules, at, command),
                "setcap" => set_capabilities(rules, command),
                _ => continue,
            };
            if understood.is_none() {
                rules.note(at, command);
            }
        }
    }
    rules.scripts = scripts;
    Ok(())
}

/// `setcap CAPABILITIES FILE ...`, in which the two may come again and again.
fn set_capabilities(rules: &mut Rules<'_>, command: &Command) -> Option<()> {
    let options = Arguments::parse(literal(command)?, &[]);
    options.only(&["-q"])?;
    let (pairs, []) = options.positional.as_chunks::<2>() else { return None };
    for [capabilities, path] in pairs {
        let value = capabilities::attribute(capabilities)?;
        let path = rules.place(path);
        if let Some(node) = rules.tree.get_mut(&path).filter(|node| matches!(node.kind, Kind::File(_))) {
            node.meta.xattrs.insert(capabilities::ATTRIBUTE.into(), value);
        }
    }
    Some(())
}

fn literal(command: &Command) -> Option<Vec<&str>> {
    command.arguments().iter().map(Word::known).collect()
}

/// `user`, `user:group`, `user:` or `:group` as numbers.
fn owner(accounts: &Accounts, text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let uid = if user.is_empty() { None } else { Some(accounts.uid(user)?) };
    let gid = match group {
        None => None,
        Some("") => accounts.user(user).map(|user| user.gid),
        Some(group) => Some(accounts.gid(group)?),
    };
    Some((uid, gid))
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

/// The paths that a command names: they, and with `-R` what is below them.
fn targets(rules: &Rules<'_>, path: &str, recursive: bool) -> Vec<RootPath> {
    let path = rules.place(path);
    let mut targets: Vec<RootPath> = Vec::new();
    if recursive {
        targets.extend(rules.tree.below(&path).map(|(below, _)| below.clone()));
    }
    targets.push(path);
    targets
}

fn change_owner(rules: &mut Rules<'_>, command: &Command) -> Option<()> {
    let words = literal(command)?;
    let options = Arguments::parse(words, &[]);
    options.only(&["-R", "--recursive", "-h", "--no-dereference", "-f", "--silent", "--quiet", "-v", "-c", "-P"])?;
    let (new, paths) = options.positional.split_first()?;
    let new = if command.name() == "chgrp" { format!(":{new}") } else { new.clone() };
    let (uid, gid) = owner(&rules.accounts, &new)?;
    for path in paths {
        for target in targets(rules, path, options.has(&["-R", "--recursive"])) {
            if let Some(node) = rules.tree.get_mut(&target) {
                node.meta.uid = uid.unwrap_or(node.meta.uid);
                node.meta.gid = gid.unwrap_or(node.meta.gid);
            }
        }
    }
    Some(())
}

fn change_mode(rules: &mut Rules<'_>, command: &Command) -> Option<()> {
    let words = literal(command)?;
    let options = Arguments::parse(words, &[]);
    options.only(&["-R", "--recursive", "-f", "--silent", "--quiet", "-v", "-c"])?;
    let (mode, paths) = options.positional.split_first()?;
    let mode = octal(mode)?;
    for path in paths {
        for target in targets(rules, path, options.has(&["-R", "--recursive"])) {
            if let Some(node) = rules.tree.get_mut(&target).filter(|node| !matches!(node.kind, Kind::Symlink(_))) {
                node.meta.mode = mode;
            }
        }
    }
    Some(())
}

/// `dpkg-statoverride --add user group mode path` (dpkg-statoverride(1)).
fn override_stat(rules: &mut Rules<'_>, command: &Command) -> Option<()> {
    let asks = |word: &Word| word.known().is_some_and(|word| matches!(word, "--list" | "--remove"));
    if command.words.iter().any(asks) {
        return Some(());
    }
    let words = literal(command)?;
    let options = Arguments::parse(words, &[]);
    options.only(&["--update", "--add", "--force", "--force-all", "--quiet"])?;
    let [user, group, mode, path] = &options.positional[..] else { return None };
    let (uid, gid, mode) = (rules.accounts.uid(user)?, rules.accounts.gid(group)?, octal(mode)?);
    let target = rules.place(path);
    if let Some(node) = rules.tree.get_mut(&target) {
        (node.meta.uid, node.meta.gid, node.meta.mode) = (uid, gid, mode);
    }
    Some(())
}

/// `mkdir [-p] [-m mode] path...` and `install -d [-o user] [-g group] [-m mode] path...`.
fn make_directories(rules: &mut Rules<'_>, package: usize, command: &Command) -> Option<()> {
    let words = literal(command)?;
    let options = Arguments::parse(words, &["-m", "--mode", "-o", "--owner", "-g", "--group"]);
    options.only(&["-d", "--directory", "-p", "--parents", "-v", "-m", "--mode", "-o", "--owner", "-g", "--group"])?;
    let installs = command.name() == "install";
    if installs && !options.has(&["-d", "--directory"]) {
        return None;
    }
    let mode = options.value(&["-m", "--mode"]).map_or(Some(0o755), octal)?;
    let uid = options.value(&["-o", "--owner"]).map_or(Some(0), |user| rules.accounts.uid(user))?;
    let gid = options.value(&["-g", "--group"]).map_or(Some(0), |group| rules.accounts.gid(group))?;
    for path in options.positional.iter().filter(|path| path.starts_with('/')) {
        let target = rules.place(path);
        if target.is_root() {
            continue;
        }
        rules.add(path, Node::directory(mode).owned_by(uid, gid), Some(PackageId(package as u32)));
        if let Some(node) = rules.tree.get_mut(&target).filter(|_| installs) {
            (node.meta.uid, node.meta.gid, node.meta.mode) = (uid, gid, mode);
        }
    }
    Some(())
}
