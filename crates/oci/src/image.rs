//! Images: format-neutral configuration and ordered layers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use minimg_base::board::Platform;
use minimg_base::digest::Digest;

/// How the program in an image is run: what every format has a way to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Config {
    /// The program and the arguments that are always given, never through a shell.
    pub entrypoint: Vec<String>,
    /// The arguments that a user can replace; the program itself if there is no entrypoint.
    pub cmd: Vec<String>,
    /// Environment variables by name.
    pub env: BTreeMap<String, String>,
    /// `user`, `uid` or either with `:group`; empty for root.
    pub user: String,
    /// The directory to start in; empty for `/`.
    pub workdir: String,
    /// Ports such as `80/tcp`.
    pub ports: BTreeSet<String>,
    /// Directories that hold data.
    pub volumes: BTreeSet<String>,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop, such as `SIGQUIT`.
    pub stop_signal: Option<String>,
    /// How an engine checks whether the program works.
    pub healthcheck: Option<Healthcheck>,
}

/// How an engine finds out whether the program works (Docker's extension of the OCI configuration).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Healthcheck {
    /// The command as an array; run without a shell.
    pub command: Vec<String>,
    /// Nanoseconds between two checks.
    pub interval: Option<u64>,
    /// Nanoseconds after which a check has failed.
    pub timeout: Option<u64>,
    /// Nanoseconds from the start in which failures do not count.
    pub start_period: Option<u64>,
    /// The number of consecutive failures after which the container is unhealthy.
    pub retries: Option<u32>,
}

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As it is.
    None,
    /// gzip, which every engine reads.
    Gzip,
    /// Zstandard: smaller and faster, for engines from about 2020 on.
    Zstd,
    /// xz: the smallest; for root tarballs only, since the OCI specification does not know it.
    Xz,
}

/// One layer of an image as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of the uncompressed tar: what identifies the layer.
    pub diff_id: Digest,
    /// The length of the uncompressed tar in bytes.
    pub diff_size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// The digest of the blob, under which the store holds it.
    pub digest: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// How many paths the layer has.
    pub files: u64,
    /// What made the layer, for the image's history.
    pub created_by: String,
}

/// An image: everything an exporter needs besides the blobs in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference that engines show: `busybox-glibc:latest`.
    pub reference: String,
    /// The machine it is for.
    pub platform: Platform,
    /// How its program is run.
    pub config: Config,
    /// The layers from the lowest up.
    pub layers: Vec<Layer>,
    /// Seconds since 1970: the newest package's date or SOURCE_DATE_EPOCH, never the clock.
    pub created: i64,
    /// Annotations of the manifest by name.
    pub annotations: BTreeMap<String, String>,
}
