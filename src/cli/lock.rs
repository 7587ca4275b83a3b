//! `minimg lock`: pins the packages of a profile in a file beside it.

use std::process::ExitCode;

use anyhow::Context as _;
use minimg::backend::Archive;
use minimg::error::Error;
use minimg::image::Compression;
use minimg::lock::Lock;
use minimg::pipeline::{self, Job};

use super::Session;
use super::output::{print_json, say};
use super::progress::Progress;
use super::select::{Selection, lock_file};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new(&session.global, session.style);
    let selected = arguments.selection.select(session)?;
    let store = session.user.store()?;
    let context = session.context(&store, &progress);
    let path = lock_file(&selected.origin);
    let mut lock = Lock::read(&path).map_err(Error::from)?.unwrap_or_else(|| Lock::new(&selected.profile.name));
    let lines = selected.for_each_board(&context, |context, board, profile| {
        let job = Job {
            command: "build",
            profile,
            board,
            backend: &*selected.backend,
            lock: None,
            locked: false,
            epoch: None,
            compression: Compression::Gzip,
            reference: &profile.name,
        };
        let pins = pipeline::lock(&job, &mut lock, context)?;
        let dated = |archive: &Archive| match archive.date.as_str() {
            "" => archive.name.clone(),
            date => format!("{} of {date}", archive.name),
        };
        let dates: Vec<String> = pins.archives.iter().map(dated).collect();
        Ok((board.name.clone(), pins.packages.len(), dates))
    });
    let lines = lines.with_context(|| format!("failed to pin the packages of {}", selected.profile.name))?;
    lock.write(&path).map_err(Error::from)?;
    progress.finish();
    if session.global.json {
        let boards: Vec<_> = lines
            .iter()
            .map(|(board, packages, archives)| serde_json::json!({ "board": board, "packages": packages, "archives": archives }))
            .collect();
        print_json(&serde_json::json!({ "path": path, "boards": boards }))?;
    } else if !session.global.quiet {
        for (board, packages, dates) in &lines {
            say!("{board}: {packages} packages from {}", dates.join(", "));
        }
        say!("wrote {}", session.style.name(&path.display().to_string()));
    }
    Ok(ExitCode::SUCCESS)
}
