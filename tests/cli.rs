//! The command line as people and scripts meet it: messages, exit codes, JSON, what it writes about itself.

use std::process::Command;

use crate::common::{Sandbox, succeed, text, tool};

#[test]
fn wrong_profiles_are_told_with_line_column_and_the_right_name() {
    let sandbox = Sandbox::cold();
    sandbox.write("wrong.toml", "[packages]\ndeb = [\"busybox\"]\n[imag]\ncmd = [\"sh\"]\n[keep]\nprograms = \"sh\"\n");
    let said = sandbox.fail(3, &["build", "wrong.toml"]);
    assert!(said.contains("wrong.toml:3:2") && said.contains("image"), "{said}");
    assert!(said.contains("wrong.toml:6:"), "all problems at once: {said}");
}

#[test]
fn exit_codes_tell_failures_apart() {
    let sandbox = Sandbox::cold().live();
    sandbox.write("none.toml", "[packages]\ndeb = [\"no-such-package-at-all\"]\n");
    sandbox.write(
        "missing.toml",
        "[packages]\ndeb = [\"busybox\", \"base-files\"]\n[keep]\nprograms = [\"/usr/bin/nosuch\"]\n",
    );
    std::fs::write(sandbox.path("broken.tar"), [0x1f, 0x8b, 8, 0, 1, 2, 3]).unwrap();
    let frame = zstd::encode_all(&[7; 100_000][..], 1).unwrap();
    let damaged = frame.iter().enumerate().map(|(at, byte)| if at == 8 { 0xff } else { *byte }).collect::<Vec<_>>();
    std::fs::write(sandbox.path("damaged.tar.zst"), damaged).unwrap();
    // A window of 2 GiB.
    let demanding = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0b1010_1000][..], &[0; 64]].concat();
    std::fs::write(sandbox.path("demanding.tar.zst"), demanding).unwrap();
    std::fs::create_dir(sandbox.path("directory.toml")).unwrap();
    let shared = Sandbox::shared();
    for (code, arguments) in [
        (2, vec!["build"]),
        (2, vec!["build", "busybox-glibc", "-o", "nosuchformat:x"]),
        (3, vec!["build", "nosuchprofile"]),
        (3, vec!["build", "busybox-glibc", "--backend", "dib"]),
        (4, vec!["build", "none.toml"]),
        (5, vec!["build", "busybox-glibc", "--offline"]),
        (2, vec!["shrink", "alpine"]),
        (2, vec!["closure", "--root", "/nosuch", "sh"]),
        (2, vec!["why", "nosuch.record.json", "/x"]),
        (2, vec!["tree", "--root", "/nosuch.tar", "sh"]),
        (3, vec!["build", "busybox-glibc", "--root", "/nosuch.tar"]),
        (3, vec!["build", "busybox-glibc", "--keyring", "/nosuch"]),
        (3, vec!["build", "busybox-glibc", "--keyring", "/tmp"]),
        (3, vec!["build", "/tmp"]),
        (3, vec!["build", "./directory.toml"]),
        (3, vec!["list", "profiles", "--profiles", "/nosuch"]),
        (3, vec!["list", "--config", "/tmp"]),
        (7, vec!["check", "broken.tar"]),
        (7, vec!["check", "damaged.tar.zst"]),
        (7, vec!["check", "demanding.tar.zst"]),
        (10, vec!["build", "busybox-glibc", "--locked"]),
    ] {
        let said = sandbox.fail(code, &arguments);
        assert!(said.contains("error"), "{arguments:?} said {said}");
    }
    let missing = sandbox.path("missing.toml");
    let said = shared.fail(8, &["build", missing.to_str().unwrap()]);
    assert!(said.contains("/usr/bin/nosuch"), "{said}");
}

#[test]
fn what_the_store_lacks_is_what_is_advised() {
    let sandbox = Sandbox::cold();
    sandbox.write("file", "");
    let under = |store: &str| sandbox.fail(1, &["check", "broken.tar", "--store", store]);
    std::fs::write(sandbox.path("broken.tar"), "").unwrap();
    let said = under("file");
    assert!(said.contains("name another store with --store") && !said.contains("free some space"), "{said}");
    let said = under("/proc/none");
    assert!(said.contains("--store") && !said.contains("free some space"), "{said}");
}

#[test]
fn an_error_is_one_json_document_too() {
    let sandbox = Sandbox::cold();
    let output = sandbox.minimg(&["build", "nosuchprofile", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["error"]["code"], 3);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn an_image_on_the_standard_output_is_all_that_is_there() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["build", "busybox-glibc", "-q", "-o", "a.tar"]);
    let image = std::fs::read(sandbox.path("a.tar")).unwrap();
    for more in [&[][..], &["--quiet"], &["--json"]] {
        let output = succeed(&mut sandbox.minimg(&[&["build", "busybox-glibc", "-o", "archive:-"], more].concat()));
        assert!(output.stdout == image, "{more:?}: {} bytes, not {}", output.stdout.len(), image.len());
        if more == ["--json"] {
            let document: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
            assert_eq!(document["images"][0]["reference"], "busybox-glibc:latest");
        }
    }
}

#[test]
fn extra_suites_can_be_chosen_or_done_without() {
    let sandbox = Sandbox::shared();
    for (wanted, found) in [
        (&[][..], &["Debian trixie", "Debian trixie-updates", "Debian trixie-security"][..]),
        (&["--extra-suites", "trixie-updates"], &["Debian trixie", "Debian trixie-updates"]),
        (&["--extra-suites", "none"], &["Debian trixie"]),
    ] {
        sandbox.run(&[&["lock", "busybox-glibc", "-q"], wanted].concat());
        let lock: toml::Table = std::fs::read_to_string(sandbox.path("busybox-glibc.lock")).unwrap().parse().unwrap();
        let archives = lock["target"][0]["pins"]["archives"].as_array().unwrap();
        let suites: Vec<_> = archives.iter().map(|archive| archive["name"].as_str().unwrap()).collect();
        assert_eq!(suites, found, "{lock}");
    }
    sandbox.run(&["build", "busybox-glibc", "-q", "--locked", "--extra-suites", "none"]);
    sandbox.fail(10, &["build", "busybox-glibc", "-q", "--locked"]);
}

#[test]
fn what_cannot_end_well_is_not_begun() {
    let sandbox = Sandbox::cold();
    for (arguments, part) in [
        (&["-o", "no/such/a.tar"][..], "there is no directory "),
        (&["-t", "Team/App"], "in lower case"),
        (&["-o", "a.tar", "-o", "./a.tar"], "two outputs go to the same place"),
    ] {
        let said = sandbox.fail(2, &[&["build", "busybox-glibc"], arguments].concat());
        assert!(said.contains(part) && !said.contains("resolve"), "{said}");
    }
    let said = sandbox.fail(2, &[]);
    assert!(said.contains("Build an image") && said.contains("Examples:"), "all verbs are explained: {said}");
}

#[test]
fn what_is_no_text_in_the_environment_and_the_arguments_does_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::cold();
    let odd = std::ffi::OsStr::from_bytes(b"x\xff");
    succeed(sandbox.minimg(&["list"]).env("ODD", odd).env(odd, "x"));
    let output = sandbox.minimg(&["build"]).arg(odd).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn quiet_says_nothing_and_pipes_get_plain_lines() {
    let sandbox = Sandbox::shared();
    let output = succeed(&mut sandbox.minimg(&["build", "busybox-glibc", "-q"]));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    let output = succeed(&mut sandbox.minimg(&["build", "busybox-glibc"]));
    let all = [output.stdout, output.stderr].concat();
    assert!(!all.contains(&0x1b), "no escape sequences where nobody watches: {}", String::from_utf8_lossy(&all));
}

/// The program on a terminal of 120 columns, and all that it drew there.
fn on_a_terminal(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let minimg = sandbox.minimg(arguments);
    let words = std::iter::once(minimg.get_program()).chain(minimg.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let mut terminal = tool("script", "bsdutils");
    terminal.current_dir(sandbox.directory.path()).env("MINIMG_STORE", &sandbox.store).env("TERM", "xterm");
    terminal.args(["-qefc", &format!("stty cols 120; {}", words.join(" ")), "/dev/null"]);
    text(succeed(terminal.stdin(std::process::Stdio::null())))
}

/// A size as it is drawn, in bytes.
fn drawn_bytes(number: &str, unit: &str) -> f64 {
    let power = ["B", "kB", "MB", "GB"].iter().position(|known| unit == *known).expect("a unit of bytes");
    number.parse::<f64>().expect("a number") * 1000_f64.powi(power as i32)
}

/// What a bar says has come of how much: `10.28 MB/12.3 MB at 14 MB/s`.
fn drawn_progress(line: &str) -> Option<[f64; 2]> {
    let words: Vec<&str> = line.split_once(" at ")?.0.split_whitespace().collect();
    let [.., came, units, whole_unit] = words[..] else { return None };
    let (unit, whole) = units.split_once('/')?;
    Some([drawn_bytes(came, unit), drawn_bytes(whole, whole_unit)])
}

/// A text without the sequences that move the cursor or change colors.
fn without_sequences(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces
        .fold(first, |text, piece| text + piece.trim_start_matches(|c: char| !c.is_alphabetic()).get(1..).unwrap_or(""))
}

#[test]
fn a_terminal_gets_live_progress_and_then_the_table() {
    let sandbox = Sandbox::cold();
    let drawn = on_a_terminal(&sandbox, &["build", "busybox-glibc"]);
    assert!(drawn.contains("\u{1b}["), "lines are drawn again: {drawn:?}");
    let drawn = without_sequences(&drawn);
    let progress: Vec<_> = drawn.split(['\r', '\n']).filter_map(drawn_progress).collect();
    assert!(!progress.is_empty(), "{drawn:?}");
    assert!(progress.iter().all(|[came, whole]| came <= whole), "more came than there is: {progress:?}");
    for row in [
        "image  ",
        "files  ",
        "size  ",
        ", compressed ",
        "id  sha256:",
        "digest  sha256:",
        "time  ",
        "run it  docker load",
    ] {
        assert!(drawn.contains(row), "{row} is missing in {drawn}");
    }
    assert!(on_a_terminal(&sandbox, &["build", "busybox-glibc"]).contains("the store saved "));
    assert_eq!(on_a_terminal(&sandbox, &["build", "busybox-glibc", "--quiet"]), "");
}

#[test]
fn a_started_profile_can_be_built_and_explained() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["init", "hello"]);
    sandbox.fail(2, &["init", "hello"]);
    sandbox.run(&["build", "hello.toml", "-o", "hello.tar"]);
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(sandbox.path("hello.tar.record.json")).unwrap()).unwrap();
    let file = document["files"].as_object().unwrap().keys().find(|path| path.ends_with("libc.so.6")).unwrap().clone();
    // From the record beside the image: neither the profile nor the store is needed.
    let elsewhere = Sandbox::cold();
    std::fs::copy(sandbox.path("hello.tar"), elsewhere.path("hello.tar")).unwrap();
    std::fs::copy(sandbox.path("hello.tar.record.json"), elsewhere.path("hello.tar.record.json")).unwrap();
    let why = elsewhere.run(&["why", "hello.tar", &file]);
    assert!(why.lines().count() >= 2 && why.contains("of the profile"), "{why}");
    let why_not = sandbox.json(&["why-not", "hello.toml", "/usr/share/doc/libc6/changelog.Debian.gz"]);
    assert_eq!(why_not["fate"], "not-needed", "{why_not}");
}

#[test]
fn images_of_ours_are_complete_and_damaged_ones_are_not() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["build", "bash", "-o", "bash.tar", "-o", "rootfs:bash.rootfs.tar", "-o", "oci:bash.oci"]);
    for target in ["bash.tar", "bash.rootfs.tar", "bash.oci"] {
        assert_eq!(sandbox.json(&["check", target])["complete"], true, "{target}");
    }
    std::fs::create_dir(sandbox.path("root")).unwrap();
    succeed(Command::new("tar").arg("xf").arg(sandbox.path("bash.rootfs.tar")).arg("-C").arg(sandbox.path("root")));
    assert_eq!(sandbox.json(&["check", "root"])["complete"], true);
    let libraries = text(succeed(Command::new("find").arg(sandbox.path("root")).args(["-name", "libtinfo.so*"])));
    libraries.lines().for_each(|library| std::fs::remove_file(library).unwrap());
    let output = sandbox.minimg(&["check", "root", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&output.stdout).contains("libtinfo.so"));
    let closure = sandbox.run(&["closure", "--root", "bash.rootfs.tar", "bash"]);
    assert!(closure.lines().any(|path| path == "/usr/bin/bash") && closure.contains("libc.so.6"), "{closure}");
    let tree = sandbox.run(&["tree", "--root", "bash.oci", "/usr/bin/bash"]);
    assert!(tree.contains("└── ") && tree.contains("libtinfo.so.6"), "{tree}");
}

#[test]
fn it_writes_its_manual_completions_and_schemas() {
    let sandbox = Sandbox::cold();
    sandbox.run(&["man", "man1"]);
    let pages = std::fs::read_dir(sandbox.path("man1")).unwrap().count();
    assert!(pages > 15, "{pages} pages");
    let page = std::fs::read_to_string(sandbox.path("man1/minimg.1")).unwrap();
    assert!(page.contains("Exit codes"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.run(&["completions", shell]).contains("minimg"), "{shell}");
    }
    for of in ["profile", "board"] {
        let schema: serde_json::Value = serde_json::from_str(&sandbox.run(&["schema", of])).unwrap();
        assert!(schema["properties"].is_object(), "{of}");
    }
}

#[test]
fn lists_and_shows() {
    let sandbox = Sandbox::cold();
    for (of, name) in [
        ("profiles", "nginx"),
        ("boards", "visionfive-2"),
        ("backends", "deb"),
        ("formats", "oci"),
        ("rules", "ca-certificates"),
    ] {
        assert!(sandbox.run(&["list", of]).contains(name), "{of}");
        let items = sandbox.json(&["list", of]);
        assert!(items.as_array().unwrap().iter().any(|item| item["name"] == name), "{of}");
    }
    assert!(sandbox.run(&["show", "nginx"]).contains("SIGQUIT"));
    assert_eq!(sandbox.json(&["show", "raspberry-pi-4"])["platform"]["architecture"], "arm64");
}

#[test]
fn the_doctor_says_what_is_missing_and_how_to_get_it() {
    let sandbox = Sandbox::cold();
    let all = sandbox.json(&["doctor"]);
    let of = |name: &str| all.as_array().unwrap().iter().find(|item| item["name"] == name).cloned().unwrap();
    assert_eq!((of("deb")["works"].clone(), of("deb")["kind"].clone()), (true.into(), "backend".into()));
    assert_eq!(of("podman")["parts"][0]["name"], "program");
    assert!(sandbox.run(&["doctor", "deb"]).contains("mirror of debian"));
    let mut nowhere = sandbox.minimg(&["doctor", "docker"]);
    let output = nowhere.env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("cannot work") && said.contains("apt-get install docker.io"), "{said}");
    assert!(sandbox.fail(2, &["doctor", "dockr"]).contains("did you mean `docker`?"));
}

/// Nothing that an archive says leads outside of the store and the output.
#[test]
fn hostile_archives_end_in_a_clear_error() {
    let sandbox = Sandbox::cold();
    let script = r#"
import io, tarfile, gzip
def tar(name, *members):
    with tarfile.open(name, "w") as t:
        for path, kind, link in members:
            i = tarfile.TarInfo(path); i.type = kind; i.linkname = link
            t.addfile(i)
tar("dotdot.tar", ("../../outside", tarfile.REGTYPE, ""))
tar("hardlink.tar", ("a", tarfile.LNKTYPE, "../../../etc/passwd"))
tar("through.tar", ("d", tarfile.SYMTYPE, "/etc"), ("d/evil", tarfile.REGTYPE, ""))
with gzip.open("bomb.tar.gz", "wb", 9) as g:
    i = tarfile.TarInfo("zeros"); i.size = 20 << 30
    g.write(i.tobuf())
    for _ in range(700): g.write(bytes(1 << 20))
open("cut.tar", "wb").write(open("through.tar", "rb").read()[:700])
"#;
    succeed(Command::new("python3").args(["-c", script]).current_dir(sandbox.directory.path()));
    for name in ["dotdot.tar", "hardlink.tar", "bomb.tar.gz", "cut.tar"] {
        let said = sandbox.fail(7, &["check", name]);
        assert!(said.contains(name), "{said}");
    }
    // A link that leads away is not a crime, and what lies behind it stays inside.
    let _ = sandbox.minimg(&["check", "through.tar"]).output().unwrap();
    assert!(!std::path::Path::new("/etc/evil").exists());
}

#[test]
fn looking_at_the_store_makes_none() {
    let sandbox = Sandbox::cold();
    for arguments in [&["cache"][..], &["cache", "show"], &["cache", "verify"], &["cache", "prune"]] {
        sandbox.run(arguments);
        sandbox.json(arguments);
        assert!(!sandbox.store.exists(), "{arguments:?}");
    }
}

#[test]
fn of_several_boards_a_miss_says_which_one() {
    let sandbox = Sandbox::shared().live();
    sandbox.write(
        "mine.toml",
        &format!(
            "extends = \"busybox-glibc\"\n[[add.files]]\npath = \"/etc/motd\"\ncontent = '{}'\n",
            sandbox.directory.path().display()
        ),
    );
    let document = sandbox.json(&["build", "./mine.toml", "--board", "amd64,arm64", "-o", "oci:x"]);
    let misses: Vec<&str> = document["cache"]["misses"].as_array().unwrap().iter().filter_map(|m| m.as_str()).collect();
    for board in ["amd64", "arm64"] {
        assert!(misses.iter().any(|miss| miss.starts_with(&format!("layer for {board}: "))), "{misses:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_one_that_is_not_set() {
    let sandbox = Sandbox::cold().live();
    let usual = sandbox.directory.path().join(".cache/minimg");
    for name in [
        "MINIMG_STORE",
        "MINIMG_CONFIG",
        "MINIMG_MIRROR",
        "MINIMG_SECURITY_MIRROR",
        "MINIMG_OFFLINE",
        "MINIMG_BUILDROOT_DIR",
    ] {
        let mut command = sandbox.minimg(&["cache", "--json"]);
        let shown: serde_json::Value =
            serde_json::from_slice(&succeed(command.env_remove("MINIMG_STORE").env(name, "")).stdout).unwrap();
        assert_eq!(shown["path"], usual.to_str().unwrap(), "{name}");
    }
    let shared = Sandbox::shared().live();
    let mut build = shared.minimg(&["build", "busybox-glibc", "-q", "-o", "a.tar"]);
    succeed(build.envs([
        ("MINIMG_MIRROR", ""),
        ("MINIMG_SECURITY_MIRROR", ""),
        ("MINIMG_KEYRING", ""),
        ("MINIMG_OFFLINE", ""),
        ("MINIMG_CONFIG", ""),
    ]));
}

#[test]
fn show_reads_files_of_boards_and_profiles() {
    let sandbox = Sandbox::cold();
    let board = sandbox.write(
        "board.toml",
        "description = \"ours\"\n[platform]\narchitecture = \"amd64\"\n[names]\ndeb = \"amd64\"\n",
    );
    sandbox.write("mine.toml", "extends = \"busybox-glibc\"\ndescription = \"ours too\"\n");
    for name in ["./board.toml", "board.toml", board.to_str().unwrap()] {
        assert_eq!(sandbox.json(&["show", name])["platform"]["architecture"], "amd64", "{name}");
    }
    assert_eq!(sandbox.json(&["show", "./mine.toml"])["description"], "ours too");
    sandbox.write("wrong.toml", "description = \"ours\"\n[platform]\narchitecture = \"a b\"\n");
    assert!(sandbox.fail(3, &["show", "./wrong.toml"]).contains("wrong.toml:"));
}
