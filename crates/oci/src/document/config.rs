//! The configuration of an image (`config.md`), which the OCI and Docker share.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::or_empty;
use crate::image::{Config, Healthcheck};
use minimg_base::board::Platform;
use minimg_base::digest::Digest;
use minimg_tree::search::path_of;

/// The configuration, whose digest is the image's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Go's name of the architecture.
    pub architecture: String,
    /// The ABI or level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system.
    pub os: String,
    /// When the image was made.
    #[serde(default, deserialize_with = "or_empty")]
    pub created: String,
    /// How its program is run.
    #[serde(default, deserialize_with = "or_empty")]
    pub config: Run,
    /// What identifies its layers.
    #[serde(default, deserialize_with = "or_empty")]
    pub rootfs: LayerIds,
    /// What made its layers: for people, so never read.
    #[serde(skip_deserializing)]
    pub history: Vec<History>,
}

impl Configuration {
    /// The machine that the image is for.
    pub fn platform(&self) -> Platform {
        let Self { os, architecture, variant, .. } = self.clone();
        Platform { os, architecture, variant }
    }
}

/// The digests of an image's layers as they are uncompressed, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerIds {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The digests as they are written.
    #[serde(default, deserialize_with = "or_empty")]
    pub diff_ids: Vec<String>,
}

impl LayerIds {
    /// Those of layers with these digests.
    pub fn new(diff_ids: impl IntoIterator<Item = Digest>) -> Self {
        Self { kind: "layers".to_owned(), diff_ids: diff_ids.into_iter().map(|id| id.to_string()).collect() }
    }
}

/// What made one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    /// When.
    pub created: String,
    /// By which command.
    pub created_by: String,
}

/// An object whose keys are all that matters, as Go writes a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nothing {}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// How the program of an image is run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Run {
    /// The user, by name or number.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports such as `80/tcp`.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Nothing>,
    /// The environment as `NAME=value`.
    #[serde(deserialize_with = "or_empty")]
    pub env: Vec<String>,
    /// The program and the arguments that are always given.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments that a user may replace.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// How an engine finds out whether the program works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Health>,
    /// Directories that hold data.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Nothing>,
    /// The directory to start in.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels by name.
    #[serde(deserialize_with = "or_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

impl From<&Config> for Run {
    fn from(config: &Config) -> Self {
        let set = |names: &mut dyn Iterator<Item = String>| names.map(|name| (name, Nothing {})).collect();
        Self {
            user: config.user.clone(),
            exposed_ports: set(&mut config.ports.iter().map(|port| with_protocol(port))),
            env: environment(config).into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: config.entrypoint.clone(),
            cmd: config.cmd.clone(),
            healthcheck: healthcheck(config).map(Health::from),
            volumes: set(&mut config.volumes.iter().cloned()),
            working_dir: config.workdir.clone(),
            labels: config.labels.clone(),
            stop_signal: config.stop_signal.clone(),
        }
    }
}

impl From<Run> for Config {
    fn from(run: Run) -> Self {
        let variable = |entry: String| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self {
            entrypoint: run.entrypoint,
            cmd: run.cmd,
            env: run.env.into_iter().filter_map(variable).collect(),
            user: run.user,
            workdir: run.working_dir,
            ports: run.exposed_ports.into_keys().collect(),
            volumes: run.volumes.into_keys().collect(),
            labels: run.labels,
            stop_signal: run.stop_signal.filter(|signal| !signal.is_empty()),
            healthcheck: run.healthcheck.and_then(Health::check),
        }
    }
}

/// Docker's extension (`HealthConfig` of its API); durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// `CMD` and a command as an array, or `CMD-SHELL` and one as a text.
    #[serde(deserialize_with = "or_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// After which a check has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// From the start, in which failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u64>,
    /// Failures in a row after which the container is unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

impl Health {
    /// The check that this asks for; none where it asks for none.
    fn check(self) -> Option<Healthcheck> {
        let command = match self.test.split_first()? {
            (kind, rest) if kind == "CMD" => rest.to_vec(),
            // A text for a shell, which an array can say too.
            (kind, rest) if kind == "CMD-SHELL" => {
                ["/bin/sh", "-c"].into_iter().map(str::to_owned).chain(rest.iter().cloned()).collect()
            }
            _ => return None,
        };
        let Self { interval, timeout, start_period, retries, .. } = self;
        Some(Healthcheck { command, interval, timeout, start_period, retries })
    }
}

impl From<&Healthcheck> for Health {
    fn from(check: &Healthcheck) -> Self {
        let Healthcheck { command, interval, timeout, start_period, retries } = check.clone();
        let test = std::iter::once("CMD".to_owned()).chain(command).collect();
        Self { test, interval, timeout, start_period, retries }
    }
}

/// The environment as engines get it: a search path in any case, then the rest, sorted. A builder begins an image from scratch with its
/// own search path and replaces that, so that every other order would differ between a Dockerfile and an archive.
pub(crate) fn environment(config: &Config) -> Vec<(&str, &str)> {
    let others = config.env.iter().filter(|(name, _)| *name != "PATH");
    std::iter::once(("PATH", path_of(&config.env)))
        .chain(others.map(|(name, value)| (name.as_str(), value.as_str())))
        .collect()
}

/// The check, if it has a command.
pub(crate) fn healthcheck(config: &Config) -> Option<&Healthcheck> {
    config.healthcheck.as_ref().filter(|check| !check.command.is_empty())
}

/// A port as builders complete it.
fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}
