//! The TOML shape of a board. Its doc comments become the descriptions in the JSON Schema that editors show.

use schemars::JsonSchema;
use serde::Deserialize;

use minimg_base::board::{ArchNames, Board, Platform};
use minimg_document::document::At;
use minimg_document::problem::Problems;

/// A minimg board: the machine that an image must run on, and the names of its architecture.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "minimg board")]
pub(super) struct BoardFile {
    /// One line that describes the machine.
    description: String,
    /// The platform in the image's configuration and index.
    platform: PlatformTable,
    /// The names of the architecture in the distributions; leave out those that do not support it.
    names: NamesTable,
    /// The instructions that the CPU has beyond the architecture's baseline, as glibc's `glibc-hwcaps` directories call them.
    #[schemars(example = &"x86-64-v3")]
    cpu_level: Option<At<String>>,
    /// The suffix of the emulator's name: `aarch64` for `qemu-aarch64-static`.
    #[schemars(example = &"aarch64")]
    qemu: Option<At<String>>,
    /// Buildroot's defconfig for the board, without `_defconfig`.
    #[schemars(example = &"raspberrypi4_64")]
    buildroot_defconfig: Option<At<String>>,
    /// The maximum size of an image's compressed layers in bytes; minimg warns of a larger image.
    #[schemars(example = 64_000_000)]
    size_budget: Option<u64>,
}

/// An OCI platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PlatformTable {
    /// The operating system: `linux`, the default.
    #[schemars(extend("const" = "linux"))]
    os: Option<At<String>>,
    /// Go's name of the architecture: `amd64`, `arm`, `riscv64`.
    #[schemars(example = &"arm64")]
    architecture: At<String>,
    /// The ABI or level: `v7` for `arm`.
    #[schemars(example = &"v7")]
    variant: Option<At<String>>,
}

/// The names of one architecture in the distributions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NamesTable {
    /// Debian and its derivatives: `arm64`.
    deb: Option<At<String>>,
    /// RPM distributions: `aarch64`.
    rpm: Option<At<String>>,
    /// Alpine: `aarch64`.
    apk: Option<At<String>>,
    /// Gentoo: `arm64`.
    gentoo: Option<At<String>>,
}

impl BoardFile {
    /// The board that the file describes; what is wrong is noted.
    pub(super) fn read(self, name: String, problems: &mut Problems) -> Board {
        let platform = self.platform.read(problems);
        let mut word = |value: &Option<At<String>>| {
            value.as_ref().and_then(|value| problems.check(value.span(), plain_word(value.get())))
        };
        Board {
            name,
            description: self.description,
            platform,
            names: ArchNames {
                deb: word(&self.names.deb),
                rpm: word(&self.names.rpm),
                apk: word(&self.names.apk),
                gentoo: word(&self.names.gentoo),
            },
            cpu_level: word(&self.cpu_level),
            qemu: word(&self.qemu),
            buildroot_defconfig: word(&self.buildroot_defconfig),
            size_budget: self.size_budget,
        }
    }
}

impl PlatformTable {
    fn read(&self, problems: &mut Problems) -> Platform {
        if let Some(os) = self.os.as_ref().filter(|os| os.get() != "linux") {
            problems.add(
                os.span(),
                format!("`{}` is not supported: the only operating system is `linux`", os.get().escape_debug()),
            );
        }
        let architecture = problems.check(self.architecture.span(), plain_word(self.architecture.get()));
        let variant =
            self.variant.as_ref().and_then(|variant| problems.check(variant.span(), plain_word(variant.get())));
        Platform { os: "linux".to_owned(), architecture: architecture.unwrap_or_default(), variant }
    }
}

/// These words become parts of file names and of commands.
fn plain_word(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 64 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("this must be a word of letters, digits, `_`, `-` and `.`".to_owned())
    }
}
