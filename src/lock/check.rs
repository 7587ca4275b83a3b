//! What must hold of a lock, whoever wrote or edited it: that it fits itself, and the request.

use std::collections::BTreeSet;

use super::{Lock, Target};
use minimg_backend::{PinnedPackage, Pins, Request};

/// Refuses a lock that cannot be as `minimg lock` wrote it.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn refuse_inconsistent(lock: &Lock) -> Result<(), String> {
    // Nothing may be said twice: there is no telling which is meant.
    let mut seen = BTreeSet::new();
    if let Some(target) = lock.targets.iter().find(|target| !seen.insert((&target.board, &target.backend))) {
        return Err(format!("it has the board {} on the backend {} twice", target.board, target.backend));
    }
    for target in &lock.targets {
        refuse_lost(target)?;
        refuse_dates(target)?;
        refuse_packages(target)?;
    }
    Ok(())
}

/// A merge or an edit may lose a package.
fn refuse_lost(target: &Target) -> Result<(), String> {
    let found = target.pins.packages.len();
    match target.count {
        Some(count) if count != found => {
            Err(format!("it has {found} packages for {} where {count} were written", target.board))
        }
        _ => Ok(()),
    }
}

fn refuse_dates(target: &Target) -> Result<(), String> {
    // An archive that was not fetched, but made or given, has none.
    let is_date = |date: &str| date.is_empty() || date.parse::<jiff::Timestamp>().is_ok();
    match target.pins.archives.iter().find(|archive| !is_date(&archive.date)) {
        Some(archive) => Err(format!(
            "{:?} of the archive {} is not a date such as 2026-09-12T07:55:41Z",
            archive.date.escape_debug().to_string(),
            archive.name
        )),
        None => Ok(()),
    }
}

fn refuse_packages(target: &Target) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for package in &target.pins.packages {
        let PinnedPackage { name, version, architecture, archive, path, .. } = package;
        if [name, version, architecture].iter().any(|word| word.is_empty() || word.contains(char::is_whitespace)) {
            let (name, board) = (name.escape_debug(), &target.board);
            return Err(format!("the package \"{name}\" for {board} lacks its name, version or architecture"));
        }
        if !seen.insert((name, architecture)) {
            return Err(format!("the package {name} ({architecture}) appears twice for {}", target.board));
        }
        if *archive >= target.pins.archives.len() {
            return Err(format!("the package {name} for {} names an archive that is not listed", target.board));
        }
        if path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains(['?', '#', '\\']) {
            return Err(format!("the path {path:?} of {name} leads out of the archive"));
        }
    }
    Ok(())
}

/// What a request says of a package's version that the pins say otherwise.
pub(super) fn contradiction(request: &Request, pins: &Pins) -> Option<String> {
    request.packages.iter().find_map(|word| {
        let (name, version) = word.split_once('=')?;
        // What begins with a letter is the name of a suite.
        let version = Some(version).filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))?;
        let name = name.split(':').next().unwrap_or_default();
        let pinned = || pins.packages.iter().filter(|package| package.name == name);
        let other = pinned().next().filter(|_| !pinned().any(|package| is_version(&package.version, version)))?;
        Some(format!("the profile asks for {word}, but the lock has {name} {}", other.version))
    })
}

/// Whether a version is the one that was asked for, which need not name epoch and release in all families.
fn is_version(version: &str, asked: &str) -> bool {
    let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
    [version, without_epoch]
        .into_iter()
        .filter_map(|version| version.strip_prefix(asked))
        .any(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pins, request};
    use super::super::{Found, Lock};

    fn lock() -> Lock {
        let mut lock = Lock::new("busybox-glibc");
        let mut pins = pins();
        let busybox = pins.packages[0].clone();
        pins.packages.push(minimg_backend::PinnedPackage { name: "libc6".into(), ..busybox });
        lock.set("deb", &request(&["busybox"], None), pins);
        lock
    }

    #[test]
    fn what_an_edit_broke_is_named() {
        let text = lock().to_text();
        assert_eq!(Lock::parse(text.as_bytes()), Ok(lock()));
        let stanzas: Vec<&str> = text.split("[[target.pins.packages]]").collect();
        assert_eq!(stanzas.len(), 3, "{text}");
        let without = |place: usize| {
            let kept: Vec<&str> =
                stanzas.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, text)| *text).collect();
            kept.join("[[target.pins.packages]]")
        };
        let twice = stanzas.iter().chain(&stanzas[2..]).copied().collect::<Vec<_>>().join("[[target.pins.packages]]");
        for (text, message) in [
            (without(1), "it has 1 packages for amd64 where 2 were written"),
            (without(2), "it has 1 packages for amd64 where 2 were written"),
            (twice.clone(), "it has 3 packages for amd64 where 2 were written"),
            (twice.replace("count = 2", "count = 3"), "the package libc6 (amd64) appears twice for amd64"),
            (text.replace("2026-09-12T07:55:41Z", "garbage"), "\"garbage\" of the archive Debian trixie is not a date"),
            (text.replace("2026-09-12", "2026-13-12"), "is not a date such as"),
            (text.replace("name = \"libc6\"", "name = \"\""), "lacks its name, version or architecture"),
            (text.replace("archive = 0", "archive = 1"), "names an archive that is not listed"),
            (text.replace("path = \"pool/", "path = \"pool/../../"), "leads out of the archive"),
        ] {
            let error = Lock::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(message), "{error}\n{text}");
        }
        // A lock of the first release does not say how many there are.
        assert!(Lock::parse(text.replace("count = 2\n", "").as_bytes()).is_ok());
    }

    #[test]
    fn a_version_other_than_the_requested_one_is_stale() {
        for (asked, found) in [
            ("busybox=1:1.37.0-6+b3", None),
            ("busybox=1.37.0", None),
            ("busybox=trixie-backports", None),
            ("busybox:amd64=1:1.36.0-1", Some("busybox 1:1.37.0-6+b3")),
            ("busybox=1.3", Some("busybox 1:1.37.0-6+b3")),
        ] {
            let request = request(&[asked], None);
            let mut lock = Lock::new("busybox-glibc");
            lock.set("deb", &request, pins());
            match (lock.pins("deb", &request), found) {
                (Found::Pins(_), None) => {}
                (Found::Stale(why), Some(found)) => assert!(why.ends_with(found), "{why}"),
                (found, _) => panic!("{asked}: {found:?}"),
            }
        }
    }
}
