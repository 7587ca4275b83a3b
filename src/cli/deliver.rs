//! Delivers what was built, to files and engines, and reports it. Shared by `minimg build` and `minimg shrink`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use minimg::backend::Context;
use minimg::board::Board;
use minimg::closure::Severity;
use minimg::export;
use minimg::image::Image;
use minimg::outputs;
use minimg::pipeline::{self, Built};
use minimg::report::{Event, Phase, Reporter};

use super::delivery::{Delivery, Subject};
use super::progress::Progress;
use super::summary::{Done, Summary};
use super::{Session, style};

/// What was built.
pub(super) struct Made {
    /// An image for each board.
    pub(super) built: Vec<Built>,
    /// The bytes of the root file system's tar that the image was made of, where it is interesting to compare.
    pub(super) before: Option<u64>,
}

/// Builds, and delivers what was built.
pub(super) fn deliver(
    session: &Session,
    delivery: &Delivery,
    subject: &Subject<'_>,
    build: impl Fn(&Context) -> anyhow::Result<Made>,
) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let progress = Progress::new(&session.global, session.style);
    let outputs = delivery.outputs(subject)?;
    let engines = delivery.engines()?;
    let store = session.user.store()?;
    let context = session.context(&store, &progress);

    let build = || build(&context).with_context(|| format!("failed to build {}", subject.name));
    let Made { mut built, before } = build()?;
    let images: Vec<Image> = built.iter().map(|built| built.image.clone()).collect();
    let there =
        outputs.iter().map(|output| outputs::unchanged(&images, output, &store)).collect::<Result<Vec<_>, _>>()?;
    let needs_layers = there.iter().any(Option::is_none) || !engines.is_empty();
    if needs_layers && !pipeline::is_whole(&built, &store)? {
        built = build()?.built;
    }
    let mut written = Vec::new();
    for (output, there) in outputs.iter().zip(there) {
        let unchanged = there.is_some();
        let done = match there {
            Some(done) => done,
            None => outputs::write(&images, output, &store).with_context(|| format!("failed to write {output}"))?,
        };
        if !delivery.no_record {
            outputs::write_records(&built, &done, &store)?;
        }
        written.push(Done { written: done, unchanged });
    }
    for (engine, way) in engines {
        progress.event(Event::Phase(Phase::LoadIntoEngine));
        for (image, name) in images.iter().zip(export::tags(&images).map_err(minimg::Error::from)?) {
            let image = Image { reference: name, ..image.clone() };
            engine
                .import(&image, &store, way)
                .with_context(|| format!("failed to put {} into {}", image.reference, engine.name()))?;
        }
    }
    let sums = progress.finish();
    Summary { session, subject, built: &built, before, written: &written, delivery, sums, took: start.elapsed() }
        .print()?;
    Ok(ExitCode::SUCCESS)
}

/// Warns of problems in a built image.
pub(super) fn warn(board: &Board, built: &Built, reporter: &dyn Reporter) {
    for finding in built.findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        reporter.event(Event::Warning(&format!("{}: {}", finding.path, finding.message)));
    }
    if let Some(over) = built.over_budget(board) {
        let over = style::bytes(over);
        reporter.event(Event::Warning(&format!("the image is {over} over the size budget of {}", board.name)));
    }
}
