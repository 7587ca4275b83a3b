//! Delivers what was built, to files and engines, and reports it. Shared by `minimg build` and `minimg shrink`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use minimg::backend::Context;
use minimg::board::Board;
use minimg::closure::Severity;
use minimg::engine::{Engine, Way};
use minimg::export::{self, Exports};
use minimg::image::Image;
use minimg::outputs;
use minimg::pipeline::{self, Built};
use minimg::report::{Event, Phase, Reporter};
use minimg::store::{Pruned, Store};

use super::delivery::{Delivery, InEngine, Subject};
use super::progress::Progress;
use super::summary::{Done, Summary};
use super::{Session, select, style};

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
        outputs::remove_stale_records(&built, output, &store)?;
        let done = match there {
            Some(done) => done,
            None => {
                let holds_records = output.holds_records() && !delivery.no_record;
                let records = if holds_records { outputs::records_of(&built, &store)? } else { Vec::new() };
                outputs::write(Exports { images: &images, records: &records }, output, &store)
                    .with_context(|| format!("failed to write {output}"))?
            }
        };
        if !delivery.no_record {
            outputs::write_records(&built, output, &store)?;
        }
        written.push(Done { written: done, unchanged });
    }
    let mut in_engines = Vec::new();
    for InEngine { engine, way, reference } in engines {
        progress.event(Event::Phase(Phase::LoadIntoEngine));
        let named = |image: &Image| Image {
            reference: reference.clone().unwrap_or_else(|| image.reference.clone()),
            ..image.clone()
        };
        let images: Vec<Image> = images.iter().map(named).collect();
        in_engines.push((engine.name(), put_into(&engine, way, &images, session, &context)?));
    }
    if let Some(limit) = session.user.store_limit {
        keep_below(limit, &store, &*progress);
    }
    let sums = progress.finish();
    Summary {
        session,
        subject,
        built: &built,
        before,
        written: &written,
        in_engines: &in_engines,
        sums,
        took: start.elapsed(),
    }
    .print()?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the images into an engine, and returns the names that it knows them by: one for each image, in their order. Engines have no images for several
/// machines, so several get their machines into their names; the one for this machine gets the plain name besides, which an older image may have.
fn put_into(
    engine: &Engine,
    way: Way,
    images: &[Image],
    session: &Session,
    context: &Context,
) -> anyhow::Result<Vec<String>> {
    let names = export::tags(images).map_err(minimg::Error::from)?;
    let store = &context.store;
    for (image, name) in images.iter().zip(&names) {
        let image = Image { reference: name.clone(), ..image.clone() };
        engine.import(&image, store, way).with_context(|| format!("failed to put {name} into {}", engine.name()))?;
    }
    if let [first, _, ..] = images {
        let plain = &first.reference;
        let own = select::boards(session)?.host().ok().map(|board| board.platform);
        match images.iter().zip(&names).find(|(image, _)| Some(&image.platform) == own.as_ref()) {
            Some((_, name)) => engine.tag(name, plain, store)?,
            None if engine.id(plain, store).is_ok() => {
                let told =
                    format!("{plain} in {} is an older image; the new ones are {}", engine.name(), names.join(", "));
                context.reporter.event(Event::Warning(&told));
            }
            None => {}
        }
    }
    Ok(names)
}

/// Makes the store smaller if it has become too large, and says so. A build that is done does not fail by it.
fn keep_below(limit: u64, store: &Store, reporter: &dyn Reporter) {
    let told = match store.keep_below(limit) {
        Ok(None) => return,
        Ok(Some(Pruned { freed, .. })) => format!(
            "the store was larger than {}: minimg removed the {} files that were unused for the longest time, {}; `store-limit` in the \
             configuration changes the limit",
            style::bytes(limit),
            freed.count,
            style::bytes(freed.bytes)
        ),
        Err(error) => error.to_string(),
    };
    reporter.event(Event::Warning(&told));
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
