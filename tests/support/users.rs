//! Ordinary users, for tests that run as root: what root may do says little about what others may.

use std::path::Path;
use std::process::Command;

use super::{command, run, tool};

/// An ordinary user of this machine.
pub(crate) struct User(&'static str);

/// With subordinate ids in /etc/subuid and /etc/subgid.
pub(crate) const WITH_IDS: User = User("minimg-test-ids");
/// Without any.
pub(crate) const PLAIN: User = User("minimg-test");

impl User {
    /// Makes the user where it is missing, and gives it the directory with all that is in it.
    pub(crate) fn own(&self, directory: &Path) {
        let User(name) = self;
        // Tests run beside each other, and another one may be making the same user.
        let made = || command("id", &["-u", name]).output().is_ok_and(|output| output.status.success());
        if !made() {
            tool("newuidmap", "uidmap");
            let count = if *name == WITH_IDS.0 { 65536 } else { 0 };
            let mut add = command(tool("useradd", "passwd"), &["--no-create-home", "--user-group"]);
            add.args([format!("--key=SUB_UID_COUNT={count}"), format!("--key=SUB_GID_COUNT={count}")]).arg(name);
            let output = add.output().unwrap();
            assert!(made(), "{add:?}: {output:?}");
        }
        let owner = format!("{name}:{name}");
        run(command("chown", &["-R", &owner]).arg(directory));
    }

    /// The command, run by this user.
    pub(crate) fn run_as(&self, inner: &Command) -> Command {
        let User(name) = self;
        let as_user = ["--reuid", name, "--regid", name, "--init-groups", "--"];
        let mut outer = command(tool("setpriv", "util-linux"), &as_user);
        outer.arg(inner.get_program()).args(inner.get_args()).env_clear();
        for (key, value) in inner.get_envs() {
            if let Some(value) = value {
                outer.env(key, value);
            }
        }
        if let Some(directory) = inner.get_current_dir() {
            outer.current_dir(directory);
        }
        outer
    }
}
