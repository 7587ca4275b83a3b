//! A private containerd and its client `ctr`.

use std::process::Command;

use super::daemon::Daemon;
use super::{command, run, tool};

/// A private containerd.
pub(crate) struct Containerd(Daemon);

impl Containerd {
    /// Starts the daemon.
    pub(crate) fn start() -> Self {
        let (program, client) = (tool("containerd", "containerd"), tool("ctr", "containerd"));
        let daemon = Daemon::start(
            "containerd",
            |directory| {
                let path = directory.display();
                let configuration = format!(
                    "version = 2\nroot = \"{path}/root\"\nstate = \"{path}/state\"\n\
                     disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
                     [grpc]\naddress = \"{path}/socket\"\n[ttrpc]\naddress = \"{path}/ttrpc\"\n"
                );
                std::fs::write(directory.join("config.toml"), configuration).unwrap();
                let mut daemon = command(program, &["--config"]);
                daemon.arg(directory.join("config.toml"));
                daemon
            },
            |directory| {
                let mut version = command(&client, &["--address"]);
                version.arg(directory.join("socket")).arg("version");
                version.output().is_ok_and(|output| output.status.success())
            },
        );
        Self(daemon)
    }

    /// A command of the client.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(tool("ctr", "containerd"), &["--address"]);
        command.arg(self.0.directory().join("socket")).args(arguments);
        command
    }

    /// Runs a command of the client and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }
}
