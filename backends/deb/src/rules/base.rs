//! The small files that postinst scripts of base packages make, and what identifies a system.

use std::io;

use super::Rules;
use minimg_shell::Word;
use minimg_tree::{Kind, Node, PackageId, RootPath};

/// Files that a postinst copies from the package's own share directory to `/etc` and `/root` on first installation.
pub(super) fn files(rules: &mut Rules<'_>) -> io::Result<()> {
    const COPIES: [(&str, &str); 7] = [
        ("usr/share/base-files/profile", "etc/profile"),
        ("usr/share/base-files/motd", "etc/motd"),
        ("usr/share/base-files/dot.profile", "root/.profile"),
        ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
        ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
        ("usr/share/base-files/nsswitch.conf", "etc/nsswitch.conf"),
        ("usr/share/base-files/networks", "etc/networks"),
    ];
    for (from, to) in COPIES {
        copy(rules, from, to);
    }
    rules.add("etc/nsswitch.conf", Node::file(0o644, NSSWITCH), None);
    rules.add("etc/hosts", Node::file(0o644, minimg_backend::HOSTS), None);
    Ok(())
}

const NSSWITCH: &str = "passwd:         files\ngroup:          files\nshadow:         files\ngshadow:        files\n\n\
    hosts:          files dns\nnetworks:       files\n\nprotocols:      db files\nservices:       db files\n\
    ethers:         db files\nrpc:            db files\n\nnetgroup:       nis\n";

/// Copies a regular file of the tree to where nothing is.
fn copy(rules: &mut Rules<'_>, from: &str, to: &str) {
    let from = rules.place(from);
    let Some((_, node)) = rules.tree.content_node(&from) else { return };
    if let Kind::File(content) = &node.kind {
        let (content, owner, mode) = (content.clone(), node.package, node.meta.mode);
        rules.add(to, Node::new(Kind::File(content), mode), owner);
    }
}

/// The directories and links that base-files makes.
pub(super) fn directories(rules: &mut Rules<'_>) -> io::Result<()> {
    let Some(owner) = rules.package("base-files").map(Some) else { return Ok(()) };
    // Before other packages' files can lie below them, so only where nothing is.
    for (link, target) in [("var/run", "/run"), ("var/lock", "/run/lock"), ("var/spool/mail", "../mail")] {
        let path = RootPath::root().join_clamped(link);
        let is_empty = rules.tree.below(&path).next().is_none();
        if is_empty && rules.tree.get(&path).is_some_and(|node| matches!(node.kind, Kind::Directory)) {
            rules.tree.remove(&path);
        }
        rules.add(link, Node::symlink(target), owner);
    }
    const MAIL: u32 = 8;
    for (directory, mode, group) in [
        ("etc/opt", 0o755, 0),
        ("media", 0o755, 0),
        ("mnt", 0o755, 0),
        ("opt", 0o755, 0),
        ("run/lock", 0o1777, 0),
        ("srv", 0o755, 0),
        ("usr/local/bin", 0o755, 0),
        ("usr/local/etc", 0o755, 0),
        ("usr/local/lib", 0o755, 0),
        ("usr/local/sbin", 0o755, 0),
        ("usr/local/share", 0o755, 0),
        ("var/mail", 0o2775, MAIL),
        ("var/opt", 0o755, 0),
    ] {
        rules.add(directory, Node::directory(mode).owned_by(0, group), owner);
    }
    if rules.has("etc/dpkg/origins/debian") {
        rules.add("etc/dpkg/origins/default", Node::symlink("debian"), owner);
    }
    Ok(())
}

/// tzdata's own default, unless the packages say otherwise.
pub(super) fn time_zone(rules: &mut Rules<'_>) -> io::Result<()> {
    let Some(owner) = rules.package("tzdata").map(Some) else { return Ok(()) };
    if rules.has("usr/share/zoneinfo/Etc/UTC") {
        rules.add("etc/localtime", Node::symlink("/usr/share/zoneinfo/Etc/UTC"), owner);
        rules.add("etc/timezone", Node::file(0o644, "Etc/UTC\n"), owner);
    }
    Ok(())
}

/// An empty machine-id, which is filled when a machine boots, and where base-files does not bring them, os-release and the file by which
/// scanners tell the distribution.
pub(super) fn identity(rules: &mut Rules<'_>) -> io::Result<()> {
    rules.add("etc/machine-id", Node::file(0o444, ""), None);
    if !rules.has("usr/lib/os-release") {
        let source = &rules.request.source;
        let text = os_release(&source.distribution, &source.suite);
        rules.add("usr/lib/os-release", Node::file(0o644, text), None);
        if let Some((path, text)) = release_file(&source.distribution, &source.suite) {
            rules.add(path, Node::file(0o644, text), None);
        }
    }
    rules.add("etc/os-release", Node::symlink("../usr/lib/os-release"), rules.package("base-files"));
    Ok(())
}

const VERSIONS: [(&str, &str); 13] = [
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
    ("bionic", "18.04"),
    ("focal", "20.04"),
    ("jammy", "22.04"),
    ("noble", "24.04"),
    ("plucky", "25.04"),
    ("questing", "25.10"),
    ("resolute", "26.04"),
];

fn version_of(suite: &str) -> Option<&'static str> {
    VERSIONS.iter().find(|(known, _)| *known == suite).map(|(_, version)| *version)
}

/// Where Debian and Ubuntu say which release this is, and what; of a suite without a number nothing can be said.
fn release_file(distribution: &str, suite: &str) -> Option<(&'static str, String)> {
    let version = version_of(suite)?;
    match distribution {
        "debian" | "" => Some(("etc/debian_version", format!("{version}\n"))),
        "ubuntu" => Some((
            "etc/lsb-release",
            format!(
                "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={version}\nDISTRIB_CODENAME={suite}\nDISTRIB_DESCRIPTION=\"Ubuntu {version}\"\n"
            ),
        )),
        _ => None,
    }
}

/// A minimal os-release(5). Suites that are not released yet, or not known, have no VERSION_ID.
fn os_release(distribution: &str, suite: &str) -> String {
    let distribution = if distribution.is_empty() { "debian" } else { distribution };
    let name = match distribution {
        "debian" => "Debian GNU/Linux",
        "ubuntu" => "Ubuntu",
        other => other,
    };
    let plain =
        |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || " ./_-".contains(*c)).collect::<String>();
    let (name, id, suite) = (plain(name), plain(distribution), plain(suite));
    let mut lines = match version_of(&suite) {
        Some(version) => format!(
            "PRETTY_NAME=\"{name} {version} ({suite})\"\nNAME=\"{name}\"\nVERSION_ID=\"{version}\"\nVERSION=\"{version} ({suite})\"\n"
        ),
        None => format!("PRETTY_NAME=\"{name} {suite}\"\nNAME=\"{name}\"\n"),
    };
    lines += &format!("VERSION_CODENAME={suite}\nID={id}\n");
    lines
}

/// Configuration that `ucf` copies from a package's share directory (ucf(1)).
pub(super) fn copied_configuration(rules: &mut Rules<'_>) -> io::Result<()> {
    let scripts = std::mem::take(&mut rules.scripts);
    for (at, script) in scripts.iter().enumerate() {
        for command in script.iter().filter(|command| command.name() == "ucf") {
            let paths = command.arguments().iter().filter(|word| !word.shown().starts_with('-'));
            let known: Option<Vec<&str>> = paths.map(Word::known).collect();
            match known.as_deref() {
                Some([from, to]) if rules.has(from) => {
                    copy(rules, from, to);
                    let placed = rules.place(to);
                    if let Some(node) = rules.tree.get_mut(&placed) {
                        node.package = Some(PackageId(at as u32));
                    }
                }
                _ if command.words.iter().any(|word| matches!(word.known(), Some("--purge" | "-p"))) => {}
                _ => rules.note(at, command),
            }
        }
    }
    rules.scripts = scripts;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{os_release, release_file};

    #[test]
    fn scanners_know_the_release_of_a_suite() {
        let ubuntu =
            "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\nDISTRIB_CODENAME=noble\nDISTRIB_DESCRIPTION=\"Ubuntu 24.04\"\n";
        for (distribution, suite, expected) in [
            ("debian", "bookworm", Some(("etc/debian_version", "12\n"))),
            ("", "trixie", Some(("etc/debian_version", "13\n"))),
            ("ubuntu", "noble", Some(("etc/lsb-release", ubuntu))),
            ("debian", "sid", None),
            ("raspbian", "bookworm", None),
        ] {
            let found = release_file(distribution, suite);
            assert_eq!(found.as_ref().map(|(path, text)| (*path, text.as_str())), expected, "{distribution} {suite}");
        }
    }

    #[test]
    fn os_release_of_suites() {
        insta::assert_snapshot!(os_release("debian", "trixie"), @r#"
        PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
        NAME="Debian GNU/Linux"
        VERSION_ID="13"
        VERSION="13 (trixie)"
        VERSION_CODENAME=trixie
        ID=debian
        "#);
        assert_eq!(
            os_release("", "sid\"\n"),
            "PRETTY_NAME=\"Debian GNU/Linux sid\"\nNAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=sid\nID=debian\n"
        );
    }
}
