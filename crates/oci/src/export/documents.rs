//! The documents that an image becomes.

use minimg_base::board::Platform;
use minimg_base::digest::Digest;

use super::ExportError;
use crate::document::{Configuration, Descriptor, History, Index, LayerIds, Manifest, Run, json, media};
use crate::image::{Compression, Image, Layer};
use crate::reference::Reference;

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

/// What an image is called in its documents.
pub(super) fn name(image: &Image) -> Result<Reference, ExportError> {
    let wrong = |message: String| ExportError::Name { name: image.reference.clone(), message };
    let reference = Reference::parse(&image.reference).map_err(|error| wrong(error.to_string()))?;
    match reference.tag() {
        Some(_) => Ok(reference),
        None => Err(wrong("an image that is made has a tag and not a digest".to_owned())),
    }
}

/// The configuration, whose digest is the image's id.
pub(super) fn config(image: &Image) -> Vec<u8> {
    let created = rfc3339(image.created);
    let history = |layer: &Layer| History { created: created.clone(), created_by: layer.created_by.clone() };
    let Platform { os, architecture, variant } = image.platform.clone();
    json(&Configuration {
        architecture,
        variant,
        os,
        config: Run::from(&image.config),
        rootfs: LayerIds::new(image.layers.iter().map(|layer| layer.diff_id)),
        history: image.layers.iter().map(history).collect(),
        created: created.clone(),
    })
}

/// The manifest that joins a configuration with its layers.
pub(super) fn manifest(image: &Image, config: &[u8]) -> Result<Vec<u8>, ExportError> {
    let layer = |layer: &Layer| Ok(Descriptor::new(layer_type(layer)?, layer.digest, layer.size));
    let layers = image.layers.iter().map(layer).collect::<Result<_, ExportError>>()?;
    Ok(json(&Manifest::new(Descriptor::of(media::CONFIG, config), layers, image.annotations.clone())))
}

/// What an index says of a manifest.
pub(super) fn manifest_descriptor(manifest: &[u8], platform: &Platform) -> Descriptor {
    Descriptor { platform: Some(platform.clone()), ..Descriptor::of(media::MANIFEST, manifest) }
}

/// What an index says of another index.
pub(super) fn index_descriptor(index: &[u8]) -> Descriptor {
    Descriptor::of(media::INDEX, index)
}

/// An index of these manifests.
pub(super) fn index(manifests: Vec<Descriptor>) -> Vec<u8> {
    json(&Index::new(manifests))
}

/// The annotations by which tools find an image in a layout: the tag alone as the specification's own examples have it, and the whole
/// name for containerd and its kin.
pub(super) fn named(mut descriptor: Descriptor, reference: &Reference) -> Descriptor {
    descriptor.annotations.insert("io.containerd.image.name".into(), reference.completed());
    if let Some(tag) = reference.tag() {
        descriptor.annotations.insert("org.opencontainers.image.ref.name".into(), tag.to_owned());
    }
    descriptor
}

fn layer_type(layer: &Layer) -> Result<&'static str, ExportError> {
    match layer.compression {
        Compression::None => Ok(media::LAYER),
        Compression::Gzip => Ok(media::LAYER_GZIP),
        Compression::Zstd => Ok(media::LAYER_ZSTD),
        Compression::Xz => Err(ExportError::XzLayer),
    }
}

/// As the specification wants times; what no calendar has is the first or last second of one.
fn rfc3339(seconds: i64) -> String {
    const LAST: i64 = 253_402_207_200; // jiff's last second, in the year 9999
    jiff::Timestamp::from_second(seconds.clamp(0, LAST)).unwrap_or_default().to_string()
}
