//! `minimg why` and `minimg why-not`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use minimg::backend::Context;
use minimg::closure::Why;
use minimg::closure::explain::{self, Fate, WhyNot};
use minimg::error::{Class, Error};
use minimg::image::Compression;
use minimg::pipeline::{self, Job};
use minimg::record::{Kept, Record};
use minimg::shrink;
use minimg::tree::{MERGED, RootPath, RootTree, resolve};

use super::output::{print_json, say};
use super::progress::Progress;
use super::select::{Selected, Selection, boards, catalogue, read_lock};
use super::{Session, usage};

#[derive(Debug, clap::Args)]
pub(super) struct WhyArguments {
    /// A profile, or an image written by minimg, with its record next to it
    #[command(flatten)]
    selection: Selection,
    /// The path of the file in the image
    #[arg(value_name = "PATH")]
    path: OsString,
}

#[derive(Debug, clap::Args)]
pub(super) struct WhyNotArguments {
    /// A profile, or an image written by minimg from a profile that can be found by name, with its record next to it
    #[command(flatten)]
    selection: Selection,
    /// The path the file would have in the image
    #[arg(value_name = "PATH")]
    path: OsString,
}

pub(super) fn why(session: &Session, arguments: &WhyArguments) -> anyhow::Result<ExitCode> {
    let path = path_of(&arguments.path)?.text();
    let record = record(session, arguments.selection.clone())?;
    let chain = chain_through_links(&record, &path);
    if chain.is_empty() {
        let message = format!(
            "{path} is not in the image of {}; `minimg why-not {} {path}` explains why",
            record.profile, record.profile
        );
        return Err(Error::new(Class::Usage, message).into());
    }
    if session.global.json {
        let steps: Vec<_> = chain
            .iter()
            .map(|(path, kept)| serde_json::json!({ "path": path, "reason": kept, "text": phrase(kept) }))
            .collect();
        print_json(&serde_json::json!({ "profile": record.profile, "path": path, "chain": steps }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (depth, (path, kept)) in chain.iter().enumerate() {
        let package = kept.package.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
        let indent = "  ".repeat(depth);
        say!("{indent}{}{} {}", session.style.name(path), session.style.dim(&package), phrase(kept));
    }
    Ok(ExitCode::SUCCESS)
}

/// The path that an argument names; it need not be text.
fn path_of(argument: &OsStr) -> anyhow::Result<RootPath> {
    RootPath::new(argument.as_bytes()).map_err(|error| usage(error.to_string()))
}

/// The chain of a path; for one that is reached through a directory link, such as /lib/x of /usr/lib/x, that of where it leads.
fn chain_through_links<'a>(record: &'a Record, path: &str) -> Vec<(&'a str, &'a Kept)> {
    let direct = record.chain(path);
    if !direct.is_empty() {
        return direct;
    }
    MERGED
        .iter()
        .filter(|link| record.files.contains_key(&format!("/{link}")))
        .filter_map(|link| path.strip_prefix(&format!("/{link}/")).map(|rest| format!("/usr/{link}/{rest}")))
        .map(|merged| record.chain(&merged))
        .next()
        .unwrap_or_default()
}

/// What one step says after the path.
fn phrase(kept: &Kept) -> String {
    let via = kept.via.as_deref().unwrap_or("the profile");
    match &kept.why {
        Why::Program(name) => format!("is the program {name:?} of the profile"),
        Why::Interpreter => format!("is the loader of {via}"),
        Why::Shebang => format!("runs the script {via}"),
        Why::Needed(name) => format!("is {name}, which {via} needs"),
        Why::Opened(how) => format!("is opened by {via}: {how}"),
        Why::Link => format!("is a link on the way from {via}"),
        Why::Crossed => format!("is a directory that the way from {via} goes into and leaves by `..`"),
        Why::Target => format!("is where the link {via} leads"),
        Why::Rule(name) => format!("is kept by the rule {name}"),
        Why::Keep(reason) => format!("is kept by the profile: {reason}"),
        Why::Package(name) => format!("is in the package {name}, which the profile keeps whole"),
        Why::Added(what) => format!("was added: {what}"),
    }
}

/// The record of an image, or of what a profile gives now.
fn record(session: &Session, selection: Selection) -> anyhow::Result<Record> {
    if let Some(path) = record_beside(selection.profile_argument()) {
        return Ok(Record::read(&path)?);
    }
    refuse_image(selection.profile_argument(), "the record that `minimg build` writes beside it says why")?;
    let progress = Progress::new(&session.global, session.style);
    let selected = selection.select(session)?;
    let store = session.user.store()?;
    let context = session.context(&store, &progress);
    let built = with_job(&selected, |job| pipeline::build(job, &context))?;
    let record = Record::load(&store, &built.recipe)?;
    progress.finish();
    record.context("the store lost the build record in the meantime; try again")
}

/// The record of an image file: the argument itself, or what is beside it or in it.
fn record_beside(argument: &str) -> Option<PathBuf> {
    if argument.ends_with(".record.json") || argument.ends_with("/record.json") {
        return Some(PathBuf::from(argument));
    }
    let (image, beside) = (Path::new(argument), format!("{}.record.json", argument.trim_end_matches('/')));
    let places = [PathBuf::from(beside), image.join("record.json")];
    places.into_iter().find(|record| image.exists() && record.is_file())
}

/// An image or a root without its record cannot answer, and is not a profile either.
fn refuse_image(argument: &str, instead: &str) -> anyhow::Result<()> {
    let path = Path::new(argument);
    if path.exists() && path.extension().is_none_or(|extension| extension != "toml") {
        let message =
            format!("there is no {argument}.record.json: {instead}; or name the profile instead of the image");
        return Err(Error::new(Class::Usage, message).into());
    }
    Ok(())
}

/// What a question about an image asks in the end: the answer when its record has it, else the profile that the record names.
enum Asked {
    Answer(WhyNot),
    Profile(Selection),
}

/// The record of an image knows what is in it, and its profile knows the rest.
fn ask_record(session: &Session, selection: &Selection, asked: &RootPath) -> anyhow::Result<Asked> {
    let path = &*asked.text();
    let argument = selection.profile_argument();
    let Some(beside) = record_beside(argument) else {
        refuse_image(argument, "the record that `minimg build` writes beside it says which profile it was made from")?;
        return Ok(Asked::Profile(selection.clone()));
    };
    let record = Record::read(&beside)?;
    if let Some((_, kept)) = chain_through_links(&record, path).last() {
        let package = record.packages.iter().find(|package| kept.package.as_ref() == Some(&package.name));
        let package = package.map(|package| format!("{} {}", package.name, package.version));
        return Ok(Asked::Answer(WhyNot { fate: Fate::Kept, package, remedies: Vec::new() }));
    }
    if record.profile.contains(['/', ':']) {
        let why = why_not_shrunk(session, &record, asked);
        return Err(Error::new(Class::Usage, format!("{path} is not in {argument}: {why}")).into());
    }
    if catalogue(session)?.get(&record.profile).is_err() {
        let name = &record.profile;
        let message = format!(
            "{path} is not in {argument}; only its profile knows why it was left out: `minimg why-not PATH/TO/{name}.toml {path} --board {}`",
            record.board
        );
        return Err(Error::new(Class::Usage, message).into());
    }
    Ok(Asked::Profile(selection.clone().of_record(&record.profile, &record.board)))
}

/// Why an image that was shrunk does not have a path. Only what its source has can be kept, so the source is looked at, if it is still there.
fn why_not_shrunk(session: &Session, record: &Record, path: &RootPath) -> String {
    let (name, shown) = (&record.profile, path.text());
    let source = || -> anyhow::Result<RootTree> {
        let progress = Progress::new(&session.global, session.style);
        let store = session.user.store()?;
        let board = boards(session)?.get(&record.board)?;
        // A path was given a beginning, so that it is not taken for the name of a profile.
        let image = name.strip_prefix("./").unwrap_or(name);
        let tree = shrink::source_tree(image, &board, &session.context(&store, &progress))?;
        progress.finish();
        Ok(tree)
    };
    match source().map(|tree| resolve(&tree, &RootPath::root(), path.as_bytes()).is_ok_and(|f| f.entry.is_some())) {
        Ok(true) => format!("nothing that `minimg shrink` kept of {name} needs it; `--keep {shown}` keeps it"),
        Ok(false) => format!("{name}, of which it was made, does not have it either; add it there"),
        Err(error) => format!("if {name} has it, `minimg shrink` with `--keep {shown}` keeps it ({error:#})"),
    }
}

pub(super) fn why_not(session: &Session, arguments: &WhyNotArguments) -> anyhow::Result<ExitCode> {
    let path = path_of(&arguments.path)?;
    let answer = match ask_record(session, &arguments.selection, &path)? {
        Asked::Answer(answer) => answer,
        Asked::Profile(selection) => {
            let progress = Progress::new(&session.global, session.style);
            let selected = selection.select(session)?;
            let store = session.user.store()?;
            let context: Context = session.context(&store, &progress);
            let (tree, closure) = with_job(&selected, |job| pipeline::explain(job, &context))?;
            progress.finish();
            explain::why_not(&tree, &closure, &selected.profile.keep, &path)
        }
    };
    if session.global.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let package = answer.package.as_ref().map(|package| format!(" [{package}]")).unwrap_or_default();
    say!("{}{} {}", session.style.name(&path.text()), session.style.dim(&package), fate(&answer.fate));
    if !answer.remedies.is_empty() {
        say!("to keep it, write one of these into the profile:");
        answer.remedies.iter().for_each(|remedy| say!("  {remedy}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Kept => "is in the image; `minimg why` says why".to_owned(),
        Fate::Unknown(similar) if similar.is_empty() => "is in none of the packages".to_owned(),
        Fate::Unknown(similar) => format!("is in none of the packages; they have {}", similar.join(", ")),
        Fate::Dropped(glob) => format!("is left out by the drop glob {glob}"),
        Fate::NotNeeded => "is in the packages, but nothing that is kept needs it".to_owned(),
    }
}

/// Runs something with the job of the first selected board.
pub(super) fn with_job<T>(selected: &Selected, run: impl FnOnce(&Job<'_>) -> minimg::Result<T>) -> anyhow::Result<T> {
    let board = selected.boards.first().context("no board was selected")?;
    let lock = read_lock(&selected.origin)?;
    let profile = selected.profile_for(board);
    let job = Job {
        command: "build",
        profile: &profile,
        board,
        backend: &*selected.backend,
        lock: lock.as_ref(),
        locked: false,
        epoch: None,
        compression: Compression::Gzip,
        reference: &profile.name,
    };
    Ok(run(&job)?)
}
