//! What a profile wants of Buildroot beyond a defconfig.

use std::path::Path;

use super::BuildrootError;
use super::config::{self, Config};
use super::make;
use super::options::Options;
use minimg_backend::Request;

/// What is to be changed of a defconfig.
pub(super) struct Changes {
    /// What takes time and is not part of a root: it goes, unless something else needs it.
    pub(super) spared: Config,
    /// The root as a tar, and glibc where Buildroot makes the toolchain, for kernels of any age.
    pub(super) parts: Config,
    /// What the profile says: its packages, fragments and options. It wins.
    pub(super) own: Config,
}

impl Changes {
    pub(super) fn new(
        request: &Request,
        options: &Options,
        base: &Config,
        tree: &Path,
    ) -> Result<Self, BuildrootError> {
        let own = own(request, options)?;
        Ok(Self { spared: spared(base, tree).without(&own), parts: parts(&own, base, tree).without(&own), own })
    }

    /// All of it, to tell it from others.
    pub(super) fn lines(&self) -> [String; 3] {
        [self.spared.lines(), self.parts.lines(), self.own.lines()]
    }
}

fn parts(own: &Config, base: &Config, tree: &Path) -> Config {
    /// Lets glibc run on kernels older than the headers that it is compiled with: an image knows nothing of its kernel.
    const ANY_KERNEL: &str = "BR2_PACKAGE_GLIBC_KERNEL_COMPAT";
    let mut parts = Config::default();
    parts.set("BR2_TARGET_ROOTFS_TAR", "y");
    let other_toolchains = ["BR2_TOOLCHAIN_EXTERNAL", "BR2_TOOLCHAIN_BUILDROOT_UCLIBC", "BR2_TOOLCHAIN_BUILDROOT_MUSL"];
    let is_chosen = other_toolchains.iter().any(|name| own.get(name) == "y");
    let is_external = base.get("BR2_TOOLCHAIN_EXTERNAL") == "y" && !own.names("BR2_TOOLCHAIN_EXTERNAL");
    if !is_chosen && !is_external {
        parts.set("BR2_TOOLCHAIN_BUILDROOT_GLIBC", "y");
        if config::is_defined(ANY_KERNEL, &tree.join("package/glibc")) {
            parts.set(ANY_KERNEL, "y");
        }
    }
    parts
}

/// Of a defconfig the kernel, boot loaders and firmware (`boot/`), images of other kinds (`fs/`), and what those images are written with.
fn spared(base: &Config, tree: &Path) -> Config {
    // Not the tools of U-Boot, which boards' scripts run while the root is finished.
    const FOR_IMAGES: [&str; 5] = [
        "BR2_LINUX_KERNEL",
        "BR2_PACKAGE_HOST_DOSFSTOOLS",
        "BR2_PACKAGE_HOST_GENIMAGE",
        "BR2_PACKAGE_HOST_MTOOLS",
        "BR2_PACKAGE_HOST_QEMU",
    ];
    let has = |place: &str, name: &str| tree.join(place).join(name.to_lowercase().replace('_', "-")).is_dir();
    let is_spared = |name: &str| match (name.strip_prefix("BR2_TARGET_ROOTFS_"), name.strip_prefix("BR2_TARGET_")) {
        (Some("TAR"), _) => false,
        (Some(image), _) => has("fs", image),
        (None, Some(loader)) => has("boot", loader),
        _ => FOR_IMAGES.contains(&name),
    };
    let mut spared = Config::default();
    for name in base.set_names().filter(|name| is_spared(name)) {
        spared.set(name, "n");
    }
    if base.names("BR2_ROOTFS_POST_IMAGE_SCRIPT") {
        spared.set("BR2_ROOTFS_POST_IMAGE_SCRIPT", "\"\"");
    }
    spared
}

fn own(request: &Request, options: &Options) -> Result<Config, BuildrootError> {
    let mut own = Config::default();
    for package in &request.packages {
        let (name, value) = config::symbol(package);
        own.set(&name, &value);
    }
    for fragment in &options.fragments {
        own.extend(&Config::parse(&make::text(fragment)?));
    }
    for option in &options.options {
        let said = Config::parse(option);
        if said == Config::default() {
            return Err(BuildrootError::Option(format!("{option:?} is not an option; write BR2_NAME=y")));
        }
        own.extend(&said);
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in which Buildroot has what the boards' defconfigs name.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for place in ["boot/uboot", "boot/arm-trusted-firmware", "boot/optee-os", "fs/ext2", "fs/tar", "package/glibc"]
        {
            std::fs::create_dir_all(tree.path().join(place)).unwrap();
        }
        std::fs::write(tree.path().join("package/glibc/Config.in"), "config BR2_PACKAGE_GLIBC_KERNEL_COMPAT\n\tbool\n")
            .unwrap();
        tree
    }

    #[test]
    fn what_is_no_part_of_a_root_is_spared() {
        let base = Config::parse(
            "BR2_LINUX_KERNEL=y\nBR2_LINUX_KERNEL_DEFCONFIG=\"x\"\nBR2_TARGET_UBOOT=y\nBR2_TARGET_UBOOT_SPL=y\n\
             BR2_TARGET_ARM_TRUSTED_FIRMWARE=y\nBR2_TARGET_OPTEE_OS=y\n# BR2_TARGET_ROOTFS_TAR is not set\nBR2_TARGET_ROOTFS_EXT2=y\n\
             BR2_TARGET_ROOTFS_EXT2_4=y\nBR2_TARGET_GENERIC_HOSTNAME=\"x\"\nBR2_PACKAGE_HOST_QEMU=y\nBR2_PACKAGE_HOST_KMOD_XZ=y\n\
             BR2_ROOTFS_POST_IMAGE_SCRIPT=\"x.sh\"\n",
        );
        assert_eq!(
            spared(&base, tree().path()).lines(),
            "# BR2_LINUX_KERNEL is not set\n# BR2_PACKAGE_HOST_QEMU is not set\nBR2_ROOTFS_POST_IMAGE_SCRIPT=\"\"\n\
             # BR2_TARGET_ARM_TRUSTED_FIRMWARE is not set\n# BR2_TARGET_OPTEE_OS is not set\n# BR2_TARGET_ROOTFS_EXT2 is not set\n\
             # BR2_TARGET_UBOOT is not set\n"
        );
    }

    #[test]
    fn glibc_is_for_any_kernel_where_buildroot_makes_it() {
        let glibc = "BR2_PACKAGE_GLIBC_KERNEL_COMPAT=y\nBR2_TARGET_ROOTFS_TAR=y\nBR2_TOOLCHAIN_BUILDROOT_GLIBC=y\n";
        let older = "BR2_TARGET_ROOTFS_TAR=y\nBR2_TOOLCHAIN_BUILDROOT_GLIBC=y\n";
        let tar = "BR2_TARGET_ROOTFS_TAR=y\n";
        let (tree, release) = (tree(), tempfile::tempdir().unwrap());
        for (own, base, tree, expected) in [
            ("", "BR2_x86_64=y", tree.path(), glibc),
            ("", "BR2_x86_64=y", release.path(), older),
            ("", "BR2_TOOLCHAIN_EXTERNAL=y", tree.path(), tar),
            ("# BR2_TOOLCHAIN_EXTERNAL is not set", "BR2_TOOLCHAIN_EXTERNAL=y", tree.path(), glibc),
            ("BR2_TOOLCHAIN_BUILDROOT_MUSL=y", "", tree.path(), tar),
        ] {
            assert_eq!(parts(&Config::parse(own), &Config::parse(base), tree).lines(), expected, "{own} {base}");
        }
    }
}
