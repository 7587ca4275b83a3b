//! Runs an outside tool so that it can neither hang this program nor fail silently.
//!
//! The tool reads from and writes to files, never pipes: a grandchild that keeps a pipe open would keep us waiting for its end. It runs
//! in a process group of its own, which is killed as a whole when the tool fails, takes too long or writes too much, and when this program is
//! interrupted.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use minimg_base::interrupt::{self, Leftover};
use minimg_store::{Store, StoreError};
use minimg_tree::archive::Limits;

/// The number of a failed tool's last lines to show.
const LAST_LINES: usize = 15;
/// How much of a tool's output is looked at: its beginning for what it says, its end for what went wrong.
const MOST_OUTPUT: u64 = 1024 * 1024;
/// The end of a log in which the last lines are looked for.
const END_OF_LOG: u64 = 16 * 1024;
/// The largest standard output that anything here can use: no archive may have more.
pub const LARGEST_OUTPUT: u64 = Limits::PACKAGE.output;
/// How much a tool may write to standard error. Logs of whole distributions being compiled have some hundred MiB.
const LARGEST_LOG: u64 = 1 << 30;
/// How much a program of which the output is looked at may write to standard output.
const MOST_CAPTURED: u64 = 64 << 20;
/// How often it is looked at how much a tool has written.
const GLANCE: Duration = Duration::from_millis(100);

/// A tool with its arguments.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables that are set for it, or taken away from it, besides those of this process.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// The directory in which it starts; that of this process if there is none.
    pub directory: Option<PathBuf>,
    /// After this long it is killed.
    pub patience: Duration,
}

/// An error of running a tool.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It cannot be run.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// It said that it failed.
    #[error("{command} failed with {status}{last}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status, or the signal that ended it.
        status: ExitStatus,
        /// Its last lines, each after a line break.
        last: String,
    },
    /// It did not end.
    #[error("{command} did not end within {} s and was killed{last}", patience.as_secs())]
    Hangs {
        /// The command line.
        command: String,
        /// The time limit.
        patience: Duration,
        /// Its last lines, each after a line break.
        last: String,
    },
    /// It wrote more than anybody can use.
    #[error("{command} wrote more than {limit} bytes and was killed{last}")]
    TooMuch {
        /// The command line.
        command: String,
        /// The limit of its output in bytes.
        limit: u64,
        /// Its last lines, each after a line break.
        last: String,
    },
}

/// Looks for a program in the directories of `path`, which has the form of the environment's PATH.
pub fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    directories(path).map(|directory| directory.join(program)).find(|path| is_program(path))
}

/// The directories of `path`, which has the form of the environment's PATH. An empty one has none: that it would mean the working directory
/// surprises.
pub fn directories(path: &OsStr) -> impl Iterator<Item = PathBuf> + '_ {
    std::env::split_paths(path).filter(move |_| !path.is_empty())
}

/// Whether a file is executable for anyone.
fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs the tool with `input`, or nothing, on its standard input, and returns what it wrote to standard output. The two files take what
/// it writes; they should have no name.
///
/// # Errors
/// When it cannot be run, fails, takes too long, or writes too much: then with the last lines that it wrote.
pub fn run(command: &Command, input: Option<File>, mut stdout: File, mut stderr: File) -> Result<String, ProcessError> {
    match run_into(command, input, &stdout, &stderr, LARGEST_OUTPUT) {
        Ok(()) => Ok(text(&mut stdout, MOST_OUTPUT)),
        Err(ended) => Err(ended.explained(command, &(last_lines(&mut stdout) + &last_lines(&mut stderr)))),
    }
}

/// How a tool ended that did not do its work.
#[derive(Debug)]
pub enum Ended {
    /// It could not be run, or not be waited for.
    NotStarted(io::Error),
    /// It said that it failed.
    Failed(ExitStatus),
    /// It was killed since it took too long.
    Killed,
    /// It wrote more than so many bytes, and was killed if it had not ended.
    TooMuch(u64),
}

impl Ended {
    /// The error, with the last lines that the tool wrote.
    pub fn explained(self, command: &Command, last: &str) -> ProcessError {
        let (line, last) = (shown(command), indented(last));
        match self {
            Self::NotStarted(source) => ProcessError::Start { command: line, source },
            Self::Failed(status) => ProcessError::Failed { command: line, status, last },
            Self::Killed => ProcessError::Hangs { command: line, patience: command.patience, last },
            Self::TooMuch(limit) => ProcessError::TooMuch { command: line, limit, last },
        }
    }
}

/// Runs the tool with `input`, or nothing, on its standard input, and lets it write to the two files: about so many bytes at `most` to
/// standard output.
///
/// # Errors
/// When it cannot be run, fails, takes too long, or writes too much.
pub fn run_into(command: &Command, input: Option<File>, stdout: &File, stderr: &File, most: u64) -> Result<(), Ended> {
    let mut expression = duct::cmd(&command.program, &command.arguments)
        .stdout_file(stdout.try_clone().map_err(Ended::NotStarted)?)
        .stderr_file(stderr.try_clone().map_err(Ended::NotStarted)?)
        .unchecked()
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
    expression = match input {
        Some(file) => expression.stdin_file(file),
        None => expression.stdin_null(),
    };
    if let Some(directory) = &command.directory {
        expression = expression.dir(directory);
    }
    for (name, value) in &command.environment {
        expression = match value {
            Some(value) => expression.env(name, value),
            None => expression.env_remove(name),
        };
    }
    let groups = |handle: &duct::Handle| -> Vec<Pid> {
        handle.pids().into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    };
    let started = interrupt::guard(|| expression.start(), |handle| Leftover::Groups(groups(handle)))
        .map_err(Ended::NotStarted)?;
    let (handle, _guard) = started;
    let groups = groups(&handle);
    let begun = Instant::now();
    let ended = loop {
        let left = command.patience.saturating_sub(begun.elapsed());
        let status = handle.wait_timeout(left.min(GLANCE)).map_err(Ended::NotStarted)?;
        let too_much = [(stdout, most), (stderr, LARGEST_LOG)].into_iter().find(|(file, limit)| length(file) > *limit);
        match (status.map(|output| output.status), too_much) {
            (Some(status), None) if status.success() => return Ok(()),
            (Some(status), None) => break Ended::Failed(status),
            (_, Some((_, limit))) => break Ended::TooMuch(limit),
            (None, None) if left.is_zero() => break Ended::Killed,
            (None, None) => {}
        }
    };
    for group in groups {
        // It may have ended by itself meanwhile; of a tool that failed some children may wait forever.
        let _ = kill_process_group(group, Signal::KILL);
    }
    handle.wait().map_err(Ended::NotStarted)?;
    Err(ended)
}

/// The result of a program that may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code, or that of what was to run it, which is 125 and more; -1 if a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
}

/// Runs a program of which it is the question how it ends; it may write 64 MiB to standard output.
///
/// # Errors
/// When it cannot be run, takes too long, or writes too much; the outer error is the store's.
pub fn capture(command: &Command, input: Option<File>, store: &Store) -> Result<Result<Ran, ProcessError>, StoreError> {
    let (mut stdout, mut stderr) = (store.scratch()?, store.scratch()?);
    let code = match run_into(command, input, &stdout, &stderr, MOST_CAPTURED) {
        Ok(()) => 0,
        Err(Ended::Failed(status)) => status.code().unwrap_or(-1),
        Err(ended) => {
            return Ok(Err(ended.explained(command, &(last_lines(&mut stdout) + &last_lines(&mut stderr)))));
        }
    };
    Ok(Ok(Ran { code, stdout: text(&mut stdout, MOST_CAPTURED), stderr: last_lines(&mut stderr) }))
}

fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |meta| meta.len())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.program.as_os_str()).chain(command.arguments.iter().map(OsString::as_os_str));
    // A script is no use in a message.
    let word = |word: &OsStr| match word.to_string_lossy() {
        script if script.contains('\n') => "...".into(),
        word => word.into_owned(),
    };
    let words: Vec<String> = words.map(word).collect();
    format!("`{}`", words.join(" "))
}

/// What a file begins with, as text: so many bytes at `most`.
pub fn text(file: &mut File, most: u64) -> String {
    let mut bytes = Vec::new();
    if file.rewind().and_then(|()| file.take(most).read_to_end(&mut bytes)).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a file ends with, as text: the lines in which tools say what went wrong.
pub fn last_lines(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let end = SeekFrom::Start(length(file).saturating_sub(END_OF_LOG));
    if file.seek(end).and_then(|_| file.take(END_OF_LOG).read_to_end(&mut bytes)).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last of these lines, each after a line break.
fn indented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().fold(String::new(), |text, line| text + "\n  " + line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_sh(script: &str, patience: Duration) -> Result<String, String> {
        let command = Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("GREETING".into(), Some("hello".into())), ("HOME".into(), None)],
            directory: Some("/".into()),
            patience,
        };
        let file = || tempfile::tempfile().unwrap();
        run(&command, None, file(), file()).map_err(|error| error.to_string())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_printed_comes_back() {
        assert_eq!(run_sh("echo $GREETING $HOME; echo aside >&2; pwd; cat", LONG), Ok("hello\n/\n".into()));
    }

    #[test]
    fn a_failure_shows_the_last_lines() {
        let error = run_sh("for i in $(seq 100); do echo line $i >&2; done; exit 3", LONG).unwrap_err();
        assert!(error.contains("failed with exit status: 3\n  line 86\n"), "{error}");
        assert!(error.ends_with("  line 100"), "{error}");
    }

    #[test]
    fn a_tool_that_hangs_is_killed_with_its_children() {
        let begun = std::time::Instant::now();
        let error = run_sh("echo begun; sleep 1000 & echo $! >&2; wait", Duration::from_millis(300)).unwrap_err();
        assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
        let mut lines = error.lines().map(str::trim);
        assert!(lines.next().is_some_and(|line| line.contains("did not end within 0 s and was killed")), "{error}");
        assert_eq!(lines.next(), Some("begun"));
        assert_gone(lines.next().unwrap());
    }

    #[track_caller]
    fn assert_gone(pid: &str) {
        // The kernel takes a moment to bury it; whoever inherits it a moment more.
        let gone = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
            Ok(stat) => stat.contains(") Z"),
            Err(_) => true,
        };
        assert!(
            (0..100).any(|_| gone() || {
                std::thread::sleep(Duration::from_millis(20));
                false
            }),
            "{pid} lives"
        );
    }

    #[test]
    fn a_tool_that_writes_without_end_is_killed() {
        let command = Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "cat /dev/zero".into()],
            environment: vec![],
            directory: None,
            patience: LONG,
        };
        let file = tempfile::tempfile().unwrap();
        let ended = run_into(&command, None, &file, &tempfile::tempfile().unwrap(), 1000);
        assert!(matches!(ended, Err(Ended::TooMuch(1000))), "{ended:?}");
    }

    #[test]
    fn a_grandchild_that_stays_does_not_hold_us() {
        let begun = std::time::Instant::now();
        assert_eq!(run_sh("sleep 20 & echo done", LONG), Ok("done\n".into()));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_failure_ends_the_children() {
        let error = run_sh("sleep 1000 & echo $!; exit 1", LONG).unwrap_err();
        assert_gone(error.lines().last().unwrap());
    }

    #[test]
    fn a_program_that_is_not_there() {
        let (program, arguments) = ("/none".into(), vec![]);
        let command = Command { program, arguments, environment: vec![], directory: None, patience: LONG };
        let file = || tempfile::tempfile().unwrap();
        let error = run(&command, None, file(), file()).unwrap_err().to_string();
        assert!(error.starts_with("cannot run `/none`: "), "{error}");
    }
}
