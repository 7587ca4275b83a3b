//! Locks: the pins of a profile, board by board, in a file that people commit.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::{Pins, Request};
use crate::digest::Digest;
use crate::error::{Class, Error};
use crate::interrupt::{self, Leftover};
use crate::recipe::digest_of;
use crate::tree::read_limited;

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
    pins: Pins,
}

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read or written.
    #[error("cannot use the lock {path}: {source}")]
    Io {
        /// Which lock.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is not a lock of this version.
    #[error("{path} is not a lock that this minimg can read: {message}; write it anew with `minimg lock`")]
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
        let class = match error {
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
            return Err(format!("it has version {}, and this program knows {VERSION}", lock.version));
        }
        let outside = |target: &Target| target.pins.packages.iter().any(|p| p.archive >= target.pins.archives.len());
        if let Some(target) = lock.targets.iter().find(|target| outside(target)) {
            return Err(format!("a package for {} names an archive that is not listed", target.board));
        }
        let leads_out = |path: &str| {
            path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains(['?', '#', '\\'])
        };
        if let Some(package) =
            lock.targets.iter().flat_map(|t| &t.pins.packages).find(|package| leads_out(&package.path))
        {
            return Err(format!("the path {:?} of {} leads out of the archive", package.path, package.name));
        }
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
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let permissions: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let make = || tempfile::Builder::new().permissions(permissions).tempfile_in(directory).map_err(wrong);
        let (mut file, _guard) = interrupt::guard(make, |made| Leftover::Path(made.path().to_owned()))?;
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
        self.targets.push(Target { board, backend: backend.to_owned(), request: request_digest(request), pins });
        self.targets.sort_by(|a, b| (&a.board, &a.backend).cmp(&(&b.board, &b.backend)));
    }

    /// The pins for a request. The archives' addresses are empty: [`crate::backend::Backend::locate`] fills them in when one is needed.
    pub fn pins(&self, backend: &str, request: &Request) -> Found<'_> {
        let board = &request.board.name;
        match self.targets.iter().find(|target| target.board == *board && target.backend == backend) {
            None => Found::Stale(format!("it has nothing for the board {board} on the backend {backend}")),
            Some(target) if target.request != request_digest(request) => {
                Found::Stale("the profile asks for other packages or another source than it did then".to_owned())
            }
            Some(target) => Found::Pins(&target.pins),
        }
    }
}

/// The digest of what decides which packages are chosen: not of where they are fetched from.
fn request_digest(request: &Request) -> Digest {
    let mut source = request.source.clone();
    (source.mirror, source.security_mirror, source.keyring, source.allow_expired) = (None, None, None, false);
    digest_of(&(&request.board.names, &source, &request.packages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Archive, PinnedPackage, Source};
    use crate::board::{ArchNames, Board, Platform};

    fn request(packages: &[&str], mirror: Option<&str>) -> Request {
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

    fn pins() -> Pins {
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
