//! Every program of this machine's /usr/bin: the walk finds exactly what the real loader lists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use minimg::closure::elf::Facts;
use minimg::closure::loader::{CacheSource, Loader, LoaderSettings};
use minimg::tree::{DirectoryRoot, map_file};

use super::lab::{LOADER, listing, run};

#[test]
fn every_program_of_this_machine() {
    let root = DirectoryRoot::new(Path::new("/")).unwrap();
    let loaders = [CacheSource::Shipped, CacheSource::Computed]
        .map(|cache| Loader::new(&root, LoaderSettings { cache, ..LoaderSettings::default() }));
    let mut compared = 0;
    let mut names: Vec<_> = std::fs::read_dir("/usr/bin").unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names.into_iter().filter(|path| path.is_file()) {
        let Ok(bytes) = map_file(&path) else { continue };
        let Ok(facts) = Facts::parse(&bytes) else { continue };
        if facts.interpreter.as_deref() != Some(LOADER.as_bytes()) {
            continue;
        }
        let output = run(Command::new(LOADER).arg("--list").arg(std::fs::canonicalize(&path).unwrap()).env_clear());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected: BTreeSet<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| {
                !line.contains("linux-vdso") && !line.starts_with(LOADER) && !line.contains(&format!("=> {LOADER}"))
            })
            .map(|line| line.split(" => ").last().unwrap_or(line).split(" (0x").next().unwrap_or(line).to_owned())
            .filter(|line| line != "statically linked")
            .collect();
        for loader in &loaders {
            let process = loader.start(path.to_str().unwrap().as_bytes()).unwrap().unwrap();
            assert_eq!(listing(&process), expected, "{} with the cache {:?}", path.display(), loader.settings().cache);
        }
        compared += 1;
    }
    assert!(compared > 100, "only {compared} programs were compared; this test needs a Debian with its usual programs");
}
