//! `minimg show`: a profile or a board, with everything that it builds on.

use std::path::Path;
use std::process::ExitCode;

use minimg::board::Board;
use minimg::profile::Profile;
use minimg::tree::read_limited;

use super::Session;
use super::output::{pairs, print_json, say};
use super::select::{boards, catalogue};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The name or the file of a profile or board
    #[arg(value_name = "NAME")]
    name: String,
    /// Show the profile as it applies to this board
    #[arg(long, short)]
    board: Option<String>,
    /// Show the profile as it applies to this release of the distribution
    #[arg(long)]
    suite: Option<String>,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let boards = boards(session)?;
    let catalogue = catalogue(session)?;
    let name = &arguments.name;
    let is_board = boards.names().any(|board| board == name) && !catalogue.names().any(|profile| profile == name);
    if is_board || describes_board(Path::new(name)) {
        return show_board(session, &boards.get(&arguments.name)?);
    }
    let board = arguments.board.as_deref().map(|name| boards.get(name)).transpose()?;
    let profile = catalogue.profile(&arguments.name, arguments.suite.as_deref(), board.as_ref())?;
    if session.global.json {
        print_json(&profile)?;
    } else {
        say!("{} {}\n", session.style.name(&profile.name), profile.description);
        say!("{}", pairs(&rows(&profile)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a file is a board's: every board has a platform, and no profile has one.
fn describes_board(path: &Path) -> bool {
    const LARGEST: u64 = 1 << 20;
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let bytes = || read_limited(path, LARGEST).ok();
    let table = || toml::from_slice::<toml::Table>(&bytes()?).ok();
    is_toml && table().is_some_and(|table| table.contains_key("platform"))
}

fn show_board(session: &Session, board: &Board) -> anyhow::Result<ExitCode> {
    if session.global.json {
        print_json(board)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{} {}\n", session.style.name(&board.name), board.description);
    let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![
        ("platform", board.platform.to_string()),
        ("deb", or_none(&board.names.deb)),
        ("rpm", or_none(&board.names.rpm)),
        ("apk", or_none(&board.names.apk)),
        ("gentoo", or_none(&board.names.gentoo)),
        ("buildroot", or_none(&board.buildroot_defconfig)),
        ("emulator", or_none(&board.qemu)),
    ];
    if let Some(budget) = board.size_budget {
        rows.push(("size budget", super::style::bytes(budget)));
    }
    say!("{}", pairs(&rows));
    Ok(ExitCode::SUCCESS)
}

fn rows(profile: &Profile) -> Vec<(&'static str, String)> {
    let source = &profile.source;
    let mut rows =
        vec![("backend", profile.backend.clone()), ("source", format!("{} {}", source.distribution, source.suite))];
    for (family, names) in &profile.packages {
        rows.push(("packages", format!("{family}: {}", names.join(" "))));
    }
    let keep = &profile.keep;
    let lists = [
        ("programs", &keep.programs),
        ("if there", &keep.optional_programs),
        ("rules", &keep.rules),
        ("whole", &keep.packages),
    ];
    rows.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name, list.join(" "))));
    rows.extend(keep.keep.iter().map(|pattern| ("keeps", format!("{}: {}", pattern.glob, pattern.reason))));
    rows.extend(keep.drop.iter().map(|pattern| ("drops", format!("{}: {}", pattern.glob, pattern.reason))));
    let add = &profile.add;
    rows.extend(add.applets.iter().map(|program| ("links", format!("the applets of {program}"))));
    rows.extend(
        add.accounts.iter().map(|account| ("account", format!("{} {}:{}", account.name, account.uid, account.gid))),
    );
    rows.extend(
        add.files.iter().map(|file| ("file", format!("{} {:04o} {}:{}", file.path, file.mode, file.owner, file.group))),
    );
    rows.extend(
        add.directories.iter().map(|d| ("directory", format!("{} {:04o} {}:{}", d.path, d.mode, d.owner, d.group))),
    );
    rows.extend(add.links.iter().map(|(path, target)| ("link", format!("{path} -> {target}"))));
    rows.extend(image(profile));
    rows.extend(profile.tests.iter().map(|test| ("test", test.name.clone())));
    rows
}

fn image(profile: &Profile) -> Vec<(&'static str, String)> {
    let image = &profile.image;
    let mut rows = Vec::new();
    let arrays = [("entrypoint", &image.entrypoint), ("cmd", &image.cmd)];
    rows.extend(
        arrays.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name, format!("{list:?}"))),
    );
    rows.extend(image.env.iter().map(|(name, value)| ("env", format!("{name}={value}"))));
    let words = [("user", &image.user), ("workdir", &image.workdir)];
    rows.extend(words.into_iter().filter(|(_, word)| !word.is_empty()).map(|(name, word)| (name, word.clone())));
    rows.extend(image.ports.iter().map(|port| ("port", port.clone())));
    rows.extend(image.volumes.iter().map(|volume| ("volume", volume.clone())));
    rows.extend(image.labels.iter().map(|(name, value)| ("label", format!("{name}={value}"))));
    rows.extend(image.stop_signal.iter().map(|signal| ("stop signal", signal.clone())));
    rows.extend(image.healthcheck.iter().map(|check| ("health", format!("{:?}", check.command))));
    rows
}
