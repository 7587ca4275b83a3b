//! Real engines and tools take what the exporters write, run it, and show the same files and the same configuration.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use minimg::engine::{Engine, EngineError, Way};
use minimg::export::{self, Destination, identity};
use minimg::image::{Compression, Image};
use minimg::layer;
use minimg::store::Store;
use minimg::tree::{RootTree, read_directory};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::containerd::Containerd;
use crate::support::docker::{DOCKER, Docker};
use crate::support::podman::Podman;
use crate::support::samples::{full_config, image_of, runnable_tree};
use crate::support::{command, run, tool, tools};

/// What the sample's program prints when its arguments, its user and the metadata of two files arrived whole.
const PRINTED: &str = "-rwsr-xr-x 1000:1000 1 4\n-rwxr-xr-x 7:8 3 12\n";

/// An image in a store of its own, and room for outputs.
struct Sample {
    directory: TempDir,
    store: Store,
    image: Image,
}

impl Sample {
    fn new(compression: Compression) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let image = image_of(&runnable_tree(), compression, &store);
        Self { directory, store, image }
    }

    /// The image under another name, so that tests that share an engine do not meet.
    fn named(mut self, name: &str) -> Self {
        self.image.reference = format!("{name}:1.0");
        self
    }

    fn export(&self, format: &str) -> String {
        let path = self.directory.path().join(format);
        export::write(std::slice::from_ref(&self.image), format, Destination::Path(&path), &self.store).unwrap();
        path.display().to_string()
    }

    /// The lines of the image's files.
    fn dump(&self) -> String {
        layer::flatten(&self.image.layers, &self.store).unwrap().dump().unwrap()
    }

    /// The lines of a tarball's files, without those that an engine put there by itself.
    fn dump_of_tar(&self, tar: &Path) -> String {
        self.dump_of(&layer::read_tar(File::open(tar).unwrap(), tar).unwrap())
    }

    fn dump_of(&self, tree: &RootTree) -> String {
        let own = layer::flatten(&self.image.layers, &self.store).unwrap();
        tree.subset(|path, _| own.contains(path)).dump().unwrap()
    }
}

fn with_stdin(mut command: Command, input: &str) -> String {
    let input = File::open(input).unwrap();
    let output = command.stdin(Stdio::from(input)).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The part of `image inspect` that the image decides, as the sample's configuration has it.
fn expected_config() -> Value {
    let config = full_config();
    json!({
        "Entrypoint": config.entrypoint,
        "Cmd": config.cmd,
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "EMPTY=",
            "GREETING=a $HOME \"q\" 'p' \\ b",
        ],
        "User": "1000:8",
        "WorkingDir": "/tmp",
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Volumes": {"/var/lib/data": {}},
        "Labels": {"org.example.a": "1 $x \"y\" \\", "b c": "d"},
        "StopSignal": "SIGQUIT",
        "Healthcheck": {
            "Test": ["CMD", "/usr/bin/stat", "/odd/a b"],
            "Interval": 30_000_000_000_u64,
            "Timeout": 1_500_000_000,
            "Retries": 3,
        },
    })
}

/// The same part of what an engine says. Podman has the health check beside the configuration.
fn config_of(inspected: &str) -> Value {
    let inspected: Value = serde_json::from_str(inspected).unwrap();
    let mut config = inspected[0]["Config"].clone();
    if let Some(check) = inspected[0].get("Healthcheck") {
        config["Healthcheck"] = check.clone();
    }
    let mut wanted = expected_config();
    for (key, value) in wanted.as_object_mut().unwrap() {
        *value = config[key.as_str()].clone();
    }
    wanted
}

fn check_docker(docker: &Docker, sample: &Sample, how: &str) {
    let reference = sample.image.reference.as_str();
    assert_eq!(config_of(&docker.run(&["image", "inspect", reference])), expected_config(), "{how}");
    assert_eq!(docker.run(&["run", "--rm", "--network=none", reference]), PRINTED, "{how}");
    let container = docker.run(&["create", "--network=none", reference]);
    let tar = sample.directory.path().join("exported.tar");
    docker.run(&["export", "--output", tar.to_str().unwrap(), container.trim()]);
    assert_eq!(sample.dump_of_tar(&tar), sample.dump(), "{how}");
    docker.run(&["rm", container.trim()]);
    docker.run(&["rmi", reference]);
}

#[test]
fn docker_loads_archives() {
    for compression in [Compression::Gzip, Compression::None] {
        let sample = Sample::new(compression).named("loaded");
        for format in ["archive", "docker-archive"] {
            let file = sample.export(format);
            for client in tools("docker") {
                let mut load = command(client, &["--host", &DOCKER.host(), "load", "--input", &file]);
                assert_eq!(run(&mut load), "Loaded image: loaded:1.0\n");
            }
            let id = DOCKER.run(&["image", "inspect", "--format={{.Id}}", "loaded:1.0"]);
            assert_eq!(id.trim(), identity(&sample.image).unwrap().config.to_string(), "{format}");
            check_docker(&DOCKER, &sample, format);
        }
    }
}

#[test]
fn docker_imports_both_ways() {
    let sample = Sample::new(Compression::Gzip).named("imported");
    for client in tools("docker") {
        let engine = DOCKER.engine(&client);
        let how = format!("{}", client.display());
        let loaded = engine.import(&sample.image, &sample.store, Way::Load).unwrap();
        assert_eq!(loaded.id, identity(&sample.image).unwrap().config.to_string(), "{how}");
        check_docker(&DOCKER, &sample, &how);
        let built = engine.import(&sample.image, &sample.store, Way::Dockerfile).unwrap();
        let id = DOCKER.run(&["image", "inspect", "--format={{.Id}}", &built.reference]);
        assert_eq!(id.trim(), built.id, "{how}");
        check_docker(&DOCKER, &sample, &how);
    }
    assert_eq!(DOCKER.run(&["images", "--quiet", "minimg-import"]), "", "no name is left behind");
}

#[test]
fn docker_builds_the_dockerfile() {
    let sample = Sample::new(Compression::Gzip).named("built");
    let directory = sample.export("dockerfile");
    run(DOCKER.command(&["build", "--tag", "built:1.0", &directory]).env("DOCKER_BUILDKIT", "0"));
    check_docker(&DOCKER, &sample, "docker build");
}

fn check_podman(podman: &Podman, sample: &Sample, how: &str, keeps_health: bool) {
    let reference = sample.image.reference.as_str();
    let mut expected = expected_config();
    if !keeps_health {
        expected["Healthcheck"] = Value::Null;
    }
    assert_eq!(config_of(&podman.run(&["image", "inspect", reference])), expected, "{how}");
    // Podman asks for more open files and processes than a container that tests run in may grant.
    let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--network=none"];
    let words = [&["run", "--rm"], &limits[..], &[reference]].concat();
    assert_eq!(podman.run(&words), PRINTED, "{how}");
    let container = podman.run(&[&["create"], &limits[..], &[reference]].concat());
    let tar = sample.directory.path().join("exported.tar");
    podman.run(&["export", "--output", tar.to_str().unwrap(), container.trim()]);
    assert_eq!(sample.dump_of_tar(&tar), sample.dump(), "{how}");
    podman.run(&["rm", container.trim()]);
    podman.run(&["rmi", reference]);
}

#[test]
fn podman_loads_archives() {
    let podman = Podman::new();
    let sample = Sample::new(Compression::Gzip).named("loaded");
    for (format, keeps_health) in [("archive", false), ("oci-archive", false), ("docker-archive", true)] {
        let file = sample.export(format);
        podman.run(&["load", "--quiet", "--input", &file]);
        let id = podman.run(&["image", "inspect", "--format={{.Id}}", "loaded:1.0"]);
        assert_eq!(id.trim(), identity(&sample.image).unwrap().config.hex(), "{format}");
        check_podman(&podman, &sample, format, keeps_health);
    }
    let zstd = Sample::new(Compression::Zstd).named("loaded");
    podman.run(&["load", "--quiet", "--input", &zstd.export("archive")]);
    check_podman(&podman, &zstd, "zstd", false);
}

#[test]
fn podman_imports_both_ways() {
    let podman = Podman::new();
    let sample = Sample::new(Compression::Gzip).named("imported");
    let loaded = podman.engine().import(&sample.image, &sample.store, Way::Load).unwrap();
    assert_eq!(loaded.id, identity(&sample.image).unwrap().config.to_string());
    check_podman(&podman, &sample, "load", true);
    podman.engine().import(&sample.image, &sample.store, Way::Dockerfile).unwrap();
    check_podman(&podman, &sample, "Dockerfile", true);
    assert_eq!(podman.run(&["images", "--quiet", "minimg-import"]), "", "no name is left behind");
}

#[test]
fn podman_and_buildah_build_the_dockerfile() {
    let podman = Podman::new();
    let sample = Sample::new(Compression::Gzip).named("built");
    let directory = sample.export("dockerfile");
    let build = ["build", "--format=docker", "--identity-label=false", "--tag=built:1.0", &directory];
    podman.run(&build);
    check_podman(&podman, &sample, "podman build", true);
    let mut buildah = command(tool("buildah", "buildah"), &[]);
    run(buildah.args(podman.storage()).args(build));
    check_podman(&podman, &sample, "buildah build", true);
}

#[test]
fn containerd_imports_archives() {
    let containerd = Containerd::start();
    for (compression, format) in [
        (Compression::Gzip, "archive"),
        (Compression::Gzip, "oci-archive"),
        (Compression::Gzip, "docker-archive"),
        (Compression::Zstd, "archive"),
        (Compression::None, "archive"),
    ] {
        let sample = Sample::new(compression).named("imported");
        let how = format!("{compression:?} {format}");
        containerd.run(&["images", "import", &sample.export(format)]);
        let name = "docker.io/library/imported:1.0";
        assert!(containerd.run(&["images", "ls", "-q"]).lines().any(|line| line == name), "{how}");
        assert_eq!(containerd.run(&["run", "--rm", name, "sample"]), PRINTED, "{how}");
        containerd.run(&["images", "rm", "--sync", name]);
    }
}

#[test]
fn skopeo_reads_every_format_and_umoci_unpacks_it() {
    let (skopeo, umoci) = (tool("skopeo", "skopeo"), tool("umoci", "umoci"));
    let sample = Sample::new(Compression::Gzip);
    let [archive, oci, oci_archive, docker_archive] =
        ["archive", "oci", "oci-archive", "docker-archive"].map(|format| sample.export(format));
    for source in [
        format!("docker-archive:{archive}"),
        format!("docker-archive:{archive}:{}", sample.image.reference),
        format!("oci-archive:{archive}"),
        format!("oci-archive:{archive}:1.0"),
        format!("oci:{oci}:1.0"),
        format!("oci-archive:{oci_archive}"),
        format!("docker-archive:{docker_archive}"),
    ] {
        let copy = sample.directory.path().join("copy");
        run(command(&skopeo, &["--insecure-policy", "copy", &source]).arg(format!("oci:{}:x", copy.display())));
        let bundle = sample.directory.path().join("bundle");
        run(command(&umoci, &["unpack", "--image", &format!("{}:x", copy.display())]).arg(&bundle));
        let unpacked = read_directory(&bundle.join("rootfs")).unwrap();
        assert_eq!(sample.dump_of(&unpacked), sample.dump(), "{source}");
        std::fs::remove_dir_all(copy).unwrap();
        std::fs::remove_dir_all(bundle).unwrap();
    }
    let inspected = run(&mut command(&skopeo, &["inspect", "--raw", &format!("oci:{oci}")]));
    assert_eq!(minimg::digest::Digest::of(inspected), identity(&sample.image).unwrap().manifest);
}

#[test]
fn boards_share_one_archive() {
    let sample = Sample::new(Compression::Gzip).named("boards");
    let mut other = sample.image.clone();
    (other.platform.architecture, other.platform.variant) = ("arm".into(), Some("v7".into()));
    let images = [sample.image.clone(), other];
    let skopeo = tool("skopeo", "skopeo");
    for format in ["archive", "oci-archive", "oci"] {
        let path = sample.directory.path().join(format!("boards-{format}"));
        export::write(&images, format, Destination::Path(&path), &sample.store).unwrap();
        let transport = if format == "oci" { "oci" } else { "oci-archive" };
        for (image, choice) in images.iter().zip([&[][..], &["--override-arch=arm", "--override-variant=v7"]]) {
            let mut inspect = command(&skopeo, choice);
            inspect.args(["inspect", "--config", "--raw", &format!("{transport}:{}", path.display())]);
            let config = minimg::digest::Digest::of(run(&mut inspect));
            assert_eq!(config, identity(image).unwrap().config, "{format} {choice:?}");
        }
    }
    // Docker's own format has no platforms, so each image gets a name of its own.
    let file = sample.directory.path().join("boards-archive");
    let loaded = DOCKER.run(&["load", "--input", file.to_str().unwrap()]);
    assert_eq!(
        loaded,
        "Loaded image: boards:1.0-amd64\nLoaded image: boards:1.0-arm-v7\n"
            .replace("amd64", &images[0].platform.architecture)
    );
}

#[test]
fn docker_imports_the_bare_files() {
    let sample = Sample::new(Compression::Gzip).named("bare");
    for ending in ["tar", "tar.gz", "tar.xz", "tar.zst"] {
        let file = sample.directory.path().join(format!("root.{ending}"));
        export::write(std::slice::from_ref(&sample.image), "rootfs", Destination::Path(&file), &sample.store).unwrap();
        let listed = run(&mut command("tar", &["--list", "--auto-compress", "--file", file.to_str().unwrap()]));
        assert_eq!(listed.lines().count() as u64, sample.image.layers[0].files, "{ending}");
        // Docker 20.10 cannot read Zstandard.
        if ending != "tar.zst" {
            let id = with_stdin(DOCKER.command(&["import", "-"]), file.to_str().unwrap());
            let container = DOCKER.run(&["create", "--network=none", id.trim(), "/bin/sh"]);
            let tar = sample.directory.path().join("exported.tar");
            DOCKER.run(&["export", "--output", tar.to_str().unwrap(), container.trim()]);
            assert_eq!(sample.dump_of_tar(&tar), sample.dump(), "{ending}");
        }
    }
}

/// A directory with a program of this name that does what the script says.
fn fake(name: &str, script: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(name);
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn without_an_engine_the_way_on_is_shown() {
    let error = Engine::find("docker", "/none:/nowhere".as_ref()).err().unwrap();
    assert!(matches!(error, EngineError::Missing { name: "docker", .. }));
    let text = error.to_string();
    for part in ["cannot find docker in /none:/nowhere", "docker.io", "--output image.tar", "docker load -i image.tar"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let error = Engine::find("dokcer", "/usr/bin".as_ref()).err().unwrap();
    assert_eq!(error.to_string(), "there is no engine `dokcer`; there are docker and podman");
}

#[test]
fn an_engine_that_fails_or_hangs_says_so() {
    let sample = Sample::new(Compression::Gzip);
    for (script, expected) in [
        (
            "echo 'Cannot connect to the Docker daemon' >&2; exit 1",
            "exit status: 1\n  Cannot connect to the Docker daemon\n",
        ),
        ("echo waiting; sleep 1000", "did not end within 1 s and was killed\n  waiting\n"),
        ("test $1 = load || echo sha256:00", "docker says that minimg-sample:1.0 is sha256:00 where sha256:"),
    ] {
        let directory = fake("docker", script);
        let engine = Engine::find("docker", directory.path().as_os_str()).unwrap();
        let engine = engine.with_patience(std::time::Duration::from_secs(1));
        let error = engine.import(&sample.image, &sample.store, Way::Load).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.class(), minimg::Class::Tool);
    }
}
