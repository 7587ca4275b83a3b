//! The TOML shape of a profile. These types only say what may be written; `apply` gives it its meaning.
//!
//! Their doc comments become the descriptions in the JSON Schema that editors show, so they speak to the author of a profile.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LocalTree, Policy};
use minimg_document::document::At;

/// A minimg profile: what a container image holds and how to run its program.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "minimg profile")]
pub(crate) struct ProfileFile {
    /// One line that describes the image.
    pub(crate) description: Option<String>,
    /// The profile that this one builds on: a name, or a path relative to this file. Lists are appended, single values replaced.
    pub(crate) extends: Option<At<String>>,
    /// The backend that makes the root tree; `deb` by default.
    pub(crate) backend: Option<At<String>>,
    /// Where packages come from.
    pub(crate) source: SourceTable,
    /// The packages to use, by family.
    pub(crate) packages: PackagesTable,
    /// Which of the packages' files to keep. Everything else is left out.
    pub(crate) keep: KeepTable,
    /// Files to leave out although something would keep them.
    pub(crate) drop: DropTable,
    /// How the walk over the programs decides where the files alone do not.
    pub(crate) closure: ClosureTable,
    /// What to add to the image.
    pub(crate) add: AddTable,
    /// How to run the program in the image.
    pub(crate) image: ImageTable,
    /// Tests that show that the image works.
    pub(crate) tests: Vec<TestTable>,
    /// What differs for one OCI architecture, such as `arm64` or `arm/v7`.
    pub(crate) arch: BTreeMap<At<String>, OverrideTable>,
    /// What differs for one board.
    pub(crate) board: BTreeMap<At<String>, OverrideTable>,
    /// What differs in one suite of the distribution, such as `bookworm`.
    pub(crate) suite: BTreeMap<At<String>, OverrideTable>,
}

impl ProfileFile {
    /// Tells what holds always from what holds under a condition.
    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            description: self.description,
            extends: self.extends,
            always: OverrideTable {
                backend: self.backend,
                source: self.source,
                packages: self.packages,
                keep: self.keep,
                drop: self.drop,
                closure: self.closure,
                add: self.add,
                image: self.image,
                tests: self.tests,
            },
            arch: self.arch,
            board: self.board,
            suite: self.suite,
        }
    }
}

/// A file as it is used: what holds always and what differs under a condition have one type.
#[derive(Debug)]
pub(crate) struct Parts {
    /// One line that describes the image.
    pub(crate) description: Option<String>,
    /// The profile that this one builds on.
    pub(crate) extends: Option<At<String>>,
    /// What holds always.
    pub(crate) always: OverrideTable,
    /// What differs by architecture.
    pub(crate) arch: BTreeMap<At<String>, OverrideTable>,
    /// What differs by board.
    pub(crate) board: BTreeMap<At<String>, OverrideTable>,
    /// What differs by suite.
    pub(crate) suite: BTreeMap<At<String>, OverrideTable>,
}

impl Parts {
    /// Every part, whatever its condition.
    pub(crate) fn all(&self) -> impl Iterator<Item = &OverrideTable> {
        std::iter::once(&self.always).chain(self.arch.values()).chain(self.board.values()).chain(self.suite.values())
    }

    /// Every part, to be completed.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut OverrideTable> {
        let overrides = self.arch.values_mut().chain(self.board.values_mut()).chain(self.suite.values_mut());
        std::iter::once(&mut self.always).chain(overrides)
    }
}

/// What differs under a condition: appended to the profile's own lists, replacing its single values.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct OverrideTable {
    /// The backend that makes the root tree.
    pub(crate) backend: Option<At<String>>,
    /// Where packages come from.
    pub(crate) source: SourceTable,
    /// Additional packages, by family.
    pub(crate) packages: PackagesTable,
    /// What to keep in addition.
    pub(crate) keep: KeepTable,
    /// What to leave out in addition.
    pub(crate) drop: DropTable,
    /// How the walk over the programs decides where the files alone do not.
    pub(crate) closure: ClosureTable,
    /// What to add in addition.
    pub(crate) add: AddTable,
    /// How to run the program in the image.
    pub(crate) image: ImageTable,
    /// More runs that show that the image works.
    pub(crate) tests: Vec<TestTable>,
}

/// Where packages come from. Each backend says which keys it knows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct SourceTable {
    /// The distribution: `debian`, `ubuntu`, `fedora`.
    #[schemars(example = &"debian")]
    pub(crate) distribution: Option<At<String>>,
    /// The release: `trixie`, `43`.
    #[schemars(example = &"trixie")]
    pub(crate) suite: Option<At<String>>,
    /// Components or modules, in place of `main`.
    #[schemars(example = ["main", "contrib"])]
    pub(crate) components: Option<Vec<At<String>>>,
    /// Additional suites to search, instead of the distribution's defaults (updates and security).
    #[schemars(example = ["trixie-updates"])]
    pub(crate) extra_suites: Option<Vec<At<String>>>,
    /// The mirror's address. Better set in the user's configuration, because a profile is for everyone.
    #[schemars(extend("pattern" = r"^(https?|file)://"))]
    pub(crate) mirror: Option<At<String>>,
    /// The address of the mirror of security updates.
    #[schemars(extend("pattern" = r"^(https?|file)://"))]
    pub(crate) security_mirror: Option<At<String>>,
    /// Whole source entries in apt's one-line or deb822 form, instead of mirror, suite and components.
    pub(crate) entries: Vec<At<String>>,
    /// The keyring file to check signatures against, instead of the default one; relative to this file.
    pub(crate) keyring: Option<At<String>>,
    /// Whether to install recommended packages too.
    pub(crate) recommends: Option<bool>,
    /// Versions that take precedence over newer ones: package name to version or suite.
    pub(crate) pins: BTreeMap<At<String>, At<String>>,
    /// Packages that must not be in the tree.
    pub(crate) exclude: Vec<At<String>>,
    /// Whether to accept an expired Release file.
    pub(crate) allow_expired: Option<bool>,
    /// Whether to accept a Release file that names another suite than the one that was asked for.
    pub(crate) allow_other_suite: Option<bool>,
    /// Settings for a single backend, under its name.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub(crate) options: BTreeMap<String, toml::Table>,
    /// The directory of the file.
    #[serde(skip)]
    pub(crate) directory: std::path::PathBuf,
}

/// The packages to use by family, in the syntax of that family: `name`, `name=version`, `name:architecture`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct PackagesTable {
    /// Packages of Debian and its derivatives.
    #[schemars(example = ["busybox"], inner(regex(pattern = r"^[^\s-]\S*$")))]
    pub(crate) deb: Vec<At<String>>,
    /// Packages of the yum and dnf family.
    #[schemars(example = ["busybox"], inner(regex(pattern = r"^[^\s-]\S*$")))]
    pub(crate) rpm: Vec<At<String>>,
    /// Packages of Alpine.
    #[schemars(example = ["busybox"], inner(regex(pattern = r"^[^\s-]\S*$")))]
    pub(crate) apk: Vec<At<String>>,
    /// Buildroot's options, without `BR2_PACKAGE_`, or with it.
    #[schemars(example = ["BUSYBOX"], inner(regex(pattern = r"^[^\s-]\S*$")))]
    pub(crate) buildroot: Vec<At<String>>,
}

/// Which of the packages' files to keep.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct KeepTable {
    /// Programs to keep with everything they need: paths, or names to look up in the image's PATH.
    #[schemars(example = ["/usr/sbin/nginx"])]
    pub(crate) programs: Vec<At<String>>,
    /// Programs to keep if the packages have them.
    #[schemars(example = ["/usr/bin/less"])]
    pub(crate) optional_programs: Vec<At<String>>,
    /// Names of rule sets; `minimg list rules` shows them.
    #[schemars(example = ["ca-certificates"])]
    pub(crate) rules: Vec<At<String>>,
    /// Whole packages, with all of their files.
    #[schemars(example = ["media-types"])]
    pub(crate) packages: Vec<At<String>>,
    /// Globs over absolute paths, each with the reason to keep the files. `*` stops at a slash, `**` does not.
    #[schemars(extend("propertyNames" = {"pattern": "^/"}, "examples" = [{"/usr/share/nginx/html/**": "the default page"}]))]
    pub(crate) globs: BTreeMap<At<String>, At<String>>,
}

/// Files to leave out although something would keep them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct DropTable {
    /// Globs over absolute paths, each with the reason to leave the files out. `*` stops at a slash, `**` does not.
    #[schemars(extend("propertyNames" = {"pattern": "^/"}, "examples" = [{"/usr/share/doc/**": "nobody reads it here"}]))]
    pub(crate) globs: BTreeMap<At<String>, At<String>>,
}

/// How the walk over the programs decides where the files alone do not.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ClosureTable {
    /// What to do with libraries that only a string in a program names.
    pub(crate) dlopen_strings: Option<Policy>,
    /// What to do with libraries that a `.note.dlopen` calls `suggested`.
    pub(crate) suggested: Option<Policy>,
    /// What to do with commands that a kept script names.
    pub(crate) script_commands: Option<Policy>,
    /// Whether to keep every `glibc-hwcaps` level, not only the baseline.
    pub(crate) hwcaps: Option<bool>,
    /// What to do with the files that the programs' libraries use: certificates for libssl, terminfo for libtinfo.
    pub(crate) triggers: Option<Policy>,
}

/// What to add to the image.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct AddTable {
    /// Whether to create the usual small files: passwd, group, nsswitch.conf, hosts, os-release, machine-id, /tmp. On by default.
    pub(crate) base: Option<bool>,
    /// A busybox-like program: each of its applets becomes a link to it.
    #[schemars(example = &"/usr/bin/busybox", extend("pattern" = "^/"))]
    pub(crate) applets: Option<At<String>>,
    /// Accounts in addition to root, nobody and nonroot.
    pub(crate) accounts: Vec<AccountTable>,
    /// Files.
    pub(crate) files: Vec<FileTable>,
    /// Whole directories.
    pub(crate) trees: Vec<TreeTable>,
    /// Symbolic links: path and target.
    #[schemars(extend("propertyNames" = {"pattern": "^/"}, "examples" = [{"/var/log/nginx/access.log": "/dev/stdout"}]))]
    pub(crate) links: BTreeMap<At<String>, At<String>>,
    /// Directories.
    pub(crate) directories: Vec<DirectoryTable>,
}

/// An account of the image.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AccountTable {
    /// The user's name.
    #[schemars(example = &"redis", extend("pattern" = r"^[a-zA-Z_][a-zA-Z0-9._-]*$"))]
    pub(crate) name: At<String>,
    /// The user's number.
    #[schemars(example = 999, extend("maximum" = 4_294_967_294_u64))]
    pub(crate) uid: At<u32>,
    /// The main group's name; the user's own name by default.
    #[schemars(extend("pattern" = r"^[a-zA-Z_][a-zA-Z0-9._-]*$"))]
    pub(crate) group: Option<At<String>>,
    /// The main group's number; the user's number by default.
    #[schemars(extend("maximum" = 4_294_967_294_u64))]
    pub(crate) gid: Option<At<u32>>,
    /// The home directory, created and owned by the user; by default `/nonexistent`, which is not created.
    #[schemars(extend("pattern" = "^/"))]
    pub(crate) home: Option<At<String>>,
    /// The login shell; `/usr/sbin/nologin` by default.
    #[schemars(extend("pattern" = "^/"))]
    pub(crate) shell: Option<At<String>>,
    /// The full name.
    pub(crate) gecos: Option<At<String>>,
}

/// A file to add, with its content here or in a file next to the profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = [{"required": ["content"]}, {"required": ["from"]}]))]
pub(crate) struct FileTable {
    /// The path in the image.
    #[schemars(example = &"/etc/motd", extend("pattern" = "^/"))]
    pub(crate) path: At<String>,
    /// The content, byte for byte.
    pub(crate) content: Option<At<String>>,
    /// A file to copy the content from; relative to this file.
    pub(crate) from: Option<At<String>>,
    /// Permissions in octal digits; by default those of the file that `from` names, or `0644`.
    #[schemars(example = &"0644", extend("pattern" = "^[0-7]{3,4}$"))]
    pub(crate) mode: Option<At<String>>,
    /// The owner by name or number; root by default.
    pub(crate) owner: Option<At<String>>,
    /// The group by name or number; root by default.
    pub(crate) group: Option<At<String>>,
    /// What `from` led to, and its permissions, filled in after reading.
    #[serde(skip)]
    pub(crate) found: Option<(Vec<u8>, u32)>,
}

/// A directory to add with all that is in it. Modes and links stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TreeTable {
    /// The directory; relative to this file.
    #[schemars(example = &"site")]
    pub(crate) from: At<String>,
    /// The directory in the image that its content goes to.
    #[schemars(example = &"/usr/share/nginx/html", extend("pattern" = "^/"))]
    pub(crate) to: At<String>,
    /// What does not come along, as globs that begin at the directory, besides what a `.dockerignore` in it says.
    #[schemars(example = ["**/*.map"])]
    #[serde(default)]
    pub(crate) exclude: Vec<At<String>>,
    /// The owner by name or number; root by default.
    pub(crate) owner: Option<At<String>>,
    /// The group by name or number; root by default.
    pub(crate) group: Option<At<String>>,
    /// What was in it, filled in after reading.
    #[serde(skip)]
    pub(crate) found: Option<LocalTree>,
}

/// A directory to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DirectoryTable {
    /// The path in the image.
    #[schemars(example = &"/var/lib/redis", extend("pattern" = "^/"))]
    pub(crate) path: At<String>,
    /// Permissions in octal digits; `0755` by default.
    #[schemars(example = &"0755", extend("pattern" = "^[0-7]{3,4}$"))]
    pub(crate) mode: Option<At<String>>,
    /// The owner by name or number; root by default.
    pub(crate) owner: Option<At<String>>,
    /// The group by name or number; root by default.
    pub(crate) group: Option<At<String>>,
}

/// How to run the program in the image.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ImageTable {
    /// The program and the arguments that it always gets; never run through a shell. Empties an inherited `cmd`.
    #[schemars(example = ["/usr/sbin/nginx"])]
    pub(crate) entrypoint: Option<At<Vec<String>>>,
    /// The arguments that a user can replace; the program itself if there is no entrypoint.
    #[schemars(example = ["-g", "daemon off;"])]
    pub(crate) cmd: Option<At<Vec<String>>>,
    /// Environment variables by name.
    #[schemars(extend("propertyNames" = {"pattern": "^[^=]+$"}, "examples" = [{"LANG": "C.UTF-8"}]))]
    pub(crate) env: BTreeMap<At<String>, At<String>>,
    /// The user that runs the program: `user`, `uid`, or either with `:group`; root by default.
    #[schemars(example = &"nonroot")]
    pub(crate) user: Option<At<String>>,
    /// The directory to start in; `/` by default.
    #[schemars(example = &"/work", extend("pattern" = "^/"))]
    pub(crate) workdir: Option<At<String>>,
    /// Ports such as `80` or `53/udp`.
    #[schemars(example = ["80/tcp"], inner(regex(pattern = "^[0-9]+(/(tcp|udp|sctp))?$")))]
    pub(crate) ports: Vec<At<String>>,
    /// Directories that hold data.
    #[schemars(example = ["/data"], inner(regex(pattern = "^/")))]
    pub(crate) volumes: Vec<At<String>>,
    /// Labels by name.
    #[schemars(extend("examples" = [{"org.opencontainers.image.licenses": "MIT"}]))]
    pub(crate) labels: BTreeMap<At<String>, String>,
    /// The signal that asks the program to stop.
    #[schemars(example = &"SIGQUIT", regex(pattern = r"^([A-Z0-9]+|SIGRTM(IN\+|AX-)[0-9]+)$"))]
    pub(crate) stop_signal: Option<At<String>>,
    /// How an engine checks whether the program works.
    pub(crate) healthcheck: Option<HealthcheckTable>,
}

/// How an engine checks whether the program works.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HealthcheckTable {
    /// The command as an array; run without a shell.
    #[schemars(example = ["/usr/bin/redis-cli", "ping"], length(min = 1))]
    pub(crate) command: At<Vec<String>>,
    /// The time between two checks.
    #[schemars(example = &"30s", regex(pattern = r"^[P0-9]"))]
    pub(crate) interval: Option<At<String>>,
    /// The time after which a check counts as failed.
    #[schemars(example = &"3s", regex(pattern = r"^[P0-9]"))]
    pub(crate) timeout: Option<At<String>>,
    /// The time after the start during which failures do not count.
    #[schemars(example = &"10s", regex(pattern = r"^[P0-9]"))]
    pub(crate) start_period: Option<At<String>>,
    /// The number of consecutive failures after which the container is unhealthy.
    #[schemars(example = 3, extend("maximum" = 2_147_483_647_u64))]
    pub(crate) retries: Option<u32>,
}

/// A test that shows that the image works.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TestTable {
    /// What the test shows.
    #[schemars(example = &"verifies a certificate")]
    pub(crate) name: At<String>,
    /// The command as an array, run in the image instead of its entrypoint, or beside it with `port`.
    #[schemars(example = ["/usr/bin/curl", "--version"], length(min = 1))]
    pub(crate) command: Option<At<Vec<String>>>,
    /// A TCP port: the image is started as it is, and once it listens there, `command` is run, or without one `stdin` is sent to the port.
    #[schemars(extend("minimum" = 1, "maximum" = 65535))]
    pub(crate) port: Option<At<u16>>,
    /// Text that the output must contain.
    #[schemars(extend("contentMediaType" = "application/octet-stream"))]
    pub(crate) stdout: Option<String>,
    /// The expected exit code; 0 by default.
    #[schemars(extend("minimum" = 0, "maximum" = 255))]
    pub(crate) exit: Option<At<i32>>,
    /// The standard input of the command.
    #[schemars(extend("contentMediaType" = "application/octet-stream"))]
    pub(crate) stdin: Option<String>,
}
