//! `minimg build`: the main job.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use minimg::backend::Context;
use minimg::board::Board;
use minimg::closure::Severity;
use minimg::engine::{Engine, Way};
use minimg::export::{self, Output, Target, Written};
use minimg::image::{Compression, Image};
use minimg::interrupt::{self, Leftover};
use minimg::outputs;
use minimg::pipeline::{self, Built, Job};
use minimg::record::Record;
use minimg::report::{Event, Reporter};
use minimg::store::Store;

use super::output::{pairs, print_json, say};
use super::progress::{Progress, Sums};
use super::select::{Selected, Selection, read_lock};
use super::{Session, style};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Where to write the image and how: FILE or FORMAT:FILE; may be given several times, `-` is the standard output
    ///
    /// The format follows from the name where it is not given. `minimg list formats` tells them all. Without this, and without --load
    /// and --import, one archive that docker, podman, ctr and skopeo accept is written to ./PROFILE.tar.
    #[arg(long, short, value_name = "[FORMAT:]FILE")]
    output: Vec<String>,
    /// Put the image into an engine by `docker import` of its root file system and a generated Dockerfile
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"])]
    import: Vec<String>,
    /// Put the image into an engine by `docker load`, which keeps layers and gives an id equal to the configuration's digest
    #[arg(long, value_name = "ENGINE", value_parser = ["docker", "podman"])]
    load: Vec<String>,
    /// The image's name [default: the profile's name and `latest`]
    #[arg(long, short, value_name = "NAME[:TAG]")]
    tag: Option<String>,
    /// How layers are compressed
    #[arg(long, value_enum, default_value = "gzip")]
    compression: CompressionName,
    /// Take the packages from the lock, and fail if it does not fit the profile
    #[arg(long)]
    locked: bool,
    /// Do not write the build record beside the image
    #[arg(long)]
    no_record: bool,
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

pub(super) fn run(session: &Session, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let progress = Progress::new(&session.global, session.style);
    let selected = arguments.selection.clone().select(session)?;
    let outputs = outputs(&arguments, &selected)?;
    let engines = engines(&arguments)?;
    let store = session.user.store()?;
    let context = session.context(&store, &progress);

    let build = || {
        build_all(&arguments, &selected, &context).with_context(|| format!("failed to build {}", selected.profile.name))
    };
    let mut built = build()?;
    let images: Vec<Image> = built.iter().map(|built| built.image.clone()).collect();
    let there =
        outputs.iter().map(|output| outputs::unchanged(&images, output, &store)).collect::<Result<Vec<_>, _>>()?;
    let needs_layers = there.iter().any(Option::is_none) || !engines.is_empty();
    if needs_layers && !pipeline::is_whole(&built, &store)? {
        built = build()?;
    }
    let mut written = Vec::new();
    for (output, there) in outputs.iter().zip(there) {
        let unchanged = there.is_some();
        let done = match there {
            Some(done) => done,
            None => outputs::write(&images, output, &store).with_context(|| format!("failed to write {output}"))?,
        };
        if !arguments.no_record {
            write_records(&store, &built, &done)?;
        }
        written.push(Done { written: done, unchanged });
    }
    for (engine, way) in engines {
        progress.event(Event::Phase("hand over to the engine"));
        for image in &images {
            engine
                .import(image, &store, way)
                .with_context(|| format!("failed to put {} into {}", image.reference, engine.name()))?;
        }
    }
    let sums = progress.finish();
    Summary {
        session,
        selected: &selected,
        built: &built,
        written: &written,
        arguments: &arguments,
        sums,
        took: start.elapsed(),
    }
    .print()?;
    Ok(ExitCode::SUCCESS)
}

fn build_all(arguments: &Arguments, selected: &Selected, context: &Context<'_>) -> anyhow::Result<Vec<Built>> {
    let lock = read_lock(&selected.origin)?;
    let reference = reference(arguments, &selected.profile.name)?;
    let epoch = source_date_epoch()?;
    selected.for_each_board(context, |context, board, profile| {
        let job = Job {
            profile,
            board,
            backend: &*selected.backend,
            lock: lock.as_ref(),
            locked: arguments.locked,
            epoch,
            compression: arguments.compression.into(),
            reference: &reference,
        };
        let built = pipeline::build(&job, context)?;
        warn(board, &built, context.reporter);
        Ok(built)
    })
}

/// Tells what people should know of a built image.
fn warn(board: &Board, built: &Built, reporter: &dyn Reporter) {
    for finding in built.findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        reporter.event(Event::Warning(&format!("{}: {}", finding.path, finding.message)));
    }
    let size: u64 = built.image.layers.iter().map(|layer| layer.size).sum();
    if let Some(budget) = board.size_budget.filter(|budget| size > *budget) {
        let over = style::bytes(size - budget);
        reporter.event(Event::Warning(&format!("the image is {over} over the size budget of {}", board.name)));
    }
}

/// Where to write; the usual archive when the command line asks for nothing at all.
fn outputs(arguments: &Arguments, selected: &Selected) -> anyhow::Result<Vec<Output>> {
    if arguments.output.is_empty() && arguments.import.is_empty() && arguments.load.is_empty() {
        let name = match selected.foreign_board() {
            Some(board) => format!("{}-{board}.tar", selected.profile.name),
            None => format!("{}.tar", selected.profile.name),
        };
        return Ok(vec![export::parse_output(&name)?]);
    }
    let outputs: Vec<Output> =
        arguments.output.iter().map(|text| export::parse_output(text)).collect::<Result<_, _>>()?;
    check_outputs(&outputs, selected.boards.len())?;
    Ok(outputs)
}

/// Refuses before the work what cannot end well after it.
fn check_outputs(outputs: &[Output], images: usize) -> anyhow::Result<()> {
    let mut places = BTreeSet::new();
    for output in outputs {
        let place = match &output.target {
            Target::Path(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            Target::Stdout => PathBuf::from("-"),
        };
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

/// The engines are looked for before anything is built: a build that cannot end well need not begin.
fn engines(arguments: &Arguments) -> anyhow::Result<Vec<(Engine, Way)>> {
    let imports = arguments.import.iter().map(|name| (name, Way::Dockerfile));
    let loads = arguments.load.iter().map(|name| (name, Way::Load));
    imports.chain(loads).map(|(name, way)| Ok((find_engine(name)?, way))).collect()
}

/// An engine of the user's PATH.
pub(super) fn find_engine(name: &str) -> anyhow::Result<Engine> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(Engine::find(name, &path).map_err(minimg::Error::from)?)
}

fn reference(arguments: &Arguments, profile: &str) -> anyhow::Result<String> {
    let Some(tag) = &arguments.tag else { return Ok(format!("{profile}:latest")) };
    let name = tag.rsplit('/').next().unwrap_or(tag);
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c) || c.is_ascii_uppercase();
    if name.is_empty()
        || tag.starts_with(['.', '-', '/', ':'])
        || tag.ends_with(['/', ':'])
        || !tag.chars().all(allowed)
    {
        return Err(super::usage(format!("{tag:?} is no image name; write it like team/{profile}:1.0")));
    }
    Ok(if name.contains(':') { tag.clone() } else { format!("{tag}:latest") })
}

/// The reproducible-builds variable: no time in the image is later.
fn source_date_epoch() -> anyhow::Result<Option<i64>> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let epoch = value.to_str().and_then(|value| value.parse::<i64>().ok()).filter(|epoch| *epoch >= 0);
    match epoch {
        Some(epoch) => Ok(Some(epoch)),
        None => {
            Err(super::usage(format!("SOURCE_DATE_EPOCH is {value:?}, which is not a number of seconds since 1970")))
        }
    }
}

/// The records beside an image: `x.tar` gets `x.tar.record.json`, for several boards each its own.
fn write_records(store: &Store, built: &[Built], written: &Written) -> anyhow::Result<()> {
    let Target::Path(path) = &written.target else { return Ok(()) };
    let built_count = built.len();
    for built in built {
        let Some(record) = Record::load(store, &built.recipe)? else { continue };
        let suffix = if built_count > 1 { format!(".{}.record.json", record.board) } else { ".record.json".to_owned() };
        write_record(&record, &with_suffix(path, &suffix))?;
    }
    Ok(())
}

fn write_record(record: &Record, path: &Path) -> anyhow::Result<()> {
    let failed = || format!("failed to write the build record {}", path.display());
    let bytes = serde_json::to_vec(record)?;
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let make = || tempfile::Builder::new().permissions(permissions).tempfile_in(directory).with_context(failed);
    let (mut file, _guard) = interrupt::guard(make, |made| Leftover::Path(made.path().to_owned()))?;
    std::io::Write::write_all(&mut file, &bytes).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// An output, and whether it was there already.
struct Done {
    written: Written,
    unchanged: bool,
}

impl Done {
    fn path(&self) -> Option<&Path> {
        match &self.written.target {
            Target::Path(path) => Some(path),
            Target::Stdout => None,
        }
    }

    fn json(&self) -> serde_json::Value {
        let Written { format, size, digest, .. } = &self.written;
        serde_json::json!({ "path": self.path(), "format": format, "size": size, "digest": digest, "unchanged": self.unchanged })
    }

    /// Whether `docker load` takes it.
    fn is_loadable(&self) -> bool {
        matches!(self.written.format, "archive" | "docker-archive")
    }
}

/// The id that engines show; none where the compression is one that images cannot have.
fn id(image: &Image) -> String {
    export::identity(image).map_or_else(|_| "-".to_owned(), |identity| identity.config.to_string())
}

struct Summary<'a> {
    session: &'a Session,
    selected: &'a Selected,
    built: &'a [Built],
    written: &'a [Done],
    arguments: &'a Arguments,
    sums: Sums,
    took: std::time::Duration,
}

impl Summary<'_> {
    fn print(&self) -> anyhow::Result<()> {
        if self.session.global.json {
            return print_json(&self.json());
        }
        if self.session.global.quiet {
            return Ok(());
        }
        let text = self.text();
        // What goes to the standard output with `-o -` is the image.
        if self.written.iter().any(|done| done.path().is_none()) {
            eprintln!("{text}");
        } else {
            say!("{text}");
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut rows: Vec<(&str, String)> = Vec::new();
        for built in self.built {
            let image = &built.image;
            let sum = |of: fn(&minimg::image::Layer) -> u64| image.layers.iter().map(of).sum::<u64>();
            rows.push(("image", format!("{} ({})", self.session.style.name(&image.reference), image.platform)));
            rows.push((
                "files",
                format!(
                    "{} in {} layer{}",
                    sum(|l| l.files),
                    image.layers.len(),
                    if image.layers.len() == 1 { "" } else { "s" }
                ),
            ));
            rows.push((
                "size",
                format!("{}, compressed {}", style::bytes(sum(|l| l.diff_size)), style::bytes(sum(|l| l.size))),
            ));
            rows.push(("id", id(image)));
        }
        for done in self.written {
            if let Some(path) = done.path() {
                let (state, written) = (if done.unchanged { ", unchanged" } else { "" }, &done.written);
                rows.push((
                    "file",
                    format!("{} ({}, {}{state})", path.display(), written.format, style::bytes(written.size)),
                ));
            }
        }
        rows.push(("time", self.time()));
        if let Some(run) = self.how_to_run() {
            rows.push(("run it", self.session.style.good(&run)));
        }
        pairs(&rows)
    }

    fn time(&self) -> String {
        let Sums { downloads, downloaded_bytes, reused_bytes, .. } = &self.sums;
        let mut text = style::seconds(self.took);
        if *downloads > 0 {
            text += &format!(", fetched {}", style::bytes(*downloaded_bytes));
        }
        if *reused_bytes > 0 {
            text += &format!(", the store saved {}", style::bytes(*reused_bytes));
        }
        text
    }

    /// The command that runs the image, for whoever made it for this machine.
    fn how_to_run(&self) -> Option<String> {
        let image = &self.built.first()?.image;
        let terminal = if image.config.ports.is_empty() { "-it " } else { "" };
        let ports: String = image
            .config
            .ports
            .iter()
            .map(|port| {
                let number = port.split('/').next().unwrap_or(port);
                format!("-p {number}:{port} ")
            })
            .collect();
        let run = |engine: &str| format!("{engine} run --rm {terminal}{ports}{}", image.reference);
        if let Some(engine) = self.arguments.import.iter().chain(&self.arguments.load).next() {
            return Some(run(engine));
        }
        let path = self.written.iter().find(|done| done.is_loadable())?.path()?;
        Some(format!("docker load -i {} && {}", path.display(), run("docker")))
    }

    fn json(&self) -> serde_json::Value {
        let images: Vec<serde_json::Value> = self
            .built
            .iter()
            .map(|built| {
                let image = &built.image;
                serde_json::json!({
                    "reference": image.reference,
                    "platform": image.platform,
                    "id": id(image),
                    "recipe": built.recipe,
                    "layers": image.layers,
                    "files": image.layers.iter().map(|layer| layer.files).sum::<u64>(),
                    "size": image.layers.iter().map(|layer| layer.diff_size).sum::<u64>(),
                    "compressed_size": image.layers.iter().map(|layer| layer.size).sum::<u64>(),
                    "reused": built.reused,
                    "locked": built.locked,
                    "findings": built.findings,
                })
            })
            .collect();
        serde_json::json!({
            "profile": self.selected.profile.name,
            "images": images,
            "outputs": self.written.iter().map(Done::json).collect::<Vec<_>>(),
            "seconds": self.took.as_secs_f64(),
            "cache": self.sums,
            "run": self.how_to_run(),
        })
    }
}
