//! Finds files of one kind by name: in the binary, then in the user's directories, of which later ones win.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::DocumentError;
use minimg_base::suggest;

/// No profile or board needs more bytes than this.
const LONGEST_FILE: u64 = 1 << 20;

/// Files of one kind by name.
#[derive(Debug, Clone)]
pub struct Shelf {
    kind: &'static str,
    names: BTreeMap<String, Vec<Place>>,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    BuiltIn(&'static str),
    File(PathBuf),
}

/// A file that was found and read.
#[derive(Debug)]
pub struct Found {
    /// The name, which is the file's name without `.toml`.
    pub name: String,
    /// What to call the file in messages.
    pub label: String,
    /// The directory that relative paths start at; `None` for what is built in.
    pub directory: Option<PathBuf>,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// How many files of the same name this one hides; `None` when it was found by its path.
    pub hides: Option<usize>,
}

impl Shelf {
    /// A shelf with what is in the binary.
    pub fn new(kind: &'static str, built_in: &[(&str, &'static str)]) -> Self {
        let names = built_in.iter().map(|&(name, text)| (name.to_owned(), vec![Place::BuiltIn(text)])).collect();
        Self { kind, names }
    }

    /// Adds every `*.toml` of a directory. A file with a known name overrides the known file.
    pub fn add_directory(&mut self, directory: &Path) -> Result<(), DocumentError> {
        let unreadable = |source| DocumentError::Unreadable { path: directory.to_owned(), source };
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            if let (true, Some(name)) = (is_toml, path.file_stem().and_then(|name| name.to_str())) {
                self.names.entry(name.to_owned()).or_default().push(Place::File(path));
            }
        }
        Ok(())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.keys().map(String::as_str)
    }

    /// Finds and reads by name, or by path if there is a `/` in it or it ends in `.toml`.
    pub fn find(&self, name_or_path: &str) -> Result<Found, DocumentError> {
        if is_path(name_or_path) {
            return read_file(Path::new(name_or_path));
        }
        let hides = self.names.get(name_or_path).map_or(0, |places| places.len().saturating_sub(1));
        self.find_hidden(name_or_path, hides)
    }

    /// Finds and reads the file of this name that hides `hides` others.
    pub fn find_hidden(&self, name: &str, hides: usize) -> Result<Found, DocumentError> {
        match self.names.get(name).and_then(|places| places.get(hides)) {
            Some(Place::BuiltIn(text)) => Ok(Found {
                name: name.to_owned(),
                label: format!("{name}.toml"),
                directory: None,
                bytes: text.as_bytes().to_vec(),
                hides: Some(hides),
            }),
            Some(Place::File(path)) => Ok(Found { hides: Some(hides), ..read_file(path)? }),
            None => Err(DocumentError::Unknown {
                kind: self.kind,
                name: name.to_owned(),
                help: suggest::help(name, self.names()),
            }),
        }
    }
}

/// Whether people mean a file and not a name.
pub fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".toml")
}

/// Reads the file at a path.
pub fn read_file(path: &Path) -> Result<Found, DocumentError> {
    let bytes = read_limited(path, LONGEST_FILE)?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let directory = path.parent().map(Path::to_owned);
    Ok(Found { name, label: path.display().to_string(), directory, bytes, hides: None })
}

/// Reads a regular file of at most `limit` bytes.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, DocumentError> {
    let unreadable = |source| DocumentError::Unreadable { path: path.to_owned(), source };
    // A FIFO would block forever and a device might never end, so the type is checked before the file is opened.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(unreadable(error));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(DocumentError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
