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
