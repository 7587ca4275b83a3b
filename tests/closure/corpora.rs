//! ELF files that other people collected to test their own readers: of forty machines, of every age, and many of them damaged on purpose.
//!
//! They are the test files of elfutils and binutils, from Debian's source packages, and of pyelftools. `apt-get` and `pip3` fetch and verify
//! them once, from where the machine is set up to get packages.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use minimg::archive::{Codec, Limits};
use minimg::closure::elf::is_elf;

use super::lab::{must, run};
use super::robust::read_all;

const PACKAGES: [&str; 2] = ["elfutils", "binutils"];
/// Debian's source package of it has other tests than the author's.
const PYELFTOOLS: &str =
    "pyelftools==0.32 --hash=sha256:6de90ee7b8263e740c8715a925382d4099b354f29ac48ea40d840cf7aa14ace5
";
/// Mutations of each file.
const MUTATIONS: usize = 12;
/// No sample that is larger is mutated; the rest is read as it is.
const LARGEST: usize = 1 << 20;
/// For one file, without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

/// The entries of this machine's mirror for source packages.
fn sources() -> String {
    let debian = "/etc/apt/sources.list.d/debian.sources";
    let text = fs::read_to_string(debian).unwrap_or_else(|error| panic!("this test needs {debian}: {error}"));
    text.lines()
        .map(|line| if line.starts_with("Types:") { "Types: deb-src\n".to_owned() } else { format!("{line}\n") })
        .collect()
}

/// The unpacked sources, fetched when they are not there yet.
fn corpora() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpora");
    if directory.join("complete").is_file() {
        return directory;
    }
    let apt = tempfile::tempdir().unwrap();
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.path().join(part)).unwrap();
    }
    fs::write(apt.path().join("debian.sources"), sources()).unwrap();
    let option = |name: &str, value: &Path| format!("-o{name}={}", value.display());
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg(option("Dir::Etc::sourcelist", Path::new("/dev/null")));
        command
            .arg(option("Dir::Etc::sourceparts", apt.path()))
            .arg(option("Dir::State::lists", &apt.path().join("lists")));
        command.arg(option("Dir::Cache", &apt.path().join("cache"))).arg("-oAPT::Sandbox::User=root").arg("-q");
        must(command.args(arguments).current_dir(apt.path()));
    };
    apt_get(&["update"]);
    apt_get(&[&["source", "--download-only"][..], &PACKAGES].concat());
    fs::write(apt.path().join("pyelftools.txt"), PYELFTOOLS).unwrap();
    let pip = ["download", "--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", "pyelftools.txt"];
    must(Command::new("pip3").args(pip).current_dir(apt.path()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir(apt.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if [".orig.tar.gz", ".orig.tar.bz2", ".orig.tar.xz", "pyelftools-0.32.tar.gz"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let mut tar = Command::new("tar");
            tar.args(["--no-same-owner", "--wildcards", "-xf"]).arg(&path).arg("-C").arg(&directory);
            must(tar.arg("*/test*/*"));
        }
    }
    fs::write(directory.join("complete"), "").unwrap();
    directory
}

/// Every ELF file below, also of those that are compressed; sorted by path.
fn elf_files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if path.extension().is_some_and(|extension| extension == "bz2") {
                let limits = Limits { output: 64 << 20, ratio: 100_000, ratio_from: 1 << 20 };
                let mut plain = Vec::new();
                let decoder = Codec::detect(&bytes).decode(&bytes[..], limits);
                if decoder.is_ok_and(|mut decoder| decoder.read_to_end(&mut plain).is_ok()) {
                    bytes = plain;
                }
            }
            if is_elf(&bytes) {
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

/// A small generator of numbers (xorshift): the same mutations in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Headers and tables lie at the beginning of files, where a change does most.
fn mutate(sample: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=numbers.below(6) {
        let end = if numbers.below(3) > 0 { bytes.len().min(1024) } else { bytes.len() };
        let at = numbers.below(end);
        match numbers.below(4) {
            0 if numbers.below(4) == 0 => bytes.truncate(at),
            1 if at + 8 <= bytes.len() => bytes[at..at + 8].fill([0, 0xff][numbers.below(2)]),
            _ if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            _ => {}
        }
    }
    bytes
}

#[test]
fn files_of_other_peoples_tests_and_their_mutations() {
    let files = elf_files(&corpora());
    assert!(files.len() > 300, "only {} ELF files were found", files.len());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let root = tempfile::tempdir().unwrap();
    for directory in ["usr/lib", "usr/bin"] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    for (at, (path, bytes)) in files.iter().enumerate() {
        let start = Instant::now();
        read_all(bytes);
        // Both names, so that each is taken for a program and for a library.
        let name = path.file_name().unwrap().to_str().unwrap();
        put(root.path(), &format!("usr/bin/{at}-{name}"), bytes);
        put(root.path(), &format!("usr/lib/lib{at}-{name}.so.1"), bytes);
        for count in 0..if bytes.len() <= LARGEST { MUTATIONS } else { 0 } {
            let mutated = mutate(bytes, &mut numbers);
            read_all(&mutated);
            if count == 0 {
                put(root.path(), &format!("usr/bin/{at}-mutated"), &mutated);
                put(root.path(), &format!("usr/lib/lib{at}-mutated.so.1"), &mutated);
            }
        }
        assert!(start.elapsed() < LONGEST, "{} took {:?}", path.display(), start.elapsed());
    }
    verbs_end_well(root.path());
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    let path = root.join(path);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The verbs over a root full of such files: an answer and an exit code of theirs, within a gigabyte of memory and a minute.
fn verbs_end_well(root: &Path) {
    let program = fs::read_dir(root.join("usr/bin")).unwrap().map(|entry| entry.unwrap().file_name()).min().unwrap();
    let program = format!("/usr/bin/{}", program.to_str().unwrap());
    for arguments in
        [&["check", "{}", "--json"][..], &["closure", "--root", "{}", &program], &["tree", "--root", "{}", &program]]
    {
        let mut command = Command::new("timeout");
        command.args(["60", "prlimit", "--as=1073741824", env!("CARGO_BIN_EXE_minimg")]);
        command.args(arguments.iter().map(|argument| argument.replace("{}", root.to_str().unwrap())));
        let store = root.join("store");
        let output = run(command.env("MINIMG_STORE", store).env("RUST_BACKTRACE", "0"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert!(matches!(output.status.code(), Some(0 | 2 | 7 | 8)), "{arguments:?}: {:?} {said}", output.status);
    }
}
