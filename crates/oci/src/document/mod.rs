//! The JSON documents of images, read and written by the same types: those of the OCI image specification 1.1, and `docker save`'s.
//!
//! Own types rather than a library's: their maps are ordered, so the same image gives the same bytes, and they know Docker's
//! health check. What others wrote is read leniently: keys that are absent or null count as empty.

mod config;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use minimg_base::board::Platform;
use minimg_base::digest::Digest;

pub use config::{Configuration, Health, History, LayerIds, Nothing, Run};
pub(crate) use config::{environment, healthcheck};

/// The media types of documents and layers, by which registries and engines know what a blob is.
pub mod media {
    /// An index of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// A configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer that is not compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer that is compressed with gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer that is compressed with Zstandard.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's own kind of index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's own kind of manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// `oci-layout`, the file that marks a layout (`image-layout.md`).
pub const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What the file that marks a layout says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// The version of the specification.
    pub image_layout_version: String,
}

/// What a document says of another one or of a layer (`descriptor.md`). Unknown keys of documents that others wrote are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is; empty where the document does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Its digest as it is written, which may be of a kind that is not known here.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// The machine that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Its annotations by name.
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// All that is not known here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

impl Descriptor {
    /// Describes what has this digest and length.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size,
            platform: None,
            annotations: BTreeMap::new(),
            rest: BTreeMap::new(),
        }
    }

    /// Describes a document.
    pub fn of(media_type: &str, document: &[u8]) -> Self {
        Self::new(media_type, Digest::of(document), document.len() as u64)
    }
}

/// An index (`image-index.md`), read and written again without losing what others put into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    #[serde(default = "schema_version")]
    pub schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests and indexes that it names.
    pub manifests: Vec<Descriptor>,
    /// All that is not known here.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

impl Index {
    /// An index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        let media_type = Some(media::INDEX.to_owned());
        Self { schema_version: schema_version(), media_type, manifests, rest: BTreeMap::new() }
    }
}

/// A manifest (`manifest.md`), which joins a configuration with its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    #[serde(default = "schema_version")]
    pub schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Its annotations by name.
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of a configuration and layers.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Self {
        let media_type = Some(media::MANIFEST.to_owned());
        Self { schema_version: schema_version(), media_type, config, layers, annotations }
    }
}

/// One entry of docker-archive's `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerManifest {
    /// Where the configuration is in the archive.
    pub config: String,
    /// What the image is called.
    #[serde(default, deserialize_with = "or_empty")]
    pub repo_tags: Vec<String>,
    /// Where the layers are in the archive, from the lowest up.
    pub layers: Vec<String>,
}

fn schema_version() -> u32 {
    2
}

/// What Go writes as null where there is nothing.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A document as JSON.
pub fn json(document: &impl Serialize) -> Vec<u8> {
    // Documents are made of strings, numbers and ordered maps, which can always be written.
    serde_json::to_vec(document).expect("documents have nothing that JSON lacks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_written_again_as_it_was() {
        let digest = Digest::of("x");
        for text in [
            format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{digest}","size":1}}],"subject":{{"size":1.5}}}}"#),
            format!(
                r#"{{"schemaVersion":2,"mediaType":"a","manifests":[{{"mediaType":"b","digest":"sha512:0","size":7,"urls":["{digest}"]}}]}}"#
            ),
        ] {
            let index: Index = serde_json::from_str(&text).unwrap();
            assert_eq!(String::from_utf8(json(&index)).unwrap(), text);
        }
    }

    #[test]
    fn null_and_nothing_are_empty() {
        let descriptor = format!(r#"{{"digest":"{}","size":1,"annotations":null}}"#, Digest::of("x"));
        let manifest: Manifest =
            serde_json::from_str(&format!(r#"{{"config":{descriptor},"layers":[],"annotations":null}}"#)).unwrap();
        assert_eq!((manifest.schema_version, manifest.config.digest), (2, Digest::of("x").to_string()));
        let archive: Vec<DockerManifest> =
            serde_json::from_str(r#"[{"Config":"c","RepoTags":null,"Layers":[]},{"Config":"c","Layers":[]}]"#).unwrap();
        assert!(archive.iter().all(|manifest| manifest.repo_tags.is_empty()));
    }
}
