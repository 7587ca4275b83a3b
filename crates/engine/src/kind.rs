//! The differences between engines.

use minimg_base::board::Platform;
use minimg_oci::image::Image;

/// One engine's names and arguments.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The Debian package that has the program.
    pub(super) package: &'static str,
    /// The format that keeps all of the configuration when it is loaded.
    pub(super) archive: &'static str,
    /// Puts names without a host into the engine's own place, so that it never asks a registry for them.
    pub(super) host: &'static str,
    pub(super) import: fn(&Platform) -> Vec<String>,
    pub(super) build: fn(&Image) -> Vec<String>,
    pub(super) untag: &'static [&'static str],
    /// The command that lists the ids of all containers, those that builders make for themselves included.
    pub(super) containers: &'static [&'static str],
    /// The command that prints the version of what does the work.
    pub(super) version: &'static [&'static str],
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "docker",
        package: "docker.io",
        archive: "archive",
        host: "",
        import: |platform| vec![format!("--platform={platform}")],
        build: |image| vec!["--pull=false".into(), format!("--platform={}", image.platform)],
        untag: &["rmi", "--no-prune"],
        containers: &["ps", "--all", "--quiet", "--no-trunc"],
        version: &["version", "--format", "{{.Server.Version}}"],
    },
    Kind {
        name: "podman",
        package: "podman",
        // From an OCI layout Podman drops the health check, which that specification does not know.
        archive: "docker-archive",
        host: "localhost/",
        import: |platform| {
            let mut words = vec![format!("--os={}", platform.os), format!("--arch={}", platform.architecture)];
            words.extend(platform.variant.iter().map(|variant| format!("--variant={variant}")));
            words
        },
        build: |image| {
            vec![
                "--format=docker".into(),
                "--identity-label=false".into(),
                "--pull=never".into(),
                format!("--timestamp={}", image.created.max(0)),
                format!("--platform={}", image.platform),
            ]
        },
        untag: &["untag"],
        containers: &["ps", "--all", "--external", "--quiet", "--no-trunc"],
        version: &["info", "--format", "{{.Version.Version}}"],
    },
];

/// The names of the engines that are known.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}
