//! What every backend promises, whatever is behind it: one suite over the whole table. A backend without a case here is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Sandbox, succeed};
use crate::support::docker::DOCKER;
use crate::support::driven::{left_in, lines, tree};
use crate::support::rpm::REPOSITORIES;
use crate::support::tool;
use minimg::backends;

/// How a backend is asked for a busybox.
struct Case {
    backend: &'static str,
    /// The profile beside the shipped busybox-glibc, on which it builds.
    profile: String,
    /// An option that it does not have, and the one that is meant.
    mistake: Option<(&'static str, &'static str)>,
    /// The exit code of an offline build with an empty store; 0 where nothing needs a network.
    offline: i32,
}

fn case(backend: &'static str, sandbox: &Sandbox) -> Case {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mistake, offline, lines) = match backend {
        "deb" => (None, 5, "source.suite = 'bookworm'".to_owned()),
        "debootstrap" => (Some(("varient = 'x'", "`variant`")), 5, "source.suite = 'bookworm'".to_owned()),
        "yum" => {
            let address = REPOSITORIES.path("plain").display().to_string();
            let repository = format!("{{ name = 'test', baseurl = 'file://{address}', gpgcheck = false }}");
            (Some(("releasver = '1'", "`releasever`")), 5, format!("source.options.yum.repositories = [{repository}]"))
        }
        "buildroot" => {
            let tree = manifest.join("tests/buildroot/double").display().to_string();
            let options = format!("{{ tree = '{tree}', defconfig = 'double' }}");
            (Some(("defconfg = 'x'", "`defconfig`")), 5, format!("source.options.buildroot = {options}"))
        }
        "tarball" => {
            let root = root_tar(sandbox).display().to_string();
            (Some(("rot = 'x'", "`root`")), 0, format!("source.options.tarball.root = '{root}'"))
        }
        other => panic!("the backend {other} has no case in the contract suite"),
    };
    let profile = format!("extends = 'busybox-glibc'\nbackend = '{backend}'\n{lines}\n");
    Case { backend, profile, mistake, offline }
}

/// A root with the machine's own busybox in it.
fn root_tar(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path("busybox-root.tar");
    if !path.exists() {
        // The links of a merged /usr, and each file with the link that leads to it.
        let script = "for link in bin sbin lib lib64; do [ ! -L /$link ] || echo $link; done >list; \
            for file in /bin/busybox $(ldd /bin/busybox | grep -o '/[^ ]*'); do \
            echo \"$(realpath \"${file%/*}\")/${file##*/}\"; realpath \"$file\"; done | cut -c 2- >>list; \
            sort -u list | tar -C / -cf busybox-root.tar -T -";
        succeed(Command::new(tool("sh", "dash")).args(["-c", script]).current_dir(sandbox.directory.path()));
    }
    path
}

/// Runs `check` for every backend of the table.
fn each_backend(check: impl Fn(&Sandbox, &Case)) {
    for backend in backends::ALL {
        let sandbox = Sandbox::cold().live();
        let case = case(backend.name(), &sandbox);
        sandbox.write("busybox.toml", &case.profile);
        check(&sandbox, &case);
        assert_eq!(left_in(&sandbox.store), Vec::<String>::new(), "{} leaves something behind", case.backend);
    }
}

const BUILD: [&str; 4] = ["build", "./busybox.toml", "-o", "rootfs:root.tar"];

#[test]
fn the_same_profile_builds_the_same_again_without_asking_anybody() {
    each_backend(|sandbox, case| {
        let name = case.backend;
        let first = sandbox.json(&BUILD);
        assert_eq!(first["images"][0]["reused"], false, "{name}");
        let second = sandbox.json(&BUILD);
        assert_eq!(second["images"][0]["reused"], true, "{name}");
        assert_eq!(second["images"][0]["id"], first["images"][0]["id"], "{name}");
        // Files that are kept are a program, what it needs, and a reason for each.
        let built = lines(&tree(&sandbox.path("root.tar"), &sandbox.store));
        assert!(built.keys().any(|path| path.ends_with("/libc.so.6")), "{name}: {built:#?}");
        let busybox = built.keys().find(|path| path.ends_with("/bin/busybox")).expect("busybox").clone();
        assert!(sandbox.run(&["why", "./busybox.toml", &busybox]).contains("program"), "{name}");

        // A lock pins all of it: no network, no tool, another place, another umask.
        sandbox.run(&["lock", "./busybox.toml", "-q"]);
        sandbox.run(&["build", "./busybox.toml", "-q", "--locked", "--no-record", "-o", "a.tar"]);
        let bytes = std::fs::read(sandbox.path("a.tar")).unwrap();
        for kind in ["layers", "record", "output", "driven-root", "taken-root"] {
            let _ = std::fs::remove_dir_all(sandbox.store.join("v1/entries").join(kind));
        }
        let arguments = ["build", "./busybox.toml", "-q", "--locked", "--offline", "--no-record", "-o", "b.tar"];
        let inner = sandbox.minimg(&arguments);
        let mut alone = Command::new(tool("unshare", "util-linux"));
        alone.args(["--net", "--", "sh", "-c", "umask 077; PATH=/none exec \"$@\"", "sh"]);
        alone.arg(inner.get_program()).args(inner.get_args()).env("TZ", "Asia/Tokyo");
        alone.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        succeed(alone.current_dir(sandbox.directory.path()));
        assert_eq!(std::fs::read(sandbox.path("b.tar")).unwrap(), bytes, "{name}");
    });
}

#[test]
fn what_is_built_passes_the_profiles_own_tests_under_docker() {
    each_backend(|sandbox, case| {
        // The accounts are the root's own, and a bare root has none that the image would not add.
        let output = sandbox.minimg(&["test", "./busybox.toml"]).env("DOCKER_HOST", DOCKER.host()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("passed "), "{}: {out}{err}", case.backend);
    });
}

#[test]
fn wrong_options_are_refused_with_the_right_name() {
    each_backend(|sandbox, case| {
        let (mistake, right) = case.mistake.unwrap_or(("anything = 'x'", "it has no options"));
        let text = format!(
            "backend = '{}'\npackages.deb = ['x']\npackages.rpm = ['x']\nkeep.programs = ['x']\n",
            case.backend
        );
        sandbox.write("wrong.toml", &format!("{text}source.options.{}.{mistake}\n", case.backend));
        let said = sandbox.fail(3, &["build", "./wrong.toml"]);
        assert!(said.contains(right), "{}: {said}", case.backend);
    });
}

#[test]
fn offline_nothing_is_fetched() {
    each_backend(|sandbox, case| {
        let arguments = [&BUILD[..], &["--offline", "-q"]].concat();
        match case.offline {
            0 => drop(sandbox.run(&arguments)),
            code => {
                let said = sandbox.fail(code, &arguments);
                assert!(said.contains("offline"), "{}: {said}", case.backend);
            }
        }
    });
}

#[test]
fn each_says_what_it_uses_of_the_machine() {
    let sandbox = Sandbox::cold().live();
    let all = sandbox.json(&["doctor"]);
    for backend in backends::ALL {
        let found = all.as_array().unwrap().iter().find(|item| item["name"] == backend.name());
        let found = found.unwrap_or_else(|| panic!("the doctor does not know {}", backend.name()));
        assert_eq!(found["description"], backend.description());
        assert!(!backend.description().is_empty() && !backend.family().is_empty());
        for part in found["parts"].as_array().unwrap().iter().filter(|part| part["found"].is_null()) {
            assert!(!part["remedy"].as_str().unwrap().is_empty(), "{}: {part}", backend.name());
        }
    }
}

#[test]
fn two_at_once_do_not_meet() {
    each_backend(|sandbox, case| {
        let outputs = ["one.tar", "two.tar"];
        let children: Vec<_> = outputs
            .map(|name| sandbox.minimg(&["build", "./busybox.toml", "-q", "--no-record", "-o", name]).spawn().unwrap())
            .into_iter()
            .collect();
        for mut child in children {
            assert!(child.wait().unwrap().success(), "{}", case.backend);
        }
        let [one, two] = outputs.map(|name| std::fs::read(sandbox.path(name)).unwrap());
        assert!(one == two, "{}: two builds at once differ", case.backend);
    });
}
