//! Running an outside backend's program.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ExecError;
use super::protocol::{Description, Failure, VERSION};
use minimg_backend::{Context, Settings, options};
use minimg_base::error::{Error, Result};
use minimg_base::report::Event;
use minimg_sandbox::namespace::{Namespace, Workspace};
use minimg_sandbox::process::{self, Command};
use minimg_sandbox::tool;
use minimg_store::StoreError;

/// What the names of outside backends' programs begin with.
pub const PREFIX: &str = "minimg-backend-";
/// The default time limit for producing a tree.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// The time limit for `describe`.
const PATIENCE_TO_DESCRIBE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LONGEST_ANSWER: u64 = 16 << 20;
/// The longest explanation of a failure that is looked for.
const LONGEST_FAILURE: u64 = 64 << 10;

/// A program that is a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// The backend's name.
    pub(super) name: String,
    /// The file.
    pub(super) file: PathBuf,
    /// Its time limit.
    patience: Duration,
}

impl Program {
    /// The program of a backend: that which the configuration names, or else `minimg-backend-NAME` in the directories of PATH.
    pub(super) fn find(name: &str, settings: &Settings) -> Result<Option<Self>, ExecError> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_name) {
            return Ok(None);
        }
        let (mut file, mut patience) = (None, PATIENCE);
        for (key, value) in settings.backends.get(name).into_iter().flatten() {
            let wrong = |message: String| ExecError::Setting { name: name.to_owned(), message };
            let text = value.as_str().ok_or_else(|| wrong(format!("`{key}` is not a text")))?;
            match key.as_str() {
                "program" => {
                    let path = settings.directory.join(text);
                    // It is not started where the path begins.
                    file = Some(std::path::absolute(&path).unwrap_or(path));
                }
                "time-limit" => patience = options::time_limit(text).map_err(wrong)?,
                other => return Err(wrong(options::unknown(other, ["program", "time-limit"]))),
            }
        }
        let file = file.or_else(|| process::find(&format!("{PREFIX}{name}"), &settings.path));
        Ok(file.map(|file| Self { name: name.to_owned(), file, patience }))
    }

    /// The program as it is shown.
    pub(super) fn shown(&self) -> String {
        self.file.display().to_string()
    }

    /// Asks the program what it is. This needs no store: nothing is logged.
    pub(super) fn describe(&self, settings: &Settings) -> Result<Description> {
        let namespace = Namespace::of_processes(settings);
        let command = self.command("describe", PATIENCE_TO_DESCRIBE, None, &namespace);
        let file = || tempfile::tempfile().map_err(ExecError::Temporary);
        let (mut stdout, mut stderr) = (file()?, file()?);
        let ended = match self.file.metadata() {
            Ok(_) => process::run_into(&command, None, &stdout, &stderr, LONGEST_ANSWER),
            Err(missing) => Err(process::Ended::NotStarted(missing)),
        };
        let mut answer = String::new();
        let read = stdout.rewind().and_then(|()| (&stdout).take(LONGEST_ANSWER).read_to_string(&mut answer));
        ended.map_err(|ended| {
            self.reported(&answer).map_or_else(
                || {
                    let last = process::last_lines(&mut stdout) + &process::last_lines(&mut stderr);
                    let shown = Command { program: self.file.clone(), arguments: vec!["describe".into()], ..command };
                    Error::new(minimg_base::error::Class::Tool, ended.explained(&shown, &last))
                },
                Error::from,
            )
        })?;
        read.map_err(|error| self.misunderstood("describe", &error.to_string()))?;
        // The version first: the rest may look different in another one.
        #[derive(serde::Deserialize)]
        struct Speaks {
            protocol: u32,
        }
        let wrong = |error: serde_json::Error| self.misunderstood("describe", &error.to_string());
        let Speaks { protocol } = serde_json::from_str(&answer).map_err(wrong)?;
        if protocol != VERSION {
            return Err(ExecError::Version { program: self.shown(), found: protocol }.into());
        }
        Ok(serde_json::from_str(&answer).map_err(wrong)?)
    }

    /// Asks it a question whose answer is one document.
    pub(super) fn ask<T: serde::de::DeserializeOwned>(
        &self,
        verb: &'static str,
        question: &str,
        context: &Context,
    ) -> Result<T> {
        let answer = self.call(verb, question, LONGEST_ANSWER, context)?;
        let mut text = String::new();
        let unreadable = |error: std::io::Error| self.misunderstood(verb, &error.to_string());
        answer.take(LONGEST_ANSWER).read_to_string(&mut text).map_err(unreadable)?;
        Ok(serde_json::from_str(&text).map_err(|error| self.misunderstood(verb, &error.to_string()))?)
    }

    /// Asks it a question, and returns the file that it wrote its answer to, at its beginning: so many bytes at `most`.
    pub(super) fn call(&self, verb: &'static str, question: &str, most: u64, context: &Context) -> Result<File> {
        let workspace = Workspace::plain(&context.store)?;
        let namespace = Namespace::of_processes(&context.settings);
        let command = self.command(verb, self.patience, Some(workspace.path()), &namespace);
        let machine = |source| StoreError::Io { path: context.store.path().to_owned(), source };
        let mut input = context.store.scratch()?;
        input.write_all(question.as_bytes()).and_then(|()| input.rewind()).map_err(machine)?;
        let mut output = context.store.scratch()?;
        let log = format!("{}-{verb}.log", self.name);
        let mut tell = |line: &str| context.reporter.event(Event::Activity(line));
        let ended = tool::run_with(&command, &log, Some(input), Some((&output, most)), context, &mut tell);
        output.rewind().map_err(machine)?;
        ended.map_err(|error| {
            let mut text = String::new();
            let read = (&output).take(LONGEST_FAILURE).read_to_string(&mut text);
            read.ok().and_then(|_| self.reported(&text)).map_or(error, Error::from)
        })?;
        Ok(output)
    }

    /// The program's own explanation of its failure.
    fn reported(&self, output: &str) -> Option<ExecError> {
        let Failure { error } = serde_json::from_str(output).ok()?;
        Some(ExecError::Reported { program: self.shown(), class: error.class(), message: error.message })
    }

    fn misunderstood(&self, verb: &'static str, message: &str) -> ExecError {
        ExecError::Answer { program: self.shown(), verb, message: message.to_owned() }
    }

    fn command(&self, verb: &str, patience: Duration, work: Option<&Path>, namespace: &Namespace) -> Command {
        let file = self.file.clone().into_os_string();
        let mut words = namespace.wrap(&file, [verb.into()]);
        Command {
            program: words.remove(0).into(),
            arguments: words,
            // Its home and language are its own affair, unlike those of tools that we drive; its temporary files are not.
            environment: work.map(|work| ("TMPDIR".into(), Some(work.into()))).into_iter().collect(),
            directory: Some(work.unwrap_or(Path::new("/")).to_owned()),
            patience,
        }
    }
}
