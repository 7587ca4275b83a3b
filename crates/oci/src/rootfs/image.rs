//! The documents of images: OCI layouts (image-spec `image-layout.md`, `image-index.md`, `manifest.md`) and `docker save` archives.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Files, Rootfs, RootfsError, apply_layer, read_layer};
use crate::document::{Configuration, Descriptor, DockerManifest, Index, Layout, Manifest};
use minimg_base::board::Platform;
use minimg_base::digest::{Digest, DigestError};
use minimg_store::Store;
use minimg_tree::RootTree;

/// How deep indexes may be nested.
const DEEPEST: usize = 4;
/// How many layers an image of a registry may have; engines stop near 128.
const MOST_LAYERS: usize = 1024;

pub(super) fn is_docker_manifest(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Vec<DockerManifest>>(bytes).is_ok_and(|manifests| !manifests.is_empty())
}

pub(super) fn of_layout(files: &Files, platform: Option<&Platform>, store: &Store) -> Result<Rootfs, RootfsError> {
    let mut index = first_index(files)?;
    for _ in 0..DEEPEST {
        let chosen = choose(&index.manifests, platform)?;
        let bytes = blob(files, chosen)?;
        if chosen.is_index() {
            index = parse(&chosen.digest, &bytes)?;
            continue;
        }
        let manifest: Manifest = parse(&chosen.digest, &bytes)?;
        let config = blob(files, &manifest.config)?;
        let layers = manifest.layers.iter().map(|layer| (layer.digest.as_str(), blob(files, layer)));
        return assemble(&config, layers, store);
    }
    Err(RootfsError::Document { name: "index.json".into(), message: "indexes are nested too deeply".into() })
}

/// The platforms that the index names, nested ones included.
pub(super) fn platforms(files: &Files) -> Result<Vec<Platform>, RootfsError> {
    let mut platforms = Vec::new();
    let mut pending = vec![(first_index(files)?, 0)];
    while let Some((index, depth)) = pending.pop() {
        for descriptor in index.manifests {
            if descriptor.is_index() && depth < DEEPEST {
                let nested = parse(&descriptor.digest, &blob(files, &descriptor)?)?;
                pending.push((nested, depth + 1));
            } else if let Some(platform) = descriptor.platform.filter(|platform| platform.architecture != "unknown") {
                platforms.push(platform);
            }
        }
    }
    platforms.sort();
    platforms.dedup();
    Ok(platforms)
}

/// The index of a layout of the version that is known; later ones of the same major version only add to it.
fn first_index(files: &Files) -> Result<Index, RootfsError> {
    let Layout { image_layout_version: version } = parse("oci-layout", &files.bytes("oci-layout")?)?;
    if version.split('.').next() != Some("1") {
        let message = format!("the layout has the version {version:?}, and this program knows 1.0.0");
        return Err(RootfsError::Document { name: "oci-layout".into(), message });
    }
    parse("index.json", &files.bytes("index.json")?)
}

/// Something that an image consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl TryFrom<&Descriptor> for Blob {
    type Error = RootfsError;

    fn try_from(descriptor: &Descriptor) -> Result<Self, RootfsError> {
        let wrong =
            |error: DigestError| RootfsError::Document { name: descriptor.digest.clone(), message: error.to_string() };
        Ok(Self { digest: descriptor.sha256().map_err(wrong)?, size: descriptor.size })
    }
}

/// What is needed of an image besides the document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// An index, which leads to the manifest or index for the platform.
    To(Blob),
    /// A manifest, whose configuration and layers are needed.
    Needs {
        /// How its program is run.
        config: Blob,
        /// Its layers, the lowest first.
        layers: Vec<Blob>,
    },
}

/// A manifest or an index; registries do not say beforehand which.
#[derive(Deserialize)]
struct Either {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// Reads a manifest or index of the OCI, or Docker's of version 2, that goes by `name`.
///
/// # Errors
/// When it is neither, or has nothing for the platform.
pub fn leads(name: &str, bytes: &[u8], platform: Option<&Platform>) -> Result<Leads, RootfsError> {
    let wrong = |message: &str| Err(RootfsError::Document { name: name.to_owned(), message: message.to_owned() });
    let Either { manifests, config, layers } = parse(name, bytes)?;
    match (manifests, config, layers) {
        (Some(manifests), None, None) => Ok(Leads::To(choose(&manifests, platform)?.try_into()?)),
        // It would be different images to different readers.
        (Some(_), ..) => wrong("it is an index and a manifest at once"),
        (None, Some(_), Some(layers)) if layers.len() > MOST_LAYERS => wrong("it has too many layers"),
        (None, Some(config), Some(layers)) => {
            let layers = layers.iter().map(Blob::try_from).collect::<Result<_, _>>()?;
            Ok(Leads::Needs { config: (&config).try_into()?, layers })
        }
        _ => wrong("it is neither an index nor a manifest of schema version 2"),
    }
}

pub(super) fn of_docker_archive(files: &Files, store: &Store) -> Result<Rootfs, RootfsError> {
    let manifests: Vec<DockerManifest> = parse("manifest.json", &files.bytes("manifest.json")?)?;
    let Some(manifest) = manifests.first() else { return Err(RootfsError::Missing { name: "image".into() }) };
    let config = files.bytes(&manifest.config)?;
    assemble(&config, manifest.layers.iter().map(|layer| (layer.as_str(), files.bytes(layer))), store)
}

fn choose<'a>(manifests: &'a [Descriptor], wanted: Option<&Platform>) -> Result<&'a Descriptor, RootfsError> {
    let fits = |descriptor: &&Descriptor| match (&descriptor.platform, wanted) {
        (Some(there), Some(wanted)) => there.fits(wanted),
        // Attestations and the like have a platform that no machine has.
        (Some(there), None) => there.architecture != "unknown",
        (None, _) => true,
    };
    // There may be variants for newer machines before that which is for all.
    let exact = wanted.and_then(|wanted| manifests.iter().find(|there| there.platform.as_ref() == Some(wanted)));
    exact.or_else(|| manifests.iter().find(fits)).ok_or_else(|| {
        let there: Vec<_> = manifests.iter().filter_map(|there| Some(there.platform.as_ref()?.to_string())).collect();
        RootfsError::Platform {
            wanted: wanted.map_or_else(|| "manifest".to_owned(), ToString::to_string),
            there: if there.is_empty() { "none".to_owned() } else { there.join(", ") },
        }
    })
}

/// Puts the layers, each with its name in the image, over one another. Engines refuse layers other than those that the configuration
/// names by their digests, and so does this: in a docker-archive nothing else says that a layer is the right one.
fn assemble<'a>(
    config: &Bytes,
    layers: impl ExactSizeIterator<Item = (&'a str, Result<Bytes, RootfsError>)>,
    store: &Store,
) -> Result<Rootfs, RootfsError> {
    let document: Configuration = parse("configuration", config)?;
    let (image, expected) = (Digest::of(config), &document.rootfs.diff_ids);
    if layers.len() != expected.len() {
        return Err(RootfsError::LayerCount { image, expected: expected.len(), found: layers.len() });
    }
    let mut tree = RootTree::new();
    for (at, ((name, bytes), expected)) in layers.zip(expected).enumerate() {
        let (layer, found) = read_layer(&bytes?, store)?;
        if expected.parse() != Ok(found) {
            let (layer, expected) = (name.to_owned(), expected.clone());
            return Err(RootfsError::DiffId { image, number: at + 1, layer, expected, found });
        }
        apply_layer(&mut tree, layer)?;
    }
    let platform = Some(document.platform());
    Ok(Rootfs { tree, config: Some(document.config.into()), platform })
}

fn blob(files: &Files, descriptor: &Descriptor) -> Result<Bytes, RootfsError> {
    let Blob { digest, size } = descriptor.try_into()?;
    let bytes = files.bytes(&format!("blobs/sha256/{}", digest.hex()))?;
    if bytes.len() as u64 != size {
        return Err(RootfsError::Size { digest, expected: size, found: bytes.len() as u64 });
    }
    let found = Digest::of(&bytes);
    if found == digest { Ok(bytes) } else { Err(RootfsError::Digest { expected: digest, found }) }
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, RootfsError> {
    serde_json::from_slice(bytes)
        .map_err(|error| RootfsError::Document { name: name.to_owned(), message: error.to_string() })
}
