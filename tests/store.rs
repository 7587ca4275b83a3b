//! The store beside builds: what belongs together is there together, and nobody takes from a build what it uses.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::common::{Sandbox, succeed, tool};

/// The files of the store of one kind.
fn entries(sandbox: &Sandbox, kind: &str) -> Vec<PathBuf> {
    let directory = sandbox.store.join("v1/entries").join(kind);
    fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// A profile that differs from others of the sandbox by what it adds.
fn profile(sandbox: &Sandbox, name: &str) {
    let text = format!("extends = \"busybox-glibc\"\n[[add.files]]\npath = \"/etc/{name}\"\ncontent = \"{name}\"\n");
    sandbox.write(&format!("{name}.toml"), &text);
}

fn record(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(name)).unwrap()).unwrap()
}

#[test]
fn a_lost_record_is_made_again() {
    let sandbox = Sandbox::cold();
    sandbox.run(&["build", "busybox-glibc", "-q", "-o", "a.tar"]);
    let expected = record(&sandbox, "a.tar.record.json");
    let turn = |path: &PathBuf| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let swap = |path: &PathBuf| assert!(fs::copy(&entries(&sandbox, "layers")[0], path).unwrap() > 0);
    let lose = |path: &PathBuf| fs::remove_file(path).unwrap();
    for (damage, how) in
        [(&lose as &dyn Fn(&PathBuf), "lost"), (&turn, "a bit turned"), (&swap, "another kind's entry")]
    {
        damage(&entries(&sandbox, "record")[0]);
        fs::remove_file(sandbox.path("a.tar.record.json")).unwrap();
        let built = sandbox.json(&["build", "busybox-glibc", "-o", "a.tar"]);
        assert_eq!(built["outputs"][0]["unchanged"], true, "{how}");
        assert_eq!(record(&sandbox, "a.tar.record.json"), expected, "{how}");
        sandbox.run(&["why", "busybox-glibc", "/usr/bin/busybox"]);
    }
}

#[test]
fn no_output_keeps_the_record_of_another_image() {
    let sandbox = Sandbox::cold().live();
    ["one", "two"].iter().for_each(|name| profile(&sandbox, name));
    let records = || {
        let names = fs::read_dir(sandbox.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.ends_with(".record.json"));
        names.sort();
        names
    };
    sandbox.run(&["build", "one.toml", "-q", "-o", "a.tar"]);
    // The record of another output, and what is no record.
    sandbox.run(&["build", "one.toml", "-q", "-o", "archive:a.tar.amd64"]);
    sandbox.write("a.tar.notes.record.json", "{}");
    sandbox.run(&["build", "one.toml", "-q", "--no-record", "-o", "a.tar"]);
    assert_eq!(records(), ["a.tar.amd64.record.json", "a.tar.notes.record.json", "a.tar.record.json"], "still right");
    sandbox.run(&["build", "two.toml", "-q", "--no-record", "-o", "a.tar"]);
    assert_eq!(records(), ["a.tar.amd64.record.json", "a.tar.notes.record.json"]);
    for name in ["a.tar.amd64", "a.tar.amd64.record.json", "a.tar.notes.record.json"] {
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    // One board's record is not that of several, and the other way round.
    sandbox.run(&["build", "one.toml", "-q", "-o", "a.tar"]);
    sandbox.run(&["build", "one.toml", "-q", "-o", "a.tar", "--board", "amd64,arm64"]);
    assert_eq!(records(), ["a.tar.amd64.record.json", "a.tar.arm64.record.json"]);
    sandbox.run(&["build", "one.toml", "-q", "-o", "a.tar", "--board", "arm64"]);
    assert_eq!(
        (records(), record(&sandbox, "a.tar.record.json")["board"].clone()),
        (vec!["a.tar.record.json".to_owned()], json!("arm64"))
    );
}

#[test]
fn a_directory_with_a_slash_has_its_record_beside_it() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["build", "busybox-glibc", "-q", "-o", "out/"]);
    assert!(sandbox.path("out.record.json").is_file() && !sandbox.path("out/.record.json").exists());
    assert!(sandbox.run(&["why", "out/", "/usr/bin/busybox"]).contains("of the profile"));
}

#[test]
fn a_directory_for_builders_has_its_record_in_it() {
    let sandbox = Sandbox::shared();
    // What an older version left beside it is of another build.
    sandbox.run(&["build", "busybox-glibc", "-q", "-o", "busybox.tar"]);
    std::fs::copy(sandbox.path("busybox.tar.record.json"), sandbox.path("context.record.json")).unwrap();
    let build = ["build", "bash", "-q", "-o", "dockerfile:context"];
    sandbox.run(&build);
    assert!(!sandbox.path("context.record.json").exists());
    std::fs::rename(sandbox.path("context"), sandbox.path("elsewhere")).unwrap();
    for image in ["elsewhere", "elsewhere/record.json"] {
        assert!(sandbox.run(&["why", image, "/usr/bin/bash"]).contains("of the profile"), "{image}");
    }
    sandbox.run(&[&build[..], &["--no-record"]].concat());
    assert!(sandbox.path("context/Dockerfile").is_file() && !sandbox.path("context/record.json").exists());
}

#[test]
fn pruning_beside_builds_harms_none() {
    let sandbox = Sandbox::cold();
    sandbox.run(&["build", "busybox-glibc", "-q", "-o", "first.tar"]);
    let names: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    names.iter().for_each(|name| profile(&sandbox, name));
    for turn in 0..3 {
        let builds: Vec<_> = names
            .iter()
            .map(|name| {
                let arguments = ["build", &format!("{name}.toml"), "-q", "-o", &format!("{name}.tar")];
                sandbox.minimg(&arguments).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for _ in 0..10 {
            sandbox.run(&["cache", "prune", "--unused-for", "0"]);
            std::thread::sleep(Duration::from_millis(15));
        }
        for build in builds {
            let output = build.wait_with_output().unwrap();
            assert!(output.status.success(), "turn {turn}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert_eq!(sandbox.json(&["cache", "verify"])["dropped"], json!([]));
    let pruned = sandbox.json(&["cache", "prune", "--unused-for", "0"]);
    assert_eq!(pruned["in_use"]["count"], 0, "nobody uses it: {pruned}");
    assert_eq!(sandbox.json(&["cache"])["usage"], json!({}));
}

#[test]
fn a_store_keeps_below_its_limit_and_says_so() {
    let sandbox = Sandbox::cold();
    sandbox.write("config.toml", "store-limit = 1_000_000\n");
    let build = |name: &str| {
        profile(&sandbox, name);
        let output = sandbox
            .minimg(&["build", &format!("{name}.toml"), "-o", &format!("{name}.tar"), "--config", "config.toml"])
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(!build("one").contains("store-limit"), "what a build has just used stays");
    let old = SystemTime::now() - Duration::from_secs(5 * 3600);
    let mut age = Command::new("find");
    age.arg(&sandbox.store).args(["-type", "f", "-exec", "touch", "-d", "5 hours ago", "{}", ";"]);
    succeed(&mut age);
    assert!(!build("two").contains("store-limit"), "it was looked after today");
    fs::File::open(sandbox.store.join("v1/looked"))
        .unwrap()
        .set_modified(old - Duration::from_secs(24 * 3600))
        .unwrap();
    let said = build("three");
    assert!(said.contains("the store was larger than 1.00 MB: minimg removed the "), "{said}");
    let shown = sandbox.json(&["cache", "--config", "config.toml"]);
    assert_eq!(shown["limit"], 1_000_000);
    sandbox.write("config.toml", "store-limit = 0\n");
    assert_eq!(sandbox.json(&["cache", "--config", "config.toml"])["limit"], Value::Null);
}

/// What the umask leaves decides who can use a store: with a common group, two users can.
#[test]
fn two_users_of_a_group_share_a_store() {
    let sandbox = Sandbox::cold();
    fs::create_dir(&sandbox.store).unwrap();
    fs::create_dir(sandbox.path("out")).unwrap();
    for directory in [sandbox.directory.path().to_owned(), sandbox.store.clone(), sandbox.path("out")] {
        fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o2777)).unwrap();
    }
    let group = 43_210;
    std::os::unix::fs::chown(&sandbox.store, None, Some(group)).unwrap();
    for user in [43_211, 43_212, 43_211] {
        let output = format!("out/{user}.tar");
        let minimg = sandbox.copied_minimg(&["build", "busybox-glibc", "-q", "-o", &output]);
        let mut command = tool("setpriv", "util-linux");
        command.args([format!("--reuid={user}"), format!("--regid={user}"), format!("--groups={group}")]);
        command.args(["sh", "-c", "umask 002; exec \"$@\"", "sh"]).arg(minimg.get_program()).args(minimg.get_args());
        command.current_dir(sandbox.directory.path()).env_clear();
        command.envs(minimg.get_envs().filter_map(|(name, value)| Some((name, value?))));
        succeed(&mut command);
    }
    let [one, two] = [43_211, 43_212].map(|user| fs::read(sandbox.path(&format!("out/{user}.tar"))).unwrap());
    assert!(one == two);
    assert_eq!(sandbox.json(&["cache", "verify"])["dropped"], json!([]));
}

#[test]
fn what_a_killed_build_left_beside_an_output_is_swept_by_the_next() {
    let sandbox = Sandbox::shared();
    fs::create_dir(sandbox.path("out")).unwrap();
    fs::write(sandbox.path("out/.minimg-partial-aaaaaa"), "half an archive").unwrap();
    fs::create_dir_all(sandbox.path("out/.minimg-partial-bbbbbb/blobs/sha256")).unwrap();
    fs::write(sandbox.path("out/.minimg-notes"), "mine").unwrap();
    sandbox.run(&["build", "busybox-glibc", "-q", "-o", "out/a.tar"]);
    let mut names: Vec<_> = fs::read_dir(sandbox.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".minimg-notes", "a.tar", "a.tar.record.json"]);
}
