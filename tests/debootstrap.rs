//! The debootstrap backend with the real tools: as root and as ordinary users, for this machine and a foreign one.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Sandbox, succeed};
use crate::support::docker::DOCKER;
use crate::support::driven::{alone, left_in, lines, processes_in, text, tree, wait_for};
use crate::support::users;
use minimg::sandbox::process;
use minimg::tree::{RootPath, RootTree};
use rustix::process::{Pid, Signal, kill_process};

/// Names and numbers of the accounts: the password's field says `x` only where the package passwd was installed.
fn accounts(tree: &RootTree, path: &str) -> Vec<String> {
    let line = |line: &str| {
        let fields = line.split(':').enumerate().filter(|(at, _)| *at != 1).map(|(_, field)| field);
        fields.collect::<Vec<_>>().join(":")
    };
    text(tree, path).lines().map(line).collect()
}

/// The lines that are not comments.
fn settings(tree: &RootTree, path: &str) -> Vec<String> {
    text(tree, path).lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The fields of a control paragraph, without those that only dpkg's own status file has.
fn fields(tree: &RootTree, path: &str) -> Vec<String> {
    let folded = text(tree, path).replace("\n ", " / ");
    let mut fields: Vec<String> =
        folded.lines().filter(|line| !line.starts_with("Conffiles:")).map(str::to_owned).collect();
    fields.sort();
    fields
}

/// The same profile on both backends: the same files with the same content, but for what scripts and dpkg itself write.
fn same_as_deb(profile: &str, suite: &str) {
    let sandbox = Sandbox::shared().live();
    for backend in ["deb", "debootstrap"] {
        let output = format!("rootfs:{backend}.tar");
        sandbox.run(&["build", profile, "--suite", suite, "--backend", backend, "-q", "-o", &output]);
    }
    let (deb, driven) =
        (tree(&sandbox.path("deb.tar"), &sandbox.store), tree(&sandbox.path("debootstrap.tar"), &sandbox.store));
    let (of_deb, of_driven) = (lines(&deb), lines(&driven));
    let paths = |lines: &BTreeMap<String, String>| lines.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&of_deb), paths(&of_driven), "{profile}");
    for (path, line) in of_deb.iter().filter(|(path, line)| of_driven[*path] != **line) {
        match path.as_str() {
            "/etc/passwd" | "/etc/group" => {
                assert_eq!(accounts(&deb, path), accounts(&driven, path), "{profile}: {path}")
            }
            "/etc/ca-certificates.conf" => {
                assert_eq!(settings(&deb, path), settings(&driven, path), "{profile}: {path}")
            }
            path if path.starts_with("/var/lib/dpkg/status.d/") && !path.ends_with(".md5sums") => {
                assert_eq!(fields(&deb, path), fields(&driven, path), "{profile}: {path}");
            }
            other => panic!("{profile}: {other} differs:\n{line}\n{}", of_driven[other]),
        }
    }
}

#[test]
fn busybox_is_the_same_as_from_the_deb_backend() {
    same_as_deb("busybox-glibc", "trixie");
}

#[test]
fn curl_is_the_same_as_from_the_deb_backend() {
    same_as_deb("curl", "bookworm");
}

#[test]
fn what_it_builds_runs_under_docker() {
    let sandbox = Sandbox::shared().live();
    let test = ["test", "busybox-glibc", "--backend", "debootstrap"];
    succeed(sandbox.minimg(&test).env("DOCKER_HOST", DOCKER.host()));
}

/// A root that shows whether owners, modes, devices and capabilities survive, made by a hook.
const PROFILE: &str = r#"
backend = "debootstrap"
source.suite = "bookworm"
packages.deb = ["busybox"]
keep.globs = { "/srv/**" = "the test", "/dev/null" = "the test", "/usr/bin/passwd" = "setuid", "/usr/bin/chage" = "setgid" }
keep.programs = ["busybox"]

[source.options.debootstrap]
include = ["passwd", "libcap2-bin"]
hooks = [
    "touch $1/srv/owned $1/srv/capable && chroot $1 chown 33:42 /srv/owned && chmod 4711 $1/srv/owned",
    "chroot $1 setcap cap_net_raw+ep /srv/capable",
]
"#;

/// What the profile above must give, whoever builds it.
fn check_owned(tree: &RootTree) {
    let lines = lines(tree);
    let begins = |path: &str, expected: &str| {
        let line = lines.get(path).unwrap_or_else(|| panic!("there is no {path}"));
        assert!(line.starts_with(expected), "{line:?} is not {expected:?}");
    };
    begins("/srv/owned", "f 4711 33:42 ");
    begins("/usr/bin/passwd", "f 4755 0:0 ");
    begins("/usr/bin/chage", "f 2755 0:42 ");
    begins("/dev/null", "c 0666 0:0 ");
    let capable = tree.get(&RootPath::new("srv/capable").unwrap()).unwrap();
    assert!(capable.meta.xattrs.contains_key("security.capability"), "{:?}", capable.meta.xattrs);
}

#[test]
fn owners_modes_devices_and_capabilities_survive_as_root_and_as_an_ordinary_user() {
    let (as_root, as_user) = (Sandbox::cold().live(), Sandbox::cold().live());
    let build = ["build", "./own.toml", "-q", "-o", "rootfs:root.tar"];
    for sandbox in [&as_root, &as_user] {
        sandbox.write("own.toml", PROFILE);
    }
    as_root.run(&build);
    check_owned(&tree(&as_root.path("root.tar"), &as_root.store));
    let command = as_user.copied_minimg(&build);
    users::WITH_IDS.own(as_user.directory.path());
    succeed(&mut users::WITH_IDS.run_as(&command));
    check_owned(&tree(&as_user.path("root.tar"), &as_user.store));
    assert_eq!(
        lines(&tree(&as_user.path("root.tar"), &as_user.store)),
        lines(&tree(&as_root.path("root.tar"), &as_root.store))
    );
    assert_eq!(left_in(&as_user.store), Vec::<String>::new());
}

#[test]
fn without_subordinate_ids_it_says_how_to_get_them() {
    let sandbox = Sandbox::cold().live();
    let command = sandbox.copied_minimg(&["build", "busybox-glibc", "--backend", "debootstrap", "-o", "a.tar"]);
    users::PLAIN.own(sandbox.directory.path());
    let output = users::PLAIN.run_as(&command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("usermod --add-subuids"), "{said}");
    let output = users::PLAIN.run_as(&sandbox.copied_minimg(&["doctor", "debootstrap"])).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("cannot work") && said.contains("usermod --add-subuids"), "{said}");
}

/// What the build would refuse is not a tool that is there.
#[test]
fn to_an_ordinary_user_the_doctor_says_that_debootstrap_itself_will_not_do() {
    let sandbox = Sandbox::cold().live();
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    for program in ["unshare", "setpriv", "newuidmap", "newgidmap", "true", "debootstrap"] {
        let place = process::find(program, "/usr/sbin:/usr/bin".as_ref()).expect(program);
        std::os::unix::fs::symlink(place, sandbox.path("bin").join(program)).unwrap();
    }
    let mut command = sandbox.copied_minimg(&["doctor", "debootstrap"]);
    command.env("PATH", sandbox.path("bin"));
    users::WITH_IDS.own(sandbox.directory.path());
    for (mut command, code) in [(users::WITH_IDS.run_as(&command), 9), (command, 0)] {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said.contains("  mmdebstrap: missing\n    apt-get install mmdebstrap"), code == 9, "{said}");
    }
}

#[test]
fn a_store_that_apt_cannot_name_is_refused_before_anything_is_installed() {
    let sandbox = Sandbox::shared().live();
    let mut build = sandbox.minimg(&["build", "busybox-glibc", "--backend", "debootstrap", "-o", "a.tar"]);
    let output = build.env("MINIMG_STORE", sandbox.path("my store")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("contains a blank") && said.contains("--store"), "{said}");
}

#[test]
fn debootstrap_itself_works_too() {
    let sandbox = Sandbox::shared().live();
    let profile = PROFILE.replace("include =", "tool = 'debootstrap'\ninclude =");
    sandbox.write("own.toml", &profile);
    sandbox.run(&["build", "./own.toml", "-q", "-o", "rootfs:root.tar"]);
    check_owned(&tree(&sandbox.path("root.tar"), &sandbox.store));
    assert!(lines(&tree(&sandbox.path("root.tar"), &sandbox.store)).contains_key("/var/lib/dpkg/status.d/busybox"));
}

#[test]
fn a_foreign_board_is_emulated() {
    let sandbox = Sandbox::shared().live();
    let arguments = ["build", "busybox-glibc", "--suite", "bookworm", "--board", "arm64", "-q"];
    sandbox.run(&[&arguments[..], &["--backend", "debootstrap", "-o", "rootfs:driven.tar"]].concat());
    sandbox.run(&[&arguments[..], &["--backend", "deb", "-o", "rootfs:deb.tar"]].concat());
    let (driven, deb) = (
        lines(&tree(&sandbox.path("driven.tar"), &sandbox.store)),
        lines(&tree(&sandbox.path("deb.tar"), &sandbox.store)),
    );
    assert_eq!(driven.keys().collect::<Vec<_>>(), deb.keys().collect::<Vec<_>>());
    assert_eq!(driven["/usr/lib/aarch64-linux-gnu/libc.so.6"], deb["/usr/lib/aarch64-linux-gnu/libc.so.6"]);
}

#[test]
fn a_lock_pins_the_tree_and_needs_no_tool() {
    let sandbox = Sandbox::shared().live();
    let select = ["busybox-glibc", "--suite", "bookworm", "--backend", "debootstrap", "-q"];
    sandbox.run(&[&["lock"], &select[..]].concat());
    let build = [&["build"], &select[..], &["--locked", "--no-record", "-o", "a.tar"]].concat();
    sandbox.run(&build);
    let first = std::fs::read(sandbox.path("a.tar")).unwrap();
    std::fs::remove_file(sandbox.path("a.tar")).unwrap();
    for kind in ["layers", "record", "output", "driven-root"] {
        let _ = std::fs::remove_dir_all(sandbox.store.join("v1/entries").join(kind));
    }
    // No network, and no tool: of PATH only what a shell needs.
    succeed(&mut alone(&sandbox.minimg(&build)));
    assert_eq!(std::fs::read(sandbox.path("a.tar")).unwrap(), first);
}

#[test]
fn failures_say_what_is_wrong() {
    let sandbox = Sandbox::shared().live();
    let profile = |package: &str, options: &str| {
        let text = format!(
            "backend = 'debootstrap'\nsource.suite = 'bookworm'\npackages.deb = ['{package}']\nkeep.programs = ['true']\n\
             [source.options.debootstrap]\n{options}\n"
        );
        sandbox.write("own.toml", &text);
    };
    profile("no-such-package", "");
    let said = sandbox.fail(4, &["build", "./own.toml"]);
    assert!(said.contains("Unable to locate package no-such-package"), "{said}");
    assert!(said.contains("the full log is ") && said.contains("mmdebstrap.log"), "{said}");
    profile("busybox", "hooks = ['echo the hook failed >&2; exit 1']");
    let said = sandbox.fail(9, &["build", "./own.toml"]);
    assert!(said.contains("the hook failed"), "{said}");
    let pinned = "backend = 'debootstrap'\nsource.suite = 'bookworm'\nsource.pins = { busybox = '0-none' }\n\
                  packages.deb = ['busybox']\nkeep.programs = ['true']\n";
    sandbox.write("own.toml", pinned);
    let said = sandbox.fail(4, &["build", "./own.toml"]);
    assert!(said.contains("busybox was not installed: no version in the archives"), "{said}");
    profile("busybox", "varient = 'minbase'");
    let said = sandbox.fail(3, &["build", "./own.toml"]);
    assert!(said.contains("did you mean `variant`?"), "{said}");
    if !Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        profile("busybox", "tool = 'debootstrap'");
        let said = sandbox.fail(9, &["build", "./own.toml", "--board", "arm64"]);
        assert!(said.contains("cannot run debootstrap for a board of another machine"), "{said}");
    }
    profile("busybox", "hooks = ['true']");
    let mut nowhere = sandbox.minimg(&["build", "./own.toml"]);
    // A directory with util-linux alone, so that only the tool is missing; the program looks in /usr/sbin, too.
    profile("busybox", "tool = 'mmdebstrap'\nhooks = ['true']");
    let output = nowhere.env("PATH", "/none").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("cannot find mmdebstrap") && said.contains("apt-get install mmdebstrap"), "{said}");
    assert_eq!(left_in(&sandbox.store), Vec::<String>::new());
}

#[test]
fn an_interrupted_installation_leaves_nothing_behind() {
    for (signal, seconds) in [(Signal::INT, 1), (Signal::TERM, 6), (Signal::KILL, 4)] {
        let sandbox = Sandbox::cold().live();
        sandbox.write("own.toml", &PROFILE.replace("hooks = [", "hooks = [\"sleep 1000\","));
        let build = ["build", "./own.toml", "-q", "-o", "rootfs:root.tar"];
        let command = sandbox.copied_minimg(&build);
        users::WITH_IDS.own(sandbox.directory.path());
        let mut child = users::WITH_IDS.run_as(&command).stderr(Stdio::null()).spawn().unwrap();
        wait_for("a workspace", || !left_in(&sandbox.store).is_empty());
        std::thread::sleep(Duration::from_secs(seconds));
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        wait_for("the end of all processes", || processes_in(sandbox.directory.path()).is_empty());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(sandbox.directory.path().to_str().unwrap()), "{mounts}");
        if signal == Signal::KILL {
            // Nobody could clean up: the next one does.
            sandbox.write(
                "own.toml",
                "backend = 'debootstrap'\npackages.deb = ['no-such-package']\nkeep.programs = ['x']\n",
            );
            let command = sandbox.copied_minimg(&build);
            let output = users::WITH_IDS.run_as(&command).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("Unable to locate package"), "{said}");
        }
        let work = std::fs::read_dir(sandbox.store.join("v1/work")).unwrap();
        assert_eq!(work.count(), 0, "after {signal:?}");
    }
}
