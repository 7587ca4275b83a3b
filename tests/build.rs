//! `minimg build` as users run it: real Debian packages, the real program, a store of the test's own.

use std::path::Path;
use std::process::Command;

use crate::common::{Sandbox, succeed, text, tool};

fn build(sandbox: &Sandbox, arguments: &[&str]) -> serde_json::Value {
    let mut all = vec!["build", "busybox-glibc"];
    all.extend(arguments);
    sandbox.json(&all)
}

/// Why the layer had to be made.
fn layer_miss(document: &serde_json::Value) -> String {
    let misses = document["cache"]["misses"].as_array().expect("a list of misses");
    let layer = misses.iter().filter_map(serde_json::Value::as_str).find(|miss| miss.starts_with("layer:"));
    layer.unwrap_or_else(|| panic!("no miss of the layer in {document}")).to_owned()
}

fn members(tar: &Path) -> Vec<String> {
    text(succeed(Command::new("tar").arg("tf").arg(tar))).lines().map(str::to_owned).collect()
}

#[test]
fn the_busybox_image_holds_what_it_should_and_nothing_else() {
    let sandbox = Sandbox::shared();
    build(&sandbox, &["-o", "rootfs:rootfs.tar"]);
    let all = members(&sandbox.path("rootfs.tar"));
    let listed = |path: &str| all.iter().any(|member| member.trim_end_matches('/') == path);
    for path in [
        "usr/bin/busybox",
        "usr/bin/sh",
        "usr/bin/ls",
        "usr/sbin/chroot",
        "bin",
        "lib64",
        "etc/passwd",
        "etc/group",
        "etc/nsswitch.conf",
        "etc/hosts",
        "etc/os-release",
        "etc/ld.so.cache",
        "etc/machine-id",
        "tmp",
        "proc",
        "var/lib/dpkg/status.d/busybox",
        "var/lib/dpkg/status.d/libc6",
        "var/lib/dpkg/info/libc6.list",
        "usr/share/doc/busybox/copyright",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib64/ld-linux-x86-64.so.2",
    ] {
        assert!(listed(path), "{path} is missing from:\n{}", all.join("\n"));
    }
    for part in ["usr/share/man", "usr/share/locale", "perl", "gconv", "usr/share/doc/busybox/changelog"] {
        let found: Vec<&String> = all.iter().filter(|member| member.contains(part)).collect();
        assert!(found.is_empty(), "{part} should not be there: {found:?}");
    }
    let libraries = all.iter().filter(|member| member.contains(".so")).count();
    assert!(libraries < 12, "only busybox's own libraries: {all:?}");
}

/// The same lock gives the same bytes, whatever surrounds the program.
#[test]
fn a_build_does_not_depend_on_its_surroundings() {
    let shared = Sandbox::shared();
    shared.run(&["lock", "busybox-glibc"]);
    let lock = std::fs::read(shared.path("busybox-glibc.lock")).unwrap();
    let digest = |name: &str, prepare: &dyn Fn(&Sandbox, &mut Command), wrapper: &[&str], store: &Path| {
        let sandbox = Sandbox::cold();
        std::fs::write(sandbox.path("busybox-glibc.lock"), &lock).unwrap();
        let inner = sandbox.minimg(&[
            "build",
            "busybox-glibc",
            "--locked",
            "-q",
            "-o",
            "a.tar",
            "-o",
            "oci:b",
            "-o",
            "c.tar.zst",
        ]);
        let mut command = Command::new(wrapper[0]);
        command
            .args(&wrapper[1..])
            .arg(inner.get_program())
            .args(inner.get_args())
            .current_dir(sandbox.directory.path())
            .env_clear();
        inner.get_envs().for_each(|(name, value)| {
            command.env(name, value.unwrap());
        });
        command.env("MINIMG_STORE", store);
        prepare(&sandbox, &mut command);
        succeed(&mut command);
        let directory = sandbox.directory.path();
        let sums = text(succeed(
            Command::new("sh")
                .args(["-c", "find a.tar b c.tar.zst a.tar.record.json -type f | LC_ALL=C sort | xargs sha256sum"])
                .current_dir(directory),
        ));
        assert!(sums.lines().count() > 5, "{sums}");
        (name.to_owned(), sums)
    };
    let nothing = |_: &Sandbox, _: &mut Command| {};
    let cold = Sandbox::cold();
    let first = digest("a cold store", &nothing, &["env"], &cold.store);
    let open_store = |sandbox: &Sandbox, _: &mut Command| {
        succeed(Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.directory.path()).arg(cold.directory.path()));
    };
    let others = [
        digest("a warm store", &nothing, &["env"], &cold.store),
        digest("umask 077", &nothing, &["sh", "-c", "umask 077; exec \"$@\"", "sh"], &Sandbox::cold().store),
        digest(
            "another zone and language",
            &nothing,
            &["env", "TZ=Asia/Kolkata", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8"],
            &Sandbox::cold().store,
        ),
        digest("one core", &nothing, &["taskset", "-c", "0"], &Sandbox::cold().store),
        digest(
            "another user",
            &open_store,
            &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            &cold.store,
        ),
    ];
    for other in others {
        assert_eq!(first.1, other.1, "{} differs from {}", other.0, first.0);
    }
}

/// With a lock and a warm store nothing is asked of the network: there is none in an empty network namespace.
#[test]
fn a_locked_build_needs_no_network() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["lock", "busybox-glibc"]);
    sandbox.run(&["build", "busybox-glibc", "--locked", "-o", "a.tar"]);
    // The layer itself is forgotten, so that the packages are needed again.
    let own = Sandbox::cold();
    succeed(Command::new("cp").arg("-a").arg(&sandbox.store).arg(&own.store));
    for kind in ["layers", "record", "compressed", "output"] {
        let _ = std::fs::remove_dir_all(own.store.join("v1/entries").join(kind));
    }
    let inner = sandbox.minimg(&["build", "busybox-glibc", "--locked", "-o", "b.tar"]);
    let mut command = tool("unshare", "util-linux");
    command.args(["--net", "--map-root-user"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(sandbox.directory.path()).env("MINIMG_STORE", &own.store);
    succeed(&mut command);
    assert_eq!(std::fs::read(sandbox.path("a.tar")).unwrap(), std::fs::read(sandbox.path("b.tar")).unwrap());
}

#[test]
fn a_repeated_build_says_what_it_reused_and_a_miss_why() {
    let sandbox = Sandbox::cold();
    let first = build(&sandbox, &["-o", "a.tar"]);
    assert_eq!(first["images"][0]["reused"], false);
    assert!(layer_miss(&first).contains("not built before"), "{first}");
    let second = build(&sandbox, &["-o", "a.tar"]);
    assert_eq!(second["images"][0]["reused"], true);
    assert_eq!(second["outputs"][0]["unchanged"], true, "{second}");
    let profile = sandbox
        .write("mine.toml", "extends = \"busybox-glibc\"\n[[add.files]]\npath = \"/etc/motd\"\ncontent = \"hello\"\n");
    sandbox.json(&["build", profile.to_str().unwrap(), "-o", "m.tar"]);
    sandbox.write("mine.toml", "extends = \"busybox-glibc\"\n[[add.files]]\npath = \"/etc/motd\"\ncontent = \"bye\"\n");
    let third = sandbox.json(&["build", profile.to_str().unwrap(), "-o", "m.tar"]);
    assert_eq!(layer_miss(&third), "layer: what the profile adds changed");
}

#[test]
fn damage_in_the_store_and_in_the_output_is_noticed_and_mended() {
    let sandbox = Sandbox::cold();
    build(&sandbox, &["-o", "a.tar"]);
    let good = std::fs::read(sandbox.path("a.tar")).unwrap();
    std::fs::write(sandbox.path("a.tar"), b"damaged").unwrap();
    build(&sandbox, &["-o", "a.tar"]);
    assert!(std::fs::read(sandbox.path("a.tar")).unwrap() == good, "the output was written anew");
    // One byte of every file of the store is turned.
    let files = text(succeed(Command::new("find").arg(sandbox.store.join("v1")).args([
        "-type",
        "f",
        "-size",
        "+0",
        "-not",
        "-path",
        "*/locks/*",
    ])));
    for file in files.lines() {
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(file, bytes).unwrap();
    }
    std::fs::remove_file(sandbox.path("a.tar")).unwrap();
    build(&sandbox, &["-o", "a.tar"]);
    assert!(std::fs::read(sandbox.path("a.tar")).unwrap() == good, "everything was fetched and made anew");
}

#[test]
fn parallel_processes_share_a_store() {
    let sandbox = Sandbox::cold();
    let children: Vec<_> = (0..4)
        .map(|n| {
            let name = format!("{n}.tar");
            sandbox.minimg(&["build", "busybox-glibc", "-q", "-o", &name]).spawn().expect("minimg starts")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let first = std::fs::read(sandbox.path("0.tar")).unwrap();
    for n in 1..4 {
        assert!(std::fs::read(sandbox.path(&format!("{n}.tar"))).unwrap() == first, "{n}.tar differs");
    }
    assert_eq!(sandbox.json(&["cache", "verify"])["dropped"], serde_json::json!([]));
}

/// Killed at many moments, the program never leaves a broken store or output behind.
#[test]
fn kill_9_leaves_nothing_broken() {
    let sandbox = Sandbox::cold();
    for milliseconds in [20, 60, 120, 200, 300, 450, 650, 900] {
        let mut child =
            sandbox.minimg(&["build", "busybox-glibc", "-q", "-o", "a.tar"]).spawn().expect("minimg starts");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(sandbox.json(&["cache", "verify"])["dropped"], serde_json::json!([]), "after {milliseconds} ms");
        if sandbox.path("a.tar").exists() {
            assert!(members(&sandbox.path("a.tar")).len() > 3, "a whole archive or none");
        }
    }
    build(&sandbox, &["-o", "a.tar"]);
    sandbox.run(&["cache", "prune", "--unused-for", "1d"]);
    assert_eq!(std::fs::read_dir(sandbox.store.join("v1/tmp")).unwrap().count(), 0, "what was left is swept");
}

#[test]
fn a_full_disk_is_an_error_and_harms_nothing() {
    let sandbox = Sandbox::cold();
    std::fs::create_dir(&sandbox.store).unwrap();
    // A file system of 3 MB, seen by this one process only.
    let script = "mount -t tmpfs -o size=3m none \"$MINIMG_STORE\" && \"$0\" build busybox-glibc -o a.tar; echo \"code $?\"; \
                  \"$0\" cache verify >/dev/null && echo sound";
    let mut command = tool("unshare", "util-linux");
    let inner = sandbox.minimg(&[]);
    command.args(["--mount", "sh", "-c", script]).arg(inner.get_program()).current_dir(sandbox.directory.path());
    let output = command.env("MINIMG_STORE", &sandbox.store).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("code 1") && out.contains("sound") && err.contains("space"), "{out}\n{err}");
    assert!(!sandbox.path("a.tar").exists());
}
