//! The Buildroot backend on a contract double, which `tests/buildroot/double` is and calls itself: a few dozen lines that behave towards a
//! front end as Buildroot does, traps included. The last test builds with the real one, where MINIMG_BUILDROOT_DIR names it.

mod common;
mod support;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Sandbox, succeed};
use minimg::tree::RootPath;
use rustix::process::{Pid, Signal, kill_process};
use support::docker::DOCKER;
use support::driven::{left_in, lines, processes_in, tree, wait_for};
use support::tool;

fn double() -> PathBuf {
    for (name, package) in [("make", "make"), ("fakeroot", "fakeroot"), ("cc", "gcc"), ("busybox", "busybox")] {
        tool(name, package);
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/buildroot/double")
}

/// A copy of the double that a test may change.
fn own_double(sandbox: &Sandbox) -> PathBuf {
    let copy = sandbox.path("tree");
    support::run(Command::new("cp").arg("-r").arg(double()).arg(&copy));
    copy
}

/// A profile that builds with the double; `options` are lines of its options.
fn profile(options: &str) -> String {
    format!(
        "backend = 'buildroot'\npackages.buildroot = ['busybox']\nkeep.programs = ['busybox']\nkeep.optional-programs = ['hello']\n\
         keep.globs = {{ '/srv/**' = 'the test' }}\n\
         [source.options.buildroot]\ntree = '{}'\ndefconfig = 'double'\n{options}\n",
        double().display()
    )
}

const BUILD: [&str; 5] = ["build", "./own.toml", "-q", "-o", "rootfs:root.tar"];

/// The directory in which the one build of a store was made.
fn out(sandbox: &Sandbox) -> PathBuf {
    let mut all = std::fs::read_dir(sandbox.store.join("v1/buildroot")).unwrap();
    let out = all.next().unwrap().unwrap().path();
    assert!(all.next().is_none(), "more than one output directory");
    out
}

#[test]
fn a_root_is_built_pruned_and_knows_its_packages() {
    let sandbox = Sandbox::cold();
    sandbox.write("own.toml", &profile("options = ['BR2_PACKAGE_HELLO=y']"));
    sandbox.run(&BUILD);
    let built = tree(&sandbox.path("root.tar"), &sandbox.store);
    let lines = lines(&built);
    assert!(lines["/bin/busybox"].starts_with("f 4755 0:0 "), "{lines:#?}");
    assert!(lines["/srv/owned"].starts_with("f 0640 33:42 "), "{lines:#?}");
    assert_eq!(lines["/lib64"], "l 0777 0:0 /lib64 -> lib");
    for (path, is_there) in [("/lib/libc.so.6", true), ("/usr/bin/hello", true), ("/usr/lib/libunneeded.so", false)] {
        assert_eq!(lines.contains_key(path), is_there, "{path}: {lines:#?}");
    }
    assert!(built.get(&RootPath::new("bin/busybox").unwrap()).is_some());
    assert!(sandbox.run(&["why", "./own.toml", "/bin/busybox"]).contains("[busybox]"));
    assert!(sandbox.run(&["why", "./own.toml", "/lib/libc.so.6"]).contains("[toolchain]"));
    let config = std::fs::read_to_string(out(&sandbox).join(".config")).unwrap();
    assert!(config.contains("# BR2_LINUX_KERNEL is not set"), "a kernel is no part of a root: {config}");
}

#[test]
fn the_shipped_busybox_runs_under_docker() {
    let sandbox = Sandbox::cold();
    let text = format!(
        "extends = 'busybox-glibc'\nbackend = 'buildroot'\n[source.options.buildroot]\ndefconfig = 'double'\ntree = '{}'\n",
        double().display()
    );
    sandbox.write("busybox-glibc.toml", &text);
    succeed(sandbox.minimg(&["test", "./busybox-glibc.toml"]).env("DOCKER_HOST", DOCKER.host()));
}

#[test]
fn the_tree_comes_from_the_profile_the_environment_or_the_configuration() {
    let sandbox = Sandbox::cold();
    let text = profile("").lines().filter(|line| !line.starts_with("tree")).collect::<Vec<_>>().join("\n");
    sandbox.write("own.toml", &text);
    let said = sandbox.fail(9, &BUILD);
    assert!(said.contains("name its tree with `tree`") && said.contains("MINIMG_BUILDROOT_DIR"), "{said}");
    succeed(sandbox.minimg(&BUILD).env("MINIMG_BUILDROOT_DIR", double()));
    own_double(&sandbox);
    sandbox.write("config.toml", "[backends.buildroot]\ntree = 'tree'\n");
    succeed(sandbox.minimg(&BUILD).args(["--config", "config.toml"]));
    let output = sandbox.minimg(&["doctor", "buildroot"]).env("MINIMG_BUILDROOT_DIR", "tree").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    succeed(sandbox.minimg(&["doctor", "buildroot"]).env("MINIMG_BUILDROOT_DIR", "tree"));
    sandbox.write("config.toml", "[backends.buildroot]\ntree = '.'\n");
    let said = sandbox.fail(9, &[&BUILD[..], &["--config", "config.toml"]].concat());
    assert!(said.contains("is not a tree of Buildroot"), "{said}");
}

#[test]
fn what_the_configuration_drops_is_an_error_with_its_reason() {
    let sandbox = Sandbox::cold();
    for (options, expected) in [
        (
            "options = ['BR2_PACKAGE_NEEDS_CXX=y']",
            "BR2_PACKAGE_NEEDS_CXX is n, not y: it depends on BR2_TOOLCHAIN_BUILDROOT_CXX",
        ),
        ("options = ['BR2_PACKAGE_UNHEARD_OF=y']", "BR2_PACKAGE_UNHEARD_OF is n, not y: no Config.in"),
    ] {
        sandbox.write("own.toml", &profile(options));
        let said = sandbox.fail(4, &BUILD);
        assert!(said.contains(expected), "{said}");
    }
    // Of a defconfig that is older than the tree, too.
    sandbox.write("own.toml", &profile("").replace("'double'\n", "'outdated'\n"));
    let said = sandbox.fail(4, &BUILD);
    assert!(said.contains("BR2_PACKAGE_OF_AN_OLDER_RELEASE is n, not y"), "{said}");
    sandbox.write("own.toml", &profile("").replace("'double'\n", "'no-such'\n"));
    let said = sandbox.fail(3, &BUILD);
    assert!(said.contains("no-such_defconfig"), "{said}");
    sandbox.write("own.toml", &profile("options = ['BR2_TOOLCHAIN_BUILDROOT_CXX=y', 'BR2_PACKAGE_NEEDS_CXX=y']"));
    sandbox.run(&BUILD);
}

#[test]
fn what_an_own_option_takes_from_the_defconfig_is_an_error() {
    let sandbox = Sandbox::cold();
    let copy = own_double(&sandbox);
    std::fs::write(
        copy.join("configs/cxx_defconfig"),
        "BR2_TOOLCHAIN_BUILDROOT_CXX=y\nBR2_PACKAGE_NEEDS_CXX=y\nBR2_LINUX_KERNEL=y\nBR2_LINUX_KERNEL_DEFCONFIG=\"board\"\n",
    )
    .unwrap();
    let text = profile("options = ['# BR2_TOOLCHAIN_BUILDROOT_CXX is not set']").replace("'double'\n", "'cxx'\n");
    sandbox.write("own.toml", &text.replace(&double().display().to_string(), &copy.display().to_string()));
    let said = sandbox.fail(4, &BUILD);
    assert!(said.contains("BR2_PACKAGE_NEEDS_CXX is n, not y") && !said.contains("LINUX"), "{said}");
}

#[test]
fn a_configuration_never_meets_the_root_of_another() {
    let sandbox = Sandbox::cold();
    sandbox.write("own.toml", &profile("options = ['BR2_PACKAGE_HELLO=y']"));
    sandbox.run(&BUILD);
    sandbox.write("own.toml", &profile(""));
    sandbox.run(&BUILD);
    let built = lines(&tree(&sandbox.path("root.tar"), &sandbox.store));
    assert!(!built.contains_key("/usr/bin/hello"), "{built:#?}");
    // A change of the tree's own files is another configuration as well.
    let copy = own_double(&sandbox);
    sandbox.write("own.toml", &profile("").replace(&double().display().to_string(), &copy.display().to_string()));
    sandbox.run(&BUILD);
    let package = copy.join("package.mk");
    let text = std::fs::read_to_string(&package).unwrap().replace("echo kept", "echo changed");
    std::fs::write(&package, text).unwrap();
    sandbox.run(&BUILD);
    let built = tree(&sandbox.path("root.tar"), &sandbox.store);
    assert_eq!(support::driven::text(&built, "srv/owned"), "changed\n");
}

#[test]
fn tables_of_external_trees_are_found_by_their_variables() {
    let sandbox = Sandbox::cold();
    std::fs::create_dir_all(sandbox.path("ext")).unwrap();
    sandbox.write("ext/external.desc", "name: MINE\ndesc: a test\n");
    let option =
        |table: &str| profile(&format!("external = ['ext']\noptions = ['BR2_ROOTFS_DEVICE_TABLE=\"{table}\"']"));
    sandbox.write("ext/table.txt", "/srv/owned f 640 5 5 - - - - -\n");
    sandbox.write("own.toml", &option("$(BR2_EXTERNAL_MINE_PATH)/table.txt"));
    let said = sandbox.fail(9, &BUILD);
    assert!(said.contains("the owner of /srv/owned is lost"), "{said}");
    // What only make itself could say is no reason to throw a build away.
    sandbox.write("own.toml", &option("$(TOPDIR)/device_table.txt $(shell echo x)/table.txt"));
    sandbox.run(&BUILD);
}

#[test]
fn external_trees_and_fragments_add_to_it() {
    let sandbox = Sandbox::cold();
    std::fs::create_dir_all(sandbox.path("ext/configs")).unwrap();
    sandbox.write("ext/Config.in", "config BR2_PACKAGE_MINE\n\tbool \"mine\"\n");
    sandbox.write("ext/configs/mine_defconfig", "BR2_TARGET_ROOTFS_TAR=y\nBR2_PACKAGE_MINE=y\n");
    sandbox.write("more.config", "BR2_PACKAGE_HELLO=y\n");
    let text = profile("external = ['ext']\nfragments = ['more.config']").replace("'double'\n", "'mine'\n");
    sandbox.write("own.toml", &text);
    sandbox.run(&BUILD);
    let config = std::fs::read_to_string(out(&sandbox).join(".config")).unwrap();
    assert!(config.contains("BR2_PACKAGE_MINE=y") && config.contains("BR2_PACKAGE_HELLO=y"), "{config}");
    let own = std::fs::read_to_string(sandbox.path("ext/configs/mine_defconfig")).unwrap();
    assert_eq!(own.lines().count(), 2, "the user's own file was written over");
}

#[test]
fn a_failure_names_the_package_the_step_and_the_log() {
    let sandbox = Sandbox::cold();
    sandbox.write("own.toml", &profile("options = ['BR2_PACKAGE_FAILING=y']"));
    let said = sandbox.fail(9, &BUILD);
    assert!(said.contains("Buildroot failed at failing 0.1 Building"), "{said}");
    assert!(said.contains("failing.c: no such thing") && said.contains("the whole log is "), "{said}");
}

#[test]
fn lost_owners_are_noticed() {
    let sandbox = Sandbox::cold();
    for (option, expected) in [
        ("BR2_LOSE_FAKEROOT=y", "fakeroot could not be loaded"),
        ("BR2_FORGET_TABLE=y", "the owner of /srv/owned is lost"),
    ] {
        sandbox.write("own.toml", &profile(&format!("options = ['{option}']")));
        let said = sandbox.fail(9, &BUILD);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn paths_that_buildroot_would_cut_are_refused() {
    let sandbox = Sandbox::cold();
    sandbox.write("own.toml", &profile(""));
    let said = sandbox.fail(9, &[&BUILD[..], &["--store", "a store"]].concat());
    assert!(said.contains("there is a blank or a colon in it"), "{said}");
    for (option, place) in [("external = ['an ext']", "an ext"), ("external = ['a:b']", "a:b")] {
        std::fs::create_dir_all(sandbox.path(place)).unwrap();
        sandbox.write("own.toml", &profile(option));
        let said = sandbox.fail(9, &BUILD);
        assert!(said.contains(place) && said.contains("there is a blank or a colon in it"), "{said}");
    }
    sandbox.write("own.toml", &profile(""));
    // A relative one starts where the program does, not in Buildroot's tree.
    sandbox.run(&[&BUILD[..], &["--store", "relative"]].concat());
    assert!(sandbox.path("relative/v1/buildroot").is_dir());
    assert!(!double().join("relative").exists());
}

#[test]
fn an_empty_part_in_a_search_path_does_not_reach_it() {
    let sandbox = Sandbox::cold();
    sandbox.write("own.toml", &profile(""));
    let makefile = own_double(&sandbox).join("Makefile");
    let mut text = std::fs::OpenOptions::new().append(true).open(makefile).unwrap();
    writeln!(text, "$(if $(LD_LIBRARY_PATH)$(filter command% environment%,$(origin BR2_DEFCONFIG)),)").unwrap();
    writeln!(
        text,
        "ifneq ($(LD_LIBRARY_PATH),)\n$(error You seem to have the current working directory in LD_LIBRARY_PATH)\nendif"
    )
    .unwrap();
    let changed = profile("").replace(&double().display().to_string(), &sandbox.path("tree").display().to_string());
    sandbox.write("own.toml", &changed);
    succeed(sandbox.minimg(&BUILD).env("LD_LIBRARY_PATH", "/lib:").env("O", "/nowhere").env("MAKEFLAGS", "n"));
}

#[test]
fn jobs_are_passed_on_and_make_no_other_configuration() {
    let sandbox = Sandbox::cold();
    let makefile = own_double(&sandbox).join("Makefile");
    let mut text = std::fs::OpenOptions::new().append(true).open(makefile).unwrap();
    writeln!(text, "$(if $(BR2_JLEVEL),$(info jobs are $(BR2_JLEVEL)))").unwrap();
    let here = |options| {
        profile(options).replace(&double().display().to_string(), &sandbox.path("tree").display().to_string())
    };
    sandbox.write("own.toml", &here("jobs = 3"));
    sandbox.run(&BUILD);
    let logs = std::fs::read_dir(sandbox.store.join("v1/logs")).unwrap();
    let says = |log: PathBuf| std::fs::read_to_string(log).unwrap().contains("jobs are 3");
    assert!(logs.filter_map(Result::ok).any(|log| says(log.path())));
    sandbox.write("own.toml", &here("jobs = 1"));
    sandbox.run(&[&BUILD[..], &["--offline"]].concat());
    out(&sandbox);
    sandbox.write("own.toml", &here("jobs = 0"));
    let said = sandbox.fail(3, &BUILD);
    assert!(said.contains("nonzero u32"), "{said}");
}

#[test]
fn legal_information_is_kept_on_request() {
    let sandbox = Sandbox::cold();
    sandbox.write("own.toml", &profile("legal-info = 'legal'"));
    sandbox.run(&BUILD);
    let manifest = std::fs::read_to_string(sandbox.path("legal/manifest.csv")).unwrap();
    assert!(manifest.contains("busybox,1.36"), "{manifest}");
    // It may be wanted when the root is there already: not without a network, which fetches sources; and not in a directory that is gone.
    std::fs::remove_dir_all(sandbox.path("legal")).unwrap();
    let said = sandbox.fail(5, &[&BUILD[..], &["--offline"]].concat());
    assert!(said.contains("legal-info"), "{said}");
    std::fs::remove_dir_all(sandbox.store.join("v1/buildroot")).unwrap();
    sandbox.run(&BUILD);
    assert!(sandbox.path("legal/manifest.csv").is_file());
}

#[test]
fn a_lock_pins_the_root() {
    let sandbox = Sandbox::cold();
    let copy = own_double(&sandbox);
    sandbox.write("own.toml", &profile("").replace(&double().display().to_string(), &copy.display().to_string()));
    sandbox.run(&["lock", "./own.toml", "-q"]);
    let build = ["build", "./own.toml", "-q", "--locked", "--offline", "--no-record", "-o", "a.tar"];
    sandbox.run(&build);
    let first = std::fs::read(sandbox.path("a.tar")).unwrap();
    std::fs::remove_dir_all(&copy).unwrap();
    std::fs::remove_file(sandbox.path("a.tar")).unwrap();
    let _ = std::fs::remove_dir_all(sandbox.store.join("v1/entries/layer"));
    sandbox.run(&build);
    assert_eq!(std::fs::read(sandbox.path("a.tar")).unwrap(), first);
}

#[test]
fn an_interrupted_build_leaves_no_process_and_no_root_to_be_trusted() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let sandbox = Sandbox::cold();
        let copy = own_double(&sandbox);
        let here = |text: &str| text.replace(&double().display().to_string(), &copy.display().to_string());
        sandbox.write("own.toml", &here(&profile("options = ['BR2_PACKAGE_SLOW=y']")));
        let mut child = sandbox.minimg(&BUILD).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the slow package", || {
            let all = std::fs::read_dir(sandbox.store.join("v1/buildroot")).into_iter().flatten();
            all.filter_map(Result::ok).any(|out| out.path().join("build/slow-0.1").is_dir())
        });
        std::thread::sleep(Duration::from_millis(100));
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        wait_for("the end of all processes", || processes_in(sandbox.directory.path()).is_empty());
        assert_eq!(left_in(&sandbox.store), Vec::<String>::new());
        // What the interrupted build had installed is not there by chance in the next one.
        std::fs::write(out(&sandbox).join("target/srv/half"), "written").unwrap();
        let package = copy.join("package.mk");
        let (times, text) =
            (std::fs::metadata(&package).unwrap().modified().unwrap(), std::fs::read_to_string(&package).unwrap());
        let quick = text.replace("sleep 1000 & sleep 1000", "sleep 0000 & sleep 0000");
        assert_ne!(quick, text);
        std::fs::write(&package, quick).unwrap();
        // The same file to all who go by length and time, as make does: so the same directory is used again.
        std::fs::File::options().write(true).open(&package).unwrap().set_modified(times).unwrap();
        sandbox.run(&BUILD);
        let built = lines(&tree(&sandbox.path("root.tar"), &sandbox.store));
        assert!(built.contains_key("/srv/owned") && !built.contains_key("/srv/half"), "{built:#?}");
        out(&sandbox);
    }
}

/// The same on the real Buildroot, which takes hours the first time and is not at hand everywhere. `./test` runs it where the variable names
/// a tree, and else says that it was skipped.
#[test]
#[ignore = "needs a tree of Buildroot in MINIMG_BUILDROOT_DIR"]
fn the_real_buildroot() {
    let tree = std::env::var_os("MINIMG_BUILDROOT_DIR").expect("MINIMG_BUILDROOT_DIR names a tree of Buildroot");
    let sandbox = Sandbox::shared();
    let minimg = |arguments: &[&str]| {
        let mut command = sandbox.minimg(arguments);
        command.env("MINIMG_BUILDROOT_DIR", &tree).env("DOCKER_HOST", DOCKER.host());
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    minimg(&["test", "busybox-glibc", "--backend", "buildroot"]);
    let build = ["build", "busybox-glibc", "--backend", "buildroot", "-o", "rootfs:root.tar", "--json"];
    let built: serde_json::Value = serde_json::from_str(&minimg(&build)).unwrap();
    assert_eq!(built["images"][0]["reused"], true);
    assert!(minimg(&["why", "busybox-glibc", "--backend", "buildroot", "/bin/busybox"]).contains("[busybox]"));
    let lines = lines(&support::driven::tree(&sandbox.path("root.tar"), &sandbox.store));
    assert!(lines["/bin/busybox"].starts_with("f 4755 0:0 "), "{lines:#?}");
    minimg(&["lock", "busybox-glibc", "--backend", "buildroot", "-q"]);
    minimg(&["build", "busybox-glibc", "--backend", "buildroot", "-q", "--locked", "--offline", "-o", "a.tar"]);
}
