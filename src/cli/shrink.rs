//! `minimg shrink`: reduces an existing image or root file system to what its programs need.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use minimg::backend::{Backend, Context, Source, fixed};
use minimg::backends::tarball::{self, Tarball, location::Location};
use minimg::board::Board;
use minimg::error::Error;
use minimg::image::Config;
use minimg::lock::Lock;
use minimg::pipeline::{self, Job};
use minimg::profile::{Additions, Keep, Profile};
use minimg::shrink::{self, Asked};

use super::build::source_date_epoch;
use super::deliver::{Made, deliver, warn};
use super::delivery::{Delivery, Subject};
use super::select::{boards, rules};
use super::{Session, usage};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The image to shrink: an image archive or layout, a root tar, a directory, `docker:NAME`, `podman:NAME`, `registry:HOST/NAME:TAG`
    #[arg(value_name = "IMAGE")]
    image: String,
    /// A program to keep with everything it needs, in addition to the one that the image starts: a path or a name; can be repeated
    #[arg(long, short, value_name = "PROGRAM")]
    program: Vec<String>,
    /// Additional files to keep, as a glob over absolute paths such as `/srv/**`; can be repeated
    #[arg(long, value_name = "GLOB")]
    keep: Vec<String>,
    /// A rule set to apply, as shown by `minimg list rules`; can be repeated
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// The board the image is for [default: this machine's]
    #[arg(long, short, value_name = "BOARD")]
    board: Option<String>,
    #[command(flatten)]
    delivery: Delivery,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let location = Location::parse(&arguments.image, Path::new("")).map_err(Error::from)?;
    // Never the name of a profile, so that nobody takes one for the other.
    let name = match &location {
        Location::Path(_) => format!("./{location}"),
        _ => location.to_string(),
    };
    let stem = location.stem();
    let known = boards(session)?;
    let host = known.host().ok();
    let board = match &arguments.board {
        Some(name) => known.get(name)?,
        None => known.host()?,
    };
    let file = format!("{stem}-small");
    let reference = arguments.delivery.reference(&file)?;
    let epoch = source_date_epoch()?;
    let asked = Asked {
        programs: arguments.program.clone(),
        keep: arguments.keep.clone(),
        rules: arguments.rule.clone(),
        rule_sets: rules(session)?,
    };
    let build = |context: &Context| {
        let (profile, lock, before) = profile(arguments, &asked, &name, &board, context)?;
        let job = Job {
            command: "shrink",
            profile: &profile,
            board: &board,
            backend: &Tarball,
            lock: Some(&lock),
            locked: true,
            epoch,
            compression: arguments.delivery.compression(),
            reference: &reference,
        };
        let built = pipeline::build(&job, context)?;
        warn(&board, &built, &*context.reporter);
        Ok(Made { built: vec![built], before })
    };
    let foreign_board = (host.as_ref() != Some(&board)).then_some(board.name.as_str());
    let subject = Subject { name: &name, file: &file, images: 1, foreign_board };
    deliver(session, &arguments.delivery, &subject, build)
}

/// The profile that says the same as the command line and the image's own configuration, the lock that pins the image's files, and how
/// many bytes they have as a tar.
fn profile(
    arguments: &Arguments,
    asked: &Asked,
    name: &str,
    board: &Board,
    context: &Context,
) -> anyhow::Result<(Profile, Lock, Option<u64>)> {
    let mut source = Source::default();
    tarball::set_root(&mut source, &arguments.image);
    let mut profile = Profile {
        name: name.to_owned(),
        description: String::new(),
        backend: tarball::NAME.to_owned(),
        source,
        packages: BTreeMap::new(),
        keep: Keep::default(),
        add: Additions { base: true, ..Additions::default() },
        image: Config::default(),
        tests: Vec::new(),
    };
    let request = pipeline::request_of(&profile, board, &Tarball)?;
    let taken = tarball::take(&request, context)?;
    let tree = fixed::produce(&taken.pins, context)?.tree;
    profile.image = taken.config.unwrap_or_default();
    // Without a configuration there is nothing to run by default; with one program there is.
    if profile.image.entrypoint.is_empty() && profile.image.cmd.is_empty() {
        profile.image.cmd.extend(arguments.program.first().cloned());
    }
    profile.keep = shrink::keep(asked, &profile.image, &tree).ok_or_else(|| {
        usage(format!("{} does not say what it starts: name the programs to keep with --program", arguments.image))
    })?;
    let before = taken.pins.root.as_ref().map(|root| root.size);
    let mut lock = Lock::new(name);
    lock.set(Tarball.name(), &request, taken.pins);
    Ok((profile, lock, before))
}
