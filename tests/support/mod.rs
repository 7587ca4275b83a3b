//! What tests with real engines share: private daemons that end with the test, tools that must be there, and images to try.
//!
//! Each test file uses a part of this, so what it leaves is not dead.

pub(crate) mod archive;
pub(crate) mod containerd;
pub(crate) mod daemon;
pub(crate) mod docker;
pub(crate) mod driven;
pub(crate) mod podman;
pub(crate) mod registry;
pub(crate) mod rpm;
pub(crate) mod samples;
pub(crate) mod signing;
pub(crate) mod users;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The path of a program that a test cannot do without.
///
/// # Panics
/// When it is not on this machine: tests fail then, they are never skipped. The message names Debian's package.
pub(crate) fn tool(name: &str, package: &str) -> PathBuf {
    tools(name).next().unwrap_or_else(|| panic!("this test needs {name}: apt-get install {package}"))
}

/// Every program of this name in PATH and the system's directories, without repetition.
pub(crate) fn tools(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/local/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from));
    let mut found: Vec<PathBuf> = Vec::new();
    for file in directories.iter().map(|directory| directory.join(name)).filter(|file| file.is_file()) {
        let real = file.canonicalize().unwrap_or(file);
        if !found.contains(&real) {
            found.push(real);
        }
    }
    found.into_iter()
}

/// Runs a command to its end and returns what it printed.
///
/// # Panics
/// When it fails; the message has all that it wrote.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// A command with its arguments.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Unmounts whatever is mounted below a directory.
pub(crate) fn unmount_below(directory: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    for point in points.filter(|point| point.starts_with(directory)) {
        let _ = Command::new("umount").arg("-l").arg(point).output();
    }
}
