//! What is chosen must be what apt chooses. Needs apt, the machine's own mirror and the network: `cargo test --test all deb_archive_apt:: -- --ignored`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use minimg::backend::{Context, Request, Settings, Source};
use minimg::board::{ArchNames, Board, Platform};
use minimg::store::Store;
use minimg_apt as archive;

const SUITE: &str = "bookworm";

const REQUESTS: &[&str] = &[
    "busybox",
    "bash coreutils curl ca-certificates",
    "git",
    "python3",
    "python3-minimal",
    "perl",
    "nodejs",
    "nginx",
    "redis-server",
    "sqlite3",
    "postgresql",
    "postgresql-client",
    "haproxy",
    "openssh-client",
    "openssh-server",
    "apache2",
    "vim",
    "emacs-nox",
    "build-essential",
    "systemd-sysv",
    "mariadb-server",
    "php",
    "ruby",
    "golang",
    "rustc cargo",
    "default-jdk",
    "ghc cabal-install",
    "texlive-base",
    "xterm",
    "postfix",
    "samba",
    "qemu-system-x86",
    "docker.io",
    "ansible",
    "r-base",
    "libreoffice-writer",
    "ffmpeg",
    "debootstrap",
    "linux-image-amd64",
    "network-manager",
];

#[test]
#[ignore = "needs apt and the network"]
fn the_same_choice_as_apt() {
    let directory = tempfile::tempdir().unwrap();
    let apt = Apt::new(directory.path());
    let store = Store::open(&directory.path().join("store")).unwrap();
    let settings = Settings { machine: Some("/".into()), ..Settings::default() };
    let mut different = Vec::new();
    for (i, request) in REQUESTS.iter().enumerate() {
        let context = Context::new(store.clone()).with_settings(settings.clone()).with_offline(i > 0);
        let packages = request.split(' ').map(str::to_owned).collect();
        let source = Source { suite: SUITE.into(), ..Source::default() };
        let pins = archive::resolve(&Request { board: board(), source, packages }, &context).unwrap();
        let ours: BTreeSet<_> = pins.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        let theirs = apt.choice(request);
        let difference: Vec<_> = ours.symmetric_difference(&theirs).collect();
        if !difference.is_empty() {
            different.push(format!("{request}: {difference:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn board() -> Board {
    Board {
        name: "amd64".into(),
        description: String::new(),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
        names: ArchNames { deb: Some("amd64".into()), ..ArchNames::default() },
        cpu_level: None,
        qemu: None,
        buildroot_defconfig: None,
        size_budget: None,
    }
}

/// apt with an empty status file and its own lists.
struct Apt(Vec<String>);

impl Apt {
    fn new(directory: &Path) -> Self {
        let at = |name: &str| directory.join(name).display().to_string();
        std::fs::create_dir_all(directory.join("lists/partial")).unwrap();
        std::fs::create_dir_all(directory.join("cache/archives/partial")).unwrap();
        std::fs::write(directory.join("status"), "").unwrap();
        let options = [
            ("Dir::State::status", at("status")),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::extended_states", at("extended")),
            ("Dir::Cache", at("cache")),
            ("Dir::Etc::preferencesparts", "/dev/null".into()),
            ("APT::Architecture", "amd64".into()),
            ("APT::Install-Recommends", "0".into()),
        ];
        let options = options.iter().flat_map(|(name, value)| ["-o".to_owned(), format!("{name}={value}")]);
        let apt = Self(options.collect());
        assert!(apt.command().arg("update").status().unwrap().success());
        apt
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.args(&self.0).env("LC_ALL", "C");
        command
    }

    fn choice(&self, request: &str) -> BTreeSet<String> {
        let output = self.command().args(["install", "-y", "-s"]).args(request.split(' ')).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let chosen = text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("Inst ")?.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('(')))
        });
        chosen.collect()
    }
}
