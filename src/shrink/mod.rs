//! What stays of an image that nobody described in a profile: its own configuration says what it starts, and its programs' own text says
//! which files they open.
//!
//! Whatever is doubtful stays: an image that is a little larger is better than one that does not start.

mod named;
mod places;
mod prepare;

use crate::profile::{ClosureSettings, Keep, Pattern, Policy, Rules};
use minimg_oci::image::Config;
use minimg_tree::search::places_of_program;
use minimg_tree::{Entry, Kind, Node, RootPath, RootTree, accounts, resolve};

pub use prepare::{NothingStarts, Prepared, name_of, prepare, source_tree};

use places::Places;

/// What is asked for in addition to what the image says.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Programs by path or by name, besides the one that the image starts.
    pub programs: Vec<String>,
    /// Globs over absolute paths.
    pub keep: Vec<String>,
    /// Names of rule sets.
    pub rules: Vec<String>,
    /// The rule sets that can be named, and that what stays can trigger.
    pub rule_sets: Rules,
}

/// What stays of an image with this tree and configuration; `None` when neither says which program is meant.
pub fn keep(asked: &Asked, config: &Config, tree: &RootTree) -> Option<Keep> {
    let start = config.entrypoint.first().or(config.cmd.first()).map(|program| place(config, program));
    // The image starts what it started before; that it is missing must not pass in silence.
    let programs: Vec<String> =
        asked.programs.iter().cloned().chain(start.filter(|start| !asked.programs.contains(start))).collect();
    if programs.is_empty() {
        return None;
    }
    let optional_programs = words(config);

    let mut places = Places::new(tree);
    of_configuration(&mut places, config, programs.iter().chain(&optional_programs));
    let find = |program: &str| find(config, tree, program);
    let started = programs.iter().chain(&optional_programs).filter_map(|program| find(program));
    let read = named::keep(&mut places, started, find);

    let asked_for =
        asked.keep.iter().map(|glob| Pattern { glob: glob.clone(), reason: "asked for with --keep".into() });
    let perl = read.iter().any(|file| is_perl(tree, file)).then(|| "perl".to_owned());
    Some(Keep {
        programs,
        optional_programs,
        rules: asked.rules.iter().cloned().chain(perl).collect(),
        rule_sets: asked.rule_sets.clone(),
        keep: asked_for.chain(places.into_patterns()).collect(),
        closure: ClosureSettings {
            dlopen_strings: Policy::Keep,
            script_commands: Policy::Keep,
            triggers: Policy::Keep,
            ..ClosureSettings::default()
        },
        ..Keep::default()
    })
}

/// What the configuration says that may be the name of a file: arguments, the words of commands for a shell, and those of the health
/// check. `--file=/x` and `/x:/y` are several words.
fn words(config: &Config) -> Vec<String> {
    let check = config.healthcheck.iter().flat_map(|check| &check.command);
    let all = config.entrypoint.iter().chain(&config.cmd).chain(check);
    let is_part = |c: char| c.is_alphanumeric() || "._-+/@~".contains(c);
    let words = all.flat_map(|text| text.split(move |c| !is_part(c)));
    words.filter(|word| !word.is_empty() && !word.starts_with('-')).map(|word| place(config, word)).collect()
}

/// Where a word would be looked for: names without a slash in PATH, all others from the working directory.
fn place(config: &Config, word: &str) -> String {
    let is_file = word.contains('/') || word.contains('.') && !config.workdir.is_empty();
    if is_file { below_workdir(config, word) } else { word.to_owned() }
}

/// The name from the root. Its `..` stay: where they lead depends on the links before them.
fn below_workdir(config: &Config, word: &str) -> String {
    // Engines fold the working directory itself.
    let from = if word.starts_with('/') { RootPath::root() } else { RootPath::root().join_clamped(&config.workdir) };
    let whole = format!("{from}/{word}");
    format!("/{}", whole.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/"))
}

/// The places that the configuration names.
fn of_configuration<'a>(places: &mut Places<'_>, config: &Config, words: impl Iterator<Item = &'a String>) {
    // Engines fold these two.
    let folded = |path: &str| RootPath::root().join_clamped(path).to_string();
    places.keep(&folded(&config.workdir), "the image's working directory");
    for volume in &config.volumes {
        places.keep(&folded(volume), "a volume of the image");
    }
    if let Some(home) = home(config, places.tree()) {
        places.keep(&home, "the home directory of the image's user");
    }
    for word in words {
        places.keep(&below_workdir(config, word), "the image's command names it");
    }
    for (name, value) in config.env.iter().filter(|(name, _)| !matches!(&***name, "PATH" | "MANPATH" | "INFOPATH")) {
        for path in value.split([':', ',', ' ', '=']).filter(|path| path.starts_with('/')) {
            places.keep(path, &format!("the image's variable {name} names it"));
        }
    }
}

/// The home directory of the image's user, as the image's passwd(5) has it.
fn home(config: &Config, tree: &RootTree) -> Option<String> {
    let user = config.user.split(':').next().filter(|user| !user.is_empty())?;
    let Some(Node { kind: Kind::File(content), .. }) = tree.get(&RootPath::root().join_clamped("etc/passwd")) else {
        return None;
    };
    let passwd = content.map().ok()?;
    let text = String::from_utf8_lossy(&passwd);
    let own = accounts(&text).find(|account| account.name == user || account.fields.get(2) == Some(&user))?;
    own.fields.get(5).map(|home| (*home).to_owned())
}

/// A program or another file that the image starts with.
struct Started {
    /// As it is called; where that leads, when there are `..` in it.
    path: RootPath,
    /// Where that leads.
    file: RootPath,
}

fn find(config: &Config, tree: &RootTree, program: &str) -> Option<Started> {
    places_of_program(program, &config.env, &config.workdir).into_iter().find_map(|place| {
        let found = resolve(tree, &RootPath::root(), place.as_bytes()).ok()?;
        let path = RootPath::new(place).unwrap_or_else(|_| found.path.clone());
        matches!(found.entry, Some(Entry::File { .. })).then_some(Started { path, file: found.path })
    })
}

/// Whether a file is perl or a script for it: which of perl's modules a script uses is not looked for.
fn is_perl(tree: &RootTree, file: &RootPath) -> bool {
    let Some((_, Node { kind: Kind::File(content), .. })) = tree.content_node(file) else { return false };
    file.file_name().starts_with(b"perl")
        || content.map().is_ok_and(|bytes| {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            line.starts_with(b"#!") && memchr::memmem::find(line, b"perl").is_some()
        })
}

#[cfg(test)]
mod tests;
