//! Images of real engines are made smaller, put back, and run again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::{Sandbox, succeed, text};
use crate::support::docker::DOCKER;
use crate::support::podman::Podman;
use crate::support::samples::{EPOCH, add_program, image_of, path, runnable_tree};
use crate::support::tool;
use minimg::export::{self, Destination};
use minimg::image::Compression;
use minimg::store::Store;
use minimg::tree::{Node, RootTree};

/// What the sample's program prints when its arguments, its user and the metadata of two files arrived whole.
const PRINTED: &str = "-rwsr-xr-x 1000:1000 1 4\n-rwxr-xr-x 7:8 3 12\n";

/// The settings of an image that `inspect` shows and that must stay as they are.
const SETTINGS: [&str; 9] =
    ["Entrypoint", "Cmd", "Env", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal"];

/// A server with all that its distribution installs, and a script that starts it.
const WHOLE_SERVER: &str = r#"
[packages]
deb = ["base-files", "base-passwd", "coreutils", "dash", "perl-base", "nginx-light"]
[keep]
programs = ["nginx"]
globs = {"/**" = "as a distribution installs it"}
[[add.files]]
path = "/start.sh"
mode = "0755"
content = """
#!/bin/sh
exec nginx -t
"""
"#;

/// A tree that runs, with a megabyte that nothing needs.
fn sample_tree() -> RootTree {
    let mut tree = runnable_tree();
    tree.insert(path("usr/share/big"), Node::file(0o644, vec![b'z'; 1 << 20]).at(EPOCH));
    tree.add_missing_parents();
    tree
}

/// An archive of an image of this tree, whose configuration says all that can be said.
fn archive(sandbox: &Sandbox, tree: &RootTree, reference: &str) -> String {
    let store = Store::open(&sandbox.path("sample-store")).unwrap();
    let mut image = image_of(tree, Compression::Gzip, &store);
    image.reference = reference.to_owned();
    let file = sandbox.path("image.tar");
    export::write(&[image], "docker-archive", Destination::Path(&file), &store).unwrap();
    file.display().to_string()
}

/// The configuration that an engine's `image inspect` printed. Podman has the health check beside it.
fn config(inspected: &str) -> serde_json::Value {
    let mut inspected = serde_json::from_str::<serde_json::Value>(inspected).unwrap();
    let beside = inspected[0]["Healthcheck"].take();
    let mut config = inspected[0]["Config"].take();
    if !beside.is_null() {
        config["Healthcheck"] = beside;
    }
    config
}

fn assert_same_settings(small: &serde_json::Value, whole: &serde_json::Value) {
    for setting in SETTINGS.iter().chain(&["Healthcheck"]) {
        assert_eq!(small[setting], whole[setting], "{setting}");
    }
    assert!(
        whole["StopSignal"] == "SIGQUIT" && whole["Volumes"].is_object() && whole["ExposedPorts"].is_object(),
        "{whole}"
    );
}

/// The program with an engine that is not the machine's own.
fn with_docker(sandbox: &Sandbox, arguments: &[&str]) -> String {
    text(succeed(sandbox.minimg(arguments).env("DOCKER_HOST", DOCKER.host())))
}

fn members(tar: &Path) -> Vec<String> {
    let listed = text(succeed(Command::new("tar").arg("tf").arg(tar)));
    listed.lines().map(|line| line.trim_end_matches('/').to_owned()).collect()
}

#[test]
fn an_image_of_docker_keeps_its_configuration_and_what_that_names() {
    let sandbox = Sandbox::cold().live();
    DOCKER.run(&["load", "--quiet", "--input", &archive(&sandbox, &sample_tree(), "shrink-whole:1")]);
    with_docker(&sandbox, &["shrink", "docker:shrink-whole:1", "--load", "docker"]);
    assert_eq!(DOCKER.run(&["run", "--rm", "--network=none", "shrink-whole-small"]), PRINTED);
    let inspect = |name| config(&DOCKER.run(&["image", "inspect", name]));
    assert_same_settings(&inspect("shrink-whole-small"), &inspect("shrink-whole:1"));
    // Through a Dockerfile as well.
    with_docker(&sandbox, &["shrink", "docker:shrink-whole:1", "--import", "docker", "-t", "shrink-imported:1"]);
    assert_eq!(DOCKER.run(&["run", "--rm", "--network=none", "shrink-imported:1"]), PRINTED);
}

#[test]
fn an_image_of_podman_is_made_smaller_and_runs_again() {
    let sandbox = Sandbox::cold().live();
    let podman = Podman::new();
    // A podman with a storage of its own, first in PATH.
    let directory = sandbox.path("bin");
    fs::create_dir(&directory).unwrap();
    let words: Vec<String> = podman.arguments().iter().map(|word| format!("'{word}'")).collect();
    let program = tool("podman", "podman");
    fs::write(directory.join("podman"), format!("#!/bin/sh\nexec {} {} \"$@\"\n", program.display(), words.join(" ")))
        .unwrap();
    fs::set_permissions(directory.join("podman"), fs::Permissions::from_mode(0o755)).unwrap();
    let search = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let minimg = |arguments: &[&str]| text(succeed(sandbox.minimg(arguments).env("PATH", &search)));

    podman.run(&["load", "--quiet", "--input", &archive(&sandbox, &sample_tree(), "localhost/shrink-whole:1")]);
    minimg(&[
        "shrink",
        "podman:localhost/shrink-whole:1",
        "--load",
        "podman",
        "-t",
        "localhost/small:1",
        "-o",
        "rootfs:small.tar",
    ]);
    let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--network=none"];
    assert_eq!(podman.run(&[&["run", "--rm"], &limits[..], &["localhost/small:1"]].concat()), PRINTED);
    let inspect = |name| config(&podman.run(&["image", "inspect", name]));
    assert_same_settings(&inspect("localhost/small:1"), &inspect("localhost/shrink-whole:1"));
    let all = members(&sandbox.path("small.tar"));
    let has = |name: &str| all.iter().any(|member| member == name);
    assert!(has("odd/setuid") && has("usr/bin/stat") && !has("usr/share/big") && !has("usr/bin/sleep"), "{all:?}");

    let output = sandbox.minimg(&["shrink", "podman:nonesuch"]).env("PATH", &search).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(9) && said.contains("is there an image nonesuch?"), "{said}");
}

#[test]
fn a_server_of_the_distribution_keeps_the_configuration_that_it_names() {
    let sandbox = Sandbox::shared().live();
    sandbox.write("whole.toml", WHOLE_SERVER);
    sandbox.run(&["build", "./whole.toml", "-o", "rootfs:whole.tar"]);
    let whole = sandbox.path("whole.tar").display().to_string();
    for (name, command) in [("plain", "[\"nginx\", \"-t\"]"), ("script", "[\"/start.sh\"]")] {
        let (image, small) = (format!("shrink-{name}:1"), format!("shrink-{name}-small"));
        DOCKER.run(&["import", "--change", &format!("CMD {command}"), &whole, &image]);
        with_docker(&sandbox, &["shrink", &format!("docker:{image}"), "--load", "docker", "-o", "rootfs:small.tar"]);
        for name in [image, small] {
            let output = DOCKER.command(&["run", "--rm", "--network=none", &name]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("test is successful"), "{name}: {said}");
        }
    }
    let sizes = ["whole.tar", "small.tar"].map(|name| fs::metadata(sandbox.path(name)).unwrap().len());
    assert!(sizes[1] * 2 < sizes[0], "{sizes:?}");
    // What never started is not made smaller in silence.
    DOCKER.run(&["import", "--change", "CMD [\"ngnix\"]", &whole, "shrink-wrong:1"]);
    let words = ["shrink", "docker:shrink-wrong:1", "-p", "nginx"];
    let output = sandbox.minimg(&words).env("DOCKER_HOST", DOCKER.host()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(8) && said.contains("did you mean nginx?"), "{said}");
}

#[test]
fn the_layers_of_an_image_of_docker_are_put_over_one_another() {
    let sandbox = Sandbox::cold().live();
    let mut tree = sample_tree();
    for (name, content) in [("app/data", "x"), ("gone/file", "y")] {
        tree.insert(path(name), Node::file(0o644, content).at(EPOCH));
    }
    for program in ["/usr/bin/rm", "/usr/bin/echo"] {
        add_program(&mut tree, program);
    }
    tree.add_missing_parents();
    DOCKER.run(&["load", "--quiet", "--input", &archive(&sandbox, &tree, "shrink-base:1")]);
    // A second layer that adds, and a third that removes.
    fs::create_dir(sandbox.path("context")).unwrap();
    fs::write(sandbox.path("context/more"), "more").unwrap();
    sandbox.write(
        "context/Dockerfile",
        "FROM shrink-base:1\nUSER 0\nENTRYPOINT []\nHEALTHCHECK NONE\nCOPY more /app/more\nWORKDIR /app\nENV A=b\nRUN [\"rm\", \"-r\", \"/gone\", \"/app/data\"]\nCMD [\"echo\", \"works\"]\n",
    );
    let mut build = DOCKER.command(&[
        "build",
        "-q",
        "--network=none",
        "-t",
        "shrink-app:1",
        sandbox.path("context").to_str().unwrap(),
    ]);
    succeed(build.env("DOCKER_BUILDKIT", "0"));
    with_docker(&sandbox, &["shrink", "docker:shrink-app:1", "--load", "docker", "-o", "small.tar"]);
    assert_eq!(DOCKER.run(&["run", "--rm", "--network=none", "shrink-app-small"]), "works\n");
    let inspect = |name: &str, format: &str| DOCKER.run(&["image", "inspect", "--format", format, name]);
    for format in ["{{json .Config.Cmd}}", "{{.Config.WorkingDir}}"] {
        assert_eq!(inspect("shrink-app-small", format), inspect("shrink-app:1", format), "{format}");
    }
    assert!(inspect("shrink-app-small", "{{json .Config.Env}}").contains("\"A=b\""));
    let size = |name: &str| inspect(name, "{{.Size}}").trim().parse::<u64>().unwrap();
    assert!(size("shrink-app-small") + (1 << 19) <= size("shrink-app:1"));
    sandbox.run(&["shrink", "small.tar", "-o", "rootfs:rootfs.tar"]);
    let all = members(&sandbox.path("rootfs.tar"));
    let has = |name: &str| all.iter().any(|member| member == name);
    assert!(has("app/more") && has("usr/bin/echo"), "{all:?}");
    let gone = ["usr/share/big", "gone/file", "app/data", "usr/bin/rm"];
    assert!(!gone.iter().any(|name| has(name)), "{all:?}");
    let first = fs::read(sandbox.path("small.tar")).unwrap();
    fs::remove_dir_all(&sandbox.store).unwrap();
    with_docker(&sandbox, &["shrink", "docker:shrink-app:1", "-o", "small.tar"]);
    assert_eq!(fs::read(sandbox.path("small.tar")).unwrap(), first);
    let output = sandbox.minimg(&["shrink", "docker:nonesuch"]).env("DOCKER_HOST", DOCKER.host()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(9) && said.contains("is there an image nonesuch? `docker image ls` shows them"),
        "{said}"
    );
}
