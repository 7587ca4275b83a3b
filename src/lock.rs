//! Locks: the pins of a profile, board by board, in a file that people commit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use minimg_backend::{Pins, Request, Source};
use minimg_base::digest::Digest;
use minimg_base::digest::digest_of;
use minimg_base::error::{Class, Error, is_wrong_path};
use minimg_base::partial;
use minimg_tree::read_limited;

mod check;

/// The version of the file's format.
const VERSION: u32 = 1;

/// A lock is a few kilobytes for each board; more than this is none.
const LARGEST: u64 = 64 << 20;

/// The pins of a profile for some boards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The profile's name.
    pub profile: String,
    #[serde(default, rename = "target")]
    targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    board: String,
    backend: String,
    /// The digest of what was asked for, to notice when the profile asks for something else.
    request: Digest,
    /// The same in words, to tell what is different now.
    #[serde(default)]
    asked: Asked,
    /// How many packages there are, to notice when one is lost; the first release did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    pins: Pins,
}

/// What was asked for when the packages were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    packages: Vec<String>,
    /// The keys of the source and the names of the board's architecture that were not empty, in the words of profiles.
    source: BTreeMap<String, String>,
}

/// An error of reading or using a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read or written.
    #[error("cannot use the lock {path}: {source}")]
    Io {
        /// Which lock.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The file is not a lock of this version.
    #[error("{path} is not a lock that this minimg can read: {message}; write it again with `minimg lock`")]
    Malformed {
        /// Which lock.
        path: PathBuf,
        /// What is wrong, with line and column where they are known.
        message: String,
    },
    /// The lock does not say what the profile asks for now.
    #[error("the lock {path} is stale: {why}; `minimg lock` brings it up to date")]
    Stale {
        /// Which lock.
        path: PathBuf,
        /// In what way.
        why: String,
    },
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        let class = match &error {
            LockError::Io { source, .. } if is_wrong_path(source) => Class::Profile,
            LockError::Io { .. } => Class::Machine,
            LockError::Malformed { .. } => Class::Profile,
            LockError::Stale { .. } => Class::Stale,
        };
        Error::new(class, error)
    }
}

/// What a lock has for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// The pins of exactly this request.
    Pins(&'a Pins),
    /// Nothing usable, and why.
    Stale(String),
}

impl Lock {
    /// A lock without pins.
    pub fn new(profile: &str) -> Self {
        Self { version: VERSION, profile: profile.to_owned(), targets: Vec::new() }
    }

    /// Reads a lock; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_limited(path, LARGEST).map_err(|source| LockError::Io { path: path.to_owned(), source })?;
        Self::parse(&bytes).map(Some).map_err(|message| LockError::Malformed { path: path.to_owned(), message })
    }

    /// Reads a lock's text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let lock: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if lock.version != VERSION {
            return Err(format!("it has version {}, but this program supports {VERSION}", lock.version));
        }
        check::refuse_inconsistent(&lock)?;
        Ok(lock)
    }

    /// The text of the file: the same pins give the same bytes.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).unwrap_or_default();
        format!(
            "# The packages of the profile {:?}, pinned. Written by `minimg lock`; commit it.\n{body}",
            self.profile
        )
    }

    /// Writes the file whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let wrong = |source| LockError::Io { path: path.to_owned(), source };
        let (mut file, _guard) = partial::file_beside(path, 0o644).map_err(wrong)?;
        io::Write::write_all(&mut file, self.to_text().as_bytes()).map_err(wrong)?;
        file.persist(path).map_err(|error| wrong(error.error))?;
        Ok(())
    }

    /// Pins a request, in place of what was pinned for the same board and backend.
    pub fn set(&mut self, backend: &str, request: &Request, pins: Pins) {
        let board = request.board.name.clone();
        self.targets.retain(|target| target.board != board || target.backend != backend);
        // The file says what was chosen, not which of many equal mirrors this machine happened to ask.
        let mut pins = pins;
        pins.archives.iter_mut().for_each(|archive| archive.address.clear());
        self.targets.push(Target {
            board,
            backend: backend.to_owned(),
            request: request_digest(request),
            asked: Asked::of(request),
            count: Some(pins.packages.len()),
            pins,
        });
        self.targets.sort_by(|a, b| (&a.board, &a.backend).cmp(&(&b.board, &b.backend)));
    }

    /// The pins for a request. The archives' addresses are empty: [`minimg_backend::Backend::locate`] fills them in when one is needed.
    pub fn pins(&self, backend: &str, request: &Request) -> Found<'_> {
        let board = &request.board.name;
        match self.targets.iter().find(|target| target.board == *board && target.backend == backend) {
            None => {
                let there: Vec<_> = self.targets.iter().map(|t| format!("{} ({})", t.board, t.backend)).collect();
                let there = if there.is_empty() { String::new() } else { format!(", only for {}", there.join(", ")) };
                Found::Stale(format!("it has nothing for the board {board} on the backend {backend}{there}"))
            }
            Some(target) if target.request != request_digest(request) => {
                Found::Stale(target.asked.difference(&Asked::of(request)))
            }
            Some(target) => match check::contradiction(request, &target.pins) {
                Some(why) => Found::Stale(why),
                None => Found::Pins(&target.pins),
            },
        }
    }
}

impl Asked {
    fn of(request: &Request) -> Self {
        let mut source = BTreeMap::new();
        let names = serde_json::to_value(&request.board.names).unwrap_or_default();
        collect("the architecture's name for ", &names, &mut source);
        collect("", &serde_json::to_value(deciding(&request.source)).unwrap_or_default(), &mut source);
        Self { packages: request.packages.clone(), source }
    }

    /// In which way `now` asks for something else.
    fn difference(&self, now: &Self) -> String {
        let not_in = |these: &[String], those: &[String]| {
            let names: Vec<_> = these.iter().filter(|name| !those.contains(name)).cloned().collect();
            names.join(", ")
        };
        let mut told = Vec::new();
        let (added, removed) = (not_in(&now.packages, &self.packages), not_in(&self.packages, &now.packages));
        for (names, what) in [(added, "also asks for"), (removed, "no longer asks for")] {
            if !names.is_empty() {
                told.push(format!("the profile {what} {names}"));
            }
        }
        let keys: BTreeSet<&String> = self.source.keys().chain(now.source.keys()).collect();
        let value = |of: &Self, key: &String| of.source.get(key).map_or("not set".to_owned(), |v| format!("{v:?}"));
        for key in keys.into_iter().filter(|&key| self.source.get(key) != now.source.get(key)) {
            told.push(format!("{key} was {} and is {} now", value(self, key), value(now, key)));
        }
        // A lock of an older minimg does not say; a mere change of order has no name either.
        if told.is_empty() || *self == Self::default() {
            return "the profile asks for other packages or another source than it did then".to_owned();
        }
        told.join("; ")
    }
}

/// Notes the values of a table that are not empty, as text.
fn collect(prefix: &str, table: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    for (key, value) in table.as_object().into_iter().flatten() {
        let text = match value {
            Value::Null | Value::Bool(false) => continue,
            Value::String(text) => text.clone(),
            Value::Array(all) if all.iter().all(Value::is_string) => {
                all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            }
            Value::Object(all) if all.is_empty() => continue,
            other => other.to_string(),
        };
        if !text.is_empty() {
            into.insert(format!("{prefix}{}", key.replace('_', "-")), text);
        }
    }
}

/// What of a source decides which packages are chosen: not where they are fetched from.
fn deciding(source: &Source) -> Source {
    Source {
        mirror: None,
        security_mirror: None,
        keyring: None,
        allow_expired: false,
        allow_other_suite: false,
        ..source.clone()
    }
}

fn request_digest(request: &Request) -> Digest {
    digest_of(&(&request.board.names, &deciding(&request.source), &request.packages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minimg_backend::{Archive, PinnedPackage};
    use minimg_base::board::{ArchNames, Board, Platform};

    pub(super) fn request(packages: &[&str], mirror: Option<&str>) -> Request {
        Request {
            board: Board {
                name: "amd64".into(),
                description: String::new(),
                platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
                names: ArchNames { deb: Some("amd64".into()), ..ArchNames::default() },
                cpu_level: None,
                qemu: None,
                buildroot_defconfig: None,
                size_budget: None,
            },
            source: Source { suite: "trixie".into(), mirror: mirror.map(Into::into), ..Source::default() },
            packages: packages.iter().map(|&p| p.into()).collect(),
        }
    }

    pub(super) fn pins() -> Pins {
        Pins {
            archives: vec![Archive {
                name: "Debian trixie".into(),
                address: "http://a".into(),
                date: "2026-09-12T07:55:41Z".into(),
            }],
            packages: vec![PinnedPackage {
                name: "busybox".into(),
                version: "1:1.37.0-6+b3".into(),
                architecture: "amd64".into(),
                archive: 0,
                path: "pool/main/b/busybox/busybox_1.37.0-6+b3_amd64.deb".into(),
                size: 1,
                sha256: Digest::of("deb"),
            }],
            epoch: 1,
            root: None,
        }
    }

    #[test]
    fn what_is_written_is_read_and_names_no_mirror() {
        let mut lock = Lock::new("busybox-glibc");
        lock.set("deb", &request(&["busybox"], None), pins());
        let text = lock.to_text();
        assert!(!text.contains("http:"), "{text}");
        assert_eq!(Lock::parse(text.as_bytes()), Ok(lock.clone()));
        assert!(matches!(lock.pins("deb", &request(&["busybox"], Some("http://other"))), Found::Pins(_)));
    }

    #[test]
    fn staleness_says_why() {
        let mut lock = Lock::new("busybox-glibc");
        lock.set("deb", &request(&["busybox"], None), pins());
        let stale = |found: Found<'_>| matches!(found, Found::Stale(_));
        assert!(stale(lock.pins("deb", &request(&["busybox", "bash"], None))));
        assert!(stale(lock.pins("yum", &request(&["busybox"], None))));
        let why = |lock: &Lock, request: &Request| match lock.pins("deb", request) {
            Found::Stale(why) => why,
            Found::Pins(_) => panic!("not stale"),
        };
        let mut other = request(&["bash"], None);
        assert_eq!(why(&lock, &other), "the profile also asks for bash; the profile no longer asks for busybox");
        other.packages = vec!["busybox".into()];
        other.source.suite = "bookworm".into();
        other.source.exclude = vec!["perl".into(), "dash".into()];
        assert_eq!(
            why(&lock, &other),
            "exclude was not set and is \"perl dash\" now; suite was \"trixie\" and is \"bookworm\" now"
        );
        // What was asked for is read back from the file.
        assert_eq!(why(&Lock::parse(lock.to_text().as_bytes()).unwrap(), &other), why(&lock, &other));
        lock.targets[0].asked = Asked::default();
        assert!(why(&lock, &other).contains("other packages or another source"));
        other.board.name = "arm64".into();
        assert!(why(&lock, &other).ends_with("for the board arm64 on the backend deb, only for amd64 (deb)"));
    }

    #[test]
    fn what_is_said_twice_is_refused_by_name() {
        let mut lock = Lock::new("x");
        let mut pins = pins();
        let mut again = pins.packages[0].clone();
        again.version = "2".into();
        pins.packages.push(again);
        lock.set("deb", &request(&["busybox"], None), pins);
        let said = Lock::parse(lock.to_text().as_bytes()).unwrap_err();
        assert_eq!(said, "the package busybox (amd64) appears twice for amd64");
        lock.targets[0].pins.packages.pop();
        lock.targets.push(lock.targets[0].clone());
        let said = Lock::parse(lock.to_text().as_bytes()).unwrap_err();
        assert_eq!(said, "it has the board amd64 on the backend deb twice");
    }

    #[test]
    fn other_files_are_refused() {
        let mut lock = Lock::new("x");
        lock.set("deb", &request(&["busybox"], None), pins());
        let text = lock.to_text();
        for (from, to) in [
            ("version = 1", "version = 9"),
            ("archive = 0", "archive = 7"),
            ("sha256:", "md5:"),
            ("board", "bored"),
            ("pool/", "../pool/"),
        ] {
            assert!(Lock::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        }
        assert!(Lock::parse(b"\xff").is_err());
    }
}
