//! The examples of the library run, without a network.

use std::process::Command;

use crate::common::succeed;

fn run(name: &str) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--offline", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = succeed(&mut cargo);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_image_is_built_from_a_root_that_is_there() {
    assert!(run("build_image").starts_with("hello:latest for linux/amd64: "));
}

#[test]
fn a_backend_of_ones_own_makes_an_image() {
    let printed = run("custom_backend");
    assert!(printed.lines().any(|line| line == "/srv/hello"), "{printed}");
}

#[test]
fn a_root_that_is_not_complete_is_told() {
    let printed = run("check_root");
    let of = |path: &str| printed.lines().find(|line| line.starts_with(&format!("Error: {path}: "))).map(str::to_owned);
    assert!(of("/usr/bin/report").is_some_and(|line| line.contains("/usr/bin/python3")), "{printed}");
    assert!(of("/usr/bin/true").is_some(), "{printed}");
    assert!(printed.ends_with("1 program, 1 script\n"), "{printed}");
}

#[test]
fn a_rule_set_of_ones_own_keeps_what_it_names() {
    assert_eq!(
        run("rule_set"),
        "/usr/lib/greeter/polite.plugin: the profile keeps it: the plugin\n\
         /usr/share/greeter/phrases: the rule set greeter keeps it\n"
    );
}

#[test]
fn a_root_becomes_smaller() {
    let printed = run("shrink");
    assert!(printed.lines().any(|line| line.ends_with("/bin/true")), "{printed}");
    assert!(!printed.contains("manual"), "{printed}");
    let sizes = printed.lines().last().and_then(|line| line.split_once(" bytes of ")).unwrap();
    let (after, before): (u64, u64) = (sizes.0.parse().unwrap(), sizes.1.parse().unwrap());
    assert!(after < before, "{printed}");
}
