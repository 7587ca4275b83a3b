//! What holds with any tree of Buildroot: each case runs on the double, and on the real one where there is one. They share the options where they
//! can, since every other configuration is compiled anew.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::site::{BUILD, HELLO, SLOW, Site};
use crate::common::succeed;
use crate::support::docker::DOCKER;
use crate::support::driven::{left_in, lines, processes_in, text};

/// A case, by its name.
pub(crate) type Case = (&'static str, fn(&Site));

/// Names the cases and runs each on the double.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        pub(crate) const CASES: &[Case] = &[$((stringify!($case), $case)),*];

        mod on_the_double {
            $(#[test] fn $case() { super::$case(&super::super::site::Site::double()) })*
        }
    };
}

cases!(
    a_root_is_built_and_pruned_whatever_is_around_it,
    files_belong_to_their_packages,
    the_shipped_busybox_runs_under_docker,
    a_lock_pins_the_root,
    legal_information_is_kept_on_request,
    what_the_configuration_drops_is_an_error_with_its_reason,
    options_of_older_releases_are_refused_before_anything_is_built,
    what_an_own_option_takes_from_the_defconfig_is_an_error,
    of_external_trees_the_last_has_the_defconfig,
    what_buildroot_says_of_an_external_tree_is_shown,
    a_configuration_never_meets_the_root_of_another,
    a_failure_names_the_package_the_step_and_the_log,
    a_lost_owner_is_noticed,
    scripts_at_the_end_may_change_owners,
    an_interrupted_build_leaves_no_process_and_no_root_to_be_trusted,
);

/// What Buildroot itself, or make, would stumble over is around it here.
fn a_root_is_built_and_pruned_whatever_is_around_it(site: &Site) {
    site.sandbox.write("more.config", HELLO);
    let text = format!("{}fragments = ['more.config']\n", site.profile(&[]));
    site.sandbox.write("own.toml", &text);
    let minimg = site.minimg(&BUILD);
    let mut inside = Command::new("sh");
    inside.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(minimg.get_program()).args(minimg.get_args()).env_clear();
    inside.envs(minimg.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = std::env::var("PATH").unwrap();
    inside.env("PATH", format!(":{path}:.:/no such place")).env("LD_LIBRARY_PATH", "/lib:").env("MAKEFLAGS", "n");
    inside.env("O", "/nowhere").env("BR2_EXTERNAL", "/nowhere").env("BR2_DEFCONFIG", site.sandbox.path("mine"));
    succeed(inside.current_dir(site.sandbox.directory.path()));

    let lines = lines(&site.root());
    assert!(lines["/bin/busybox"].starts_with("f 4755 0:0 "), "{lines:#?}");
    assert!(lines["/srv/owned"].starts_with("f 0640 33:42 "), "a package's own table: {lines:#?}");
    assert!(lines["/srv/tabled"].starts_with("f 0600 7:8 "), "an external tree's table: {lines:#?}");
    for (path, is_there) in
        [("/lib/libc.so.6", true), ("/usr/bin/minimg-hello", true), ("/usr/lib/libminimg-unneeded.so", false)]
    {
        assert_eq!(lines.contains_key(path), is_there, "{path}: {lines:#?}");
    }
    let config = site.outs().into_iter().map(|out| std::fs::read_to_string(out.join(".config")).unwrap());
    let config = config.into_iter().find(|config| config.contains(HELLO)).expect("the fragment's option");
    for option in ["BR2_LINUX_KERNEL=y", "BR2_TARGET_ROOTFS_EXT2=y"] {
        assert!(!config.contains(option), "it is not part of a root: {config}");
    }
    let own = std::fs::read_to_string(site.sandbox.path("ext/configs/minimg_defconfig")).unwrap();
    assert!(own.lines().count() < 10 && !site.sandbox.path("mine").exists(), "the user's file is written over: {own}");
}

fn files_belong_to_their_packages(site: &Site) {
    site.build(&site.profile(&[HELLO]));
    for (path, package) in [("/bin/busybox", "busybox"), ("/usr/bin/minimg-hello", "minimg-hello")] {
        assert_eq!(site.owner(path), package);
    }
    let libc = site.owner("/lib/libc.so.6");
    assert!(["toolchain-external-bootlin", "glibc"].contains(&libc.as_str()), "{libc}");
}

fn the_shipped_busybox_runs_under_docker(site: &Site) {
    let source = site.source(&[HELLO]);
    let text = format!("extends = 'busybox-glibc'\nbackend = 'buildroot'\n[source.options.buildroot]\n{source}");
    site.sandbox.write("busybox-glibc.toml", &text);
    succeed(site.minimg(&["test", "./busybox-glibc.toml"]).env("DOCKER_HOST", DOCKER.host()));
}

fn a_lock_pins_the_root(site: &Site) {
    site.sandbox.write("own.toml", &site.profile(&[HELLO]));
    site.run(&["lock", "./own.toml", "-q"]);
    let build = ["build", "./own.toml", "-q", "--locked", "--offline", "--no-record", "-o", "a.tar"];
    site.run(&build);
    let first = std::fs::read(site.sandbox.path("a.tar")).unwrap();
    std::fs::remove_file(site.sandbox.path("a.tar")).unwrap();
    let _ = std::fs::remove_dir_all(site.sandbox.store.join("v1/entries/layer"));
    // Neither the trees nor what was built of them is looked at.
    let moved = [("ext", "elsewhere"), ("store/v1/buildroot", "built")].map(|(from, to)| (from, site.sandbox.path(to)));
    for (from, to) in &moved {
        std::fs::rename(site.sandbox.path(from), to).unwrap();
    }
    site.run(&build);
    assert_eq!(std::fs::read(site.sandbox.path("a.tar")).unwrap(), first);
    for (from, to) in &moved {
        std::fs::rename(to, site.sandbox.path(from)).unwrap();
    }
}

fn legal_information_is_kept_on_request(site: &Site) {
    let text = format!("{}legal-info = 'some/legal/'\n", site.profile(&[HELLO]));
    site.build(&text);
    let manifest = std::fs::read_to_string(site.sandbox.path("some/legal/manifest.csv")).unwrap();
    assert!(manifest.contains("\"busybox\",\"1."), "{manifest}");
    assert!(site.sandbox.path("some/legal/legal-info.sha256").is_file());
    assert!(!site.sandbox.path("some/legal.partial").exists());
    // It may be wanted when the root is there already: not without a network, which fetches sources.
    std::fs::remove_dir_all(site.sandbox.path("some/legal")).unwrap();
    let said = site.sandbox.fail(5, &[&BUILD[..], &["--offline"]].concat());
    assert!(said.contains("legal-info"), "{said}");
}

fn what_the_configuration_drops_is_an_error_with_its_reason(site: &Site) {
    for (option, expected) in [
        ("BR2_MINIMG_NEEDS_BASE=y", "BR2_MINIMG_NEEDS_BASE is n, not y: it depends on BR2_MINIMG_BASE"),
        ("BR2_PACKAGE_UNHEARD_OF=y", "BR2_PACKAGE_UNHEARD_OF is n, not y: no Config.in"),
    ] {
        let said = site.fail(4, &site.profile(&[option]));
        assert!(said.contains(expected), "{said}");
    }
    let said = site.fail(3, &site.profile(&[]).replace("'minimg'\n", "'no-such'\n"));
    assert!(said.contains("no-such_defconfig"), "{said}");
}

/// kconfig takes such an option, and make refuses to build with it.
fn options_of_older_releases_are_refused_before_anything_is_built(site: &Site) {
    let legacy = std::fs::read_to_string(site.tree.join("Config.in.legacy")).unwrap();
    let (_, legacy) = legacy.split_once("\nconfig BR2_LEGACY\n").unwrap();
    let known =
        legacy.split("\nconfig ").find(|block| block.contains("\tbool \"") && block.contains("\tselect BR2_LEGACY\n"));
    let (name, block) = known.and_then(|block| block.split_once('\n')).expect("an option of an older release");
    let prompt = block.split('"').nth(1).unwrap();
    let said = site.fail(4, &site.profile(&[&format!("{name}=y")]));
    assert!(said.contains(&format!("{name} is of an older release: {prompt}")), "{said}");
}

fn what_an_own_option_takes_from_the_defconfig_is_an_error(site: &Site) {
    let defconfig = std::fs::read_to_string(site.sandbox.path("ext/configs/minimg_defconfig")).unwrap();
    let more = defconfig + "BR2_MINIMG_BASE=y\nBR2_MINIMG_NEEDS_BASE=y\n";
    second_external(site, "MORE", &[("taken", &more)]);
    let text = site.profile(&["# BR2_MINIMG_BASE is not set"]).replace("'minimg'\n", "'taken'\n");
    let said = site.fail(4, &text.replace("['ext']", "['ext', 'second']"));
    assert!(said.contains("BR2_MINIMG_NEEDS_BASE is n, not y") && !said.contains("LINUX"), "{said}");
    std::fs::remove_dir_all(site.sandbox.path("second")).unwrap();
}

fn of_external_trees_the_last_has_the_defconfig(site: &Site) {
    second_external(site, "MORE", &[("minimg", "BR2_PACKAGE_OF_THE_LAST=y\n")]);
    let said = site.fail(4, &site.profile(&[]).replace("['ext']", "['ext', 'second']"));
    assert!(said.contains("BR2_PACKAGE_OF_THE_LAST is n, not y"), "{said}");
    std::fs::remove_dir_all(site.sandbox.path("second")).unwrap();
}

fn what_buildroot_says_of_an_external_tree_is_shown(site: &Site) {
    second_external(site, "MINIMG", &[]);
    let said = site.fail(9, &site.profile(&[]).replace("['ext']", "['ext', 'second']"));
    assert!(said.contains("MINIMG") && said.contains("the full log is "), "{said}");
    std::fs::remove_dir_all(site.sandbox.path("second")).unwrap();
}

/// An external tree `second` of that name with defconfigs.
fn second_external(site: &Site, name: &str, defconfigs: &[(&str, &str)]) {
    std::fs::create_dir_all(site.sandbox.path("second/configs")).unwrap();
    site.sandbox.write("second/external.desc", &format!("name: {name}\n"));
    site.sandbox.write("second/external.mk", "");
    site.sandbox.write("second/Config.in", "");
    for (name, text) in defconfigs {
        site.sandbox.write(&format!("second/configs/{name}_defconfig"), text);
    }
}

fn a_configuration_never_meets_the_root_of_another(site: &Site) {
    let with = lines(&site.build(&site.profile(&[HELLO])));
    let without = lines(&site.build(&site.profile(&[])));
    for path in ["/usr/bin/minimg-hello", "/srv/owned"] {
        assert!(with.contains_key(path) && !without.contains_key(path), "{path}: {without:#?}");
    }
}

fn a_failure_names_the_package_the_step_and_the_log(site: &Site) {
    let said = site.fail(9, &site.profile(&["BR2_PACKAGE_MINIMG_FAILING=y"]));
    assert!(said.contains("Buildroot failed at minimg-failing 0.1 Building"), "{said}");
    assert!(said.contains("failing.c: no such thing") && said.contains("the full log is "), "{said}");
}

fn a_lost_owner_is_noticed(site: &Site) {
    let said = site.fail(9, &site.profile(&[HELLO, "BR2_PACKAGE_MINIMG_LOSER=y"]));
    assert!(said.contains("the owner of /srv/owned is lost"), "{said}");
}

fn scripts_at_the_end_may_change_owners(site: &Site) {
    let script = "BR2_ROOTFS_POST_FAKEROOT_SCRIPT=\"$(BR2_EXTERNAL_MINIMG_PATH)/chown.sh\"";
    let lines = lines(&site.build(&site.profile(&[HELLO, script])));
    assert!(lines["/srv/owned"].starts_with("f 0640 1:1 "), "{lines:#?}");
}

fn an_interrupted_build_leaves_no_process_and_no_root_to_be_trusted(site: &Site) {
    interrupted(site, Signal::KILL, &[]);
}

/// Ends a build in the middle, and sees that the next one is as if that had never been.
pub(crate) fn interrupted(site: &Site, signal: Signal, options: &[&str]) {
    const BEGUN: &str = "build/minimg-slow-0.1/.stamp_configured";
    let text = site.profile(&[&[HELLO, SLOW], options].concat());
    site.sandbox.write("own.toml", &text);
    let mut child = site.minimg(&BUILD).env("MINIMG_TEST_SLOW", "1").stderr(Stdio::null()).spawn().unwrap();
    site.wait_for("the slow package", || {
        let is_over = child.try_wait().unwrap();
        assert!(is_over.is_none(), "the build ended: {is_over:?}");
        site.out_with(BEGUN).is_some()
    });
    let out = site.out_with(BEGUN).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
    site.wait_for("the end of all processes", || processes_in(site.sandbox.directory.path()).is_empty());
    assert_eq!(left_in(&site.sandbox.store), Vec::<String>::new());

    // What an interrupted build left in the root is not there by chance in the next one.
    std::fs::create_dir_all(out.join("target/srv")).unwrap();
    std::fs::write(out.join("target/srv/half"), "written").unwrap();
    let count = site.outs().len();
    let built = site.build(&text);
    assert_eq!(site.outs().len(), count, "it goes on where it was");
    let lines = lines(&built);
    assert!(lines.contains_key("/srv/slow") && !lines.contains_key("/srv/half"), "{lines:#?}");
    assert_eq!(self::text(&built, "srv/owned"), "kept\n");
    // Those that were installed before the interruption, and the one that was begun.
    for (path, package) in [("/bin/busybox", "busybox"), ("/usr/bin/minimg-hello", "minimg-hello")] {
        assert_eq!(site.owner(path), package);
    }
    assert_eq!(site.owner("/srv/slow"), "minimg-slow");
}
