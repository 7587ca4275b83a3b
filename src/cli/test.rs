//! `minimg test`: builds a profile, and runs its tests in an engine or a sandbox.

use std::borrow::Cow;
use std::process::ExitCode;

use anyhow::Context as _;
use minimg::error::Class;
use minimg::pipeline;
use minimg::profile::Test;
use minimg::report::{Event, Phase, Reporter};
use minimg::sandbox::process::Ran;
use minimg::trial::{InSandbox, Trial};

use super::Session;
use super::delivery::find_engine;
use super::explain::with_job;
use super::output::{print_json, say};
use super::progress::Progress;
use super::select::Selection;

/// What runs images without an engine.
const SANDBOX: &str = "sandbox";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// What to run the image in: an engine, or `sandbox` for namespaces of this machine alone
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman", SANDBOX], default_value = "docker")]
    engine: String,
}

/// The result of a test.
#[derive(serde::Serialize)]
struct Outcome {
    name: String,
    passed: bool,
    /// The expected and the actual result, for a failed test.
    problem: Option<String>,
}

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new(&session.global, session.style);
    let engine = Some(&arguments.engine).filter(|name| *name != SANDBOX).map(|name| find_engine(name)).transpose()?;
    let selected = arguments.selection.select(session)?;
    let store = session.user.store()?;
    let context = session.context(&store, &progress);
    let built = with_job(&selected, |job| pipeline::build(job, &context))?;
    let board = selected.boards.first().context("no board was selected")?;
    let tests = &selected.profile.tests;
    if tests.is_empty() {
        let text = format!("{} has no tests, so this only shows that it builds", selected.profile.name);
        progress.event(Event::Warning(&text));
    }
    let trial: Box<dyn Trial + '_> = match &engine {
        Some(engine) => {
            progress.event(Event::Phase(Phase::LoadIntoEngine));
            Box::new(engine.trial(&selected.profile.name, &built.image, &store)?)
        }
        None => Box::new(InSandbox::new(&built.image, board, &context)?),
    };
    progress.event(Event::Phase(Phase::Test));
    let outcomes = tests.iter().map(|test| outcome(&*trial, test)).collect::<anyhow::Result<Vec<_>>>()?;
    drop(trial);
    progress.finish();
    report(session, &outcomes)
}

fn outcome(trial: &dyn Trial, test: &Test) -> anyhow::Result<Outcome> {
    let input = test.stdin.as_deref().unwrap_or_default();
    let ran = match (test.port, test.command.split_first()) {
        (Some(port), _) => trial.serve(port, &test.command, input),
        (None, command) => {
            let (program, arguments) = command.context("a test without a command")?;
            trial.run(program, arguments, input)
        }
    };
    let Ran { code, stdout, stderr } = ran.with_context(|| format!("failed to run the test {:?}", test.name))?;
    let problem = if code != test.exit {
        Some(format!(
            "it exited with {code} instead of {}; its output: {}{}",
            test.exit,
            end(&stdout),
            end(stderr.trim_end())
        ))
    } else {
        let wanted = test.stdout.as_deref().filter(|wanted| !stdout.contains(*wanted));
        wanted.map(|wanted| format!("it did not print {wanted:?} but {:?}", end(&stdout)))
    };
    Ok(Outcome { name: test.name.clone(), passed: problem.is_none(), problem })
}

/// What a text ends with, as far as it may stand in a message.
fn end(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 2000;
    match text.char_indices().rev().nth(LONGEST) {
        None => text.into(),
        Some((start, _)) => format!("...{}", &text[start..]).into(),
    }
}

fn report(session: &Session, outcomes: &[Outcome]) -> anyhow::Result<ExitCode> {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if session.global.json {
        print_json(&outcomes)?;
    } else if !session.global.quiet {
        for outcome in outcomes {
            match &outcome.problem {
                None => say!("{} {}", session.style.good("passed"), outcome.name),
                Some(problem) => say!("{} {}: {problem}", session.style.error("failed"), outcome.name),
            }
        }
        say!("{} passed, {failed} failed", outcomes.len() - failed);
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { Class::Incomplete.code() }))
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn of_a_long_text_the_end_is_shown() {
        assert_eq!(end("short"), "short");
        assert_eq!(end(&"é".repeat(1000)), "é".repeat(1000));
        assert_eq!(end(&("b".to_owned() + &"é".repeat(9000))).chars().count(), 2004);
    }
}
