//! `minimg shrink`: reduces an existing image or root file system to what its programs need.

use std::path::Path;
use std::process::ExitCode;

use minimg::backend::Context;
use minimg::backends::tarball::TarballError;
use minimg::backends::tarball::location::Location;
use minimg::error::{Class, Error};
use minimg::pipeline::{self, Job};
use minimg::shrink::{self, Asked};

use super::Session;
use super::build::source_date_epoch;
use super::deliver::{Made, deliver, warn};
use super::delivery::{Delivery, Subject};
use super::select::{boards, rules};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The image to shrink: an image archive or layout (`archive.tar:NAME` of several images), a root tar, a directory, `docker:NAME`,
    /// `podman:NAME`, `registry:HOST/NAME:TAG`
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
    if let Location::Path { path, .. } = &location
        && !path.exists()
    {
        return Err(Error::new(Class::Usage, TarballError::NotFound(path.clone())).into());
    }
    let name = shrink::name_of(&location);
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
        let prepared = shrink::prepare(&arguments.image, &asked, &board, context)?;
        let job = Job { epoch, compression: arguments.delivery.compression(), ..prepared.job(&reference) };
        let built = pipeline::build(&job, context)?;
        warn(&board, &built, &*context.reporter);
        Ok(Made { built: vec![built], before: prepared.before })
    };
    let foreign_board = (host.as_ref() != Some(&board)).then_some(board.name.as_str());
    let subject = Subject { name: &name, file: &file, images: 1, foreign_board };
    deliver(session, &arguments.delivery, &subject, build)
}
