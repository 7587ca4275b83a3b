//! Profiles as people write them at their first attempt: a package, its program, an entrypoint, and a task that is real work. How many of
//! the images do it is the measure of how often minimg is right the first time; each is built and tried by the program as users have it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use minimg::profile::Catalogue;

use crate::common::Sandbox;
use crate::support::tool;

/// How many work, at least. Who makes more of them work raises this; nobody lowers it.
const WORKING: usize = 28;

/// How many profiles there are, at least, for the measure to mean something.
const ENOUGH: usize = 60;

/// The seconds that a build or a task may take: a program that hangs does not work, and all the others are waiting for it.
const PATIENCE: &str = "120";

/// The exit code of an image that would not be complete, or whose tests fail.
const INCOMPLETE: i32 = 8;
/// Those by which minimg refuses to build an image from a profile that it can read: what the profile asks for is not there.
const REFUSED: [i32; 3] = [3, 4, INCOMPLETE];
/// That of a program that `timeout` has ended.
const TIMED_OUT: i32 = 124;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Works,
    /// There is no image, and its author knows why.
    Refused,
    /// The image does not work, and a line of its build names what is missing.
    Announced,
    /// The image does not work, and nobody was told.
    Silent,
}

/// A profile that was tried.
struct Tried {
    name: String,
    outcome: Outcome,
    warnings: usize,
    /// The sum of its compressed layers; 0 without an image.
    size: u64,
    /// What is wrong, as far as it fits in a line.
    problem: String,
}

fn profiles() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/first_time");
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn naive_profiles_can_be_read() {
    for profile in profiles() {
        Catalogue::built_in().get(profile.to_str().unwrap()).unwrap();
    }
}

#[test]
fn naive_profiles_work_the_first_time() {
    let waiting = profiles();
    assert!(waiting.len() >= ENOUGH, "{} profiles", waiting.len());
    let (waiting, tried) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    let sandbox = Sandbox::shared().live();
    // Half of the time goes by with waiting for a mirror or a server.
    let workers = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(profile) = waiting.lock().unwrap().pop() else { break };
                    let result = try_out(&sandbox, &profile);
                    tried.lock().unwrap().push(result);
                }
            });
        }
    });
    let mut tried = tried.into_inner().unwrap();
    tried.sort_by(|one, other| one.name.cmp(&other.name));
    let table = table(&tried);
    println!("{table}");
    let working = tried.iter().filter(|profile| profile.outcome == Outcome::Works).count();
    assert!(working >= WORKING, "{working} profiles work, and {WORKING} did before\n{table}");
}

/// Builds a profile and runs its tests.
///
/// # Panics
/// When either fails for a reason that is not the image's, such as a mirror that does not answer: that would not be a measure.
fn try_out(sandbox: &Sandbox, profile: &Path) -> Tried {
    let name = profile.file_stem().unwrap().to_str().unwrap().to_owned();
    let path = profile.to_str().unwrap();
    let image = format!("{name}.tar");
    let built = in_time(sandbox, &["build", path, "--json", "-o", &image]);
    let said = String::from_utf8_lossy(&built.stderr);
    if built.status.code().is_some_and(|code| REFUSED.contains(&code)) {
        return Tried { name, outcome: Outcome::Refused, warnings: 0, size: 0, problem: beginning(&said) };
    }
    assert!(built.status.success(), "{name} cannot be built: {said}");
    std::fs::remove_file(sandbox.path(&image)).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&built.stdout).unwrap();
    let size = summary["images"][0]["compressed_size"].as_u64().unwrap();
    let warnings: Vec<&str> =
        summary["cache"]["warnings"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();

    let problem = failure(&name, &in_time(sandbox, &["test", path, "--engine", "sandbox", "--json"]));
    let written = std::fs::read_to_string(profile).unwrap();
    let outcome = match &problem {
        None => Outcome::Works,
        Some(problem) if warnings.iter().any(|line| announces(line, problem, &programs(&written))) => {
            Outcome::Announced
        }
        Some(_) => Outcome::Silent,
    };
    Tried { name, outcome, warnings: warnings.len(), size, problem: beginning(&problem.unwrap_or_default()) }
}

/// Runs minimg, but not for longer than it may take.
fn in_time(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let inner = sandbox.minimg(arguments);
    let mut outer = Command::new(tool("timeout", "coreutils"));
    outer.args(["--kill-after=10", PATIENCE]).arg(inner.get_program()).args(arguments).env_clear();
    outer.current_dir(sandbox.directory.path());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.output().unwrap()
}

/// What is wrong with an image, by its tests; nothing when they all pass.
fn failure(name: &str, tested: &Output) -> Option<String> {
    if tested.status.code() == Some(TIMED_OUT) {
        return Some(format!("it was not done after {PATIENCE} seconds"));
    }
    let said = String::from_utf8_lossy(&tested.stderr);
    let Ok(outcomes) = serde_json::from_slice::<Vec<serde_json::Value>>(&tested.stdout) else {
        // An image whose user is not in it cannot even be started.
        assert_eq!(tested.status.code(), Some(INCOMPLETE), "{name} cannot be tested: {said}");
        return Some(said.into_owned());
    };
    assert!(!outcomes.is_empty(), "{name} has no tests");
    let problems: Vec<&str> = outcomes.iter().filter_map(|outcome| outcome["problem"].as_str()).collect();
    (!problems.is_empty()).then(|| problems.join("\n"))
}

/// The programs that a profile keeps.
fn programs(profile: &str) -> BTreeSet<String> {
    let profile: toml::Table = toml::from_str(profile).unwrap();
    let programs = profile["keep"]["programs"].as_array().unwrap();
    programs.iter().map(|program| program.as_str().unwrap().to_owned()).collect()
}

/// Whether a line of a build names what a failed task complains of: the same path, or a file of the same name. That it names the program
/// is not enough, for that is there.
fn announces(line: &str, failure: &str, programs: &BTreeSet<String>) -> bool {
    let files = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_alphanumeric() && !"/._+-".contains(c))
            .map(|word| word.trim_matches(['.', '-']))
            .filter(|word| (word.contains('/') || word.contains('.')) && !programs.contains(*word))
            .filter_map(|word| Path::new(word).file_name()?.to_str().map(str::to_owned))
            .filter(|name| name.chars().any(char::is_alphabetic))
            .collect()
    };
    !files(line).is_disjoint(&files(failure))
}

/// The beginning of a text, in one line.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 150;
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// The profiles, a line each, and what they come to.
fn table(tried: &[Tried]) -> String {
    let mut text = String::new();
    for Tried { name, outcome, warnings, size, problem } in tried {
        let word = match outcome {
            Outcome::Works => "works",
            Outcome::Refused => "refused at the build",
            Outcome::Announced => "announced",
            Outcome::Silent => "SILENT FAILURE",
        };
        writeln!(text, "{name:<16} {word:<21} {warnings:>2} warnings {:>7} kB  {problem}", size / 1000).unwrap();
    }
    let count = |outcome| tried.iter().filter(|profile| profile.outcome == outcome).count();
    let working = || tried.iter().filter(|profile| profile.outcome == Outcome::Works);
    writeln!(
        text,
        "{} of {} work, with {} warnings and {} kB compressed; {} are refused, {} announced, {} fail silently",
        count(Outcome::Works),
        tried.len(),
        working().map(|profile| profile.warnings).sum::<usize>(),
        working().map(|profile| profile.size).sum::<u64>() / 1000,
        count(Outcome::Refused),
        count(Outcome::Announced),
        count(Outcome::Silent),
    )
    .unwrap();
    text
}

#[test]
fn a_line_announces_what_it_names() {
    let programs = BTreeSet::from(["/usr/bin/gs".to_owned()]);
    for (line, failure, expected) in [
        ("/usr/bin/gs: opens gs_init.ps, which is left out", "Can't find initialization file gs_init.ps.", true),
        ("/etc/a.conf: is not kept", "cannot open '/etc/a.conf': No such file or directory", true),
        ("/usr/lib/b.so.1: is not kept", "cannot open '/etc/a.conf': No such file or directory", false),
        ("/usr/bin/gs: a library is left out", "/usr/bin/gs: an error", false),
        ("a thing is left out", "a thing is missing", false),
    ] {
        assert_eq!(announces(line, failure, &programs), expected, "{line}");
    }
}
