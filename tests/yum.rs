//! The yum backend with the real dnf and a repository of real packages: as root, and as ordinary users with and without subordinate ids.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{Sandbox, succeed};
use crate::support::docker::DOCKER;
use crate::support::driven::{alone, left_in, lines, processes_in, text, tree, wait_for};
use crate::support::rpm::REPOSITORIES;
use crate::support::users::{PLAIN, WITH_IDS};
use crate::support::{command, run};
use minimg::tree::{RootPath, RootTree};
use rustix::process::{Pid, Signal, kill_process};

/// A profile of these packages from the repository `name`; `options` are of that repository.
fn profile(packages: &str, name: &str, options: &str) -> String {
    format!(
        "backend = 'yum'\npackages.rpm = [{packages}]\nkeep.programs = ['busybox']\nkeep.globs = {{ '/srv/**' = 'the test' }}\n\
         [[source.options.yum.repositories]]\nname = 'test'\nbaseurl = 'file://{}'\n{options}\n",
        REPOSITORIES.path(name).display()
    )
}

const BUILD: [&str; 5] = ["build", "./own.toml", "-q", "-o", "rootfs:root.tar"];

/// What the package `owned` must give, whoever builds it.
fn check_owned(tree: &RootTree) {
    let lines = lines(tree);
    let begins = |path: &str, expected: &str| {
        let line = lines.get(path).unwrap_or_else(|| panic!("there is no {path}"));
        assert!(line.starts_with(expected), "{line:?} is not {expected:?}");
    };
    begins("/srv/owned", "f 0640 33:42 ");
    begins("/srv/setuid", "f 4711 0:42 ");
    let capable = tree.get(&RootPath::new("srv/capable").unwrap()).unwrap();
    assert!(capable.meta.xattrs.contains_key("security.capability"), "{:?}", capable.meta.xattrs);
    assert_eq!(text(tree, "srv/post-ran"), "ran\n");
    let manifest = text(tree, "var/lib/rpmmanifest/container-manifest-2");
    let names: Vec<&str> = manifest.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["busybox", "filesystem", "libc6", "owned"]);
    assert!(manifest.lines().all(|line| line.split('\t').count() == 10), "{manifest}");
    assert!(lines.contains_key("/usr/share/licenses/busybox/COPYING"));
}

#[test]
fn owners_modes_and_capabilities_survive_as_root_and_as_ordinary_users() {
    let (as_root, with_ids, plain) = (Sandbox::cold().live(), Sandbox::cold().live(), Sandbox::cold().live());
    for sandbox in [&as_root, &with_ids, &plain] {
        sandbox.write("own.toml", &profile("'busybox', 'owned'", "plain", "gpgcheck = false"));
    }
    as_root.run(&BUILD);
    for (user, sandbox) in [(WITH_IDS, &with_ids), (PLAIN, &plain)] {
        let command = sandbox.copied_minimg(&BUILD);
        user.own(sandbox.directory.path());
        succeed(&mut user.run_as(&command));
    }
    let expected = tree(&as_root.path("root.tar"), &as_root.store);
    check_owned(&expected);
    for sandbox in [&with_ids, &plain] {
        let found = tree(&sandbox.path("root.tar"), &sandbox.store);
        check_owned(&found);
        assert_eq!(lines(&found), lines(&expected));
        assert_eq!(left_in(&sandbox.store), Vec::<String>::new());
    }
}

#[test]
fn the_shipped_busybox_builds_and_runs_under_docker() {
    let sandbox = Sandbox::cold().live();
    let options = format!(
        "extends = 'busybox-glibc'\nbackend = 'yum'\n[[source.options.yum.repositories]]\nname = 'test'\nbaseurl = 'file://{}'\ngpgcheck = false\n",
        REPOSITORIES.path("plain").display()
    );
    sandbox.write("busybox-glibc.toml", &options);
    succeed(sandbox.minimg(&["test", "./busybox-glibc.toml"]).env("DOCKER_HOST", DOCKER.host()));
}

/// The headers as rpm's own format has them (`rpmpkg.c`). Debian's rpm is built without it, so the file is written here, with the headers
/// that the real rpm wrote.
fn ndb(headers: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[usize]| words.iter().flat_map(|&word| (word as u32).to_le_bytes()).collect::<Vec<u8>>();
    let mut file = [b"RpmP".to_vec(), words(&[0, 1, 1, headers.len() + 1, 0, 0, 0])].concat();
    let mut blobs = Vec::new();
    for (at, header) in headers.iter().enumerate() {
        let blob = [b"BlbS".to_vec(), words(&[at + 1, 1, header.len()]), header.clone()].concat();
        file.extend([b"Slot".to_vec(), words(&[at + 1, (4096 + blobs.len()) / 16, blob.len().div_ceil(16)])].concat());
        blobs.extend(blob);
        blobs.resize(blobs.len().next_multiple_of(16), 0);
    }
    file.resize(4096, 0);
    [file, blobs].concat()
}

#[test]
fn a_root_says_who_owns_its_files_whatever_the_form_of_its_database() {
    let sandbox = Sandbox::cold().live();
    let root = sandbox.path("root");
    std::fs::create_dir(&root).unwrap();
    let packages = std::fs::read_dir(REPOSITORIES.path("plain")).unwrap().map(|entry| entry.unwrap().path());
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        ["filesystem-", "libc6-", "busybox-"].iter().any(|start| name.starts_with(start))
    };
    let mut install = command("rpm", &["-i", "--nodeps", "--noscripts", "--dbpath", "/var/lib/rpm", "--root"]);
    run(install.arg(&root).args(packages.filter(wanted)).env("HOME", sandbox.directory.path()));
    sandbox
        .write("own.toml", "backend = 'tarball'\nkeep.programs = ['busybox']\nsource.options.tarball.root = 'root'\n");
    let check = |form: &str| {
        sandbox.run(&BUILD);
        let why = sandbox.run(&["why", "./own.toml", "/usr/bin/busybox"]);
        assert!(why.contains("[busybox]"), "{form}: {why}");
        let built = tree(&sandbox.path("root.tar"), &sandbox.store);
        let manifest = text(&built, "var/lib/rpmmanifest/container-manifest-2");
        assert_eq!(manifest.lines().count(), 3, "{form}: {manifest}");
    };
    check("sqlite");
    let database = root.join("var/lib/rpm/rpmdb.sqlite");
    let headers = minimg::ownership::rpm::of_sqlite(&std::fs::read(&database).unwrap().into()).unwrap();
    std::fs::remove_dir_all(root.join("var/lib/rpm")).unwrap();
    std::fs::create_dir_all(root.join("usr/lib/sysimage/rpm")).unwrap();
    std::fs::write(root.join("usr/lib/sysimage/rpm/Packages.db"), ndb(&headers)).unwrap();
    check("ndb");
}

#[test]
fn signatures_are_checked() {
    let sandbox = Sandbox::cold().live();
    let key = format!("gpgkey = ['{}']", REPOSITORIES.path("key.asc").display());
    sandbox.write("own.toml", &profile("'busybox'", "signed", &key));
    sandbox.run(&BUILD);
    sandbox.write("own.toml", &profile("'busybox'", "plain", &key));
    let said = sandbox.fail(6, &BUILD);
    assert!(said.contains("is not signed") || said.contains("GPG check FAILED"), "{said}");
    sandbox.write("own.toml", &profile("'busybox'", "plain", ""));
    let said = sandbox.fail(3, &BUILD);
    assert!(said.contains("names no `gpgkey`"), "{said}");
    sandbox.write("own.toml", &profile("'busybox'", "signed", &format!("{key}\nrepo-gpgcheck = true")));
    let said = sandbox.fail(6, &BUILD);
    assert!(said.contains("repomd.xml"), "{said}");
}

#[test]
fn failures_say_what_is_wrong() {
    let sandbox = Sandbox::cold().live();
    for (packages, code, expected) in [
        ("'no-such-package'", 4, "No match for argument: no-such-package"),
        ("'broken'", 4, "nothing provides there-is-no-such-thing"),
        // A pattern is dnf's, not that of the shell that runs it in a directory with a file `packages`.
        ("'pack*'", 4, "No match for argument: pack*"),
        ("'dash', 'failing'", 9, "the script failed"),
    ] {
        sandbox.write("own.toml", &profile(packages, "plain", "gpgcheck = false"));
        let said = sandbox.fail(code, &BUILD);
        assert!(said.contains(expected) && said.contains("the full log is "), "{packages}: {said}");
    }
    sandbox.write("own.toml", &profile("'busybox'", "plain", "gpgcheck = false\n[source.options.yum]\ntool = 'dnf5'"));
    let said = sandbox.fail(9, &BUILD);
    assert!(said.contains("cannot find dnf5") && said.contains("`apt-get install dnf`"), "{said}");
    sandbox.write("own.toml", "backend = 'yum'\npackages.rpm = ['busybox']\nkeep.programs = ['busybox']\n");
    let said = sandbox.fail(3, &BUILD);
    assert!(said.contains("no repository is known"), "{said}");
    assert_eq!(left_in(&sandbox.store), Vec::<String>::new());
    let pinned = profile("'no-such-package'", "plain", "gpgcheck = false");
    sandbox.write("own.toml", &format!("source.pins = {{ busybox = '1' }}\n{pinned}"));
    let said = sandbox.fail(4, &["build", "./own.toml"]);
    assert!(said.contains("warning: yum knows no pins"), "{said}");
}

#[test]
fn a_lock_pins_the_tree_and_needs_no_tool() {
    let sandbox = Sandbox::cold().live();
    sandbox.write("own.toml", &profile("'busybox'", "plain", "gpgcheck = false"));
    sandbox.run(&["lock", "./own.toml", "-q"]);
    let build = ["build", "./own.toml", "-q", "--locked", "--no-record", "-o", "a.tar"];
    sandbox.run(&build);
    let first = std::fs::read(sandbox.path("a.tar")).unwrap();
    std::fs::remove_file(sandbox.path("a.tar")).unwrap();
    for kind in ["layers", "record", "output", "driven-root"] {
        let _ = std::fs::remove_dir_all(sandbox.store.join("v1/entries").join(kind));
    }
    succeed(&mut alone(&sandbox.minimg(&build)));
    assert_eq!(std::fs::read(sandbox.path("a.tar")).unwrap(), first);
}

#[test]
fn what_was_made_lately_is_not_made_again() {
    let sandbox = Sandbox::cold().live();
    sandbox.write("own.toml", &profile("'busybox'", "plain", "gpgcheck = false"));
    sandbox.run(&BUILD);
    let log = sandbox.store.join("v1/logs/yum.log");
    std::fs::remove_file(&log).unwrap();
    sandbox.run(&BUILD);
    assert!(!log.exists(), "dnf ran again");
    sandbox.run(&[&BUILD[..], &["--offline"]].concat());
    let anew = profile("'busybox'", "plain", "gpgcheck = false\n[source.options.yum]\nmax-age = '0s'");
    sandbox.write("own.toml", &anew);
    sandbox.run(&BUILD);
    assert!(log.exists(), "dnf did not run");
    let other = profile("'dash'", "plain", "gpgcheck = false").replace("'busybox'", "'dash'");
    sandbox.write("own.toml", &other);
    let said = sandbox.fail(5, &[&BUILD[..], &["--offline"]].concat());
    assert!(said.contains("--offline forbids"), "{said}");
}

/// A copy of the plain repository that a test may change; `hidden` is the file of a package that is not in its index yet.
fn own_repository(sandbox: &Sandbox, hidden: Option<&str>) -> PathBuf {
    let place = sandbox.path("repository");
    run(command("cp", &["-r"]).arg(REPOSITORIES.path("plain")).arg(&place));
    if let Some(name) = hidden {
        std::fs::rename(place.join(name), sandbox.path(name)).unwrap();
    }
    index(&place);
    place
}

fn index(repository: &Path) {
    run(command("createrepo_c", &["-q", "--no-database", "--simple-md-filenames"]).arg(repository));
}

/// A repository that is served on loopback.
struct Server {
    child: std::process::Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    fn start(sandbox: &Sandbox, repository: &Path) -> Self {
        let log = sandbox.path("server.log");
        let mut server = command("python3", &["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]);
        let (out, err) =
            (std::fs::File::create(&log).unwrap(), std::fs::File::options().append(true).open(&log).unwrap());
        let child = server.arg(repository).stdout(out).stderr(err).spawn().unwrap();
        let port = || {
            let said = std::fs::read_to_string(&log).unwrap();
            said.split(" port ").nth(1)?.split(' ').next()?.parse().ok()
        };
        wait_for("the server", || port().is_some());
        Self { child, port: port().unwrap(), log }
    }

    /// How many packages were asked for.
    fn packages(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap().lines().filter(|line| line.contains(".rpm HTTP")).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_is_fetched_twice_and_a_repository_is_seen_as_it_is_now() {
    // The store is not in a directory that is emptied in the tree, so that nothing of it may hide there.
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sandbox = Sandbox { store: place.path().join("store"), ..Sandbox::cold().live() };
    let owned = "owned-1.x86_64.rpm";
    let repository = own_repository(&sandbox, Some(owned));
    let server = Server::start(&sandbox, &repository);
    let of_server = |packages: &str| {
        let named = format!("file://{}", REPOSITORIES.path("plain").display());
        profile(packages, "plain", "gpgcheck = false\n[source.options.yum]\nmax-age = '0s'")
            .replace(&named, &format!("http://127.0.0.1:{}", server.port))
    };
    let build = || {
        let mut command = sandbox.minimg(&BUILD);
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        succeed(&mut command);
    };
    let everything = of_server("'busybox'").replace("keep.globs = {", "keep.globs = { '/**' = 'all',");
    sandbox.write("own.toml", &everything);
    build();
    assert!(server.packages() >= 3, "{} packages were fetched", server.packages());
    let fetched = server.packages();
    std::fs::remove_file(sandbox.path("root.tar")).unwrap();
    build();
    assert_eq!(server.packages(), fetched, "packages were fetched again");
    let foreign = |path: &&String| path.contains("rpm-cache") || path.contains("store") || path.ends_with(".log");
    let built = lines(&tree(&sandbox.path("root.tar"), &sandbox.store));
    assert_eq!(built.keys().filter(foreign).collect::<Vec<_>>(), [] as [&String; 0]);

    std::fs::rename(sandbox.path(owned), repository.join(owned)).unwrap();
    index(&repository);
    sandbox.write("own.toml", &of_server("'busybox', 'owned'"));
    build();
    check_owned(&tree(&sandbox.path("root.tar"), &sandbox.store));
    assert_eq!(server.packages(), fetched + 1);
}

#[test]
fn streams_of_modules_are_enabled_and_disabled() {
    let sandbox = Sandbox::cold().live();
    let repository = own_repository(&sandbox, None);
    let module = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: owning\n  stream: one\n  version: 1\n  context: c0ffee\n  \
                  arch: x86_64\n  summary: a module\n  description: for tests\n  license: {module: [MIT], content: [MIT]}\n  \
                  artifacts: {rpms: ['owned-0:1-1.x86_64']}\n...\n";
    let modules = sandbox.write("modules.yaml", module);
    run(command("modifyrepo_c", &["--mdtype=modules"]).arg(modules).arg(repository.join("repodata")));
    let with = |options: &str| {
        let options = format!("gpgcheck = false\n[source.options.yum]\n{options}");
        profile("'busybox', 'owned'", "plain", &options)
            .replace(REPOSITORIES.path("plain").to_str().unwrap(), repository.to_str().unwrap())
    };
    for options in ["", "disabled-modules = ['owning']"] {
        sandbox.write("own.toml", &with(options));
        let said = sandbox.fail(4, &BUILD);
        assert!(said.contains("modular filtering"), "{options}: {said}");
    }
    sandbox.write("own.toml", &with("modules = ['owning:one']"));
    sandbox.run(&BUILD);
    check_owned(&tree(&sandbox.path("root.tar"), &sandbox.store));
}

#[test]
fn blanks_and_commas_in_names_of_directories_do_no_harm() {
    let sandbox = Sandbox::cold().live();
    let place = "my own, 100% \u{e4}";
    std::fs::create_dir(sandbox.path(place)).unwrap();
    std::os::unix::fs::symlink(REPOSITORIES.path("plain"), sandbox.path(place).join("repo sitory")).unwrap();
    let profile = profile("'busybox', 'owned'", "plain", "gpgcheck = false");
    let named = profile.replace(&format!("file://{}", REPOSITORIES.path("plain").display()), "repo sitory");
    sandbox.write(&format!("{place}/named.toml"), &named);
    let (before, _) = profile.split_once("[[").unwrap();
    sandbox.write(&format!("{place}/found.toml"), &format!("{before}source.options.yum.reposdir = 'repos, all'\n"));
    std::fs::create_dir(sandbox.path(place).join("repos, all")).unwrap();
    let text = format!("[a]\nname=a\nbaseurl=file://{}\ngpgcheck=0\n", REPOSITORIES.path("plain").display());
    sandbox.write(&format!("{place}/repos, all/a.repo"), &text);
    for name in ["named", "found"] {
        let profile = format!("./{place}/{name}.toml");
        let mut build = sandbox.minimg(&["build", &profile, "-q", "-o", "rootfs:root.tar"]);
        succeed(build.env("MINIMG_STORE", sandbox.path("a store, too")));
        check_owned(&tree(&sandbox.path("root.tar"), &sandbox.store));
        std::fs::remove_file(sandbox.path("root.tar")).unwrap();
    }
}

#[test]
fn a_directory_of_repositories_counts_besides_those_that_are_named() {
    let sandbox = Sandbox::cold().live();
    let repository = own_repository(&sandbox, Some("owned-1.x86_64.rpm"));
    let only = sandbox.path("only");
    std::fs::create_dir(&only).unwrap();
    std::fs::rename(sandbox.path("owned-1.x86_64.rpm"), only.join("owned-1.x86_64.rpm")).unwrap();
    index(&only);
    let named = profile("'busybox', 'owned'", "plain", "gpgcheck = false\n[source.options.yum]\nreposdir = 'repos'")
        .replace(REPOSITORIES.path("plain").to_str().unwrap(), repository.to_str().unwrap());
    sandbox.write("own.toml", &named);
    std::fs::create_dir(sandbox.path("repos")).unwrap();
    let said = sandbox.fail(3, &BUILD);
    assert!(said.contains("no repository is known"), "{said}");
    let file = |gpgcheck: &str| {
        let text = format!("[other]\nname=other\nbaseurl=file://{}\n{gpgcheck}", only.display());
        sandbox.write("repos/other.repo", &text);
    };
    // What a machine's file does not say is that packages need not be signed.
    file("");
    sandbox.fail(6, &BUILD);
    file("gpgcheck=0\n");
    sandbox.run(&BUILD);
    check_owned(&tree(&sandbox.path("root.tar"), &sandbox.store));
}

#[test]
fn an_interrupted_installation_leaves_nothing_behind() {
    for (signal, milliseconds) in [(Signal::INT, 100), (Signal::TERM, 400), (Signal::KILL, 300)] {
        let sandbox = Sandbox::cold().live();
        sandbox.write("own.toml", &profile("'busybox', 'owned'", "plain", "gpgcheck = false"));
        let command = sandbox.copied_minimg(&BUILD);
        WITH_IDS.own(sandbox.directory.path());
        let mut child = WITH_IDS.run_as(&command).stderr(Stdio::null()).spawn().unwrap();
        wait_for("a workspace", || !left_in(&sandbox.store).is_empty());
        std::thread::sleep(Duration::from_millis(milliseconds));
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        wait_for("the end of all processes", || processes_in(sandbox.directory.path()).is_empty());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(sandbox.directory.path().to_str().unwrap()), "{mounts}");
        if signal == Signal::KILL {
            // Nobody could clean up: the next one does.
            succeed(&mut WITH_IDS.run_as(&command));
        }
        assert_eq!(left_in(&sandbox.store), Vec::<String>::new(), "after {signal:?}");
    }
}
