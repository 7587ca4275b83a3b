//! `minimg shrink`: an image or root file system that is there already becomes one with only what its programs need.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use minimg::backend::{Backend, Context, Source, fixed};
use minimg::backends::tarball::{self, Tarball, location::Location};
use minimg::board::Board;
use minimg::error::{Class, Error};
use minimg::image::Config;
use minimg::lock::Lock;
use minimg::pipeline::{self, Job};
use minimg::profile::{Additions, ClosureSettings, Keep, Pattern, Policy, Profile};
use minimg::tree::{Kind, Node, RootPath, RootTree};

use super::Session;
use super::build::source_date_epoch;
use super::deliver::{Delivery, Made, Subject, deliver, warn};
use super::select::boards;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to make smaller: an image's archive or layout, a root tar, a directory, `docker:NAME`, `podman:NAME`, `registry:HOST/NAME:TAG`
    #[arg(value_name = "IMAGE")]
    image: String,
    /// A program to keep, by path or by name, with all that it needs; may be given several times [default: what the image starts]
    #[arg(long, short, value_name = "PROGRAM")]
    program: Vec<String>,
    /// Files to keep besides, as a glob over absolute paths: `/srv/**`; may be given several times
    #[arg(long, value_name = "GLOB")]
    keep: Vec<String>,
    /// A rule set to keep files by, as `minimg list rules` shows them; may be given several times
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// The board that the image is for [default: this machine's]
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
    let build = |context: &Context<'_>| {
        let (profile, lock, before) = profile(arguments, &name, &board, context)?;
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
        warn(&board, &built, context.reporter);
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
    name: &str,
    board: &Board,
    context: &Context<'_>,
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
    profile.keep = keep(arguments, &mut profile.image, &tree)?;
    let before = taken.pins.root.as_ref().map(|root| root.size);
    let mut lock = Lock::new(name);
    lock.set(Tarball.name(), &request, taken.pins);
    Ok((profile, lock, before))
}

/// What stays. Nobody looked at this image by hand, so what is doubtful stays too.
fn keep(arguments: &Arguments, config: &mut Config, tree: &RootTree) -> anyhow::Result<Keep> {
    let started = started(config);
    let mut programs = arguments.program.clone();
    if config.entrypoint.is_empty() && config.cmd.is_empty() {
        // Without a configuration there is nothing to run by default; with one program there is.
        config.cmd.extend(programs.first().cloned());
    } else if programs.is_empty() {
        programs.extend(started.first().cloned());
    }
    if programs.is_empty() {
        let message =
            format!("{} does not say what it starts: name the programs to keep with --program", arguments.image);
        return Err(Error::new(Class::Usage, message).into());
    }
    let asked =
        arguments.keep.iter().map(|glob| Pattern { glob: glob.clone(), reason: "asked for with --keep".into() });
    let closure = ClosureSettings {
        dlopen_strings: Policy::Keep,
        script_commands: Policy::Keep,
        triggers: Policy::Keep,
        ..ClosureSettings::default()
    };
    Ok(Keep {
        programs,
        optional_programs: started,
        rules: arguments.rule.clone(),
        keep: asked.chain(own_files(config, tree)).collect(),
        closure,
        ..Keep::default()
    })
}

/// What the image's configuration names that may be a file: the program it starts first, then the arguments, the words of commands for a
/// shell, and those of the health check. Relative paths start at the working directory.
fn started(config: &Config) -> Vec<String> {
    let check = config.healthcheck.iter().flat_map(|check| &check.command);
    let words = config.entrypoint.iter().chain(&config.cmd).chain(check);
    let plain =
        |word: &&str| !word.starts_with('-') && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-+/".contains(c));
    let place = |word: &str| match word.contains('/') || word.contains('.') && !config.workdir.is_empty() {
        true => RootPath::root().join_clamped(&config.workdir).join_clamped(word).to_string(),
        false => word.to_owned(),
    };
    words.flat_map(|word| word.split_whitespace()).filter(plain).map(place).collect()
}

/// What belongs to no package but to the program itself: its working directory, its home and the places of its volumes.
fn own_files(config: &Config, tree: &RootTree) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    let mut add = |glob: String, reason: &str| patterns.push(Pattern { glob, reason: reason.to_owned() });
    let escaped = |path: &RootPath| globset::escape(&path.to_string());
    let directory = RootPath::root().join_clamped(&config.workdir);
    if !directory.is_root() && tree.contains(&directory) {
        add(escaped(&directory), "the image's working directory");
        let is_own = tree.below(&directory).all(|(_, node)| node.package.is_none());
        if is_own && tree.below(&directory).next().is_some() && !is_shared(&directory) {
            add(format!("{}/**", escaped(&directory)), "in the image's working directory");
        }
    }
    for volume in &config.volumes {
        let volume = RootPath::root().join_clamped(volume);
        if !volume.is_root() && tree.contains(&volume) {
            add(escaped(&volume), "a volume of the image");
        }
    }
    if let Some(home) = home(config, tree).filter(|home| !home.is_root() && tree.contains(home)) {
        add(escaped(&home), "the home directory of the image's user");
    }
    patterns
}

/// Whether a directory is everybody's, so that what is in it need not be the program's.
fn is_shared(directory: &RootPath) -> bool {
    const SHARED: [&str; 16] = [
        "bin", "boot", "dev", "etc", "home", "lib", "lib64", "mnt", "opt", "proc", "root", "run", "sbin", "sys", "usr",
        "var",
    ];
    let mut components = directory.components();
    let first = components.next().unwrap_or_default();
    components.next().is_none() && SHARED.iter().any(|name| name.as_bytes() == first)
}

/// The home directory of the image's user, as the image's passwd(5) has it.
fn home(config: &Config, tree: &RootTree) -> Option<RootPath> {
    let user = config.user.split(':').next().filter(|user| !user.is_empty())?;
    let Some(Node { kind: Kind::File(content), .. }) = tree.get(&RootPath::root().join_clamped("etc/passwd")) else {
        return None;
    };
    let passwd = content.map().ok()?;
    let text = String::from_utf8_lossy(&passwd);
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut own = fields.filter(|fields| fields.first() == Some(&user) || fields.get(2) == Some(&user));
    Some(RootPath::root().join_clamped(own.next()?.get(5)?))
}
