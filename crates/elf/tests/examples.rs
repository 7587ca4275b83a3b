//! The examples run, on a root that is made here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn run(example: &str, arguments: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--offline", "--example", example, "--"]).args(arguments);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs")
}

/// A root with one script, whose interpreter may be there.
fn root(directory: &Path, has_interpreter: bool) -> String {
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).expect("a directory is made");
    let write = |name: &str, content: &str| {
        let path = bin.join(name);
        fs::write(&path, content).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode is set");
    };
    write("hello", "#!/bin/sh\necho hello\n");
    if has_interpreter {
        write("sh", "the shell");
    }
    directory.display().to_string()
}

#[test]
fn closure_lists_paths_with_their_reasons() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = run("closure", &[&root(directory.path(), true), "hello"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "/bin/hello: the profile names the program hello\n\
         /bin/sh: the first line of the script names it, by way of /bin/hello\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn check_directory_tells_what_is_missing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = run("check_directory", &[&root(directory.path(), false)]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("/bin/hello: its interpreter /bin/sh is missing"), "{text}");
    assert!(text.ends_with("0 programs, 0 libraries, 1 scripts\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
