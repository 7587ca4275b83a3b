//! `minimg list`: profiles, boards, backends, formats and rule sets.

use std::process::ExitCode;

use minimg::backends::exec;
use minimg::{backends, export};

use super::Session;
use super::output::{harmless, print_json, print_table};
use super::select::{boards, catalogue, rules};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to list
    #[arg(value_enum, default_value = "profiles")]
    of: What,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// What minimg can build
    Profiles,
    /// The machines that images can target
    Boards,
    /// The ways to obtain a root tree
    Backends,
    /// The formats that images can be written in
    Formats,
    /// The rule sets that profiles can use to keep files
    Rules,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (headings, rows) = match arguments.of {
        What::Profiles => (["profile", "what it is"], profiles(session)?),
        What::Boards => (["board", "what it is"], board_rows(session)?),
        What::Backends => (["backend", "what it does"], backend_rows(session)),
        What::Formats => (["format", "what it is"], two(export::EXPORTERS.iter().map(|f| (f.name(), f.description())))),
        What::Rules => (
            ["rule set", "what it keeps"],
            two(rules(session)?.all().map(|r| (r.name.as_str(), r.description.as_str()))),
        ),
    };
    if session.global.json {
        let items: Vec<_> =
            rows.iter().map(|[name, text]| serde_json::json!({ "name": name, "description": text })).collect();
        print_json(&items)?;
    } else {
        print_table(&headings, rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn two<'a>(items: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<[String; 2]> {
    items.map(|(name, text)| [name.to_owned(), text.to_owned()]).collect()
}

fn profiles(session: &Session) -> anyhow::Result<Vec<[String; 2]>> {
    let catalogue = catalogue(session)?;
    let row = |name: &str| Ok([name.to_owned(), catalogue.profile(name, None, None)?.description]);
    catalogue.names().map(row).collect()
}

/// The backends of the table, and the outside ones with what they say of themselves.
fn backend_rows(session: &Session) -> Vec<[String; 2]> {
    let settings = &session.user.library;
    let outside = exec::names(settings).into_iter().map(|name| {
        let description = match backends::by_name(&name, settings) {
            Ok(backend) => backend.map(|backend| backend.description().to_owned()).unwrap_or_default(),
            Err(error) => format!("not usable: {error}"),
        };
        [name, harmless(&description)]
    });
    two(backends::ALL.iter().map(|b| (b.name(), b.description()))).into_iter().chain(outside).collect()
}

fn board_rows(session: &Session) -> anyhow::Result<Vec<[String; 2]>> {
    let boards = boards(session)?;
    let row = |name: &str| {
        let board = boards.get(name)?;
        Ok([name.to_owned(), format!("{} ({})", board.description, board.platform)])
    };
    boards.names().map(row).collect()
}
