//! A tree of Buildroot under test, the double or a real one, and a place to build in with the tests' own external tree beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use minimg::tree::RootTree;

use crate::common::{Sandbox, succeed};
use crate::support::driven;

/// The option of the package that both trees get from the external one.
pub(crate) const HELLO: &str = "BR2_PACKAGE_MINIMG_HELLO=y";
pub(crate) const SLOW: &str = "BR2_PACKAGE_MINIMG_SLOW=y";
pub(crate) const BUILD: [&str; 5] = ["build", "./own.toml", "-q", "-o", "rootfs:root.tar"];

/// A tree under test.
pub(crate) struct Site {
    pub(crate) tree: PathBuf,
    pub(crate) sandbox: Sandbox,
    /// How long a build may take.
    patience: Duration,
}

impl Site {
    /// The double, with a store of its own.
    pub(crate) fn double() -> Self {
        for (name, package) in [("make", "make"), ("fakeroot", "fakeroot"), ("cc", "gcc"), ("busybox", "busybox")] {
            crate::support::tool(name, package);
        }
        Self::at(tests().join("double"), Duration::from_secs(60))
    }

    /// The tree that the variable names.
    pub(crate) fn real() -> Self {
        let tree = std::env::var_os("MINIMG_BUILDROOT_DIR").expect("MINIMG_BUILDROOT_DIR names a tree of Buildroot");
        let tree = std::path::absolute(tree).expect("an absolute path");
        Self::at(tree, Duration::from_secs(6 * 60 * 60))
    }

    fn at(tree: PathBuf, patience: Duration) -> Self {
        let site = Self { tree, sandbox: Sandbox::cold(), patience };
        site.copy(&tests().join("external"), "ext");
        site.sandbox.write("ext/configs/minimg_defconfig", &defconfig());
        site
    }

    /// Copies a directory into the sandbox, with a place for defconfigs in it.
    fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.sandbox.path(name);
        crate::support::run(Command::new("cp").arg("-r").arg(from).arg(&to));
        std::fs::create_dir_all(to.join("configs")).unwrap();
        to
    }

    /// Goes on with a copy of the tree that a test may change.
    pub(crate) fn own_tree(&mut self) {
        self.tree = self.copy(&self.tree, "tree");
    }

    /// A profile that builds with the tree: the tests' defconfig and external tree, with more options of Buildroot.
    pub(crate) fn profile(&self, options: &[&str]) -> String {
        format!(
            "backend = 'buildroot'\npackages.buildroot = ['busybox']\nkeep.programs = ['busybox']\n\
             keep.optional-programs = ['minimg-hello']\nkeep.globs = {{ '/srv/**' = 'the test' }}\n\
             [source.options.buildroot]\n{}",
            self.source(options)
        )
    }

    /// The profile's part about Buildroot.
    pub(crate) fn source(&self, options: &[&str]) -> String {
        let tree = self.tree.display();
        format!("tree = '{tree}'\ndefconfig = 'minimg'\nexternal = ['ext']\noptions = {options:?}\n")
    }

    /// The program, which downloads to where the machine's Buildroot does.
    pub(crate) fn minimg(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.minimg(arguments);
        command.envs(std::env::vars_os().filter(|(name, _)| name == "BR2_DL_DIR"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        String::from_utf8(succeed(&mut self.minimg(arguments)).stdout).unwrap()
    }

    /// Builds a profile and returns the root.
    pub(crate) fn build(&self, profile: &str) -> RootTree {
        self.sandbox.write("own.toml", profile);
        self.run(&BUILD);
        self.root()
    }

    /// Builds a profile that cannot be built and returns what is said.
    pub(crate) fn fail(&self, code: i32, profile: &str) -> String {
        self.sandbox.write("own.toml", profile);
        let output = self.minimg(&BUILD).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    pub(crate) fn root(&self) -> RootTree {
        driven::tree(&self.sandbox.path("root.tar"), &self.sandbox.store)
    }

    /// Whose a file of the profile's root is.
    pub(crate) fn owner(&self, path: &str) -> String {
        let said = self.run(&["why", "./own.toml", path]);
        let owner = said.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        owner.map_or_else(|| panic!("nobody's: {said}"), |(owner, _)| owner.to_owned())
    }

    /// The directories in which something was built.
    pub(crate) fn outs(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.sandbox.store.join("v1/buildroot")).into_iter().flatten();
        all.map(|entry| entry.unwrap().path()).collect()
    }

    /// The one in which there is such a file.
    pub(crate) fn out_with(&self, file: &str) -> Option<PathBuf> {
        self.outs().into_iter().find(|out| out.join(file).exists())
    }

    /// Waits for something that a build does.
    pub(crate) fn wait_for(&self, what: &str, there: impl FnMut() -> bool) {
        driven::wait_patiently_for(what, self.patience, there);
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/buildroot")
}

/// A small root for this machine, with what is to be left out of it. Where there is one, the toolchain is one that is downloaded.
fn defconfig() -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => {
            "BR2_x86_64=y\nBR2_TOOLCHAIN_EXTERNAL=y\nBR2_TOOLCHAIN_EXTERNAL_BOOTLIN=y\n\
             BR2_TOOLCHAIN_EXTERNAL_BOOTLIN_X86_64_GLIBC_STABLE=y\n"
        }
        "aarch64" => "BR2_aarch64=y\n",
        other => panic!("the tests have no defconfig for {other}"),
    };
    format!(
        "{machine}BR2_ROOTFS_DEVICE_TABLE=\"system/device_table.txt $(BR2_EXTERNAL_MINIMG_PATH)/table.txt\"\n\
         BR2_LINUX_KERNEL=y\nBR2_LINUX_KERNEL_INSTALL_TARGET=y\nBR2_TARGET_ROOTFS_EXT2=y\n"
    )
}
