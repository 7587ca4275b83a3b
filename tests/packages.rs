//! What `cargo package` puts into the package of each crate: all that the crate's own sources read at compile time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{succeed, text};

/// The directories of the crates that are published.
fn crates() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inner = ["crates", "backends"].map(|directory| entries(&top.join(directory)));
    let inner = inner.into_iter().flatten().filter(|directory| directory.join("Cargo.toml").is_file());
    inner.chain([top.to_owned()]).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The paths of the package, relative to the crate.
fn packaged(directory: &Path) -> BTreeSet<PathBuf> {
    let mut list = Command::new(env!("CARGO"));
    list.args(["package", "--list", "--offline", "--allow-dirty", "--manifest-path"]).arg(directory.join("Cargo.toml"));
    text(succeed(&mut list)).lines().map(PathBuf::from).collect()
}

/// The files that a source names in `include_str!` and `include_bytes!`, relative to the crate. A table of files, which puts their
/// names together, stands for all files of its directory with its ending.
fn included(directory: &Path, source: &Path) -> Vec<PathBuf> {
    let code = std::fs::read_to_string(directory.join(source)).unwrap();
    let beside = source.parent().unwrap();
    let calls = ["include_str!(", "include_bytes!("].into_iter().flat_map(|call| code.split(call).skip(1));
    calls
        .flat_map(|arguments| {
            let arguments = arguments.lines().next().unwrap();
            let literals: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
            match literals[..] {
                _ if !arguments.starts_with("concat!") => vec![plain(&beside.join(literals[0]))],
                ["CARGO_MANIFEST_DIR", below, ending] => table(directory, Path::new(below.trim_matches('/')), ending),
                [ending] => table(directory, beside, ending),
                _ => panic!("{}: this test does not understand {arguments}", source.display()),
            }
        })
        .collect()
}

/// The files of a directory whose names have this ending.
fn table(directory: &Path, below: &Path, ending: &str) -> Vec<PathBuf> {
    let names = entries(&directory.join(below)).into_iter().map(|path| below.join(path.file_name().unwrap()));
    names.filter(|path| path.to_str().unwrap().ends_with(ending)).collect()
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, component| {
        if component.as_os_str() == ".." {
            plain.pop();
        } else {
            plain.push(component);
        }
        plain
    })
}

#[test]
fn packages_have_the_files_that_are_compiled_in() {
    let mut tables = 0;
    for directory in crates() {
        let packaged = packaged(&directory);
        let name = directory.file_name().unwrap().to_str().unwrap();
        // Besides this file, which names the macros themselves.
        let sources = packaged.iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
        for source in sources.filter(|path| !path.ends_with("tests/packages.rs")) {
            let included = included(&directory, source);
            tables += usize::from(included.len() > 10);
            for file in included {
                assert!(packaged.contains(&file), "{name}: {} reads {}", source.display(), file.display());
            }
        }
    }
    assert_eq!(tables, 3, "the boards, the rules of hidden dependencies, the profiles");
}
