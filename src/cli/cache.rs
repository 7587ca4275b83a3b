//! `minimg cache`: shows, verifies and prunes the store.

use std::process::ExitCode;

use minimg::backend::options;
use minimg::error::{Class, Error};
use minimg::store::{Pruned, Store, Usage};

use super::output::{print_json, print_table, say};
use super::{Session, style, usage};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what the store holds (the default)
    Show,
    /// Read every entry, and drop damaged ones
    Verify,
    /// Remove entries that have not been used recently
    Prune {
        /// The minimum time since an entry was last used: 12h, 30d, or 0 for all
        #[arg(long, value_name = "SPAN", default_value = "30d")]
        unused_for: String,
    },
}

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.action.unwrap_or(Action::Show) {
        Action::Show => show(session),
        Action::Verify => verify(session),
        Action::Prune { unused_for } => prune(session, &unused_for),
    }
}

fn show(session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.user.existing_store()?;
    let path = store.as_ref().map_or(session.user.store.as_path(), Store::path);
    let usage = store.as_ref().map_or_else(|| Ok(Usage::new()), Store::usage).map_err(Error::from)?;
    let limit = session.user.store_limit;
    if session.global.json {
        print_json(&serde_json::json!({ "path": path, "usage": usage, "limit": limit }))?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}", session.style.name(&path.display().to_string()));
    let total: u64 = usage.values().map(|of| of.bytes).sum();
    let rows = usage.iter().map(|(kind, of)| [kind.clone(), of.count.to_string(), style::bytes(of.bytes)]);
    print_table(&["kind", "files", "size"], rows)?;
    let at_most = limit.map(|limit| format!(", kept below {}", style::bytes(limit))).unwrap_or_default();
    say!("{} in total{at_most}", style::bytes(total));
    Ok(ExitCode::SUCCESS)
}

fn verify(session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.user.existing_store()?;
    let (good, problems) = store.map_or_else(|| Ok((0, Vec::new())), |store| store.verify()).map_err(Error::from)?;
    if session.global.json {
        print_json(&serde_json::json!({ "good": good, "dropped": problems }))?;
    } else {
        for problem in &problems {
            say!("{} {}: {}", session.style.warning("dropped"), problem.path.display(), problem.message);
        }
        say!("{good} intact, {} damaged and dropped", problems.len());
    }
    Ok(ExitCode::from(if problems.is_empty() { 0 } else { Class::Verification.code() }))
}

fn prune(session: &Session, unused_for: &str) -> anyhow::Result<ExitCode> {
    let age = options::span(unused_for).map_err(|message| usage(format!("--unused-for: {message}")))?;
    let store = session.user.existing_store()?;
    let pruned = store.map_or_else(|| Ok(Pruned::default()), |store| store.prune(age)).map_err(Error::from)?;
    if session.global.json {
        print_json(&pruned)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Pruned { freed, in_use } = pruned;
    say!("removed {} files, {}", freed.count, style::bytes(freed.bytes));
    if in_use.count > 0 {
        say!("kept {} files, {}, that running builds may use", in_use.count, style::bytes(in_use.bytes));
    }
    Ok(ExitCode::SUCCESS)
}
