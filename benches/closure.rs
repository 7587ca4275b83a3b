//! The walk beside its peers, in one run: CPU time of `libtree` and `ldd` against ours for the same programs of /usr/bin.
//!
//! libtree gets `-vvv`, without which it leaves out the C library and what it has seen before, and would do less work than we do.
//!
//! `cargo bench --bench closure -- [rounds] [root to check]`; prints a table and fails only when a peer is missing. Peers: libtree, ldd (libc-bin).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use minimg::closure::check::{CheckSettings, check};
use minimg::closure::elf::Facts;
use minimg::closure::loader::{CacheSource, Loader, LoaderSettings};
use minimg::closure::{WalkSettings, walk};
use minimg::tree::{DirectoryRoot, map_file};

/// The argument with which this program does one piece of work and nothing else, as a process of its own.
const WORK: &str = "--work";
const PROGRAMS: usize = 200;

fn programs(most: usize) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir("/usr/bin").expect("/usr/bin").flatten().map(|entry| entry.path()).collect();
    found.sort();
    let dynamic = |path: &PathBuf| {
        path.is_file()
            && map_file(path).is_ok_and(|bytes| Facts::parse(&bytes).is_ok_and(|facts| facts.interpreter.is_some()))
    };
    found.into_iter().filter(dynamic).take(most).collect()
}

fn work(what: &str, names: &[String]) {
    let root = DirectoryRoot::new(Path::new("/")).expect("the root");
    match what {
        "loader" => {
            let settings = LoaderSettings { cache: CacheSource::Shipped, ..LoaderSettings::default() };
            let loader = Loader::new(&root, settings);
            let loaded: usize = names
                .iter()
                .filter_map(|name| loader.start(name.as_bytes()).ok().flatten())
                .map(|p| p.loaded.len())
                .sum();
            assert!(loaded > names.len());
        }
        "hidden" => drop(walk(&root, names, WalkSettings::default())),
        "check" => {
            let root = DirectoryRoot::new(Path::new(&names[0])).expect("the root");
            check(&root, &CheckSettings { symbols: true, ..CheckSettings::default() }).expect("the check");
        }
        other => panic!("unknown work {other}"),
    }
}

/// Milliseconds of CPU, user and system, that children took for `command`.
fn cpu(command: &mut Command) -> f64 {
    let before = children();
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|e| panic!("{command:?} is needed: {e}"));
    children() - before
}

fn children() -> f64 {
    // In ticks of 10 ms, which is why there are many rounds.
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(13) + ticks(14)) * 10.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, what, names @ ..] = arguments.as_slice()
        && first == WORK
    {
        return work(what, names);
    }
    let rounds: u32 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(20);
    let names = programs(PROGRAMS);
    let own = std::env::current_exe().expect("this program");
    let ours = |what: &str, names: &[PathBuf]| {
        let mut command = Command::new(&own);
        command.args([WORK, what]).args(names);
        command
    };
    let mut sums = [0.0; 5];
    for _ in 0..rounds {
        sums[0] += cpu(ours("loader", &[]).args(&names));
        sums[1] += cpu(ours("hidden", &[]).args(&names));
        sums[2] += cpu(Command::new("libtree").arg("-vvv").args(&names));
        sums[4] += cpu(&mut ours("loader", &names[..1]));
    }
    sums[3] = cpu(Command::new("ldd").args(&names)) * f64::from(rounds);
    let mean = |at: usize| sums[at] / f64::from(rounds);
    println!("{} programs of /usr/bin, mean CPU of {rounds} rounds", names.len());
    for (at, name) in ["walk", "walk with what is hidden", "libtree", "ldd", "walk of one program"].iter().enumerate() {
        println!(
            "{name:28} {:9.1} ms {:7.2} of libtree {:7.3} of ldd",
            mean(at),
            mean(at) / mean(2),
            mean(at) / mean(3)
        );
    }
    if let Some(root) = arguments.iter().find(|argument| argument.starts_with('/')) {
        println!("check with symbols of {root}: {:.0} ms", cpu(&mut ours("check", &[PathBuf::from(root)])));
    }
}
