//! The JSON documents of the OCI image specification 1.1 and of Docker's image format, which share the configuration.
//!
//! Own types rather than a library's: their maps are ordered, so the same image gives the same bytes, and they know Docker's
//! health check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::{Compression, Config, Healthcheck, Image, Layer};
use minimg_base::board::Platform;
use minimg_base::digest::Digest;

use super::ExportError;
use super::reference::Reference;

/// The search path of an image that does not name one: what engines assume for it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The names by which the parts of one image are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The digest of the configuration: the id that engines show.
    pub config: Digest,
    /// The digest of the manifest: what a registry knows the image by.
    pub manifest: Digest,
}

/// The names by which `image` is known once it is loaded or pushed.
///
/// # Errors
/// When a layer is compressed in a way that images cannot have.
pub fn identity(image: &Image) -> Result<Identity, ExportError> {
    let config = config(image);
    let manifest = manifest(image, &config)?;
    Ok(Identity { config: Digest::of(&config), manifest: Digest::of(&manifest) })
}

/// Changed with every change of what is written for the same image, so that files of another version are not taken for up to date.
pub const DOCUMENTS_VERSION: u32 = 2;

/// The environment as engines get it: a search path in any case, then the rest, sorted. A builder begins an image from scratch with its
/// own search path and replaces that, so that every other order would differ between a Dockerfile and an archive.
pub(crate) fn environment(config: &Config) -> Vec<(&str, &str)> {
    let path = config.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let others = config.env.iter().filter(|(name, _)| *name != "PATH");
    std::iter::once(("PATH", path)).chain(others.map(|(name, value)| (name.as_str(), value.as_str()))).collect()
}

/// The check, if it has a command.
pub(super) fn healthcheck(config: &Config) -> Option<&Healthcheck> {
    config.healthcheck.as_ref().filter(|check| !check.command.is_empty())
}

/// A port as builders complete it.
fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

/// The configuration (`config.md`), whose digest is the image's id.
pub(super) fn config(image: &Image) -> Vec<u8> {
    let created = rfc3339(image.created);
    let history = image.layers.iter().map(|layer| HistoryDocument { created: &created, created_by: &layer.created_by });
    json(&ConfigDocument {
        architecture: &image.platform.architecture,
        variant: image.platform.variant.as_deref(),
        os: &image.platform.os,
        created: &created,
        config: RunDocument::of(&image.config),
        rootfs: RootfsDocument { kind: "layers", diff_ids: image.layers.iter().map(|layer| layer.diff_id).collect() },
        history: history.collect(),
    })
}

/// The manifest (`manifest.md`) that joins a configuration with its layers.
pub(super) fn manifest(image: &Image, config: &[u8]) -> Result<Vec<u8>, ExportError> {
    let layers: Result<Vec<_>, _> =
        image.layers.iter().map(|layer| Ok(Descriptor::new(layer_type(layer)?, layer.digest, layer.size))).collect();
    Ok(json(&ManifestDocument {
        schema_version: 2,
        media_type: MANIFEST,
        config: Descriptor::of(CONFIG, config),
        layers: layers?,
        annotations: &image.annotations,
    }))
}

/// What an index says of a manifest.
pub(super) fn manifest_descriptor(manifest: &[u8], platform: &Platform) -> Descriptor {
    Descriptor { platform: Some(platform.clone()), ..Descriptor::of(MANIFEST, manifest) }
}

/// What an index says of another index.
pub(super) fn index_descriptor(index: &[u8]) -> Descriptor {
    Descriptor::of(INDEX, index)
}

/// An index (`image-index.md`) of these manifests.
pub(super) fn index(manifests: Vec<Descriptor>) -> Vec<u8> {
    json(&Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests, rest: BTreeMap::new() })
}

/// The annotations by which tools find an image in a layout: the tag alone as the specification's own examples have it, and the whole
/// name for containerd and its kin.
pub(super) fn named(mut descriptor: Descriptor, reference: &Reference) -> Descriptor {
    descriptor.annotations.insert("io.containerd.image.name".into(), reference.full());
    descriptor.annotations.insert("org.opencontainers.image.ref.name".into(), reference.tag().to_owned());
    descriptor
}

/// `oci-layout`, the file that marks a layout (`image-layout.md`).
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// One entry of docker-archive's `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerManifest {
    /// Where the configuration is in the archive.
    pub(super) config: String,
    /// What the image is called.
    pub(super) repo_tags: Vec<String>,
    /// Where the layers are in the archive, from the lowest up.
    pub(super) layers: Vec<String>,
}

/// What a document says of another one or of a layer (`descriptor.md`). Unknown keys of documents that others wrote are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, serde_json::Value>,
}

impl Descriptor {
    fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size,
            platform: None,
            annotations: BTreeMap::new(),
            rest: BTreeMap::new(),
        }
    }

    fn of(media_type: &str, document: &[u8]) -> Self {
        Self::new(media_type, Digest::of(document), document.len() as u64)
    }
}

/// An index, read and written again without losing what others put into it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    pub(super) manifests: Vec<Descriptor>,
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDocument<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ConfigDocument<'a> {
    architecture: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    os: &'a str,
    created: &'a str,
    config: RunDocument<'a>,
    rootfs: RootfsDocument,
    history: Vec<HistoryDocument<'a>>,
}

#[derive(Serialize)]
struct RootfsDocument {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: Vec<Digest>,
}

#[derive(Serialize)]
struct HistoryDocument<'a> {
    created: &'a str,
    created_by: &'a str,
}

/// An object whose keys are all that matters, as Go writes a set.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunDocument<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Nothing>,
    env: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    entrypoint: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    cmd: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<HealthDocument<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<&'a str, Nothing>,
    #[serde(skip_serializing_if = "str::is_empty")]
    working_dir: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<&'a str>,
}

impl<'a> RunDocument<'a> {
    fn of(config: &'a Config) -> Self {
        Self {
            user: &config.user,
            exposed_ports: config.ports.iter().map(|port| (with_protocol(port), Nothing {})).collect(),
            env: environment(config).into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: &config.entrypoint,
            cmd: &config.cmd,
            healthcheck: healthcheck(config).map(HealthDocument::of),
            volumes: config.volumes.iter().map(|path| (path.as_str(), Nothing {})).collect(),
            working_dir: &config.workdir,
            labels: &config.labels,
            stop_signal: config.stop_signal.as_deref(),
        }
    }
}

/// Docker's extension (`HealthConfig` of its API); durations in nanoseconds.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthDocument<'a> {
    test: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
}

impl<'a> HealthDocument<'a> {
    fn of(check: &'a Healthcheck) -> Self {
        Self {
            test: std::iter::once("CMD").chain(check.command.iter().map(String::as_str)).collect(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            retries: check.retries,
        }
    }
}

fn layer_type(layer: &Layer) -> Result<&'static str, ExportError> {
    match layer.compression {
        Compression::None => Ok("application/vnd.oci.image.layer.v1.tar"),
        Compression::Gzip => Ok("application/vnd.oci.image.layer.v1.tar+gzip"),
        Compression::Zstd => Ok("application/vnd.oci.image.layer.v1.tar+zstd"),
        Compression::Xz => Err(ExportError::XzLayer),
    }
}

/// As the specification wants times; what no calendar has is the first or last second of one.
fn rfc3339(seconds: i64) -> String {
    const LAST: i64 = 253_402_207_200; // jiff's last second, in the year 9999
    jiff::Timestamp::from_second(seconds.clamp(0, LAST)).unwrap_or_default().to_string()
}

/// A document as JSON.
#[allow(
    clippy::expect_used,
    reason = "documents are made of strings, numbers and ordered maps, which always can be written"
)]
pub(super) fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents have nothing that JSON lacks")
}
