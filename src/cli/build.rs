//! `minimg build`: the main job.

use std::process::ExitCode;

use minimg::backend::Context;
use minimg::error::{Class, Error};
use minimg::pipeline::{self, Job};
use minimg::profile::ImageChanges;

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
    #[command(flatten)]
    run: Run,
    /// Use exactly the packages in the lock, and fail if the lock does not match the profile
    #[arg(long)]
    locked: bool,
}

/// How the image's program is run, where the command line says it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Running the image")]
struct Run {
    /// Set an environment variable of the image; can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Set a label of the image; can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// The program that the image starts, or a JSON array of it and its arguments; overrides `entrypoint` and `cmd` of the profile
    #[arg(long, value_name = "PROGRAM|JSON")]
    entrypoint: Option<String>,
    /// The arguments that a user can replace: a word or a JSON array; overrides the profile
    #[arg(long, value_name = "WORD|JSON")]
    cmd: Option<String>,
    /// The user that runs the program, by name or number, with :GROUP if need be; overrides the profile
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The directory to start in; overrides the profile
    #[arg(long, value_name = "DIR")]
    workdir: Option<String>,
}

impl From<Run> for ImageChanges {
    fn from(run: Run) -> Self {
        let Run { env, label, entrypoint, cmd, user, workdir } = run;
        Self { env, labels: label, entrypoint, cmd, user, workdir }
    }
}

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { selection, delivery, run, locked } = arguments;
    let changes = ImageChanges::from(run);
    let mut selected = selection.select(session)?;
    selected.profile.change_image(&changes).map_err(super::usage)?;
    let lock = read_lock(&selected.origin)?;
    let reference = delivery.reference(&selected.profile.name)?;
    let epoch = source_date_epoch()?;
    let build = |context: &Context| {
        let built = selected.for_each_board(context, |context, board, profile| {
            let mut profile = profile.clone();
            profile.change_image(&changes).map_err(|message| Error::new(Class::Usage, message))?;
            let job = Job {
                command: "build",
                profile: &profile,
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
