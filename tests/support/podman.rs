//! A private Podman: storage of its own below a directory that is removed in the end.

use std::process::Command;

use minimg::engine::Engine;
use tempfile::TempDir;

use super::{command, run, tool, unmount_below};

/// A private Podman.
pub(crate) struct Podman {
    directory: TempDir,
}

impl Podman {
    /// Makes the storage.
    pub(crate) fn new() -> Self {
        tool("podman", "podman");
        Self { directory: tempfile::Builder::new().prefix("minimg-podman-").tempdir().unwrap() }
    }

    /// Where the storage is, for every command of podman and of buildah.
    pub(crate) fn storage(&self) -> [String; 4] {
        ["--root".into(), self.below("root"), "--runroot".into(), self.below("run")]
    }

    /// What stands before every command of podman: besides the storage a place for its own state, which it else shares.
    pub(crate) fn arguments(&self) -> Vec<String> {
        [&self.storage()[..], &["--tmpdir".into(), self.below("tmp")]].concat()
    }

    fn below(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A command of the client.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(tool("podman", "podman"), &[]);
        command.args(self.arguments()).args(arguments);
        command
    }

    /// Runs a command of the client and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    /// The engine as the library drives it.
    pub(crate) fn engine(&self) -> Engine {
        let program = tool("podman", "podman");
        Engine::find("podman", program.parent().unwrap().as_os_str()).unwrap().with_arguments(self.arguments())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Podman keeps its storage mounted, so it could not be removed.
        let _ = self.command(&["rm", "--all", "--force"]).output();
        unmount_below(self.directory.path());
    }
}
