//! Boards: the machine that an image must run on.

use serde::{Deserialize, Serialize};

/// The machine that an image must run on, and the names of its architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Board {
    /// The board's name: `amd64`, `raspberry-pi-4`.
    pub name: String,
    /// One line that describes it.
    pub description: String,
    /// The platform in the image's configuration and index.
    pub platform: Platform,
    /// The names of the architecture in the distributions.
    pub names: ArchNames,
    /// The instructions that the CPU has beyond the architecture's baseline, as glibc calls them: `x86-64-v3`, `power10`.
    pub cpu_level: Option<String>,
    /// The suffix of the emulator's name: `aarch64` for `qemu-aarch64-static`.
    pub qemu: Option<String>,
    /// Buildroot's defconfig for the board, without `_defconfig`.
    pub buildroot_defconfig: Option<String>,
    /// The most bytes that the compressed layers of an image should take; minimg warns of a larger image.
    pub size_budget: Option<u64>,
}

/// An OCI platform (image-spec, `image-index.md`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Currently always `linux`.
    pub os: String,
    /// Go's name of the architecture: `amd64`, `arm`, `riscv64`.
    pub architecture: String,
    /// The ABI or level: `v7` for `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The names of one architecture in the distributions; `None` where a distribution does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ArchNames {
    /// Debian and its derivatives: `arm64`.
    pub deb: Option<String>,
    /// RPM distributions: `aarch64`.
    pub rpm: Option<String>,
    /// Alpine: `aarch64`.
    pub apk: Option<String>,
    /// Gentoo: `arm64`.
    pub gentoo: Option<String>,
}

impl Platform {
    /// Whether what is made for this platform is what is wanted for the other; a variant counts only where both have one.
    pub fn fits(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (self.variant == wanted.variant || self.variant.is_none() || wanted.variant.is_none())
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
