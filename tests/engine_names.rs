//! The names that images have in engines, with an engine that only notes what it is told.

use serde_json::Value;

use crate::common::Sandbox;

/// It keeps what it loads as a file for each name, and all that it is asked in `log`. What it builds is for amd64, whatever it is asked for.
const ENGINE: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit
echo "$*" >>log
file() { echo "image-$(echo "$1" | tr '/:' '__')"; }
case "$1" in
load)
    cat >loaded.tar
    manifest=$(tar xOf loaded.tar manifest.json)
    id=$(echo "$manifest" | jq -r '.[0].Config' | sed 's,.*/,sha256:,')
    echo "$id" >"$(file "$(echo "$manifest" | jq -r '.[0].RepoTags[0]')")" ;;
import) cat >/dev/null ;;
build) cat >/dev/null; echo sha256:1111111111111111111111111111111111111111111111111111111111111111 ;;
tag) cp "$(file "$2")" "$(file "$3")" 2>/dev/null || echo "$2" >"$(file "$3")" ;;
image)
    case "$*" in
    *'{{.Os}}/{{.Architecture}}'*) echo linux/amd64 ;;
    *'{{.Parent}}'*) ;;
    *) eval "name=\${$#}"; cat "$(file "$name")" ;;
    esac ;;
esac
"#;

struct Engine {
    sandbox: Sandbox,
}

impl Engine {
    fn new() -> Self {
        let sandbox = Sandbox::shared().live();
        let program = sandbox.write("docker", ENGINE);
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { sandbox }
    }

    /// Builds with this engine in the path; the exit code, the document and what it said.
    fn build(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let path = format!("{}:{}", self.sandbox.directory.path().display(), std::env::var("PATH").unwrap());
        let arguments = [&["build", "busybox-glibc", "--extra-suites", "none", "--json"], arguments].concat();
        let output = self.sandbox.minimg(&arguments).env("PATH", path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap(), said)
    }

    /// The id of the image of a name.
    fn id(&self, name: &str) -> Option<String> {
        let file = self.sandbox.path(&format!("image-{}", name.replace(['/', ':'], "_")));
        Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("log")).unwrap()
    }
}

#[test]
fn an_import_that_went_wrong_leaves_the_name_to_the_older_image() {
    let engine = Engine::new();
    engine.sandbox.write("image-busybox-glibc_latest", "the older one");
    let (code, document, said) = engine.build(&["--board", "arm64", "--import", "docker"]);
    assert_eq!(code, Some(9), "{said}");
    assert!(
        document["error"]["message"].as_str().unwrap().contains("is linux/amd64 where linux/arm64 was put"),
        "{document}"
    );
    assert_eq!(engine.id("busybox-glibc:latest").as_deref(), Some("the older one"), "{}", engine.log());
    let log = engine.log();
    assert!(!log.lines().any(|line| line.starts_with("tag ") || line.contains("--tag")), "{log}");
    // One that goes well gets the name.
    let (code, _, said) = engine.build(&["--board", "amd64", "--import", "docker"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(engine.id("busybox-glibc:latest").unwrap().contains("sha256:1111"), "{}", engine.log());
}

#[test]
fn of_several_boards_this_machines_image_has_the_plain_name() {
    let engine = Engine::new();
    engine.sandbox.write("image-busybox-glibc_latest", "the older one");
    let (code, document, said) = engine.build(&["--board", "arm64,amd64", "--load", "docker"]);
    assert_eq!(code, Some(0), "{said}");
    let names: Vec<&str> =
        document["engines"][0]["images"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["busybox-glibc:latest-arm64-v8", "busybox-glibc:latest-amd64"]);
    let ids = document["images"].as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap());
    for (name, id) in names.into_iter().zip(ids) {
        assert_eq!(engine.id(name).as_deref(), Some(id), "{name}");
    }
    let own = minimg::board::Boards::built_in().host().unwrap().name;
    assert_eq!(engine.id("busybox-glibc:latest"), engine.id(&format!("busybox-glibc:latest-{own}")));
    assert_eq!(document["cache"]["warnings"], serde_json::json!([]));
}

#[test]
fn an_older_image_of_the_plain_name_is_told_of() {
    let engine = Engine::new();
    engine
        .sandbox
        .write("image-busybox-glibc_latest", "sha256:2222222222222222222222222222222222222222222222222222222222222222");
    let (code, document, said) = engine.build(&["--board", "arm64,i386", "--load", "docker"]);
    assert_eq!(code, Some(0), "{said}");
    let warnings = document["cache"]["warnings"].to_string();
    assert!(
        warnings
            .contains("busybox-glibc:latest in docker is an older image; the new ones are busybox-glibc:latest-arm64-v8, busybox-glibc:latest-386"),
        "{warnings}"
    );
}
