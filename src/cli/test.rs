//! `minimg test`: builds a profile, and runs its tests in a real engine.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use minimg::engine::{Engine, Way};
use minimg::error::Class;
use minimg::image::Image;
use minimg::pipeline;
use minimg::profile::Test;
use minimg::report::{Event, Reporter};

use super::Session;
use super::deliver::find_engine;
use super::explain::with_job;
use super::output::{print_json, say};
use super::progress::Progress;
use super::select::Selection;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// The engine that runs the image
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"], default_value = "docker")]
    engine: String,
}

/// What a test gave.
#[derive(serde::Serialize)]
struct Outcome {
    name: String,
    passed: bool,
    /// What was expected and what came, for a test that failed.
    problem: Option<String>,
}

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new(&session.global, session.style);
    let engine = find_engine(&arguments.engine)?;
    let selected = arguments.selection.select(session)?;
    let store = session.user.store()?;
    let context = session.context(&store, &progress);
    let mut built = with_job(&selected, |job| pipeline::build(job, &context))?;
    // A name of its own, so that no image of the user's is replaced.
    built.image.reference = format!("minimg-test/{}:{}", selected.profile.name, built.recipe.short());
    let tests = &selected.profile.tests;
    if tests.is_empty() {
        let text = format!("{} has no tests, so this shows no more than that it can be built", selected.profile.name);
        progress.event(Event::Warning(&text));
    }
    let container = format!("minimg-test-{}", std::process::id());
    let _guard = engine.temporary(&container, &built.image.reference);
    progress.event(Event::Phase("hand over to the engine"));
    engine.import(&built.image, &store, Way::Load)?;
    progress.event(Event::Phase("test"));
    let outcomes =
        tests.iter().map(|test| outcome(&engine, &container, &built.image, test)).collect::<anyhow::Result<Vec<_>>>();
    let _ = engine.command(&["image", "rm", "--force", &built.image.reference]).output();
    progress.finish();
    report(session, &outcomes?)
}

fn outcome(engine: &Engine, container: &str, image: &Image, test: &Test) -> anyhow::Result<Outcome> {
    let (program, arguments) = test.command.split_first().context("a test without a command")?;
    let mut all = vec!["run", "--rm", "--name", container, "--interactive", "--network=none"];
    all.extend(["--entrypoint", program, &image.reference]);
    all.extend(arguments.iter().map(String::as_str));
    let output = run_with_input(engine.command(&all), test.stdin.as_deref().unwrap_or_default())
        .with_context(|| format!("failed to run the test {:?} in {}", test.name, engine.name()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let code = output.status.code().unwrap_or(-1);
    let problem = if code != test.exit {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Some(format!("it ended with {code} and not {}; it said: {}{}", test.exit, said, complaint.trim_end()))
    } else {
        let wanted = test.stdout.as_deref().filter(|wanted| !said.contains(*wanted));
        wanted.map(|wanted| format!("it did not print {wanted:?} but {said:?}"))
    };
    Ok(Outcome { name: test.name.clone(), passed: problem.is_none(), problem })
}

fn run_with_input(mut command: Command, input: &str) -> std::io::Result<std::process::Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is no failure of the test.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
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
