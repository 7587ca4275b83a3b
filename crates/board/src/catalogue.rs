//! The known boards: those in the binary, and those of the user's directories, which add to them or override them.

use std::path::Path;

use crate::file::BoardFile;
use minimg_base::board::Board;
use minimg_base::error::Result;
use minimg_base::error::{Class, Error};
use minimg_document::problem::Problems;
use minimg_document::shelf::Shelf;
use minimg_document::{DocumentError, document};

/// This machine is of an architecture that no board describes.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot choose a board for this machine: no board is known for its architecture `{architecture}`; name one with --board"
)]
pub struct UnknownHost {
    /// What the program was built for.
    pub architecture: String,
}

impl From<UnknownHost> for Error {
    fn from(error: UnknownHost) -> Self {
        Error::new(Class::Profile, error)
    }
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/board-configs/", $name, ".toml")))),*]
    };
}

/// The boards in the binary: one line for each file in `board-configs/`.
#[rustfmt::skip]
const BUILT_IN: &[(&str, &str)] = built_in![
    "amd64", "arm64", "armel", "armhf", "beaglebone-black", "beagleplay", "hifive-unmatched", "i386",
    "mips64el", "olinuxino-lime2", "pine64", "ppc64el", "raspberry-pi-1", "raspberry-pi-2", "raspberry-pi-3",
    "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero", "raspberry-pi-zero-2-w", "riscv64", "rock-5b",
    "rockpro64", "s390x", "sheevaplug", "visionfive-2",
];

/// The boards that can be named.
#[derive(Debug, Clone)]
pub struct Boards {
    shelf: Shelf,
}

impl Default for Boards {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Boards {
    /// The boards in the binary.
    pub fn built_in() -> Self {
        Self { shelf: Shelf::new("board", BUILT_IN) }
    }

    /// Adds every `*.toml` of a directory. One of a known name hides the known one.
    ///
    /// # Errors
    /// When the directory cannot be read. The files are read when they are asked for.
    pub fn with_directory(mut self, directory: &Path) -> Result<Self> {
        self.shelf.add_directory(directory)?;
        Ok(self)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.shelf.names()
    }

    /// Reads a board by name, or by path if there is a `/` in it or it ends in `.toml`.
    ///
    /// # Errors
    /// When there is no such name, or the file cannot be read or is wrong: with every problem that it has.
    pub fn get(&self, name_or_path: &str) -> Result<Board> {
        let found = self.shelf.find(name_or_path)?;
        let read = || {
            let (file, text) = document::read::<BoardFile>(&found.label, &found.bytes)?;
            let mut problems = Problems::default();
            let board = file.read(found.name.clone(), &mut problems);
            problems.into_result(&found.label, &text, board)
        };
        read().map_err(|error| DocumentError::from(error).into())
    }

    /// The board for the machine that this program was built for.
    ///
    /// # Errors
    /// When no board describes it, or its file is wrong.
    pub fn host(&self) -> Result<Board> {
        let architecture = std::env::consts::ARCH;
        match name_for(architecture, cfg!(target_endian = "little")) {
            Some(name) => self.get(name),
            None => Err(UnknownHost { architecture: architecture.to_owned() }.into()),
        }
    }
}

/// The generic board for an architecture as Rust calls it. A 32-bit ARM may lack what `armhf` asks for, but Rust does not say.
fn name_for(architecture: &str, little_endian: bool) -> Option<&'static str> {
    match (architecture, little_endian) {
        ("x86_64", _) => Some("amd64"),
        ("x86", _) => Some("i386"),
        ("aarch64", true) => Some("arm64"),
        ("arm", true) => Some("armhf"),
        ("riscv64", _) => Some("riscv64"),
        ("powerpc64", true) => Some("ppc64el"),
        ("s390x", _) => Some("s390x"),
        ("mips64", true) => Some("mips64el"),
        _ => None,
    }
}

/// The JSON Schema (draft 2020-12) of boards, for editors: made from the types that read them.
pub fn schema() -> serde_json::Value {
    document::schema_of::<BoardFile>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_of_rust_that_debian_serves_has_its_board() {
        let boards = Boards::built_in();
        for (architecture, little, board) in [
            ("x86_64", true, Some("amd64")),
            ("x86", true, Some("i386")),
            ("aarch64", true, Some("arm64")),
            ("aarch64", false, None),
            ("powerpc64", true, Some("ppc64el")),
            ("powerpc64", false, None),
            ("wasm32", true, None),
        ] {
            assert_eq!(name_for(architecture, little), board, "{architecture}");
            board.map(|name| boards.get(name).unwrap());
        }
    }
}
