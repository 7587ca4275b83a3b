//! The known profiles: those in the binary, and those of the user's directories, which add to them or override them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Profile;
use super::check::{self, Known};
use super::definition::Definition;
use super::file::{OverrideTable, Parts, ProfileFile};
use super::local::LocalTree;
use minimg_backend::Settings;
use minimg_base::error::Result;
use minimg_board::{Board, Boards};
use minimg_document::DocumentError;
use minimg_document::document;
use minimg_document::problem::{FileError, Problem, Problems};
use minimg_document::shelf::{self, Found, Shelf, is_path, read_limited};
use minimg_elf::Rules;

/// The most bytes that are taken of a file which a profile adds to an image.
const LONGEST_ADDED_FILE: u64 = 64 << 20;
/// The most profiles that may build on one another.
const LONGEST_CHAIN: usize = 16;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/", $name, ".toml")))),*]
    };
}

/// The profiles in the binary: one line for each file in `profiles/`.
#[rustfmt::skip]
const BUILT_IN: &[(&str, &str)] = built_in![
    "bash", "busybox-glibc", "cc", "coreutils", "curl", "git", "haproxy", "nginx", "nodejs",
    "openssh-client", "perl", "postgresql-client", "python3", "redis", "sqlite3", "static",
];

/// The profiles that can be named.
#[derive(Debug, Clone)]
pub struct Catalogue {
    shelf: Shelf,
    /// What may be named in a profile.
    known: Known,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Catalogue {
    /// The profiles in the binary.
    pub fn built_in() -> Self {
        let boards = Boards::built_in().names().map(str::to_owned).collect();
        let known = Known { boards, settings: Settings::default(), rules: Rules::built_in() };
        Self { shelf: Shelf::new("profile", BUILT_IN), known }
    }

    /// Adds every `*.toml` of a directory. One of a known name hides the known one, and may build on it with `extends`.
    ///
    /// # Errors
    /// When the directory cannot be read. The files are read when they are asked for.
    pub fn with_directory(mut self, directory: &Path) -> Result<Self> {
        self.shelf.add_directory(directory)?;
        Ok(self)
    }

    /// Names boards besides those in the binary, for which profiles may make a difference.
    #[must_use]
    pub fn with_boards(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.known.boards.extend(names);
        self
    }

    /// Lets profiles name outside backends that these settings find.
    #[must_use]
    pub fn with_settings(mut self, settings: &Settings) -> Self {
        settings.clone_into(&mut self.known.settings);
        self
    }

    /// Lets profiles name these rule sets, and what they keep trigger them.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.known.rules = rules;
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.shelf.names()
    }

    /// Reads a profile by name, or by path if there is a `/` in it or it ends in `.toml`, with all that it builds on.
    ///
    /// # Errors
    /// When there is no such name, or a file cannot be read or is wrong: with every problem that it has.
    pub fn get(&self, name_or_path: &str) -> Result<Definition> {
        self.define(self.shelf.find(name_or_path)?)
    }

    /// Reads a profile's text under a name, with all that it builds on. It has no directory: files beside it cannot be named.
    ///
    /// # Errors
    /// When the text, the name, or a profile that it builds on is wrong: with every problem that it has.
    pub fn parse(&self, name: &str, text: &str) -> Result<Definition> {
        let (label, bytes) = (format!("{name}.toml"), text.as_bytes().to_vec());
        self.define(Found { name: name.to_owned(), label, directory: None, bytes, hides: None })
    }

    fn define(&self, found: Found) -> Result<Definition> {
        let name = found.name.clone();
        let mut files = Vec::new();
        let mut next = Some(found);
        while let Some(found) = next {
            let (file, text) = read_profile(&found, &self.known)?;
            next = self.parent(&found, &file, &text, files.len())?;
            files.push(file);
        }
        files.reverse();
        Ok(Definition::new(name, files, self.known.rules.clone()))
    }

    /// A profile as it is for a suite and a board: [`Catalogue::get`] and [`Definition::profile`].
    ///
    /// # Errors
    /// Like [`Catalogue::get`].
    pub fn profile(&self, name_or_path: &str, suite: Option<&str>, board: Option<&Board>) -> Result<Profile> {
        Ok(self.get(name_or_path)?.profile(suite, board))
    }

    /// The profile that `file` builds on.
    fn parent(&self, found: &Found, file: &Parts, text: &str, depth: usize) -> Result<Option<Found>> {
        let Some(extends) = &file.extends else { return Ok(None) };
        let name = extends.get();
        let at_extends = |message: String| {
            let problem = Problem { message, help: None, span: Some(extends.span()) };
            FileError::new(&found.label, text, vec![problem])
        };
        if depth >= LONGEST_CHAIN {
            let message = format!("more than {LONGEST_CHAIN} profiles build on one another; do they form a circle?");
            return Err(DocumentError::from(at_extends(message)).into());
        }
        let parent = match (&found.directory, found.hides) {
            (Some(directory), _) if is_path(name) => shelf::read_file(&directory.join(name)),
            (_, Some(0)) if *name == found.name => {
                return Err(DocumentError::from(at_extends(format!("`{name}` cannot build on itself"))).into());
            }
            (_, Some(hides)) if *name == found.name => self.shelf.find_hidden(name, hides - 1),
            _ => self.shelf.find(name),
        };
        match parent {
            Ok(parent) => Ok(Some(parent)),
            Err(error) => Err(DocumentError::from(at_extends(error.to_string())).into()),
        }
    }
}

/// Reads one file, with the local files that it names, and checks all of it.
fn read_profile(found: &Found, known: &Known) -> Result<(Parts, String), DocumentError> {
    let (file, text) = document::read::<ProfileFile>(&found.label, &found.bytes)?;
    let mut file = file.into_parts();
    let mut problems = Problems::default();
    if let Err(message) = check::profile_name(&found.name) {
        problems.add_for_file(message);
    }
    file.all_mut().for_each(|part| read_locals(part, found.directory.as_deref(), &mut problems));
    file.check(known, &mut problems);
    problems.into_result(&found.label, &text, ())?;
    Ok((file, text))
}

/// Reads the files and directories that `from` names and resolves the keyring's path, both relative to the profile's directory, which is noted.
fn read_locals(part: &mut OverrideTable, directory: Option<&Path>, problems: &mut Problems) {
    for file in &mut part.add.files {
        let Some(from) = &file.from else { continue };
        let Some(directory) = directory else {
            problems.add(from.span(), "this profile has no files next to it; write `content` instead");
            continue;
        };
        let path = directory.join(from.get());
        let mode = || path.metadata().map_or(0o644, |meta| meta.permissions().mode() & 0o7777);
        match read_limited(&path, LONGEST_ADDED_FILE) {
            Ok(bytes) => file.found = Some((bytes, mode())),
            Err(error) => problems.add(from.span(), error.to_string()),
        }
    }
    for tree in &mut part.add.trees {
        let Some(directory) = directory else {
            problems.add(tree.from.span(), "this profile has no directories next to it; read it from a file");
            continue;
        };
        let exclude: Vec<String> = tree.exclude.iter().map(|glob| glob.get().clone()).collect();
        match LocalTree::read(&directory.join(tree.from.get()), &exclude) {
            Ok(found) => tree.found = Some(found),
            Err(message) => problems.add(tree.from.span(), message),
        }
    }
    part.source.directory = directory.unwrap_or(Path::new("")).to_owned();
    if let (Some(keyring), Some(directory)) = (&mut part.source.keyring, directory) {
        let path = directory.join(keyring.get()).to_string_lossy().into_owned();
        keyring.set(path);
    }
}
