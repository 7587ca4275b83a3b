//! `minimg closure` and `minimg tree`: the walk alone, over any root file system, for use in scripts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use minimg::closure::explain::{self, LibraryTree};
use minimg::closure::loader::CacheSource;
use minimg::closure::{self, Severity, WalkSettings};
use minimg::error::{Class, Error};
use minimg::profile::{ClosureSettings, Policy};
use minimg::tree::search::places_of_program;

use super::output::{harmless, print_json, say};
use super::root::Opened;
use super::style::Style;
use super::{Session, usage};

#[derive(Debug, clap::Args)]
pub(super) struct RootArgument {
    /// The root file system: a directory, a tar, or an image archive or layout (`archive.tar:NAME` of several images)
    #[arg(long, short, value_name = "DIR|TAR|IMAGE", default_value = "/")]
    root: PathBuf,
    /// The board to select from a multi-platform image
    #[arg(long, short)]
    board: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    root: RootArgument,
    /// The programs: paths in the root, or names to look up in its PATH
    #[arg(value_name = "PROGRAM", required = true)]
    programs: Vec<String>,
    /// Only print what the loader itself loads, not what programs open at run time
    #[arg(long)]
    loader_only: bool,
    /// End each path with a NUL byte instead of a newline
    #[arg(long, short = '0')]
    null: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct TreeArguments {
    #[command(flatten)]
    root: RootArgument,
    /// The program: a path in the root, or a name to look up in its PATH
    #[arg(value_name = "PROGRAM")]
    program: String,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let opened = Opened::at(session, &arguments.root.root, arguments.root.board.as_deref())?;
    // Notes are shown in the document only, so the search for what would be noted is not done for nothing.
    let notes = if session.global.json { Policy::Report } else { Policy::Ignore };
    let settings = WalkSettings {
        env: opened.env(),
        closure: ClosureSettings { dlopen_strings: notes, ..ClosureSettings::default() },
        cache: CacheSource::Either,
        hidden: !arguments.loader_only,
        ..WalkSettings::default()
    };
    let closure = closure::walk(opened.root(), &arguments.programs, settings).map_err(minimg::Error::from)?;
    for finding in closure.findings.iter().filter(|finding| finding.severity != Severity::Note && !session.global.quiet)
    {
        let text = harmless(&format!("{}: {}", finding.path, finding.message));
        eprintln!("{} {text}", session.style.warning("warning:"));
    }
    if session.global.json {
        print_json(&closure)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let end: &[u8] = if arguments.null { b"\0" } else { b"\n" };
    for path in closure.kept.keys() {
        // The bytes as they are: names need not be UTF-8.
        out.write_all(b"/")?;
        out.write_all(path.as_bytes())?;
        out.write_all(end)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn tree(session: &Session, arguments: &TreeArguments) -> anyhow::Result<ExitCode> {
    let opened = Opened::at(session, &arguments.root.root, arguments.root.board.as_deref())?;
    let Some(tree) = library_tree(&opened, &arguments.program)? else {
        // Where there is no such file the walk knows the nearest name.
        let programs = std::slice::from_ref(&arguments.program);
        closure::walk(opened.root(), programs, WalkSettings { env: opened.env(), ..WalkSettings::default() })
            .map_err(Error::from)?;
        return Err(usage(format!("{} is not an ELF program or library", arguments.program)));
    };
    if session.global.json {
        print_json(&tree)?;
    } else {
        let mut text = String::new();
        draw(&tree, "", "", session.style, &mut text);
        say!("{}", text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// The libraries of a program, which is looked up in the root's PATH when it is only a name.
fn library_tree(opened: &Opened, program: &str) -> anyhow::Result<Option<LibraryTree>> {
    let env = opened.env();
    for place in places_of_program(program, &env, "/") {
        let found =
            explain::library_tree(opened.root(), &place, &env).map_err(|error| Error::new(Class::Machine, error))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Draws a library and what it needs, as libtree does.
fn draw(tree: &LibraryTree, first: &str, rest: &str, style: Style, text: &mut String) {
    let name = harmless(&tree.name);
    let place = match &tree.path {
        Some(path) if tree.repeated => style.dim(&harmless(&format!("{} {path}", tree.name))),
        Some(path) => format!("{} {}", style.name(&name), style.dim(&harmless(&format!("{path} [{}]", tree.how)))),
        None => format!("{name} {}", style.error("not found")),
    };
    let _ = writeln!(text, "{first}{place}");
    for (at, child) in tree.needs.iter().enumerate() {
        let last = at + 1 == tree.needs.len();
        let (branch, trunk) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        draw(child, &format!("{rest}{branch}"), &format!("{rest}{trunk}"), style, text);
    }
}
