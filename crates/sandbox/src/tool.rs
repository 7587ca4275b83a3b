//! The outside tools that backends drive: finds one, and runs it so that people see what it does and why it failed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::process::{self, Command, LARGEST_OUTPUT, ProcessError};
use minimg_base::error::{Class, Error, Result, store_remedy};
use minimg_context::{Context, Part};

/// Where a machine's administration programs are, which an ordinary user's PATH leaves out.
const ADMINISTRATION: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// The interval at which to look for new lines in a log.
const GLANCE: Duration = Duration::from_millis(100);
/// A longer line is told in parts.
const LONGEST_LINE: u64 = 64 << 10;

/// A program that a backend cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Any one of these programs will do, the best first.
    pub programs: &'static [&'static str],
    /// The Debian package that has the best.
    pub package: &'static str,
}

impl Need {
    /// The first of the programs that is on this machine: in a directory of `path`, which has the form of the environment's PATH, or among
    /// the programs for administration.
    ///
    /// # Errors
    /// When none is there: then with the command that installs one.
    pub fn find(&self, path: &OsStr) -> Result<PathBuf, ToolError> {
        let directories = process::directories(path).chain(ADMINISTRATION.map(PathBuf::from));
        let everywhere = std::env::join_paths(directories).unwrap_or_else(|_| path.to_owned());
        let found = self.programs.iter().find_map(|program| process::find(program, &everywhere));
        found.ok_or_else(|| ToolError::Missing { programs: self.names(), remedy: self.remedy() })
    }

    /// Whether and where it is, for `minimg doctor`.
    pub fn survey(&self, path: &OsStr) -> Part {
        let found = self.find(path).ok().map(|program| program.display().to_string());
        Part { name: self.names(), found, needed: true, remedy: self.remedy() }
    }

    fn names(&self) -> String {
        self.programs.join(" or ")
    }

    fn remedy(&self) -> String {
        format!("apt-get install {}", self.package)
    }
}

/// An error of an outside tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not on this machine.
    #[error(
        "cannot find {programs} on this machine; install it, on Debian with `{remedy}`; `minimg doctor` lists everything that is missing"
    )]
    Missing {
        /// The program, or those of which one would do.
        programs: String,
        /// The command that installs it.
        remedy: String,
    },
    /// It failed, or did not end.
    #[error("{source}\nthe full log is {log}")]
    Failed {
        /// What happened, with its last lines.
        source: ProcessError,
        /// Where everything is that it said.
        log: PathBuf,
    },
    /// This machine does not let it act as root of a namespace.
    #[error(
        "cannot make namespaces to run {tool} in: {reason}; run as root or allow user namespaces \
         (`sysctl -w kernel.unprivileged_userns_clone=1` and `user.max_user_namespaces`; in a container, grant it that right)"
    )]
    NoNamespace {
        /// The tool that would run in it.
        tool: String,
        /// What was said last.
        reason: String,
    },
    /// Programs of the board's machine cannot be run here.
    #[error(
        "cannot run programs of {machine}, as {tool} must: {reason}; on Debian `apt-get install qemu-user-static arch-test` \
         brings the emulator, and Linux 6.7 or newer lets it be used without changing the machine (the backend deb runs nothing and \
         needs none of this)"
    )]
    NoEmulator {
        /// The tool that would run them.
        tool: String,
        /// The emulator's name of the machine.
        machine: String,
        /// What is missing.
        reason: String,
    },
    /// A root file system cannot be unpacked to run programs in it.
    #[error("cannot unpack the root file system to run programs in it: {source}")]
    Unpack {
        /// What happened.
        source: ProcessError,
    },
    /// A program in a root file system did not end, or wrote too much.
    #[error(transparent)]
    Program {
        /// What happened.
        source: ProcessError,
    },
    /// Its directory cannot be made.
    #[error("cannot make a working directory at {path}: {source}; {}", store_remedy(source))]
    Workspace {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl From<ToolError> for Error {
    fn from(error: ToolError) -> Self {
        let class = match error {
            ToolError::Workspace { .. } => Class::Machine,
            _ => Class::Tool,
        };
        Error::new(class, error)
    }
}

/// The variables with which a tool runs besides those of this process: the same language and time zone everywhere, and a home that is
/// not the user's.
pub fn environment(home: &Path) -> Vec<(OsString, Option<OsString>)> {
    let set = |name: &str, value: &OsStr| (name.into(), Some(value.to_owned()));
    let unset = ["LANG", "LANGUAGE", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD"].map(|name| (name.into(), None));
    let mut variables = vec![
        set("LC_ALL", OsStr::new("C.UTF-8")),
        set("TZ", OsStr::new("UTC")),
        set("DEBIAN_FRONTEND", OsStr::new("noninteractive")),
        set("HOME", home.as_os_str()),
    ];
    variables.extend(unset);
    variables
}

/// Runs a tool whose words go to the log `name` in the store. What it writes to standard output goes to `output`, or to the log as well.
/// `each_line` is given every line of the log as it comes, for progress.
///
/// # Errors
/// When it cannot be run, fails, takes too long, or writes too much: with its last lines and the log's place.
pub fn run(
    command: &Command,
    name: &str,
    output: Option<&File>,
    context: &Context,
    each_line: &mut (dyn FnMut(&str) + Send),
) -> Result<()> {
    run_with(command, name, None, output.map(|output| (output, LARGEST_OUTPUT)), context, each_line)
}

/// [`run`] with a file on the tool's standard input, and a limit to its output.
///
/// # Errors
/// Those of [`run`].
pub fn run_with(
    command: &Command,
    name: &str,
    input: Option<File>,
    output: Option<(&File, u64)>,
    context: &Context,
    each_line: &mut (dyn FnMut(&str) + Send),
) -> Result<()> {
    let (path, mut log) = context.store.new_log(name)?;
    let failed = |source: std::io::Error| ToolError::Failed {
        source: process::Ended::NotStarted(source).explained(command, ""),
        log: path.clone(),
    };
    let reader = File::open(&path).map_err(failed)?;
    let over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| follow(reader, &over, each_line));
        let (output, most) = output.unwrap_or((&log, LARGEST_OUTPUT));
        let ended = process::run_into(command, input, output, &log, most);
        over.store(true, Ordering::Release);
        ended
    });
    ended.map_err(|ended| {
        let source = ended.explained(command, &process::last_lines(&mut log));
        ToolError::Failed { source, log: path }.into()
    })
}

/// Gives out the lines of a file that grows, until it is over and all were given.
fn follow(log: File, over: &AtomicBool, each_line: &mut dyn FnMut(&str)) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        let last = over.load(Ordering::Acquire);
        // A line without its end will grow.
        while read_line(&mut log, &mut line) && (last || line.ends_with(b"\n") || line.len() as u64 == LONGEST_LINE) {
            each_line(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        if last {
            // An earlier glance may have seen all of a line that has no end.
            if !line.is_empty() {
                each_line(String::from_utf8_lossy(&line).trim_end());
            }
            return;
        }
        std::thread::sleep(GLANCE);
    }
}

/// Reads more of a line; whether there was any.
fn read_line(log: &mut impl BufRead, line: &mut Vec<u8>) -> bool {
    log.by_ref().take(LONGEST_LINE - line.len() as u64).read_until(b'\n', line).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minimg_store::Store;

    fn run_sh(script: &str, output: Option<&File>) -> (Result<(), String>, Vec<String>, String) {
        let directory = tempfile::tempdir().unwrap();
        let context = Context::new(Store::open(directory.path()).unwrap());
        let command = Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: environment(directory.path()),
            directory: None,
            patience: Duration::from_secs(60),
        };
        let mut lines = Vec::new();
        let ended = run(&command, "sh.log", output, &context, &mut |line| lines.push(line.to_owned()));
        let log = std::fs::read_to_string(context.store.path().join("logs/sh.log")).unwrap();
        let place = directory.path().display().to_string();
        (ended.map_err(|error| error.to_string().replace(&place, "STORE")), lines, log)
    }

    #[test]
    fn lines_are_told_as_they_come_and_kept() {
        let (ended, lines, log) = run_sh("echo one; echo two >&2; sleep 0.3; printf three", None);
        assert_eq!(ended, Ok(()));
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(log, "one\ntwo\nthree");
    }

    /// What came is read before it is known that nothing more comes, however late that is.
    #[test]
    fn a_last_line_without_its_end_is_told_however_early_it_was_seen() {
        for delay in [0, 1, 3] {
            let (over, mut file) = (AtomicBool::new(false), tempfile::NamedTempFile::new().unwrap());
            std::io::Write::write_all(&mut file, b"one\ntwo").unwrap();
            let mut lines = Vec::new();
            std::thread::scope(|scope| {
                let log = file.reopen().unwrap();
                let follower = scope.spawn(|| follow(log, &over, &mut |line| lines.push(line.to_owned())));
                std::thread::sleep(GLANCE * delay);
                over.store(true, Ordering::Release);
                follower.join().unwrap();
            });
            assert_eq!(lines, ["one", "two"], "{delay}");
        }
    }

    #[test]
    fn a_line_without_end_is_told_in_parts() {
        let (ended, lines, _) = run_sh("head -c 150000 /dev/zero | tr '\\0' a; sleep 0.3; echo; echo b", None);
        assert_eq!(ended, Ok(()));
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [65536, 65536, 150_000 - 2 * 65536, 1]);
    }

    #[test]
    fn a_failure_says_where_the_log_is() {
        let (ended, _, _) = run_sh("for i in $(seq 40); do echo line $i; done; exit 3", None);
        let error = ended.unwrap_err();
        assert!(error.contains("failed with exit status: 3\n  line 26\n"), "{error}");
        assert!(error.ends_with("\n  line 40\nthe full log is STORE/v1/logs/sh.log"), "{error}");
    }

    #[test]
    fn output_goes_where_it_is_wanted() {
        use std::io::{Read, Seek};
        let mut output = tempfile::tempfile().unwrap();
        let (ended, lines, _) = run_sh("echo data; echo word >&2", Some(&output));
        let mut text = String::new();
        output.rewind().unwrap();
        output.read_to_string(&mut text).unwrap();
        assert_eq!((ended, lines, text), (Ok(()), vec!["word".to_owned()], "data\n".to_owned()));
    }

    #[test]
    fn a_missing_tool_comes_with_the_command_that_installs_it() {
        let need = Need { programs: &["no-such-tool", "nor-this"], package: "the-package" };
        let error = need.find(OsStr::new("/none")).unwrap_err().to_string();
        assert!(error.starts_with("cannot find no-such-tool or nor-this on this machine; "), "{error}");
        assert!(error.contains("`apt-get install the-package`"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/sh", directory.path().join("nor-this")).unwrap();
        assert_eq!(need.find(directory.path().as_os_str()).unwrap(), directory.path().join("nor-this"));
    }
}
