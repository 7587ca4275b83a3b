//! What is wanted of Buildroot beyond a defconfig.

use super::BuildrootError;
use super::config::{self, Config};
use super::make;
use super::options::Options;
use crate::backend::Request;

/// What is to be added to a defconfig.
pub(super) struct Wanted {
    /// The root as a tar, glibc where Buildroot makes the toolchain, and nothing that takes time and is no part of a root.
    pub(super) parts: Config,
    /// What the profile says: its packages, fragments and options. It wins.
    pub(super) own: Config,
}

impl Wanted {
    pub(super) fn new(request: &Request, options: &Options, base: &Config) -> Result<Self, BuildrootError> {
        let own = own(request, options)?;
        let mut parts = Config::default();
        parts.set("BR2_TARGET_ROOTFS_TAR", "y");
        let other_toolchains =
            ["BR2_TOOLCHAIN_EXTERNAL", "BR2_TOOLCHAIN_BUILDROOT_UCLIBC", "BR2_TOOLCHAIN_BUILDROOT_MUSL"];
        let is_chosen = other_toolchains.iter().any(|name| own.get(name) == "y");
        let is_external = base.get("BR2_TOOLCHAIN_EXTERNAL") == "y" && !own.names("BR2_TOOLCHAIN_EXTERNAL");
        if !is_chosen && !is_external {
            parts.set("BR2_TOOLCHAIN_BUILDROOT_GLIBC", "y");
        }
        for part in ["BR2_LINUX_KERNEL", "BR2_TARGET_UBOOT", "BR2_TARGET_ROOTFS_EXT2"] {
            if base.names(part) {
                parts.set(part, "n");
            }
        }
        if base.names("BR2_ROOTFS_POST_IMAGE_SCRIPT") {
            parts.set("BR2_ROOTFS_POST_IMAGE_SCRIPT", "\"\"");
        }
        Ok(Self { parts: parts.without(&own), own })
    }
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
            return Err(BuildrootError::Option(format!("{option:?} is no option; write BR2_NAME=y")));
        }
        own.extend(&said);
    }
    Ok(own)
}
