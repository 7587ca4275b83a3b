//! Profiles and boards: those in the binary, what people write, and what hostile hands write.

mod catalogue;
mod documents;
mod errors;
mod hostile;
mod meaning;
mod schema;

use std::collections::BTreeSet;
use std::path::Path;

use minimg::board::Boards;
use minimg::profile::{Catalogue, Definition};
use tempfile::TempDir;

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

/// What a profile of this text is read as; the message of a failure without the name of the temporary directory.
fn read(text: &str) -> Result<Definition, String> {
    let directory = directory(&[("x.toml", text), ("beside", "beside")]);
    let path = directory.path().join("x.toml");
    Catalogue::built_in().get(path.to_str().unwrap()).map_err(|error| message(&error, directory.path()))
}

/// The message of an error without the name of the temporary directory.
fn message(error: &minimg::Error, directory: &Path) -> String {
    error.to_string().replace(&format!("{}/", directory.display()), "")
}

fn files_in(directory: &str) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_file_is_in_the_table() {
    let profiles: BTreeSet<String> = Catalogue::built_in().names().map(str::to_owned).collect();
    assert_eq!(profiles, files_in("profiles"));
    let boards: BTreeSet<String> = Boards::built_in().names().map(str::to_owned).collect();
    assert_eq!(boards, files_in("board-configs"));
}
