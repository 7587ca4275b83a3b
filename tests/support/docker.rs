//! A private Docker: a daemon with its own storage and socket, and no network of its own, so that several run beside each other.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use minimg::engine::Engine;

use super::daemon::Daemon;
use super::{command, run, tool};

/// The daemon that the tests of one process share.
pub(crate) static DOCKER: LazyLock<Docker> = LazyLock::new(Docker::start);

/// A private Docker daemon.
pub(crate) struct Docker {
    daemon: Daemon,
    /// The client that is used.
    client: PathBuf,
}

impl Docker {
    /// Starts a daemon. Containers have `--network host` or `none`.
    pub(crate) fn start() -> Self {
        let program = tool("dockerd", "docker.io");
        let client = tool("docker", "docker.io");
        let daemon = Daemon::start(
            "docker",
            |directory| {
                let mut daemon = command(program, &["--bridge=none", "--iptables=false", "--log-level=warn"]);
                for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
                    daemon.arg(option).arg(directory.join(name));
                }
                daemon.arg("--host").arg(format!("unix://{}/socket", directory.display()));
                daemon
            },
            |directory| {
                let socket = format!("unix://{}/socket", directory.display());
                command(&client, &["--host", &socket, "version"]).output().is_ok_and(|output| output.status.success())
            },
        );
        Self { daemon, client }
    }

    /// The daemon's address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}/socket", self.daemon.directory().display())
    }

    /// A command of the client.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.client, &["--host", &self.host()]);
        command.args(arguments);
        command
    }

    /// Runs a command of the client and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    /// The engine as the library drives it, through a client of the caller's choice.
    pub(crate) fn engine(&self, client: &std::path::Path) -> Engine {
        let directory = client.parent().unwrap();
        Engine::find("docker", directory.as_os_str()).unwrap().with_arguments(["--host", &self.host()])
    }
}
