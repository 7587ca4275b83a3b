//! The walk beside its peers, in one run: CPU time of `libtree` and `ldd` against ours for the same programs of /usr/bin.
//!
//! libtree is measured twice. As it is called it leaves out the C library and its kin and what they need, and does less than every loader
//! does; with `-vvv` it follows all of them, as we do, and prints each as often as it is named, which we do not.
//!
//! `cargo bench --bench closure -- [rounds]` prints a table with the limits that were set and fails only when a peer is missing. Peers: libtree,
//! ldd (libc-bin), and the binary of the same build for the start-up costs of the command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use minimg::closure::check::{CheckSettings, check_programs};
use minimg::closure::elf::Facts;
use minimg::closure::loader::{CacheSource, Loader, LoaderSettings};
use minimg::closure::{WalkSettings, walk};
use minimg::tree::{DirectoryRoot, map_file};

/// The argument with which this program does one piece of work and nothing else, as a process of its own.
const WORK: &str = "--work";
const PROGRAMS: usize = 200;

fn programs(directories: &[&str]) -> Vec<String> {
    let entries = directories.iter().flat_map(|directory| std::fs::read_dir(directory).into_iter().flatten().flatten());
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    let dynamic = |path: &PathBuf| {
        path.is_file()
            && map_file(path).is_ok_and(|bytes| Facts::parse(&bytes).is_ok_and(|facts| facts.interpreter.is_some()))
    };
    found.into_iter().filter(dynamic).filter_map(|path| path.to_str().map(str::to_owned)).collect()
}

fn work(what: &str, names: &[String]) {
    let root = DirectoryRoot::new(Path::new("/")).expect("the root");
    match what {
        "nothing" => {}
        "loader" => {
            let settings = LoaderSettings { cache: CacheSource::Shipped, ..LoaderSettings::default() };
            let loader = Loader::new(&root, settings);
            let start = |name: &String| loader.start(name.as_bytes()).ok().flatten();
            let loaded: usize = names.iter().filter_map(start).map(|process| process.loaded.len()).sum();
            assert!(loaded > names.len());
        }
        "hidden" => drop(walk(&root, names, WalkSettings { cache: CacheSource::Shipped, ..WalkSettings::default() })),
        "symbols" => {
            let checked = check_programs(&root, names, &CheckSettings::default()).expect("the check");
            assert_eq!(checked.programs, names.len());
        }
        other => panic!("unknown work {other}"),
    }
}

/// Milliseconds of CPU, user and system, that one run of `command` takes on average.
fn cpu(rounds: u32, mut command: impl FnMut() -> Command) -> f64 {
    let before = children();
    for _ in 0..rounds {
        let mut command = command();
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.unwrap_or_else(|error| panic!("{command:?} is needed: {error}"));
    }
    (children() - before) / f64::from(rounds)
}

/// What all children took so far, in milliseconds; the kernel counts exactly and shows ticks of ten, so many rounds are exact again.
fn children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(13) + ticks(14)) * 10.0
}

struct Line {
    name: String,
    time: f64,
    limit: Option<(String, f64)>,
}

fn print(lines: &[Line]) {
    println!("{:64} {:>9}  {:32} {:>7}", "what", "CPU", "limit", "used");
    for Line { name, time, limit } in lines {
        let limit = limit.as_ref().map(|(text, most)| (text.as_str(), format!("{:5.0} %", 100.0 * time / most)));
        let (text, used) = limit.unwrap_or_default();
        println!("{name:64} {time:6.1} ms  {text:32} {used:>7}");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, what, names @ ..] = arguments.as_slice()
        && first == WORK
    {
        return work(what, names);
    }
    let rounds: u32 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(40);
    let all = programs(&["/usr/bin", "/usr/sbin"]);
    let some: Vec<String> = programs(&["/usr/bin"]).into_iter().take(PROGRAMS).collect();
    let own = std::env::current_exe().expect("this program");
    let with = |program: &Path, options: &[&str], names: &[String]| {
        let mut command = Command::new(program);
        command.args(options).args(names);
        command
    };
    let ours = |what: &'static str, names: &[String]| cpu(rounds, || with(&own, &[WORK, what], names));
    let peer = |rounds: u32, name: &str, options: &[&str]| cpu(rounds, || with(Path::new(name), options, &some));
    let libtree = peer(rounds, "libtree", &[]);
    let libtree_all = peer(rounds, "libtree", &["-vvv"]);
    let ldd = peer(2, "ldd", &[]);
    let count = some.len();
    let line = |name: String, time: f64, limit: Option<(String, f64)>| Line { name, time, limit };
    let limit = |factor: f64, of: &str, time: f64| Some((format!("{factor} of {of}"), factor * time));
    let walk = ours("loader", &some);
    let minimg = Path::new(env!("CARGO_BIN_EXE_minimg"));
    let command_line = cpu(rounds, || with(minimg, &["closure", "--loader-only"], &some));
    println!(
        "{} on {} cores, mean of {rounds} rounds",
        date(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    print(&[
        line(format!("libtree, {count} programs of /usr/bin (without the C library)"), libtree, None),
        line(format!("libtree -vvv, {count} programs (everything)"), libtree_all, None),
        line(format!("ldd, {count} programs"), ldd, None),
        line("this program, doing nothing".to_owned(), ours("nothing", &[]), None),
        line(format!("walk, {count} programs"), walk, limit(0.25, "libtree -vvv", libtree_all)),
        line("  the same".to_owned(), walk, limit(0.25, "libtree", libtree)),
        line("  the same".to_owned(), walk, limit(0.02, "ldd", ldd)),
        line(
            format!("minimg closure --loader-only, {count} programs"),
            command_line,
            limit(0.25, "libtree -vvv", libtree_all),
        ),
        line(format!("walk with what is hidden, {count} programs"), ours("hidden", &some), None),
        line(format!("walk and symbols, {count} programs"), ours("symbols", &some), limit(0.5, "ldd", ldd)),
        line(
            format!("walk and symbols, all {} programs of the root", all.len()),
            ours("symbols", &all),
            Some(("1 second".to_owned(), 1000.0)),
        ),
    ]);
}

fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
