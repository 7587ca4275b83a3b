//! Ctrl-C and kill at many moments: nothing half done stays behind, no child lives on, and the next build works.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::common::Sandbox;
use crate::support::docker::DOCKER;
use crate::support::driven::wait_for;
use crate::support::podman::Podman;
use crate::support::users::WITH_IDS;
use crate::support::{command, run, tool};
use rustix::process::{Pid, Signal, kill_process};

/// Lets one test at a time see what the engine has, where they share one.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All names below a directory, but for the store.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("the sandbox can be read");
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn interrupt(child: &mut Child, signal: Signal) -> std::process::ExitStatus {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    // It may have ended already.
    let _ = kill_process(pid, signal);
    child.wait().unwrap()
}

/// Writes a script that is found before all other programs of its name, and returns the PATH to find it by.
fn with_program(sandbox: &Sandbox, name: &str, script: &str) -> String {
    let program = sandbox.write(name, script);
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    format!("{}:{}", sandbox.directory.path().display(), std::env::var("PATH").unwrap())
}

/// A command as a script calls it.
fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_interrupted_build_leaves_nothing_behind() {
    let sandbox = Sandbox::cold();
    let outputs = ["-o", "a.tar", "-o", "oci:layout", "-o", "dockerfile:context", "-o", "rootfs:root.tar.xz"];
    let mut interrupted = 0;
    for (turn, milliseconds) in [5, 30, 80, 150, 250, 400, 700, 1000, 1500, 2500].into_iter().enumerate() {
        let signal = [Signal::INT, Signal::TERM, Signal::HUP][turn % 3];
        let before = names(sandbox.directory.path());
        let mut arguments = vec!["build", "busybox-glibc", "-q"];
        arguments.extend(outputs);
        let mut child = sandbox.minimg(&arguments).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let status = interrupt(&mut child, signal);
        if status.success() {
            continue;
        }
        assert_eq!(status.signal(), Some(signal.as_raw()), "it says which signal ended it, after {milliseconds} ms");
        interrupted += 1;
        let whole = ["a.tar", "layout", "context", "root.tar.xz", "store"];
        let after = names(sandbox.directory.path());
        let left: Vec<_> = after.difference(&before).filter(|name| !is_whole(name, &whole)).collect();
        assert!(left.is_empty(), "after {milliseconds} ms: {left:?}");
        let temporary = sandbox.store.join("v1/tmp");
        assert!(
            !temporary.exists() || names(&temporary).is_empty(),
            "after {milliseconds} ms: {:?}",
            names(&temporary)
        );
    }
    assert!(interrupted >= 3, "only {interrupted} builds were interrupted before they ended");
    assert_eq!(sandbox.json(&["cache", "verify"])["dropped"], serde_json::json!([]));
    let mut arguments = vec!["build", "busybox-glibc", "-q"];
    arguments.extend(outputs);
    sandbox.run(&arguments);
}

/// Whether it is an output, which is whole by its name, or the record of one.
fn is_whole(name: &str, outputs: &[&str]) -> bool {
    outputs.contains(&name.trim_end_matches(".record.json"))
}

#[test]
fn the_children_of_an_engine_die_with_the_build() {
    let sandbox = Sandbox::shared();
    let script = "#!/bin/sh\nsleep 1000 &\necho $! $$ > \"$PIDS\"\nwait\n";
    let path = with_program(&sandbox, "docker", script);
    let pids = sandbox.path("pids");
    let mut child = sandbox
        .minimg(&["build", "busybox-glibc", "-q", "--load", "docker"])
        .envs([("PATH", path.as_str()), ("PIDS", pids.to_str().unwrap())])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut started = String::new();
    wait_for("the engine", || {
        started = std::fs::read_to_string(&pids).unwrap_or_default();
        started.ends_with('\n')
    });
    let status = interrupt(&mut child, Signal::INT);
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
    for pid in started.split_whitespace() {
        wait_for(&format!("the end of {pid}"), || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z"))
        });
    }
}

/// An engine that does what it is asked, and is then not ready with it: of `import` all, of `build` all but the last step.
const SLOW_ENGINE: &str = r#"#!/bin/sh
case $1 in
import) ENGINE "$@" || exit ;;
build) sed '$d' | ENGINE build --no-cache --rm=false BUILD - || exit ;;
*) exec ENGINE "$@" ;;
esac
test "$1" = "$STAGE" || exit 0
: >"$READY"
sleep 1000
"#;

/// Interrupts an import when the engine is at a stage, and says what the engine has then.
fn interrupt_import(name: &str, engine: &dyn Fn(&[&str]) -> Command, options: &str, stage: &str) -> [String; 2] {
    let sandbox = Sandbox::shared();
    let script = SLOW_ENGINE.replace("ENGINE", &words(&engine(&[]))).replace("BUILD", options);
    let path = with_program(&sandbox, name, &script);
    let ready = sandbox.path("ready");
    let mut child = sandbox
        .minimg(&["build", "busybox-glibc", "-q", "--import", name])
        .envs([("PATH", path.as_str()), ("STAGE", stage), ("READY", ready.to_str().unwrap())])
        .spawn()
        .unwrap();
    wait_for(stage, || {
        assert!(child.try_wait().unwrap().is_none(), "{name} {stage}: the build ended");
        ready.exists()
    });
    let had = run(&mut engine(&["image", "ls", "--all", "--quiet"]));
    assert_ne!(had, "", "{name} {stage}: the test can see what is left");
    let begun = Instant::now();
    assert_eq!(interrupt(&mut child, Signal::INT).signal(), Some(Signal::INT.as_raw()));
    assert!(begun.elapsed() < Duration::from_secs(30), "{name} {stage}: {:?}", begun.elapsed());
    let external: &[&str] = if name == "podman" { &["--external"] } else { &[] };
    let containers = [&["ps", "--all", "--quiet"], external].concat();
    [run(&mut engine(&["image", "ls", "--all"])), run(&mut engine(&containers))].map(|text| {
        match text.lines().count() {
            1 => String::new(),
            _ => text,
        }
    })
}

#[test]
fn an_interrupted_import_leaves_no_name_image_or_container_in_the_engine() {
    let _alone = alone();
    let podman = Podman::new();
    for stage in ["import", "build"] {
        let left = interrupt_import("docker", &|words| DOCKER.command(words), "--pull=false", stage);
        assert_eq!(left, ["", ""], "docker {stage}");
        let left = interrupt_import("podman", &|words| podman.command(words), "--format=docker --pull=never", stage);
        assert_eq!(left, ["", ""], "podman {stage}");
    }
}

/// An engine that is slow: the container that would stay comes a second after it is asked for, and images go after three.
const HESITATING_ENGINE: &str = r#"#!/bin/sh
case "$*" in
*" sleep 1000") : >"$READY"; sleep 1 ;;
"image rm"*) sleep 3 ;;
esac
exec ENGINE "$@"
"#;

const WAITS: &str = "extends = 'busybox-glibc'
[image]
volumes = ['/data']
[[tests]]
name = 'it waits'
command = ['/usr/bin/busybox', 'sleep', '1000']
";

/// Begins a test that does not end, and returns when it is time.
fn begin_test(sandbox: &Sandbox, environment: &[(&str, String)], is_time: &dyn Fn(&Sandbox) -> bool) -> Child {
    sandbox.write("waits.toml", WAITS);
    let mut command = sandbox.minimg(&["test", "waits.toml", "-q"]);
    let environment = environment.iter().map(|(name, value)| (name, value));
    let mut child = command.env("DOCKER_HOST", DOCKER.host()).envs(environment).spawn().unwrap();
    wait_for("the time", || {
        assert!(child.try_wait().unwrap().is_none(), "the test ended");
        is_time(sandbox)
    });
    child
}

fn a_container_runs(_: &Sandbox) -> bool {
    !DOCKER.run(&["ps", "--quiet"]).is_empty()
}

/// Interrupts a test at a moment, and says what the engine has then: containers, volumes, images.
fn interrupt_test(
    environment: &dyn Fn(&Sandbox) -> Vec<(&'static str, String)>,
    is_time: &dyn Fn(&Sandbox) -> bool,
) -> [String; 4] {
    let sandbox = Sandbox::shared();
    let mut child = begin_test(&sandbox, &environment(&sandbox), is_time);
    assert_eq!(interrupt(&mut child, Signal::TERM).signal(), Some(Signal::TERM.as_raw()));
    // What is still to come would come by then.
    std::thread::sleep(Duration::from_secs(2));
    let [waits, import] = ["minimg-test/waits", "minimg-import"].map(|name| ["image", "ls", "--quiet", name]);
    [&["ps", "--all", "--quiet"], &["volume", "ls", "--quiet"], &waits[..], &import]
        .map(|arguments| DOCKER.run(arguments))
}

#[test]
fn an_interrupted_test_leaves_no_image_or_container_in_the_engine() {
    let _alone = alone();
    let nothing = [""; 4];
    assert_eq!(interrupt_test(&|_| Vec::new(), &a_container_runs), nothing, "while containers run");
    let hesitating = |sandbox: &Sandbox| {
        let path = with_program(sandbox, "docker", &HESITATING_ENGINE.replace("ENGINE", &words(&DOCKER.command(&[]))));
        vec![("PATH", path), ("READY", sandbox.path("ready").to_str().unwrap().to_owned())]
    };
    let asked = |sandbox: &Sandbox| sandbox.path("ready").exists();
    assert_eq!(interrupt_test(&hesitating, &asked), nothing, "before the container is there");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let _alone = alone();
    let sandbox = Sandbox::shared();
    let mut child = begin_test(&sandbox, &[], &a_container_runs);
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    // What is in the engine takes a second at least.
    assert_eq!(interrupt(&mut child, Signal::HUP).signal(), Some(Signal::HUP.as_raw()));
    for container in DOCKER.run(&["ps", "--all", "--quiet"]).split_whitespace() {
        DOCKER.run(&["rm", "--force", "--volumes", container]);
    }
    for image in DOCKER.run(&["image", "ls", "--quiet"]).split_whitespace() {
        DOCKER.run(&["image", "rm", "--force", image]);
    }
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let sandbox = Sandbox::shared();
    let command = sandbox.minimg(&["build", "busybox-glibc", "-q", "-o", "a.tar"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(sandbox.directory.path()).env("MINIMG_STORE", &sandbox.store);
    let mut child = shell.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(10));
    assert!(interrupt(&mut child, Signal::HUP).success());
}

#[test]
fn the_podman_of_an_ordinary_user_keeps_no_state_where_the_build_works() {
    let sandbox = Sandbox::cold();
    let temporary = sandbox.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut build = sandbox.copied_minimg(&["build", "busybox-glibc", "-q", "--load", "podman"]);
    build.env("TMPDIR", &temporary);
    WITH_IDS.own(sandbox.directory.path());
    run(&mut WITH_IDS.run_as(&build));
    let podman = |arguments: &[&str]| {
        let mut podman = command(tool("podman", "podman"), arguments);
        podman
            .envs([("HOME", sandbox.directory.path()), ("TMPDIR", &temporary)])
            .env("PATH", std::env::var("PATH").unwrap());
        run(&mut WITH_IDS.run_as(podman.current_dir(&temporary)))
    };
    // Podman notes that place at its first call, and keeps to it.
    let place = podman(&["info", "--format", "{{.Store.RunRoot}}"]);
    assert!(Path::new(place.trim()).starts_with(&temporary), "{place}");
    assert!(podman(&["image", "ls", "--quiet"]).lines().count() == 1);
    podman(&["system", "migrate"]);
}
