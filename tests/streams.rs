//! Images on pipes and terminals.

use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Stdio};

use crate::common::{Sandbox, succeed, text, tool};

/// `tar` takes each read from a pipe for whole blocks.
#[test]
fn tar_reads_an_image_from_a_pipe() {
    let sandbox = Sandbox::shared();
    for (output, member) in
        [("rootfs:-", "usr/bin/busybox"), ("archive:-", "index.json"), ("docker-archive:-", "manifest.json")]
    {
        for _ in 0..4 {
            let minimg = sandbox.minimg(&["build", "busybox-glibc", "-q", "-o", output]);
            let mut bash = tool("bash", "bash");
            bash.args(["-c", "set -o pipefail; tar tf <(\"$@\")", "bash"])
                .arg(minimg.get_program())
                .args(minimg.get_args());
            bash.current_dir(sandbox.directory.path()).env("MINIMG_STORE", &sandbox.store);
            let listed = text(succeed(&mut bash));
            assert!(listed.lines().any(|line| line == member), "{output}: {listed}");
        }
    }
}

#[test]
fn a_named_pipe_gets_whole_blocks_too() {
    let sandbox = Sandbox::shared();
    succeed(Command::new("mkfifo").arg(sandbox.path("pipe.tar")));
    let mut build = sandbox.minimg(&["build", "busybox-glibc", "-q", "-o", "rootfs:pipe.tar"]).spawn().unwrap();
    let listed = text(succeed(tool("timeout", "coreutils").args(["60", "tar", "tf"]).arg(sandbox.path("pipe.tar"))));
    assert!(listed.contains("usr/bin/busybox"), "{listed}");
    let ended = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        build.try_wait().unwrap()
    });
    let _ = build.kill();
    assert!(ended.expect("it does not wait for the pipe").success());
    assert!(std::fs::symlink_metadata(sandbox.path("pipe.tar")).unwrap().file_type().is_fifo());
}

/// A reader that takes little at a time gets a multiple of a tar's block each time.
#[test]
fn what_comes_at_once_is_a_multiple_of_a_block() {
    let sandbox = Sandbox::shared();
    let mut build =
        sandbox.minimg(&["build", "busybox-glibc", "-q", "-o", "archive:-"]).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut buffer, mut total) = (build.stdout.take().unwrap(), vec![0; 1 << 20], 0);
    loop {
        let count = out.read(&mut buffer).unwrap();
        assert!(count.is_multiple_of(512), "{count} bytes after {total}");
        total += count;
        if count == 0 {
            break;
        }
    }
    assert!(build.wait().unwrap().success() && total > 1_000_000);
}

#[test]
fn an_image_is_not_written_to_a_terminal() {
    let sandbox = Sandbox::shared();
    for output in ["-", "rootfs:-"] {
        let minimg = sandbox.minimg(&["build", "busybox-glibc", "-o", output]);
        let words: Vec<_> =
            std::iter::once(minimg.get_program()).chain(minimg.get_args()).map(|word| word.to_str().unwrap()).collect();
        let mut terminal = tool("script", "bsdutils");
        terminal.current_dir(sandbox.directory.path()).env("MINIMG_STORE", &sandbox.store).stdin(Stdio::null());
        let shown = terminal.args(["-qefc", &words.join(" "), "/dev/null"]).output().unwrap();
        let said = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.status.code(), Some(2), "{said}");
        assert!(said.contains("an image is not written to a terminal") && said.len() < 1000, "{said}");
    }
}
