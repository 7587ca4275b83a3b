//! Namespaces for tools that unpack a root file system and run what is in it.
//!
//! As root a tool gets its own mounts and processes, so that none survives it. An ordinary user becomes root of a user namespace: with
//! all ids where /etc/subuid gives them (user_namespaces(7), newuidmap(1)), else with root's alone. Nothing outside is ever chown'ed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::geteuid;
use tempfile::TempDir;

use super::tool::{Need, ToolError};
use crate::process;
use minimg_base::error::Result;
use minimg_base::interrupt::{self, Guard, Leftover};
use minimg_context::{Context, Part, Settings};
use minimg_store::Store;

/// The program that makes namespaces.
pub(super) const UNSHARE: Need = Need { programs: &["unshare"], package: "util-linux" };
/// The program that binds a tool's life to ours.
pub(super) const SETPRIV: Need = Need { programs: &["setpriv"], package: "util-linux" };

/// Removes a directory, before its name.
const REMOVE: [&str; 4] = ["rm", "-rf", "--one-file-system", "--"];

/// After this long a namespace is taken not to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than this nobody says who does nothing, in bytes.
const MOST_OUTPUT: u64 = 1 << 20;

/// Which ids exist in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// All of the machine: we are root.
    All,
    /// Those that /etc/subuid gives the user.
    Mapped,
    /// Root's alone: files of other owners cannot be made.
    Root,
}

/// A way to run tools as root of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Which ids exist in it.
    pub ids: Ids,
    /// What stands before a tool's command line.
    pub(super) prefix: Vec<OsString>,
}

impl Namespace {
    /// The best that this machine allows; `tool` is what will run in it, for the error.
    ///
    /// # Errors
    /// When util-linux is missing or the machine allows none.
    pub fn find(tool: &str, settings: &Settings) -> Result<Self, ToolError> {
        let (unshare, setpriv) = (UNSHARE.find(&settings.path)?, SETPRIV.find(&settings.path)?);
        let ways: &[(Ids, &[&str])] = match geteuid().is_root() {
            true => &[(Ids::All, &[])],
            false => &[(Ids::Mapped, &["--map-root-user", "--map-auto"]), (Ids::Root, &["--map-root-user"])],
        };
        let mut reason = String::new();
        for (ids, mapping) in ways {
            // Where parts of /proc are covered, as in a container, it cannot be mounted again.
            for proc in [&["--mount-proc"][..], &[]] {
                let mut prefix: Vec<OsString> =
                    vec![setpriv.clone().into(), "--pdeathsig".into(), "KILL".into(), unshare.clone().into()];
                prefix.extend(mapping.iter().chain(proc).map(OsString::from));
                prefix.extend(["--mount", "--pid", "--fork", "--kill-child"].map(OsString::from));
                let namespace = Self { ids: *ids, prefix };
                match namespace.try_out() {
                    Ok(()) => return Ok(namespace),
                    Err(said) => reason = said,
                }
            }
        }
        Err(ToolError::NoNamespace { tool: tool.to_owned(), reason })
    }

    /// A namespace of processes alone, for tools that need no root: whatever they start ends with them, however this program ends. Where the
    /// machine allows none, a tool runs without.
    pub fn of_processes(settings: &Settings) -> Self {
        let without = Self { ids: Ids::All, prefix: Vec::new() };
        let (Ok(unshare), Ok(setpriv)) = (UNSHARE.find(&settings.path), SETPRIV.find(&settings.path)) else {
            return without;
        };
        let user: &[&str] = if geteuid().is_root() { &[] } else { &["--user", "--map-current-user"] };
        let mut prefix: Vec<OsString> = vec![setpriv.into(), "--pdeathsig".into(), "KILL".into(), unshare.into()];
        prefix.extend(user.iter().chain(&["--pid", "--fork", "--kill-child"]).map(OsString::from));
        let namespace = Self { ids: Ids::All, prefix };
        if namespace.try_out().is_ok() { namespace } else { without }
    }

    /// Whether a namespace can be made, for `minimg doctor`, for tools that need owners other than root or do without.
    pub fn survey(needs_owners: bool, settings: &Settings) -> Vec<Part> {
        let found = Self::find("tools", settings);
        let name = "namespaces".to_owned();
        let part = match &found {
            Ok(namespace) => {
                let ids = match namespace.ids {
                    Ids::All => "as root",
                    Ids::Mapped => "as an ordinary user, with the ids of /etc/subuid",
                    Ids::Root => "as an ordinary user, with root's id alone",
                };
                Part { name, found: Some(ids.into()), needed: true, remedy: String::new() }
            }
            Err(error) => Part { name, found: None, needed: true, remedy: error.to_string() },
        };
        let mut parts = vec![part];
        if found.is_ok_and(|namespace| namespace.ids == Ids::Root) {
            parts.push(Part {
                name: "subordinate ids".into(),
                found: None,
                needed: needs_owners,
                remedy:
                    "apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
                        .into(),
            });
        }
        parts
    }

    /// Runs nothing in it; what is said when that fails.
    pub(super) fn try_out(&self) -> Result<(), String> {
        let mut words = self.wrap("true".as_ref(), []);
        let program = words.remove(0).into();
        let (environment, directory) = (Vec::new(), None);
        let command = process::Command { program, arguments: words, environment, directory, patience: PATIENCE };
        let nowhere = || rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC).map(File::from);
        let (stdout, mut stderr) = (nowhere().map_err(|e| e.to_string())?, nowhere().map_err(|e| e.to_string())?);
        process::run_into(&command, None, &stdout, &stderr, MOST_OUTPUT).map_err(|ended| {
            match process::last_lines(&mut stderr).trim() {
                "" => ended.explained(&command, "").to_string(),
                said => said.to_owned(),
            }
        })
    }

    /// The command line that runs a program in a new namespace: the first word is the program to be started.
    pub fn wrap(&self, program: &OsStr, arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        self.prefix.iter().cloned().chain([program.to_owned()]).chain(arguments).collect()
    }

    /// The command that removes a directory with everything in it, whoever owns it there.
    fn remover(&self, path: &Path) -> Vec<OsString> {
        let [program, options @ ..] = REMOVE;
        self.wrap(program.as_ref(), options.map(OsString::from).into_iter().chain([path.into()]))
    }
}

/// A directory of the store in which a tool works, removed in every case: when it is dropped, when the program is interrupted, and where
/// the program was killed outright, when the next one is made.
#[derive(Debug)]
pub struct Workspace {
    directory: TempDir,
    remover: Vec<OsString>,
    _guard: Guard,
    _held: File,
}

impl Workspace {
    /// Makes one for tools that run in this namespace.
    ///
    /// # Errors
    /// When the disk is full or the store cannot be written to.
    pub fn new(namespace: &Namespace, context: &Context) -> Result<Self> {
        Self::removed_by(|path| namespace.remover(path), &context.store)
    }

    /// Makes one for tools that run as the user and need no namespace.
    ///
    /// # Errors
    /// Those of [`Workspace::new`].
    pub fn plain(store: &Store) -> Result<Self> {
        Self::removed_by(|path| [REMOVE.map(OsString::from).to_vec(), vec![path.into()]].concat(), store)
    }

    fn removed_by(remover: impl Fn(&Path) -> Vec<OsString>, store: &Store) -> Result<Self> {
        let parent = store.path().join("work");
        let failed = |source| ToolError::Workspace { path: parent.clone(), source };
        std::fs::create_dir_all(&parent).map_err(failed)?;
        // Between making a directory and holding it nobody may take it for one that was left behind.
        let _lock = store.lock("work")?;
        sweep(&parent, &remover).map_err(failed)?;
        let make = || tempfile::Builder::new().prefix("root-").tempdir_in(&parent);
        let (directory, guard) =
            interrupt::guard(make, |made| Leftover::Foreign(made.path().to_owned(), remover(made.path())))
                .map_err(failed)?;
        let held = hold(directory.path()).map_err(failed)?;
        Ok(Self { remover: remover(directory.path()), directory, _guard: guard, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        run_quietly(&self.remover);
    }
}

/// Locks a workspace while its process lives: the directory itself, so that nothing is in it but what a tool makes.
fn hold(directory: &Path) -> std::io::Result<File> {
    let file = File::open(directory)?;
    file.lock()?;
    Ok(file)
}

/// Removes the directories of processes that were killed.
fn sweep(parent: &Path, remover: &impl Fn(&Path) -> Vec<OsString>) -> std::io::Result<()> {
    for entry in parent.read_dir()? {
        let path = entry?.path();
        let is_held = File::open(&path).is_ok_and(|file| file.try_lock().is_err());
        if !is_held {
            run_quietly(&remover(&path));
        }
    }
    Ok(())
}

/// Runs a command of which it does not matter whether it can do all of its work.
fn run_quietly(command: &[OsString]) {
    if let [program, arguments @ ..] = command {
        let _ = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minimg_store::Store;

    #[test]
    fn a_namespace_that_does_not_come_is_not_waited_for() {
        // As `unshare` does where another namespace is not allowed: its helper waits forever, and holds its output open.
        let prefix = ["/bin/sh", "-c", "sleep 1000 & echo not allowed >&2; exit 1"];
        let namespace = Namespace { ids: Ids::Mapped, prefix: prefix.map(OsString::from).to_vec() };
        assert_eq!(namespace.try_out(), Err("not allowed".to_owned()));
        let silent = Namespace { ids: Ids::Mapped, prefix: ["/bin/false".into()].to_vec() };
        assert!(silent.try_out().unwrap_err().contains("failed with exit status: 1"));
    }

    #[test]
    fn what_a_tool_makes_goes_with_the_workspace() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { path: std::env::var_os("PATH").unwrap(), ..Settings::default() };
        let store = Store::open(directory.path()).unwrap();
        let context = Context::new(store.clone()).with_settings(settings.clone());
        let namespace = Namespace::find("a test", &settings).unwrap();
        let work = store.path().join("work");
        // Left behind by a process that was killed.
        std::fs::create_dir_all(work.join("root-old/deep")).unwrap();
        let workspace = Workspace::new(&namespace, &context).unwrap();
        let other = Workspace::new(&namespace, &context).unwrap();
        assert_eq!(std::fs::read_dir(workspace.path()).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(&work).unwrap().count(), 2);
        let script = "mkdir -m 0 $0/locked && mount -t tmpfs none $0/locked && touch $0/locked/file && id -u";
        let command = namespace.wrap("sh".as_ref(), ["-c".into(), script.into(), workspace.path().into()]);
        let output = Command::new(&command[0]).args(&command[1..]).output().unwrap();
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"0\n"[..], &b""[..]));
        assert_eq!(std::fs::read_dir(workspace.path().join("locked")).unwrap().count(), 0, "no mount is seen outside");
        drop(workspace);
        assert_eq!(std::fs::read_dir(&work).unwrap().count(), 1);
        drop(other);
        assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
    }
}
