//! `minimg shrink` and the backend tarball as users run them: roots of several distributions' kinds, in every form that one can have.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Sandbox, succeed, text, tool};

/// A program without any library of the system's, that prints what it is given and ends.
const PROGRAM: &str = r#"
extern const char *word(void);
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
void _start(void) {
    const char *text = word();
    long length = 0;
    while (text[length]) length++;
    call(1, 1, (long)text, length);
    call(60, 0, 0, 0);
}
"#;

/// A directory that becomes a root file system.
pub(crate) struct Root(PathBuf);

impl Root {
    fn new(sandbox: &Sandbox, name: &str) -> Self {
        let path = sandbox.path(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> &Self {
        let to = self.0.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap_or_else(|error| panic!("{from}: {error}"));
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    /// A program and its library for the C library whose loader this is.
    fn program(&self, loader: &str, directory: &str) -> &Self {
        let source = self.0.with_extension("c");
        fs::write(&source, PROGRAM).unwrap();
        let word = self.0.with_extension("word.c");
        fs::write(&word, "const char *word(void) { return \"works\\n\"; }\n").unwrap();
        let library = self.0.join(directory).join("libword.so.1");
        for path in [&library, &self.0.join("usr/bin/hello")] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        let gcc = |arguments: &[&str]| succeed(tool("gcc", "gcc").args(arguments));
        let shared = ["-nostdlib", "-shared", "-fPIC", "-Wl,-soname,libword.so.1", "-o"];
        gcc(&[&shared[..], &[library.to_str().unwrap(), word.to_str().unwrap()]].concat());
        let linker = format!("-Wl,-dynamic-linker,{loader}");
        let program = self.0.join("usr/bin/hello");
        let flags = ["-nostdlib", "-fPIE", "-pie", "-fno-stack-protector", "-O1", &linker, "-o"];
        let words = [program.to_str().unwrap(), source.to_str().unwrap(), library.to_str().unwrap()];
        gcc(&[&flags[..], &words].concat());
        self
    }

    /// The root as a tar; `option` is tar's own for the compression.
    fn tar(&self, sandbox: &Sandbox, name: &str, option: &[&str]) -> PathBuf {
        let path = sandbox.path(name);
        let fixed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@1700000000"];
        let mut tar = tool("tar", "tar");
        succeed(tar.args(fixed).args(option).arg("-cf").arg(&path).arg("-C").arg(&self.0).arg("."));
        path
    }
}

pub(crate) fn alpine(sandbox: &Sandbox) -> Root {
    let root = Root::new(sandbox, "alpine");
    let installed = "C:Q1\nP:musl\nV:1.2.5-r9\nA:x86_64\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n\
                     P:hello\nV:1-r0\nA:x86_64\nF:usr/bin\nR:hello\nF:usr/lib\nR:libword.so.1\n\n\
                     P:other\nV:2-r0\nA:x86_64\nF:usr/share\nR:other\n\n";
    root.copy("/lib/ld-musl-x86_64.so.1", "lib/ld-musl-x86_64.so.1")
        .program("/lib/ld-musl-x86_64.so.1", "usr/lib")
        .write("lib/apk/db/installed", installed)
        .write("etc/os-release", "ID=alpine\n")
        .write("usr/share/other", "not needed");
    root
}

/// A root with the part of this Debian machine's own package database that two programs need.
pub(crate) fn debian(sandbox: &Sandbox) -> Root {
    let root = Root::new(sandbox, "debian");
    root.copy("/var/lib/dpkg/status", "var/lib/dpkg/status")
        .copy("/var/lib/dpkg/info/libc6:amd64.list", "var/lib/dpkg/info/libc6:amd64.list")
        .copy("/var/lib/dpkg/info/libc6:amd64.md5sums", "var/lib/dpkg/info/libc6:amd64.md5sums")
        .copy("/var/lib/dpkg/info/coreutils.list", "var/lib/dpkg/info/coreutils.list")
        .copy("/var/lib/dpkg/info/coreutils.md5sums", "var/lib/dpkg/info/coreutils.md5sums")
        .copy("/usr/bin/echo", "usr/bin/echo")
        .copy("/usr/bin/cat", "usr/bin/cat")
        .copy("/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6")
        .copy("/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        .copy("/usr/share/doc/libc6/copyright", "usr/share/doc/libc6/copyright")
        .copy("/etc/os-release", "etc/os-release")
        .link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        .link("lib", "usr/lib")
        .link("lib64", "usr/lib64")
        .link("bin", "usr/bin");
    root
}

fn gentoo(sandbox: &Sandbox) -> Root {
    let root = Root::new(sandbox, "gentoo");
    let sum = "d41d8cd98f00b204e9800998ecf8427e 1700000000";
    let contents = format!(
        "dir /usr\nobj /usr/bin/hello {sum}\nobj /usr/lib64/libword.so.1 {sum}\nobj /usr/share/other {sum}\n\
         sym /usr/bin/hi -> hello 1700000000\n"
    );
    let entry = "var/db/pkg/app-misc/hello-1.0-r2";
    root.copy("/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2")
        .program("/lib64/ld-linux-x86-64.so.2", "usr/lib64")
        .write(&format!("{entry}/CONTENTS"), &contents)
        .write(&format!("{entry}/CHOST"), "x86_64-pc-linux-gnu\n")
        .write(&format!("{entry}/LICENSE"), "GPL-2\n")
        .write("etc/ld.so.conf", "/lib64\n/usr/lib64\n")
        .write("usr/share/other", "not needed")
        .link("usr/bin/hi", "hello");
    root
}

fn members(tar: &Path) -> Vec<String> {
    let listed = text(succeed(Command::new("tar").arg("tf").arg(tar)));
    listed.lines().map(|line| line.trim_end_matches('/').to_owned()).collect()
}

fn assert_members(tar: &Path, has: &[&str], lacks: &[&str]) {
    let all = members(tar);
    let is_there = |path: &&&str| all.iter().any(|member| member == **path);
    let missing: Vec<_> = has.iter().filter(|path| !is_there(path)).collect();
    let wrong: Vec<_> = lacks.iter().filter(is_there).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "missing: {missing:?}, not wanted: {wrong:?} in\n{}",
        all.join("\n")
    );
}

/// Unpacks a root tar and runs a program in it.
fn run_in(sandbox: &Sandbox, tar: &Path, program: &str) -> String {
    let directory = sandbox.path("unpacked");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    succeed(Command::new("tar").arg("xf").arg(tar).arg("-C").arg(&directory));
    text(succeed(tool("chroot", "coreutils").arg(&directory).arg(program)))
}

fn reason(sandbox: &Sandbox, image: &str, path: &str) -> (String, serde_json::Value) {
    let document = sandbox.json(&["why", image, path]);
    let step = &document["chain"][0];
    (step["text"].as_str().unwrap().to_owned(), step["reason"]["package"].clone())
}

#[test]
fn an_alpine_root_becomes_one_program_with_its_musl_and_a_database_that_says_so() {
    let sandbox = Sandbox::cold();
    alpine(&sandbox).tar(&sandbox, "alpine-minirootfs.tar.gz", &["-z"]);
    sandbox.run(&["shrink", "alpine-minirootfs.tar.gz", "--program", "hello", "-o", "rootfs:small.tar"]);
    let small = sandbox.path("small.tar");
    let has =
        ["usr/bin/hello", "usr/lib/libword.so.1", "lib/ld-musl-x86_64.so.1", "lib/apk/db/installed", "etc/os-release"];
    assert_members(&small, &has, &["usr/share/other"]);
    assert_eq!(run_in(&sandbox, &small, "hello"), "works\n");
    let (text, package) = reason(&sandbox, "small.tar", "/usr/lib/libword.so.1");
    assert_eq!((text.as_str(), package), ("is libword.so.1, which /usr/bin/hello needs", "hello".into()));
    let database = fs::read_to_string(sandbox.path("unpacked/lib/apk/db/installed")).unwrap();
    assert!(
        database.contains("P:musl\n") && database.contains("P:hello\n") && !database.contains("P:other"),
        "{database}"
    );
    let said = sandbox.fail(2, &["why-not", "small.tar", "/usr/share/other"]);
    assert!(said.contains("`--keep /usr/share/other` keeps it"), "{said}");
    let said = sandbox.fail(2, &["why-not", "small.tar", "/usr/share/none"]);
    assert!(said.contains("does not have it either") && !said.contains("--keep"), "{said}");
    sandbox.run(&[
        "shrink",
        "alpine-minirootfs.tar.gz",
        "-p",
        "hello",
        "--keep",
        "/usr/share/**",
        "-o",
        "rootfs:small.tar",
    ]);
    assert_members(&small, &["usr/bin/hello", "usr/share/other"], &[]);
}

#[test]
fn a_name_that_is_not_utf8_is_explained() {
    let sandbox = Sandbox::cold();
    let root = alpine(&sandbox);
    fs::create_dir_all(root.0.join("srv")).unwrap();
    for name in [&b"caf\xe9"[..], b"caf\xe8", b"back\\slash", "caf\u{e9}".as_bytes()] {
        fs::write(root.0.join("srv").join(OsStr::from_bytes(name)), "c").unwrap();
    }
    sandbox.run(&["shrink", "alpine", "--program", "hello", "--keep", "/srv/**", "-o", "rootfs:small.tar"]);
    for (name, shown) in [
        (&b"/srv/caf\xe9"[..], "/srv/caf\\xe9 is kept"),
        (b"/srv/caf\xe8", "/srv/caf\\xe8 is kept"),
        (b"/srv/back\\slash", "/srv/back\\slash is kept"),
        ("/srv/caf\u{e9}".as_bytes(), "/srv/caf\u{e9} is kept"),
        (b"/srv/caf\\xe9", "/srv/caf\\xe9 is kept"),
    ] {
        let said = text(succeed(sandbox.minimg(&["why", "small.tar"]).arg(OsStr::from_bytes(name))));
        assert!(said.starts_with(shown), "{said}");
    }
    let mut why_not = sandbox.minimg(&["why-not", "small.tar"]);
    let output = why_not.arg(OsStr::from_bytes(b"/srv/none\xff")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/srv/none\\xff is not in small.tar") && said.contains("does not have it either"), "{said}");
}

#[test]
fn a_debian_root_keeps_the_entries_of_exactly_the_packages_that_stay() {
    let sandbox = Sandbox::cold();
    debian(&sandbox);
    sandbox.run(&["shrink", "debian", "-p", "/bin/echo", "-o", "rootfs:small.tar"]);
    let small = sandbox.path("small.tar");
    let has = [
        "usr/bin/echo",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "var/lib/dpkg/status.d/libc6",
        "usr/share/doc/libc6/copyright",
    ];
    let has = [&has[..], &["var/lib/dpkg/status.d/coreutils", "var/lib/dpkg/status.d/libc6.md5sums"]].concat();
    assert_members(&small, &has, &["usr/bin/cat", "var/lib/dpkg/status", "var/lib/dpkg/status.d/dpkg"]);
    assert_eq!(run_in(&sandbox, &small, "/usr/bin/echo"), "\n");
    let all = sandbox.json(&["shrink", "debian", "-p", "/bin/echo", "-o", "rootfs:small.tar"]);
    let (before, after) = (all["size_before"].as_u64().unwrap(), all["images"][0]["size"].as_u64().unwrap());
    let saved = fs::metadata("/var/lib/dpkg/status").unwrap().len() / 2;
    assert!(after > 1 << 20 && after + saved < before, "{before} {after}");
    let said = sandbox.run(&["shrink", "debian", "-p", "/bin/echo", "-o", "rootfs:small.tar"]);
    assert!(said.contains("before") && said.contains(" % less"), "{said}");
    assert_eq!(reason(&sandbox, "small.tar", "/usr/bin/echo").1, "coreutils");
}

#[test]
fn a_gentoo_stage_in_every_compression_gives_the_same_bytes() {
    let sandbox = Sandbox::cold();
    let root = gentoo(&sandbox);
    let mut images = Vec::new();
    for (name, option) in [
        ("stage3.tar", &[][..]),
        ("stage3.tar.gz", &["-z"]),
        ("stage3.tar.bz2", &["-j"]),
        ("stage3.tar.xz", &["-J"]),
        ("stage3.tar.zst", &["--zstd"]),
    ] {
        root.tar(&sandbox, name, option);
        sandbox.run(&["shrink", name, "-p", "hi", "-o", "rootfs:small.tar"]);
        images.push(fs::read(sandbox.path("small.tar")).unwrap());
    }
    assert!(images.iter().all(|image| *image == images[0]));
    let entry = "var/db/pkg/app-misc/hello-1.0-r2";
    let has = [
        "usr/bin/hi",
        "usr/bin/hello",
        "usr/lib64/libword.so.1",
        &format!("{entry}/CONTENTS"),
        &format!("{entry}/LICENSE"),
    ];
    assert_members(&sandbox.path("small.tar"), &has, &["usr/share/other", &format!("{entry}/CHOST")]);
    assert_eq!(run_in(&sandbox, &sandbox.path("small.tar"), "hi"), "works\n");
    assert_eq!(reason(&sandbox, "small.tar", "/usr/bin/hello").1, "app-misc/hello");
    let contents = fs::read_to_string(sandbox.path("unpacked").join(entry).join("CONTENTS")).unwrap();
    assert!(contents.contains("/usr/bin/hello") && !contents.contains("/usr/share/other"), "{contents}");
}

/// As language images have it: compiled into /usr/local, owned by no package.
#[test]
fn a_language_in_usr_local_keeps_its_standard_library() {
    let sandbox = Sandbox::cold();
    let name = fs::read_link("/usr/bin/python3").expect("the test needs python3: apt-get install python3");
    let name = name.file_name().unwrap().to_str().unwrap();
    let root = Root::new(&sandbox, "python");
    let program = format!("/usr/bin/{name}");
    root.copy(&program, &format!("usr/local/bin/{name}")).link("usr/local/bin/python3", name);
    let needed = text(succeed(tool("ldd", "libc-bin").arg(&program)));
    for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
        root.copy(library, library.trim_start_matches('/'));
    }
    fs::create_dir_all(root.0.join("usr/local/lib")).unwrap();
    succeed(tool("cp", "coreutils").args(["-rL", &format!("/usr/lib/{name}")]).arg(root.0.join("usr/local/lib")));
    root.write("usr/local/bin/tool", "#!/usr/bin/env python3\nimport json\nprint(json.dumps({}))\n")
        .copy("/usr/bin/env", "usr/bin/env")
        .write("usr/share/other", "not needed");
    succeed(Command::new("chmod").arg("+x").arg(root.0.join("usr/local/bin/tool")));
    sandbox.run(&["shrink", "python", "-p", "tool", "-o", "rootfs:small.tar"]);
    assert_eq!(run_in(&sandbox, &sandbox.path("small.tar"), "/usr/local/bin/tool"), "{}\n");
    assert_members(&sandbox.path("small.tar"), &["usr/local/bin/python3"], &["usr/share/other"]);
}

#[test]
fn an_image_in_every_form_gives_the_same_image_again() {
    let sandbox = Sandbox::cold();
    alpine(&sandbox).tar(&sandbox, "root.tar", &[]);
    sandbox.write("p.toml", "backend = 'tarball'\n[source.options.tarball]\nroot = 'root.tar'\n[keep]\nprograms = ['hello']\nglobs = {'/usr/share/**' = 'to be left out later'}\n[image]\nentrypoint = ['hello']\nuser = '7:8'\nenv = {A = 'b'}\nworkdir = '/tmp'\nlabels = {l = 'm'}\n");
    let forms = ["oci:layout", "docker-archive:a.tar", "archive:b.tar"];
    let outputs: Vec<&str> = forms.iter().flat_map(|form| ["-o", form]).collect();
    sandbox.run(&[&["build", "./p.toml"][..], &outputs].concat());
    let mut configs = Vec::new();
    for form in ["layout", "a.tar", "b.tar"] {
        sandbox.run(&["shrink", form, "-t", "same", "-o", "oci:small"]);
        let blob = |digest: &serde_json::Value| {
            let hex = digest.as_str().unwrap().trim_start_matches("sha256:");
            let bytes = fs::read(sandbox.path("small/blobs/sha256").join(hex)).unwrap();
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
        };
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(sandbox.path("small/index.json")).unwrap()).unwrap();
        let config = blob(&blob(&index["manifests"][0]["digest"])["config"]["digest"]);
        configs.push(config);
    }
    let said = sandbox.fail(4, &["shrink", "a.tar", "--board", "arm64"]);
    assert!(said.contains("a.tar is an image for linux/amd64, and the board is linux/arm64"), "{said}");
    let config = &configs[0]["config"];
    assert_eq!(
        (&config["Entrypoint"], &config["User"], &config["WorkingDir"]),
        (&serde_json::json!(["hello"]), &"7:8".into(), &"/tmp".into())
    );
    assert!(config["Env"].to_string().contains("A=b") && config["Labels"]["l"] == "m", "{config}");
    for other in &configs[1..] {
        assert_eq!(other["rootfs"], configs[0]["rootfs"]);
        assert_eq!(other["config"], configs[0]["config"]);
    }
}

#[test]
fn a_profile_over_a_root_is_locked_and_pinned() {
    let sandbox = Sandbox::cold();
    let root = alpine(&sandbox);
    fs::create_dir(sandbox.path("sub")).unwrap();
    root.tar(&sandbox, "sub/root.tar", &[]);
    let profile = |more: &str| {
        sandbox.write("sub/p.toml", &format!("backend = 'tarball'\n[source.options.tarball]\nroot = 'root.tar'\n{more}\n[keep]\nprograms = ['hello']\n"));
    };
    profile("");
    sandbox.run(&["lock", "sub/p.toml"]);
    let build = ["build", "sub/p.toml", "--locked", "-o", "rootfs:small.tar"];
    sandbox.run(&build);
    let first = fs::read(sandbox.path("small.tar")).unwrap();
    // With an empty store the same root is read again; another one is refused.
    fs::remove_dir_all(&sandbox.store).unwrap();
    fs::remove_file(sandbox.path("small.tar")).unwrap();
    sandbox.run(&build);
    assert_eq!(fs::read(sandbox.path("small.tar")).unwrap(), first);
    root.write("usr/share/other", "something else");
    root.tar(&sandbox, "sub/root.tar", &[]);
    fs::remove_dir_all(&sandbox.store).unwrap();
    let said = sandbox.fail(10, &build);
    assert!(said.contains("root.tar has changed since it was locked; run `minimg lock` again"), "{said}");
    profile(&format!("sha256 = '{}'", "0".repeat(64)));
    let said = sandbox.fail(6, &["build", "sub/p.toml", "-o", "rootfs:small.tar"]);
    assert!(said.contains("root.tar has the digest sha256:") && said.contains("says sha256:0000"), "{said}");
    profile("hash = 'x'");
    let said = sandbox.fail(3, &["build", "sub/p.toml"]);
    assert!(said.contains("there is no `hash`"), "{said}");
}

#[test]
fn a_root_of_the_command_line_takes_the_place_of_the_packages() {
    let sandbox = Sandbox::cold();
    gentoo(&sandbox);
    sandbox.write("p.toml", "[packages]\ndeb = ['nothing']\n[keep]\nprograms = ['hello']\n");
    sandbox.run(&["build", "./p.toml", "--root", "gentoo", "-o", "rootfs:small.tar"]);
    assert_members(&sandbox.path("small.tar"), &["usr/bin/hello"], &["usr/share/other"]);
    let all = sandbox.json(&["build", "./p.toml", "--root", "gentoo", "-o", "rootfs:small.tar"]);
    assert_eq!((&all["images"][0]["reused"], &all["outputs"][0]["unchanged"]), (&true.into(), &true.into()), "{all}");
}

#[test]
fn a_root_may_come_through_a_pipe() {
    let sandbox = Sandbox::cold();
    gentoo(&sandbox);
    let script = "tar -C gentoo -c . | \"$0\" shrink /dev/stdin -p hello -q -o rootfs:piped.tar";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_minimg")]).current_dir(sandbox.directory.path());
    succeed(shell.env("MINIMG_STORE", &sandbox.store));
    sandbox.run(&["shrink", "gentoo", "-p", "hello", "-q", "-o", "rootfs:direct.tar"]);
    assert_eq!(members(&sandbox.path("piped.tar")), members(&sandbox.path("direct.tar")));
}

#[test]
fn mistakes_are_named() {
    let sandbox = Sandbox::cold();
    gentoo(&sandbox);
    fs::create_dir(sandbox.path("empty")).unwrap();
    fs::create_dir(sandbox.path("sparse")).unwrap();
    fs::File::create(sandbox.path("sparse/lastlog")).unwrap().set_len(100 << 30).unwrap();
    sandbox.write("bad.tar", "this is not a tar archive, though its name says so");
    for whiteout in ["srv/.wh.x", "opt/.wh..wh..opq"] {
        Root(sandbox.path("gentoo")).write(whiteout, "");
    }
    for (code, arguments, expected) in [
        (
            2,
            &["shrink", "nginx:latest", "-p", "x"][..],
            "there is no nginx:latest; an image of an engine on this machine is written docker:NAME",
        ),
        (2, &["shrink", "gentoo"], "gentoo does not say what it starts: name the programs to keep with --program"),
        (8, &["shrink", "gentoo", "-p", "nonesuch"], "cannot keep the program nonesuch"),
        (8, &["shrink", "gentoo", "-p", "/usr"], "cannot keep the program /usr: that path is not a file"),
        (3, &["shrink", "https://mirror.example/a.tar", "-p", "x"], "or fetch it yourself and name the file"),
        (7, &["shrink", "sparse", "-p", "x"], "the largest is /lastlog with 107374182400 bytes"),
        (7, &["shrink", "empty", "-p", "x"], "empty has no files"),
        (7, &["shrink", "bad.tar", "-p", "x"], "bad.tar"),
        (7, &["shrink", "gentoo", "-p", "hello", "--keep", "/srv/**"], "/srv/.wh.x cannot be in a layer"),
        (7, &["shrink", "gentoo", "-p", "hello", "--keep", "/opt/**"], "/opt/.wh..wh..opq cannot be in a layer"),
        (3, &["shrink", "docker:--help", "-p", "x"], "does not name a root file system"),
        (3, &["build", "busybox-glibc", "--backend", "tarball"], "needs a root file system: name one with --root"),
    ] {
        let said = sandbox.fail(code, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
