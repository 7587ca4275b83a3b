//! `minimg build busybox-glibc --board X` for every generic board, and the foreign ones run under qemu-user.

use std::path::Path;

use crate::common::{Sandbox, succeed, text, tool};
use crate::support::docker::DOCKER;

/// The generic boards, the suite that serves each, and the emulator; this machine runs its own kind without one.
const BOARDS: [(&str, &str, &str); 9] = [
    ("amd64", "trixie", "x86_64"),
    ("i386", "trixie", "i386"),
    ("arm64", "trixie", "aarch64"),
    ("armhf", "trixie", "arm"),
    ("armel", "trixie", "arm"),
    ("riscv64", "trixie", "riscv64"),
    ("ppc64el", "trixie", "ppc64le"),
    ("s390x", "trixie", "s390x"),
    ("mips64el", "bookworm", "mips64el"),
];

/// The main archive alone: what a mirror has of updates for a small architecture may be behind.
const PROFILE: &str = "extends = \"busybox-glibc\"\n[source]\nextra-suites = []\n";

fn unpack(tar: &Path, root: &Path) {
    std::fs::create_dir(root).unwrap();
    succeed(tool("tar", "tar").arg("xpf").arg(tar).arg("-C").arg(root));
}

/// Runs a program of a root under an emulator that is put beside it. The loader and the libraries are the root's own.
fn emulate(root: &Path, emulator: &str, program: &[&str]) -> String {
    let name = format!("qemu-{emulator}-static");
    tool(&name, "qemu-user-static");
    std::fs::copy(Path::new("/usr/bin").join(&name), root.join("emulator")).unwrap();
    let mut command = tool("/usr/sbin/chroot", "coreutils");
    command.arg(root).arg("/emulator");
    if emulator == "x86_64" {
        command = tool("/usr/sbin/chroot", "coreutils");
        command.arg(root);
    }
    text(succeed(command.args(program).env_clear().env("PATH", "/usr/bin")))
}

#[test]
fn busybox_runs_on_every_board() {
    let sandbox = Sandbox::shared().live();
    let profile = sandbox.write("busybox-main.toml", PROFILE);
    let mut failures = Vec::new();
    for (board, suite, emulator) in BOARDS {
        let tar = format!("{board}.rootfs.tar");
        if let Err(said) = sandbox.root_for_board(&profile, board, suite, &tar) {
            failures.push(format!("{board}: {said}"));
            continue;
        }
        let root = sandbox.path(board);
        unpack(&sandbox.path(&tar), &root);
        assert_eq!(emulate(&root, emulator, &["/usr/bin/busybox", "echo", "hello", board]), format!("hello {board}\n"));
        let applets = emulate(&root, emulator, &["/usr/bin/busybox", "--list"]);
        assert!(applets.lines().count() > 200, "{board}: {applets}");
        for applet in applets.lines().filter(|applet| *applet != "busybox") {
            let linked =
                ["usr/bin", "usr/sbin", ""].iter().any(|directory| root.join(directory).join(applet).is_symlink());
            assert!(linked, "{board} has no link for {applet}");
        }
        assert_eq!(emulate(&root, emulator, &["/usr/bin/busybox", "id", "-un"]), "root\n", "{board}: NSS works");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn several_boards_become_one_index() {
    let sandbox = Sandbox::shared().live();
    let profile = sandbox.write("busybox-main.toml", PROFILE);
    let document = sandbox.json(&[
        "build",
        profile.to_str().unwrap(),
        "--board",
        "amd64,arm64,armhf",
        "-o",
        "many.oci",
        "-o",
        "many.tar",
    ]);
    assert_eq!(document["images"].as_array().unwrap().len(), 3);
    let platforms: Vec<String> =
        document["images"].as_array().unwrap().iter().map(|image| image["platform"].to_string()).collect();
    assert!(platforms[2].contains("\"v7\""), "{platforms:?}");
    for (reference, architecture) in
        [("oci:many.oci", "arm64"), ("oci-archive:many.tar", "amd64"), ("oci:many.oci", "arm")]
    {
        let mut skopeo = tool("skopeo", "skopeo");
        skopeo.args([
            "--override-os",
            "linux",
            "--override-arch",
            architecture,
            "inspect",
            "--format",
            "{{.Architecture}}",
            reference,
        ]);
        assert_eq!(text(succeed(skopeo.current_dir(sandbox.directory.path()))).trim(), architecture, "{reference}");
    }
}

#[test]
fn several_boards_have_names_of_their_own_in_an_engine() {
    let sandbox = Sandbox::shared().live();
    let profile = sandbox.write("busybox-main.toml", PROFILE);
    let build = |more: &[&str]| -> serde_json::Value {
        let all =
            [&["build", profile.to_str().unwrap(), "--board", "arm64,amd64", "-t", "two:1", "--json"], more].concat();
        serde_json::from_slice(&succeed(sandbox.minimg(&all).env("DOCKER_HOST", DOCKER.host())).stdout).unwrap()
    };
    let run = build(&["-o", "two.tar"])["run"].as_str().unwrap().to_owned();
    assert!(run.ends_with(" two:1-amd64"), "the image for this machine: {run}");
    build(&["--load", "docker"]);
    for (tag, architecture) in [("1-amd64", "amd64"), ("1-arm64-v8", "arm64")] {
        let name = format!("two:{tag}");
        let found = DOCKER.run(&["image", "inspect", "--format", "{{.Architecture}}", &name]);
        assert_eq!(found.trim(), architecture, "{name}");
        DOCKER.run(&["rmi", &name]);
    }
}

#[test]
fn a_suite_that_does_not_serve_a_board_is_an_error_that_says_so() {
    let sandbox = Sandbox::shared().live();
    let said = sandbox.fail(4, &["build", "busybox-glibc", "--board", "riscv64", "--suite", "bookworm"]);
    assert!(said.contains("riscv64") && said.contains("bookworm"), "{said}");
    let said = sandbox.fail(3, &["build", "busybox-glibc", "--board", "riscv65"]);
    assert!(said.contains("riscv64"), "the nearest right name: {said}");
}
