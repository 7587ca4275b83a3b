//! Delivering what was built: into files, into engines, and in words. What `minimg build` and `minimg shrink` have in common.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use minimg::backend::Context;
use minimg::board::Board;
use minimg::closure::Severity;
use minimg::engine::{Engine, Way};
use minimg::export::{self, Output, Target};
use minimg::image::{Compression, Image};
use minimg::outputs;
use minimg::pipeline::{self, Built};
use minimg::report::{Event, Phase, Reporter};

use super::progress::Progress;
use super::summary::{Done, Summary};
use super::{Session, style};

/// Where images go and in which form.
#[derive(Debug, clap::Args)]
pub(super) struct Delivery {
    /// Where to write the image and how: FILE or FORMAT:FILE; may be given several times, `-` is the standard output
    ///
    /// The format follows from the name where it is not given. `minimg list formats` tells them all. Without this, and without --load
    /// and --import, one archive that docker, podman, ctr and skopeo accept is written to the current directory.
    #[arg(long, short, value_name = "[FORMAT:]FILE")]
    output: Vec<String>,
    /// Put the image into an engine by `docker import` of its root file system and a generated Dockerfile
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"])]
    pub(super) import: Vec<String>,
    /// Put the image into an engine by `docker load`, which keeps layers and gives an id equal to the configuration's digest
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"])]
    pub(super) load: Vec<String>,
    /// The image's name [default: the profile's name and `latest`]
    #[arg(long, short, value_name = "NAME[:TAG]")]
    tag: Option<String>,
    /// How layers are compressed
    #[arg(long, value_enum, default_value = "gzip")]
    compression: CompressionName,
    /// Do not write the build record beside the image
    #[arg(long)]
    no_record: bool,
}

impl Delivery {
    /// The image's name; it is `usual` when the command line gives none.
    pub(super) fn reference(&self, usual: &str) -> anyhow::Result<String> {
        let Some(tag) = &self.tag else { return Ok(format!("{usual}:latest")) };
        if !export::is_reference(tag) {
            return Err(super::usage(format!(
                "{tag:?} is no image name; write it like team/{usual}:1.0, in small letters but for the tag"
            )));
        }
        let has_tag = tag.rsplit('/').next().is_some_and(|name| name.contains(':'));
        Ok(if has_tag { tag.clone() } else { format!("{tag}:latest") })
    }

    /// How layers are compressed.
    pub(super) fn compression(&self) -> Compression {
        self.compression.into()
    }

    /// Where to write; the usual archive when the command line asks for nothing at all.
    fn outputs(&self, subject: &Subject<'_>) -> anyhow::Result<Vec<Output>> {
        if self.output.is_empty() && self.import.is_empty() && self.load.is_empty() {
            let name = match subject.foreign_board {
                Some(board) => format!("{}-{board}.tar", subject.file),
                None => format!("{}.tar", subject.file),
            };
            return Ok(vec![export::parse_output(&name)?]);
        }
        let outputs: Vec<Output> =
            self.output.iter().map(|text| export::parse_output(text)).collect::<Result<_, _>>()?;
        check_outputs(&outputs, subject.images)?;
        Ok(outputs)
    }

    /// The engines are looked for before anything is built: a build that cannot end well need not begin.
    fn engines(&self) -> anyhow::Result<Vec<(Engine, Way)>> {
        let imports = self.import.iter().map(|name| (name, Way::Dockerfile));
        let loads = self.load.iter().map(|name| (name, Way::Load));
        imports.chain(loads).map(|(name, way)| Ok((find_engine(name)?, way))).collect()
    }
}

/// What was built.
pub(super) struct Made {
    /// An image for each board.
    pub(super) built: Vec<Built>,
    /// The bytes of the root file system's tar that the image was made of, where it is interesting to compare.
    pub(super) before: Option<u64>,
}

/// What is delivered, in the words that people use for it.
pub(super) struct Subject<'a> {
    /// The profile's or the source's name.
    pub(super) name: &'a str,
    /// The name that the usual file and image get.
    pub(super) file: &'a str,
    /// How many images there will be at most.
    pub(super) images: usize,
    /// The one board when it is not this machine's own.
    pub(super) foreign_board: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CompressionName {
    /// For every engine
    Gzip,
    /// Smaller, for engines from about 2020 on
    Zstd,
    /// As it is
    None,
}

impl From<CompressionName> for Compression {
    fn from(name: CompressionName) -> Self {
        match name {
            CompressionName::Gzip => Compression::Gzip,
            CompressionName::Zstd => Compression::Zstd,
            CompressionName::None => Compression::None,
        }
    }
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
        progress.event(Event::Phase(Phase::HandOver));
        for (image, name) in images.iter().zip(export::tags(&images)) {
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

/// Refuses before the work what cannot end well after it.
fn check_outputs(outputs: &[Output], images: usize) -> anyhow::Result<()> {
    let mut places = BTreeSet::new();
    for output in outputs {
        let place = match &output.target {
            Target::Path(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            Target::Stdout => PathBuf::from("-"),
        };
        if let Some(directory) =
            place.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
        {
            return Err(super::usage(format!(
                "there is no directory {} for {output}; make it first",
                directory.display()
            )));
        }
        if !places.insert(place) {
            return Err(super::usage(format!("two outputs go to the same place, the second being {output}")));
        }
        let holds_several = export::EXPORTERS.iter().any(|e| e.name() == output.format() && e.holds_several());
        if images > 1 && !holds_several {
            let format = output.format();
            return Err(super::usage(format!(
                "the format {format} holds one image, and {images} boards were named; use oci or archive"
            )));
        }
    }
    Ok(())
}

/// An engine of the user's PATH.
pub(super) fn find_engine(name: &str) -> anyhow::Result<Engine> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(Engine::find(name, &path).map_err(minimg::Error::from)?)
}

/// Tells what people should know of a built image.
pub(super) fn warn(board: &Board, built: &Built, reporter: &dyn Reporter) {
    for finding in built.findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        reporter.event(Event::Warning(&format!("{}: {}", finding.path, finding.message)));
    }
    let size: u64 = built.image.layers.iter().map(|layer| layer.size).sum();
    if let Some(budget) = board.size_budget.filter(|budget| size > *budget) {
        let over = style::bytes(size - budget);
        reporter.event(Event::Warning(&format!("the image is {over} over the size budget of {}", board.name)));
    }
}
