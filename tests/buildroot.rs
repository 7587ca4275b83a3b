//! The Buildroot backend. `suite` is what holds with any tree: it runs on the contract double that `tests/buildroot/double` is and calls itself, a
//! small tree that behaves towards a front end as Buildroot does, traps included; and on a real tree where MINIMG_BUILDROOT_DIR names one. What only
//! a tree that one may spoil can show is here.

mod site;
mod suite;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::common::succeed;
use crate::support::driven::{lines, text};
use crate::support::users::PLAIN;
use minimg::board::Boards;
use rustix::process::Signal;
use site::{BUILD, HELLO, Site};

/// The same cases on the real Buildroot, one after the other in one store: what they have in common is compiled once. `./test` runs this where the
/// variable names a tree, and else says that it was skipped.
#[test]
#[ignore = "needs a tree of Buildroot in MINIMG_BUILDROOT_DIR"]
fn the_suite_on_the_real_buildroot() {
    let site = Site::real();
    let failed = suite::CASES.iter().filter(|(name, case)| {
        let begun = std::time::Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| case(&site)));
        let result = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("{name} ... {result}, {} s", begun.elapsed().as_secs());
        ended.is_err()
    });
    let failed: Vec<&str> = failed.map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "failed on {}: {failed:?}", site.tree.display());
}

/// The defconfigs that the built-in boards name, and the architecture that each sets. Somebody saw every one of them in Buildroot: one that is added
/// here was looked up before, and the test below looks again where there is a tree.
const SEEN: [(&str, &str); 25] = [
    ("beaglebone", "BR2_arm"),
    ("beagleplay", "BR2_aarch64"),
    ("hifive_unmatched", "BR2_riscv"),
    ("olimex_a20_olinuxino_lime2", "BR2_arm"),
    ("pine64", "BR2_aarch64"),
    ("qemu_aarch64_virt", "BR2_aarch64"),
    ("qemu_arm_versatile", "BR2_arm"),
    ("qemu_arm_vexpress", "BR2_arm"),
    ("qemu_mips64el_malta", "BR2_mips64el"),
    ("qemu_ppc64le_pseries", "BR2_powerpc64le"),
    ("qemu_riscv64_virt", "BR2_riscv"),
    ("qemu_s390x", "BR2_s390x"),
    // kconfig's usual architecture, of which this is a kind.
    ("qemu_x86", "BR2_x86_pentiumpro"),
    ("qemu_x86_64", "BR2_x86_64"),
    ("raspberrypi", "BR2_arm"),
    ("raspberrypi0w", "BR2_arm"),
    ("raspberrypi2", "BR2_arm"),
    ("raspberrypi3_64", "BR2_aarch64"),
    ("raspberrypi4_64", "BR2_aarch64"),
    ("raspberrypi5", "BR2_aarch64"),
    ("raspberrypizero2w_64", "BR2_aarch64"),
    ("rock5b", "BR2_aarch64"),
    ("rockpro64", "BR2_aarch64"),
    ("sheevaplug", "BR2_arm"),
    ("visionfive2", "BR2_riscv"),
];

#[test]
fn boards_name_defconfigs_that_were_seen_in_buildroot() {
    let boards = Boards::built_in();
    let mut named = Vec::new();
    for board in boards.names().map(|name| boards.get(name).unwrap()) {
        let defconfig = board.buildroot_defconfig.expect("each built-in board has one");
        let seen = SEEN.iter().find(|(name, _)| *name == defconfig);
        let (_, machine) = seen.unwrap_or_else(|| panic!("nobody saw the {defconfig} of {}", board.name));
        let expected = match board.platform.architecture.as_str() {
            "386" => "BR2_x86_pentiumpro",
            "amd64" => "BR2_x86_64",
            "arm" => "BR2_arm",
            "arm64" => "BR2_aarch64",
            "mips64le" => "BR2_mips64el",
            "ppc64le" => "BR2_powerpc64le",
            "riscv64" => "BR2_riscv",
            "s390x" => "BR2_s390x",
            other => panic!("which architecture of Buildroot is {other}?"),
        };
        assert_eq!(*machine, expected, "{}", board.name);
        named.push(defconfig);
    }
    assert!(SEEN.iter().all(|(name, _)| named.iter().any(|defconfig| defconfig == name)), "no board names one of them");
}

#[test]
#[ignore = "needs a tree of Buildroot in MINIMG_BUILDROOT_DIR"]
fn the_real_buildroot_has_the_boards_defconfigs() {
    let configs = Site::real().tree.join("configs");
    let says = |(name, machine): &(&str, &str)| {
        let text = std::fs::read_to_string(configs.join(format!("{name}_defconfig"))).unwrap_or_default();
        text.lines().any(|line| line == format!("{machine}=y"))
    };
    let wrong: Vec<_> = SEEN.iter().filter(|seen| !says(seen)).collect();
    assert!(wrong.is_empty(), "not in {}: {wrong:?}", configs.display());
}

#[test]
fn the_tree_comes_from_the_profile_the_environment_or_the_configuration() {
    let mut site = Site::double();
    let double = site.tree.clone();
    let text = site.profile(&[]).lines().filter(|line| !line.starts_with("tree")).collect::<Vec<_>>().join("\n");
    let said = site.fail(9, &text);
    assert!(said.contains("name its tree with `tree`") && said.contains("MINIMG_BUILDROOT_DIR"), "{said}");
    succeed(site.minimg(&BUILD).env("MINIMG_BUILDROOT_DIR", &double));
    site.own_tree();
    site.sandbox.write("config.toml", "[backends.buildroot]\ntree = 'tree'\n");
    succeed(site.minimg(&BUILD).args(["--config", "config.toml"]));
    succeed(site.minimg(&["doctor", "buildroot"]).env("MINIMG_BUILDROOT_DIR", "tree"));
    site.sandbox.write("config.toml", "[backends.buildroot]\ntree = '.'\n");
    let said = site.sandbox.fail(9, &[&BUILD[..], &["--config", "config.toml"]].concat());
    assert!(said.contains("is not a tree of Buildroot"), "{said}");
}

#[test]
fn a_board_without_a_defconfig_says_so() {
    let site = Site::double();
    let text = "description = 'ours'\n[platform]\narchitecture = 'amd64'\n[names]\ndeb = 'amd64'\n";
    site.sandbox.write("ours.toml", text);
    site.sandbox.write("own.toml", &site.profile(&[]).replace("defconfig = 'minimg'\n", ""));
    let said = site.sandbox.fail(3, &[&BUILD[..], &["--board", "./ours.toml"]].concat());
    assert!(said.contains("names no defconfig of Buildroot") && said.contains("`defconfig`"), "{said}");
}

#[test]
fn a_defconfig_becomes_a_root_of_glibc_for_any_kernel_and_nothing_else() {
    let site = Site::double();
    let config = |site: &Site| std::fs::read_to_string(site.outs()[0].join(".config")).unwrap();
    site.build(&site.profile(&[]).replace("'minimg'\n", "'double'\n"));
    assert_eq!(site.owner("/lib/libc.so.6"), "glibc");
    let built = config(&site);
    for line in ["BR2_PACKAGE_GLIBC_KERNEL_COMPAT=y", "# BR2_LINUX_KERNEL is not set", "# BR2_TARGET_UBOOT is not set"]
    {
        assert!(built.contains(line), "{line}: {built}");
    }
    // What something else needs stays.
    let site = Site::double();
    site.build(&site.profile(&["BR2_MINIMG_NEEDS_IMAGE=y"]));
    let built = config(&site);
    assert!(built.contains("BR2_TARGET_ROOTFS_EXT2=y"), "{built}");
}

#[test]
fn an_ordinary_user_builds_the_same() {
    let mut site = Site::double();
    site.own_tree();
    site.sandbox.write("own.toml", &site.profile(&[HELLO]));
    let build = |name: &str, store: &str| {
        site.sandbox.copied_minimg(&["build", "./own.toml", "-q", "--no-record", "-o", name, "--store", store])
    };
    succeed(&mut build("root.tar", "of-root"));
    PLAIN.own(site.sandbox.directory.path());
    succeed(&mut PLAIN.run_as(&build("user.tar", "of-user")));
    let [root, user] = ["root.tar", "user.tar"].map(|name| std::fs::read(site.sandbox.path(name)).unwrap());
    assert!(root == user, "the images of root and of an ordinary user differ");
}

#[test]
fn a_tool_that_buildroot_does_not_begin_without_is_told_at_once() {
    let site = Site::double();
    let without = site.sandbox.path("bin");
    std::fs::create_dir(&without).unwrap();
    for (program, package) in [("make", "make"), ("gcc", "gcc"), ("g++", "g++"), ("bash", "bash"), ("bc", "bc")] {
        std::os::unix::fs::symlink(crate::support::tool(program, package), without.join(program)).unwrap();
    }
    site.sandbox.write("own.toml", &site.profile(&[]));
    let output = site.minimg(&BUILD).env("PATH", &without).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot find cpio") && said.contains("`apt-get install cpio`"), "{said}");
    assert_eq!((output.status.code(), site.outs().len()), (Some(9), 0));
    let output = site.minimg(&["doctor", "buildroot"]).env("PATH", &without).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("apt-get install cpio"));
}

#[test]
fn a_change_of_the_trees_own_files_is_another_configuration() {
    let mut site = Site::double();
    site.own_tree();
    let profile = site.profile(&[HELLO]);
    site.build(&profile);
    std::fs::write(site.sandbox.path("ext/package/minimg-hello/owned"), "changed\n").unwrap();
    assert_eq!(text(&site.build(&profile), "srv/owned"), "changed\n");
    std::fs::write(site.tree.join("package/new"), "").unwrap();
    site.build(&profile);
    assert_eq!(site.outs().len(), 3);
}

#[test]
fn a_lost_fakeroot_is_noticed() {
    let site = Site::double();
    let said = site.fail(9, &site.profile(&["BR2_LOSE_FAKEROOT=y"]));
    assert!(said.contains("fakeroot could not be loaded"), "{said}");
}

#[test]
fn paths_that_buildroot_would_misread_are_refused() {
    let site = Site::double();
    site.sandbox.write("own.toml", &site.profile(&[]));
    for (store, letter) in [("a store", "a blank"), ("store@home", "a `@`"), ("link", "a blank")] {
        if store == "link" {
            std::os::unix::fs::symlink("a store", site.sandbox.path(store)).unwrap();
        }
        let said = site.sandbox.fail(9, &[&BUILD[..], &["--store", store]].concat());
        assert!(said.contains(&format!("contains {letter}")), "{said}");
    }
    for (place, letter) in [("an ext", "a blank"), ("a:b", "a colon"), ("$(x)", "a `$`")] {
        std::fs::create_dir_all(site.sandbox.path(place)).unwrap();
        let said = site.fail(9, &site.profile(&[]).replace("['ext']", &format!("['ext', '{place}']")));
        assert!(said.contains(place) && said.contains(&format!("contains {letter}")), "{said}");
    }
    site.sandbox.write("own.toml", &site.profile(&[]));
    // A relative one starts where the program does, not in Buildroot's tree.
    site.sandbox.run(&[&BUILD[..], &["--store", "relative"]].concat());
    assert!(site.sandbox.path("relative/v1/buildroot").is_dir());
    assert!(!site.tree.join("relative").exists());
}

#[test]
fn jobs_are_passed_on_and_make_no_other_configuration() {
    let mut site = Site::double();
    site.own_tree();
    let mut makefile = std::fs::OpenOptions::new().append(true).open(site.tree.join("build.mk")).unwrap();
    writeln!(makefile, "$(if $(filter all,$(MAKECMDGOALS)),$(info jobs are $(BR2_JLEVEL)))").unwrap();
    let jobs = |jobs: u32| format!("{}jobs = {jobs}\n", site.profile(&[]));
    site.build(&jobs(3));
    let logs = std::fs::read_dir(site.sandbox.store.join("v1/logs")).unwrap();
    let says = |log: &Path| std::fs::read_to_string(log).unwrap().contains("jobs are 3");
    assert!(logs.filter_map(Result::ok).any(|log| says(&log.path())));
    site.sandbox.write("own.toml", &jobs(1));
    site.sandbox.run(&[&BUILD[..], &["--offline"]].concat());
    assert_eq!(site.outs().len(), 1);
    let said = site.fail(3, &jobs(0));
    assert!(said.contains("nonzero u32"), "{said}");
}

#[test]
fn what_makefiles_say_of_their_own_is_no_answer() {
    let site = Site::double();
    let makefile = site.sandbox.path("ext/external.mk");
    let mut makefile = std::fs::OpenOptions::new().append(true).open(makefile).unwrap();
    writeln!(makefile, "$(info a greeting)").unwrap();
    site.build(&site.profile(&[]));
}

#[test]
fn legal_information_outlives_the_directory_of_the_build() {
    let site = Site::double();
    let profile = site.profile(&[]);
    site.build(&profile);
    std::fs::remove_dir_all(site.sandbox.store.join("v1/buildroot")).unwrap();
    // Half a copy, as an interruption leaves it.
    std::fs::create_dir(site.sandbox.path("legal.partial")).unwrap();
    std::fs::write(site.sandbox.path("legal.partial/old"), "").unwrap();
    site.build(&format!("{profile}legal-info = 'legal'\n"));
    let place = |name: &str| site.sandbox.path(name);
    assert!(place("legal/manifest.csv").is_file() && !place("legal/old").exists() && !place("legal.partial").exists());
}

#[test]
fn every_interruption_leaves_nothing_to_be_trusted() {
    for (signal, options) in [
        (Signal::INT, &[][..]),
        (Signal::TERM, &[]),
        // The finished root is made of links to the packages' own files then.
        (Signal::TERM, &["BR2_PER_PACKAGE_DIRECTORIES=y"]),
    ] {
        suite::interrupted(&Site::double(), signal, options);
    }
}

#[test]
fn the_last_package_that_installs_a_file_has_it() {
    let site = Site::double();
    // Built after busybox, and before it in the alphabet.
    std::fs::create_dir(site.sandbox.path("ext/package/a-shell")).unwrap();
    let text = "A_SHELL_VERSION = 2\nA_SHELL_DEPENDENCIES = busybox\n\
        A_SHELL_INSTALL_TARGET_CMDS = echo new >$(TARGET_DIR)/srv/owned; ln -sfn ../bin/busybox $(TARGET_DIR)/bin/sh\n\
        A_SHELL_DEPENDENCIES += minimg-hello\n$(eval $(generic-package))\n";
    site.sandbox.write("ext/package/a-shell/a-shell.mk", text);
    let config = site.sandbox.path("ext/Config.in");
    let mut config = std::fs::OpenOptions::new().append(true).open(config).unwrap();
    writeln!(config, "\nconfig BR2_PACKAGE_A_SHELL\n\tbool \"a-shell\"").unwrap();
    let built = site.build(&site.profile(&[HELLO, "BR2_PACKAGE_A_SHELL=y"]));
    assert!(lines(&built).contains_key("/srv/owned"));
    assert_eq!(site.owner("/srv/owned"), "a-shell");
}
