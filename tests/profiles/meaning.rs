//! What a profile means once it is read: defaults, building on one another, suites, architectures and boards.

use minimg::board::Boards;
use minimg::profile::{Catalogue, Policy, Profile, template};

use super::{directory, read};

fn profile(text: &str) -> Profile {
    read(text).unwrap_or_else(|message| panic!("{message}")).profile(None, None)
}

#[test]
fn an_empty_profile_has_the_usual_values() {
    let profile = profile("");
    assert_eq!((profile.name.as_str(), profile.backend.as_str()), ("x", "deb"));
    assert_eq!((profile.source.distribution.as_str(), profile.source.suite.as_str()), ("debian", "trixie"));
    assert_eq!(profile.source.components, ["main"]);
    assert!(profile.add.base && profile.packages.is_empty() && profile.tests.is_empty());
}

#[test]
fn another_backend_gets_no_debian() {
    let profile = profile("backend = 'tarball'");
    assert_eq!((profile.source.distribution.as_str(), profile.source.suite.as_str()), ("", ""));
    assert!(profile.source.components.is_empty());
}

#[test]
fn values_take_their_usual_form() {
    let profile = profile(
        r#"
[image]
ports = ["80", "53/udp"]
stop-signal = "quit"
user = "0999:0100"
workdir = "/work/"
healthcheck = { command = ["x"], interval = "1m30s", timeout = "500ms", retries = 3 }
[[add.accounts]]
name = "app"
uid = 1000
[[add.files]]
path = "/x"
from = "beside"
[closure]
triggers = "keep"
[[tests]]
name = "t"
command = ["x"]
"#,
    );
    let image = &profile.image;
    assert_eq!(image.ports.iter().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!(
        (image.stop_signal.as_deref(), image.user.as_str(), image.workdir.as_str()),
        (Some("SIGQUIT"), "999:100", "/work")
    );
    let check = image.healthcheck.as_ref().unwrap();
    assert_eq!((check.interval, check.timeout, check.retries), (Some(90_000_000_000), Some(500_000_000), Some(3)));
    let account = &profile.add.accounts[0];
    assert_eq!((account.group.as_str(), account.gid, account.home.as_str()), ("app", 1000, "/nonexistent"));
    assert_eq!(account.shell, "/usr/sbin/nologin");
    let file = &profile.add.files[0];
    assert_eq!((file.content.as_slice(), file.mode, file.owner.as_str()), (b"beside".as_slice(), 0o644, "root"));
    assert_eq!(profile.keep.closure.triggers, Policy::Keep);
    assert_eq!(profile.tests[0].exit, 0);
}

#[test]
fn lists_append_and_single_values_replace() {
    let dir = directory(&[
        (
            "parent.toml",
            r#"
description = "parent"
[packages]
deb = ["a", "b"]
[keep.globs]
"/a" = "of the parent"
"/b" = "of the parent"
[source]
components = ["main"]
exclude = ["e"]
[image]
entrypoint = ["/parent"]
cmd = ["for", "parent"]
env = { A = "1", B = "1" }
user = "nobody"
[[add.files]]
path = "/f"
content = "parent"
[[tests]]
name = "t"
command = ["/parent"]
"#,
        ),
        (
            "child.toml",
            r#"
extends = "./parent.toml"
[packages]
deb = ["b", "c"]
[keep.globs]
"/a" = "of the child"
[source]
components = ["main", "contrib"]
exclude = ["f"]
[image]
entrypoint = ["/child"]
env = { B = "2" }
[[add.files]]
path = "/f"
content = "child"
[[tests]]
name = "t"
command = ["/child"]
"#,
        ),
    ]);
    let child = Catalogue::built_in().profile(dir.path().join("child.toml").to_str().unwrap(), None, None).unwrap();
    assert_eq!((child.name.as_str(), child.description.as_str()), ("child", "parent"));
    assert_eq!(child.packages["deb"], ["a", "b", "c"]);
    let globs: Vec<_> =
        child.keep.keep.iter().map(|pattern| (pattern.glob.as_str(), pattern.reason.as_str())).collect();
    assert_eq!(globs, [("/a", "of the child"), ("/b", "of the parent")]);
    assert_eq!(
        (child.source.components.as_slice(), child.source.exclude.as_slice()),
        (["main", "contrib"].map(str::to_owned).as_slice(), ["e", "f"].map(str::to_owned).as_slice())
    );
    assert_eq!(child.image.entrypoint, ["/child"]);
    assert!(child.image.cmd.is_empty(), "arguments for the parent's program mean nothing to the child's");
    assert_eq!(child.image.env.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>(), ["A=1", "B=2"]);
    assert_eq!(child.image.user, "nobody");
    assert_eq!((child.add.files.len(), child.add.files[0].content.as_slice()), (1, b"child".as_slice()));
    assert_eq!((child.tests.len(), child.tests[0].command[0].as_str()), (1, "/child"));
}

#[test]
fn suites_architectures_and_boards_differ() {
    let definition = read(
        r#"
[packages]
deb = ["all"]
[suite.trixie.packages]
deb = ["trixie"]
[suite.bookworm.packages]
deb = ["bookworm"]
[arch.arm.packages]
deb = ["arm"]
[arch."arm/v7".packages]
deb = ["v7"]
[board.raspberry-pi-2.packages]
deb = ["pi"]
[board.mips64el.source]
suite = "bookworm"
"#,
    )
    .unwrap();
    assert_eq!(definition.suites(), ["bookworm", "trixie"]);
    let boards = Boards::built_in();
    for (suite, board, packages) in [
        (None, None, "all trixie"),
        (Some("bookworm"), None, "all bookworm"),
        (Some("sid"), None, "all"),
        (None, Some("amd64"), "all trixie"),
        (None, Some("armel"), "all arm trixie"),
        (None, Some("raspberry-pi-2"), "all arm v7 pi trixie"),
        (None, Some("mips64el"), "all bookworm"),
        (Some("trixie"), Some("mips64el"), "all trixie"),
    ] {
        let board = board.map(|name| boards.get(name).unwrap());
        let profile = definition.profile(suite, board.as_ref());
        assert_eq!(profile.packages["deb"].join(" "), packages, "{suite:?} {board:?}");
    }
}

#[test]
fn the_template_and_each_of_its_examples_can_be_read() {
    let text = template("x");
    assert!(!text.contains("NAME"));
    let as_it_stands = profile(&text);
    assert_eq!(as_it_stands.tests.len(), 1);
    let prose = |line: &&str| !line.starts_with("# ");
    let uncommented: Vec<_> = text.lines().filter(prose).map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let uncommented = profile(&uncommented.join("\n"));
    assert_eq!(uncommented.add.accounts[0].name, "app");
    assert!(uncommented.image.healthcheck.is_some());
}

#[test]
fn a_profile_explains_itself() {
    let explanation = Catalogue::built_in().profile("redis", Some("bookworm"), None).unwrap().explain();
    let mut shown = String::new();
    for section in &explanation.sections {
        shown.push_str(&format!("{}\n", section.title));
        section.lines.iter().for_each(|line| shown.push_str(&format!("  {} ({})\n", line.what, line.why)));
    }
    insta::assert_snapshot!(shown, @r##"
    source
      deb (backend)
      debian bookworm main (distribution, suite, components)
    packages
      base-files redis-server redis-tools (deb)
    keeps
      redis-benchmark (program, with everything it needs)
      redis-check-rdb (program, with everything it needs)
      redis-cli (program, with everything it needs)
      redis-server (program, with everything it needs)
    adds
      base files (accounts, nsswitch.conf, hosts, os-release, machine-id, /tmp)
      redis (account, uid 999, group redis (999))
      /data (directory, 0755 redis:redis)
      /usr/bin/redis-check-aof (link to redis-check-rdb)
    runs
      /usr/bin/redis-server (entrypoint)
      --protected-mode no (command)
      redis (user)
      /data (working directory)
      6379/tcp (port)
      /data (volume)
    tests
      the server starts (/usr/bin/redis-server --version)
      the client starts; nobody listens (/usr/bin/redis-cli -p 1 ping)
      memory is allocated, written and read (/usr/bin/redis-server --test-memory 1)
    "##);
}

#[test]
fn what_goes_into_a_test_and_comes_out_may_contain_nul() {
    let profile = profile("[[tests]]\nname = 't'\nport = 53\nstdin = \"\\u0000\\u001b\"\nstdout = \"\\u0000\"");
    let test = &profile.tests[0];
    assert_eq!((test.stdin.as_deref(), test.stdout.as_deref()), (Some("\0\x1b"), Some("\0")));
    for other in [r#"name = "a\u0000""#, r#"command = ["a\u0000"]"#] {
        let refused = read(&format!("[[tests]]\nport = 1\n{other}\n")).unwrap_err();
        assert!(refused.contains("must not contain a NUL character"), "{refused}");
    }
}
