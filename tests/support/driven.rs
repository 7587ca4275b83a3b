//! What tests of backends that drive outside tools share: looking into what was built, and at what is left behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use minimg::rootfs;
use minimg::store::Store;
use minimg::tree::{Kind, RootPath, RootTree};

/// The root tar or image at a path.
pub(crate) fn tree(path: &Path, store: &Path) -> RootTree {
    rootfs::open(path, None, &Store::open(store).unwrap()).unwrap().tree
}

/// The lines of a tree's dump, by path.
pub(crate) fn lines(tree: &RootTree) -> BTreeMap<String, String> {
    let paths = tree.iter().map(|(path, _)| path.to_string());
    paths.zip(tree.dump().unwrap().lines().map(str::to_owned)).collect()
}

pub(crate) fn text(tree: &RootTree, path: &str) -> String {
    let place = RootPath::new(path).unwrap();
    let Some((_, node)) = tree.content_node(&place) else { panic!("there is no {path}") };
    let Kind::File(content) = &node.kind else { panic!("{path} is not a file") };
    String::from_utf8(content.map().unwrap().to_vec()).unwrap()
}

/// The names in the store's directories for what is being made.
pub(crate) fn left_in(store: &Path) -> Vec<String> {
    let names = |directory: &str| std::fs::read_dir(store.join("v1").join(directory)).into_iter().flatten();
    names("work").chain(names("tmp")).map(|entry| entry.unwrap().path().display().to_string()).collect()
}

/// The processes whose working directory, root or command line is in the directory.
pub(crate) fn processes_in(directory: &Path) -> Vec<String> {
    let place = directory.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let is_process = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().parse::<u32>().is_ok();
    let is_there = |path: &std::path::PathBuf| {
        let link = |name: &str| std::fs::read_link(path.join(name)).is_ok_and(|to| to.starts_with(directory));
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        link("cwd") || link("root") || String::from_utf8_lossy(&line).contains(&place)
    };
    let own = std::process::id().to_string();
    let others = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy() != own;
    entries.filter(is_process).filter(others).filter(is_there).map(|path| path.display().to_string()).collect()
}

/// Waits until something is there, for two minutes at most.
pub(crate) fn wait_for(what: &str, there: impl FnMut() -> bool) {
    wait_patiently_for(what, Duration::from_secs(120), there);
}

/// Waits until something is there, for so long at most.
pub(crate) fn wait_patiently_for(what: &str, patience: Duration, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < patience, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The command in a network namespace of its own, with nothing on its PATH: whatever it does, no mirror and no tool helps it.
pub(crate) fn alone(inner: &Command) -> Command {
    let mut alone = Command::new(super::tool("unshare", "util-linux"));
    alone.args(["--net", "--"]).arg(inner.get_program()).args(inner.get_args()).env_clear();
    alone.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", "/none");
    if let Some(directory) = inner.get_current_dir() {
        alone.current_dir(directory);
    }
    alone
}
