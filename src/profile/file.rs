//! The TOML shape of a profile. These types only say what may be written; `apply` gives it its meaning.
//!
//! Their doc comments become the descriptions in the JSON Schema that editors show, so they speak to the author of a profile.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Policy;
use minimg_document::document::At;

/// A minimg profile: what a container image shall hold and how its program is run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "minimg profile")]
pub(crate) struct ProfileFile {
    /// One line on what the image is.
    pub(crate) description: Option<String>,
    /// The profile that this one builds on, by name or by a path from this file. Lists are appended to, single values replaced.
    pub(crate) extends: Option<At<String>>,
    /// The backend that makes the root tree: `deb` unless said otherwise.
    pub(crate) backend: Option<At<String>>,
    /// Where packages come from.
    pub(crate) source: SourceTable,
    /// The wanted packages by family.
    pub(crate) packages: PackagesTable,
    /// What is kept of the packages' files. Everything else is left out.
    pub(crate) keep: KeepTable,
    /// What is left out though something would keep it.
    pub(crate) drop: DropTable,
    /// How the walk over the programs decides where the files alone do not.
    pub(crate) closure: ClosureTable,
    /// What is added to the image.
    pub(crate) add: AddTable,
    /// How the program in the image is run.
    pub(crate) image: ImageTable,
    /// Runs that show that the image works.
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
    /// One line on what the image is.
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

/// What differs under some condition: added to the profile's own lists, in place of its single values.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct OverrideTable {
    /// The backend that makes the root tree.
    pub(crate) backend: Option<At<String>>,
    /// Where packages come from.
    pub(crate) source: SourceTable,
    /// More wanted packages by family.
    pub(crate) packages: PackagesTable,
    /// What is kept besides.
    pub(crate) keep: KeepTable,
    /// What is left out besides.
    pub(crate) drop: DropTable,
    /// How the walk over the programs decides where the files alone do not.
    pub(crate) closure: ClosureTable,
    /// What is added besides.
    pub(crate) add: AddTable,
    /// How the program in the image is run.
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
    /// Suites that are searched too, in place of the distribution's usual ones (updates and security).
    #[schemars(example = ["trixie-updates"])]
    pub(crate) extra_suites: Option<Vec<At<String>>>,
    /// The mirror's address. Better left to the user's configuration, since a profile is for everybody.
    #[schemars(extend("pattern" = r"^(https?|file)://"))]
    pub(crate) mirror: Option<At<String>>,
    /// The address of the mirror of security updates.
    #[schemars(extend("pattern" = r"^(https?|file)://"))]
    pub(crate) security_mirror: Option<At<String>>,
    /// Whole source entries in apt's one-line or deb822 form, in place of mirror, suite and components.
    pub(crate) entries: Vec<At<String>>,
    /// The keyring file that signatures are checked against, in place of the usual one; a relative path starts at this file.
    pub(crate) keyring: Option<At<String>>,
    /// Whether recommended packages are installed too.
    pub(crate) recommends: Option<bool>,
    /// Versions that win over newer ones: package name to version or suite.
    pub(crate) pins: BTreeMap<At<String>, At<String>>,
    /// Packages that must not be in the tree.
    pub(crate) exclude: Vec<At<String>>,
    /// Whether an expired Release file is accepted.
    pub(crate) allow_expired: Option<bool>,
    /// Settings that only one backend knows, under its name.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub(crate) options: BTreeMap<String, toml::Table>,
    /// The directory of the file.
    #[serde(skip)]
    pub(crate) directory: std::path::PathBuf,
}

/// The wanted packages by family, in the words of that family: `name`, `name=version`, `name:architecture`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct PackagesTable {
    /// Packages of Debian and its kin.
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

/// What is kept of the packages' files.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct KeepTable {
    /// Programs by path, or by name to be looked up in the image's PATH; with them all that they need.
    #[schemars(example = ["/usr/sbin/nginx"])]
    pub(crate) programs: Vec<At<String>>,
    /// Programs that are kept when the packages have them.
    #[schemars(example = ["/usr/bin/less"])]
    pub(crate) optional_programs: Vec<At<String>>,
    /// Rule sets by name; `minimg list rules` shows them.
    #[schemars(example = ["ca-certificates"])]
    pub(crate) rules: Vec<At<String>>,
    /// Whole packages, all of their files.
    #[schemars(example = ["media-types"])]
    pub(crate) packages: Vec<At<String>>,
    /// Globs over absolute paths, each with the reason why it is kept. `*` stops at a slash, `**` does not.
    #[schemars(extend("propertyNames" = {"pattern": "^/"}, "examples" = [{"/usr/share/nginx/html/**": "the default page"}]))]
    pub(crate) globs: BTreeMap<At<String>, At<String>>,
}

/// What is left out though something would keep it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct DropTable {
    /// Globs over absolute paths, each with the reason why it is left out. `*` stops at a slash, `**` does not.
    #[schemars(extend("propertyNames" = {"pattern": "^/"}, "examples" = [{"/usr/share/doc/**": "nobody reads it here"}]))]
    pub(crate) globs: BTreeMap<At<String>, At<String>>,
}

/// How the walk over the programs decides where the files alone do not.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ClosureTable {
    /// What is done with libraries that only a string in a program names.
    pub(crate) dlopen_strings: Option<Policy>,
    /// What is done with libraries that a `.note.dlopen` calls `suggested`.
    pub(crate) suggested: Option<Policy>,
    /// What is done with commands that a kept script names.
    pub(crate) script_commands: Option<Policy>,
    /// Whether every `glibc-hwcaps` level is kept, not only the baseline.
    pub(crate) hwcaps: Option<bool>,
    /// What is done with the files that the programs' libraries ask for: certificates for libssl, terminfo for libtinfo.
    pub(crate) triggers: Option<Policy>,
}

/// What is added to the image.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct AddTable {
    /// Whether the usual small files are made: passwd, group, nsswitch.conf, hosts, os-release, machine-id, /tmp. On by default.
    pub(crate) base: Option<bool>,
    /// A busybox-like program: every applet that it has becomes a link to it.
    #[schemars(example = &"/usr/bin/busybox", extend("pattern" = "^/"))]
    pub(crate) applets: Option<At<String>>,
    /// Accounts besides root, nobody and nonroot.
    pub(crate) accounts: Vec<AccountTable>,
    /// Files.
    pub(crate) files: Vec<FileTable>,
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
    /// The main group's name; the user's own name when left out.
    #[schemars(extend("pattern" = r"^[a-zA-Z_][a-zA-Z0-9._-]*$"))]
    pub(crate) group: Option<At<String>>,
    /// The main group's number; the user's number when left out.
    #[schemars(extend("maximum" = 4_294_967_294_u64))]
    pub(crate) gid: Option<At<u32>>,
    /// The home directory, which is made and owned by the user; `/nonexistent` when left out, which is not made.
    #[schemars(extend("pattern" = "^/"))]
    pub(crate) home: Option<At<String>>,
    /// The login shell; `/usr/sbin/nologin` when left out.
    #[schemars(extend("pattern" = "^/"))]
    pub(crate) shell: Option<At<String>>,
    /// The full name.
    pub(crate) gecos: Option<At<String>>,
}

/// A file that is added: its content stands here or in a file beside the profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = [{"required": ["content"]}, {"required": ["from"]}]))]
pub(crate) struct FileTable {
    /// Where it is in the image.
    #[schemars(example = &"/etc/motd", extend("pattern" = "^/"))]
    pub(crate) path: At<String>,
    /// What is in it, byte for byte.
    pub(crate) content: Option<At<String>>,
    /// The file that has the content; a relative path starts at this file.
    pub(crate) from: Option<At<String>>,
    /// Permissions in octal digits; `0644` when left out.
    #[schemars(example = &"0644", extend("pattern" = "^[0-7]{3,4}$"))]
    pub(crate) mode: Option<At<String>>,
    /// The owner by name or number; root when left out.
    pub(crate) owner: Option<At<String>>,
    /// The group by name or number; root when left out.
    pub(crate) group: Option<At<String>>,
    /// What `from` led to, filled in after reading.
    #[serde(skip)]
    pub(crate) bytes: Option<Vec<u8>>,
}

/// A directory that is added.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DirectoryTable {
    /// Where it is in the image.
    #[schemars(example = &"/var/lib/redis", extend("pattern" = "^/"))]
    pub(crate) path: At<String>,
    /// Permissions in octal digits; `0755` when left out.
    #[schemars(example = &"0755", extend("pattern" = "^[0-7]{3,4}$"))]
    pub(crate) mode: Option<At<String>>,
    /// The owner by name or number; root when left out.
    pub(crate) owner: Option<At<String>>,
    /// The group by name or number; root when left out.
    pub(crate) group: Option<At<String>>,
}

/// How the program in the image is run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ImageTable {
    /// The program and the arguments that are always given; never run through a shell. Empties an inherited `cmd`.
    #[schemars(example = ["/usr/sbin/nginx"])]
    pub(crate) entrypoint: Option<At<Vec<String>>>,
    /// The arguments that a user may replace; the program itself when there is no entrypoint.
    #[schemars(example = ["-g", "daemon off;"])]
    pub(crate) cmd: Option<At<Vec<String>>>,
    /// The environment by name.
    #[schemars(extend("propertyNames" = {"pattern": "^[^=]+$"}, "examples" = [{"LANG": "C.UTF-8"}]))]
    pub(crate) env: BTreeMap<At<String>, At<String>>,
    /// Who runs the program: `user`, `uid`, or either with `:group`; root when left out.
    #[schemars(example = &"nonroot")]
    pub(crate) user: Option<At<String>>,
    /// The directory to start in; `/` when left out.
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
    /// How an engine finds out whether the program works.
    pub(crate) healthcheck: Option<HealthcheckTable>,
}

/// How an engine finds out whether the program works.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HealthcheckTable {
    /// The command as an array; run without a shell.
    #[schemars(example = ["/usr/bin/redis-cli", "ping"], length(min = 1))]
    pub(crate) command: At<Vec<String>>,
    /// The time between two checks.
    #[schemars(example = &"30s", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub(crate) interval: Option<At<String>>,
    /// The time after which a check has failed.
    #[schemars(example = &"3s", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub(crate) timeout: Option<At<String>>,
    /// The time from the start in which failures do not count.
    #[schemars(example = &"10s", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub(crate) start_period: Option<At<String>>,
    /// Failures in a row after which the container is unhealthy.
    #[schemars(example = 3, extend("maximum" = 2_147_483_647_u64))]
    pub(crate) retries: Option<u32>,
}

/// A run of the image that shows that it works.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TestTable {
    /// What it shows.
    #[schemars(example = &"verifies a certificate")]
    pub(crate) name: At<String>,
    /// The command as an array, run in the image in place of its entrypoint.
    #[schemars(example = ["/usr/bin/curl", "--version"], length(min = 1))]
    pub(crate) command: At<Vec<String>>,
    /// A part of what must be printed.
    pub(crate) stdout: Option<String>,
    /// The exit code that is expected; 0 when left out.
    #[schemars(extend("minimum" = 0, "maximum" = 255))]
    pub(crate) exit: Option<At<i32>>,
    /// What the command gets to read.
    pub(crate) stdin: Option<String>,
}
