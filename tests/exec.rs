//! Outside programs as backends: the example of `backends/README.md`, and programs that keep to the protocol badly.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::common::{Sandbox, succeed, text, tool};
use crate::support::driven::{left_in, processes_in, wait_for};
use rustix::process::{Pid, Signal, kill_process};

const PROFILE: &str = r#"
backend = "machine"
packages.deb = ["bash", "libc6", "libtinfo6", "base-files"]
keep.programs = ["bash"]
image.entrypoint = ["bash"]
"#;

/// Puts a program for the backend `name` into the sandbox.
fn program(sandbox: &Sandbox, name: &str, script: &str) {
    let file = sandbox.write(&format!("minimg-backend-{name}"), script);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// The example in the documentation: the only shell script that it shows.
fn example() -> String {
    let readme = include_str!("../backends/README.md");
    let (_, script) = readme.split_once("```sh\n").expect("an example");
    script.split_once("```\n").expect("its end").0.to_owned()
}

/// minimg, which finds programs in the sandbox.
fn minimg(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.minimg(arguments);
    let path = format!("{}:{}", sandbox.directory.path().display(), std::env::var("PATH").unwrap());
    command.env("PATH", path);
    command
}

/// Runs it and expects failure with this exit code; returns what it said.
fn fail(sandbox: &Sandbox, code: i32, arguments: &[&str]) -> String {
    let output = minimg(sandbox, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "minimg {arguments:?} said: {said}");
    said
}

#[test]
fn the_example_builds_an_image_that_knows_its_packages() {
    tool("jq", "jq");
    let sandbox = Sandbox::cold();
    program(&sandbox, "machine", &example());
    sandbox.write("own.toml", PROFILE);
    let list = text(succeed(&mut minimg(&sandbox, &["list", "backends"])));
    assert!(list.contains("the packages that are installed on this Debian machine"), "{list}");
    succeed(&mut minimg(&sandbox, &["doctor", "machine"]));
    succeed(&mut minimg(&sandbox, &["build", "./own.toml", "-q", "-o", "rootfs:root.tar"]));
    let list = text(succeed(Command::new("tar").args(["-tf", "root.tar"]).current_dir(sandbox.directory.path())));
    for name in ["usr/bin/bash", "libtinfo.so.6", "libc.so.6", "var/lib/dpkg/status.d/bash"] {
        assert!(list.lines().any(|line| line.ends_with(name)), "{name} is missing:\n{list}");
    }
    assert!(!list.contains("usr/bin/ldd"), "a file of libc6 that bash does not need:\n{list}");
    let why = text(succeed(&mut minimg(&sandbox, &["why", "./own.toml", "/bin/bash"])));
    assert!(why.contains("bash"), "{why}");
    // What runs is what was asked for.
    let root = sandbox.path("root");
    std::fs::create_dir(&root).unwrap();
    succeed(Command::new("tar").args(["-xf", "root.tar", "-C", "root"]).current_dir(sandbox.directory.path()));
    let said = text(succeed(tool("chroot", "coreutils").arg(&root).args(["/bin/bash", "-c", "echo $((6 * 7))"])));
    assert_eq!(said, "42\n");
    let missing = PROFILE.replace("base-files", "no-such-package");
    sandbox.write("own.toml", &missing);
    let said = fail(&sandbox, 4, &["build", "./own.toml"]);
    assert!(said.contains("minimg-backend-machine says: no-such-package is not installed here"), "{said}");
}

/// A program that notes each start in the file `starts` and makes a tree of one file, for the key in the file `key`.
const COUNTING: &str = r#"#!/bin/sh
here=${0%/*}
echo "$1" >>"$here/starts"
case $1 in
describe) echo '{"protocol": 1, "description": "counts"}' ;;
resolve) printf '{"key": "%s", "origin": "a test", "state": [7]}' "$(cat "$here/key")" ;;
produce)
    cat >"$here/question"
    mkdir -p root/etc && cat "$here/key" >root/etc/key && tar -C root --owner=7 --group=8 -c .
    ;;
esac
"#;

const COUNTED: &str = "backend = 'counting'\nkeep.globs = { '/etc/key' = 'the test' }\n\
    source.options.counting.deep = [{ a = 1 }]\n";

#[test]
fn a_tree_is_produced_once_for_a_key_and_pinned_by_a_lock() {
    let sandbox = Sandbox::cold();
    program(&sandbox, "counting", COUNTING);
    sandbox.write("own.toml", COUNTED);
    let starts = |what: &str| {
        let all = std::fs::read_to_string(sandbox.path("starts")).unwrap_or_default();
        all.lines().filter(|line| *line == what).count()
    };
    let build = |arguments: &[&str]| {
        let output =
            succeed(&mut minimg(&sandbox, &[&["build", "./own.toml", "-o", "a.tar", "--json"], arguments].concat()));
        let document: serde_json::Value = serde_json::from_str(&text(output)).unwrap();
        document["images"][0]["id"].as_str().expect("an id").to_owned()
    };
    sandbox.write("key", "one");
    let one = build(&[]);
    assert_eq!((starts("resolve"), starts("produce")), (1, 1));
    let question: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("question")).unwrap()).unwrap();
    assert_eq!(question["protocol"], 1);
    assert_eq!(question["options"], serde_json::json!({ "deep": [{ "a": 1 }] }));
    assert_eq!(question["resolved"]["state"], serde_json::json!([7]));
    assert_eq!(build(&[]), one);
    assert_eq!(starts("produce"), 1, "the key is the same");
    succeed(&mut minimg(&sandbox, &["lock", "./own.toml", "-q"]));
    sandbox.write("key", "two");
    let before = std::fs::read_to_string(sandbox.path("starts")).unwrap().lines().filter(|l| *l != "describe").count();
    assert_eq!(build(&["--locked", "--offline"]), one);
    let after = std::fs::read_to_string(sandbox.path("starts")).unwrap().lines().filter(|l| *l != "describe").count();
    assert_eq!(after, before, "a locked build asks nobody");
    std::fs::remove_file(sandbox.path("own.lock")).unwrap();
    assert_ne!(build(&[]), one);
    assert_eq!(starts("produce"), 2);
}

#[test]
fn a_program_that_does_not_keep_to_the_protocol_is_refused() {
    let described = "[ $1 = describe ] && { echo '{\"protocol\": 1, \"description\": \"d\"}'; exit; }\n";
    for (script, code, expected) in [
        ("echo '{\"protocol\": 2, \"new\": true}'".to_owned(), 9, "it speaks version 2 of the protocol"),
        ("echo hello".to_owned(), 9, "cannot understand what `"),
        ("echo told why >&2; exit 3".to_owned(), 9, "told why"),
        ("echo '{\"protocol\": 1, \"description\": \"d\", \"family\": \"dib\"}'".to_owned(), 9, "did you mean `deb`?"),
        (
            "echo '{\"error\": {\"message\": \"no way\", \"class\": \"network\"}}'; exit 1".to_owned(),
            5,
            "minimg-backend-bad says: no way",
        ),
        (
            "echo '{\"protocol\": 1, \"description\": \"d\", \"needs\": [\"no-such-tool\"]}'".to_owned(),
            9,
            "it needs no-such-tool, which is not in PATH",
        ),
        (format!("{described}cat /dev/zero"), 9, "bytes and was killed"),
        (format!("{described}echo '{{}}'"), 9, "missing field `key`"),
        (format!("{described}seq 100; echo last >&2; exit 1"), 9, "last\nthe full log is "),
        (
            format!("{described}echo '{{\"error\": {{\"message\": \"no way\", \"class\": \"network\"}}}}'; exit 1"),
            5,
            "says: no way",
        ),
        (format!("{described}[ $1 = resolve ] && echo '{{\"key\": \"k\", \"origin\": \"o\"}}' || echo no tar"), 7, ""),
        (
            // The directory that it starts in is empty.
            format!("{described}[ $1 = resolve ] && echo '{{\"key\": \"k\", \"origin\": \"o\"}}' || tar -c ."),
            9,
            "the root file system is empty",
        ),
    ] {
        let sandbox = Sandbox::cold();
        program(&sandbox, "bad", &format!("#!/bin/sh\n{script}\n"));
        sandbox.write("own.toml", "backend = 'bad'\nkeep.globs = { '/**' = 'a test' }\n");
        let said = fail(&sandbox, code, &["build", "./own.toml"]);
        assert!(said.contains(expected), "{script}: {said}");
    }
}

#[test]
fn a_missing_place_for_temporary_files_is_named() {
    let sandbox = Sandbox::cold();
    program(&sandbox, "counting", COUNTING);
    sandbox.write("own.toml", COUNTED);
    let output = minimg(&sandbox, &["build", "./own.toml"]).env("TMPDIR", sandbox.path("none")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("set TMPDIR to a writable directory"), "{said}");
}

#[test]
fn what_a_program_starts_to_describe_itself_ends_with_it() {
    let sandbox = Sandbox::cold();
    let script = "#!/bin/sh\ncd \"${0%/*}\"\nsleep 1000 &\nsetsid sleep 1000 &\ntouch begun\n\
        echo '{\"protocol\": 1, \"description\": \"d\"}'\n";
    program(&sandbox, "busy", script);
    succeed(&mut minimg(&sandbox, &["list", "backends"]));
    assert!(sandbox.path("begun").exists());
    wait_for("the end of all processes", || processes_in(sandbox.directory.path()).is_empty());
}

#[test]
fn the_configuration_names_a_program_and_limits_its_time() {
    let sandbox = Sandbox::cold();
    std::fs::create_dir(sandbox.path("tools")).unwrap();
    program(&sandbox, "counting", COUNTING);
    std::fs::rename(sandbox.path("minimg-backend-counting"), sandbox.path("tools/mine")).unwrap();
    sandbox.write("tools/key", "one");
    sandbox.write("own.toml", &COUNTED.replace("counting", "named"));
    sandbox.write("config.toml", "[backends.named]\nprogram = 'tools/mine'\n");
    let build = ["build", "./own.toml", "-o", "a.tar", "--config", "config.toml"];
    sandbox.run(&build);
    let refused = [("program = 'tools/none'", 9, "cannot run "), ("porgram = 'x'", 3, "did you mean `program`?")];
    let slow =
        "#!/bin/sh\n[ $1 = describe ] && { echo '{\"protocol\": 1, \"description\": \"d\"}'; exit; }\nsleep 1000\n";
    program(&sandbox, "slow", slow);
    let limited = [
        ("program = 'minimg-backend-slow'\ntime-limit = '1s'", 9, "did not end within 1 s and was killed"),
        ("program = 'minimg-backend-slow'\ntime-limit = 'soon'", 3, "is not a span of time"),
    ];
    for (text, code, expected) in refused.into_iter().chain(limited) {
        sandbox.write("config.toml", &format!("[backends.named]\n{text}\n"));
        let said = sandbox.fail(code, &build);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn an_interrupted_program_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let sandbox = Sandbox::cold();
        // One child stays in the group, another leaves it.
        let script = "#!/bin/sh\n[ $1 = describe ] && { echo '{\"protocol\": 1, \"description\": \"d\"}'; exit; }\n\
            touch \"$TMPDIR/file\"\ncd \"${0%/*}\"\nsleep 1000 &\nsetsid sleep 1000 &\ntouch begun\nwait\n";
        program(&sandbox, "slow", script);
        sandbox.write("own.toml", "backend = 'slow'\nkeep.globs = { '/**' = 'a test' }\n");
        let mut child = minimg(&sandbox, &["build", "./own.toml", "-q"]).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the program", || sandbox.path("begun").exists());
        assert!(processes_in(sandbox.directory.path()).len() >= 3);
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        wait_for("the end of all processes", || processes_in(sandbox.directory.path()).is_empty());
        if signal == Signal::KILL {
            // Nobody could clean up: the next one does.
            program(&sandbox, "slow", COUNTING);
            sandbox.write("key", "one");
            succeed(&mut minimg(&sandbox, &["build", "./own.toml", "-q"]));
        }
        assert_eq!(left_in(&sandbox.store), Vec::<String>::new(), "after {signal:?}");
    }
}
