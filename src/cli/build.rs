//! `minimg build`: the main job.

use std::process::ExitCode;

use minimg::backend::Context;
use minimg::pipeline::{self, Job};

use super::Session;
use super::deliver::{Made, deliver, warn};
use super::delivery::{Delivery, Subject};
use super::select::{Selection, read_lock};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    delivery: Delivery,
    /// Use exactly the packages in the lock, and fail if the lock does not match the profile
    #[arg(long)]
    locked: bool,
}

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { selection, delivery, locked } = arguments;
    let selected = selection.select(session)?;
    let lock = read_lock(&selected.origin)?;
    let reference = delivery.reference(&selected.profile.name)?;
    let epoch = source_date_epoch()?;
    let build = |context: &Context| {
        let built = selected.for_each_board(context, |context, board, profile| {
            let job = Job {
                command: "build",
                profile,
                board,
                backend: &*selected.backend,
                lock: lock.as_ref(),
                locked,
                epoch,
                compression: delivery.compression(),
                reference: &reference,
            };
            let built = pipeline::build(&job, context)?;
            warn(board, &built, &*context.reporter);
            Ok(built)
        })?;
        Ok(Made { built, before: None })
    };
    let subject = Subject {
        name: &selected.profile.name,
        file: &selected.profile.name,
        images: selected.boards.len(),
        foreign_board: selected.foreign_board(),
    };
    deliver(session, &delivery, &subject, build)
}

/// The reproducible-builds variable: no time in the image is later.
pub(super) fn source_date_epoch() -> anyhow::Result<Option<i64>> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let epoch = value.to_str().and_then(|value| value.parse::<i64>().ok()).filter(|epoch| *epoch >= 0);
    match epoch {
        Some(epoch) => Ok(Some(epoch)),
        None => {
            Err(super::usage(format!("SOURCE_DATE_EPOCH is {value:?}, which is not a number of seconds since 1970")))
        }
    }
}
