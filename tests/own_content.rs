//! What users add of their own: directories, files with their modes, and how the program is run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::common::{Sandbox, tool};

/// A directory of a site, with what should not come along.
fn site(sandbox: &Sandbox) {
    for (path, content, mode) in [
        ("site/index.html", "hello", 0o644),
        ("site/js/app.js", "x", 0o640),
        ("site/js/app.js.map", "x", 0o644),
        ("site/hook.sh", "#!/bin/sh\necho hooked\n", 0o755),
        ("site/.git/config", "x", 0o644),
        ("site/drafts/a.html", "x", 0o644),
        ("site/.dockerignore", ".git\ndrafts/*\n", 0o644),
    ] {
        let path = sandbox.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("js/app.js", sandbox.path("site/latest.js")).unwrap();
}

const PROFILE: &str = r#"
extends = "busybox-glibc"
[[add.accounts]]
name = "web"
uid = 80
[[add.trees]]
from = "site"
to = "/srv/www"
exclude = ["**/*.map"]
owner = "web"
group = "web"
[[add.files]]
path = "/opt/hook"
from = "site/hook.sh"
"#;

#[test]
fn a_directory_comes_along_with_its_modes_and_links() {
    let sandbox = Sandbox::cold();
    site(&sandbox);
    let profile = sandbox.write("site.toml", PROFILE);
    let profile = profile.to_str().unwrap();
    let build = || sandbox.run(&["build", profile, "-o", "rootfs:site.tar", "--json"]);
    build();
    let mut listing = tool("tar", "tar");
    let listing = listing.args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(sandbox.path("site.tar"));
    let listed = String::from_utf8(listing.output().unwrap().stdout).unwrap();
    let own = |line: &&str| line.contains("srv/") || line.contains("opt/");
    let shown: Vec<String> = listed
        .lines()
        .filter(own)
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[5..].join(" "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "drwxr-xr-x 0/0 opt/",
            "-rwxr-xr-x 0/0 opt/hook",
            "drwxr-xr-x 0/0 srv/",
            "drwxr-xr-x 0/0 srv/www/",
            "drwxr-xr-x 80/80 srv/www/drafts/",
            "-rwxr-xr-x 80/80 srv/www/hook.sh",
            "-rw-r--r-- 80/80 srv/www/index.html",
            "drwxr-xr-x 80/80 srv/www/js/",
            "-rw-r----- 80/80 srv/www/js/app.js",
            "lrwxrwxrwx 80/80 srv/www/latest.js -> js/app.js",
        ],
        "{listed}"
    );
    assert!(sandbox.run(&["why", profile, "/srv/www/index.html"]).contains("a directory of the profile"));

    let reused =
        |said: String| serde_json::from_str::<serde_json::Value>(&said).unwrap()["images"][0]["reused"].clone();
    assert_eq!(reused(build()), true);
    fs::write(sandbox.path("site/index.html"), "other").unwrap();
    assert_eq!(reused(build()), false);
}

/// A module of an interpreter is no program, and needs its libraries all the same.
#[test]
fn what_added_objects_need_is_kept() {
    let sandbox = Sandbox::shared();
    fs::create_dir(sandbox.path("modules")).unwrap();
    let source = sandbox.write("module.c", "#include <math.h>\ndouble f(double x) { return cos(x); }\n");
    let object = sandbox.path("modules/module.so");
    let mut cc = tool("gcc", "gcc");
    let built =
        cc.args(["-shared", "-fPIC", "-fno-builtin", "-Wl,--no-as-needed", "-o"]).arg(&object).arg(source).arg("-lm");
    assert!(built.status().unwrap().success());
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    let text = "extends = 'busybox-glibc'\n[[add.trees]]\nfrom = 'modules'\nto = '/usr/lib/app'\n";
    let profile = sandbox.write("module.toml", text);
    let said = sandbox.run(&["why", profile.to_str().unwrap(), &format!("/usr/lib/{}/libm.so.6", triplet())]);
    assert!(said.contains("/usr/lib/app/module.so"), "{said}");
}

fn triplet() -> String {
    let output = tool("gcc", "gcc").arg("-print-multiarch").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_command_line_says_how_the_program_is_run() {
    let sandbox = Sandbox::shared();
    let changes = ["--env", "A=b", "--env", "C=d=e", "--label", "team=x", "--user", "65534:0", "--workdir", "/srv"];
    let words =
        ["build", "busybox-glibc", "--entrypoint", r#"["/bin/busybox", "echo"]"#, "--cmd", "hi", "-o", "x.docker.tar"];
    sandbox.run(&[&words[..], &changes].concat());
    let mut archive = tar::Archive::new(fs::File::open(sandbox.path("x.docker.tar")).unwrap());
    let is_config = |entry: &tar::Entry<'_, fs::File>| {
        let name = entry.path().unwrap().display().to_string();
        name.ends_with(".json") && name != "manifest.json"
    };
    let config = archive.entries().unwrap().map(Result::unwrap).find(is_config).unwrap();
    let config: serde_json::Value = serde_json::from_reader(config).unwrap();
    let config = &config["config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/bin/busybox", "echo"]));
    assert_eq!(
        (&config["Cmd"][0], &config["User"], &config["WorkingDir"]),
        (&"hi".into(), &"65534:0".into(), &"/srv".into())
    );
    assert!(config["Env"].as_array().unwrap().contains(&"C=d=e".into()));
    assert_eq!(config["Labels"]["team"], "x");
    for (flag, value) in [("--env", "A"), ("--user", "a b"), ("--entrypoint", "[1]")] {
        assert!(sandbox.fail(2, &["build", "busybox-glibc", flag, value]).contains(value), "{flag}");
    }
}

#[test]
fn directories_that_cannot_be_read_are_named() {
    let sandbox = Sandbox::shared();
    let profile = sandbox.write("x.toml", "[[add.trees]]\nfrom = 'none'\nto = '/srv'\n");
    let said = sandbox.fail(3, &["show", profile.to_str().unwrap()]);
    assert!(said.contains("x.toml:2:8: ") && said.contains("none is not a directory"), "{said}");
}
