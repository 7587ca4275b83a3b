//! The documents of images: OCI layouts (image-spec `image-layout.md`, `image-index.md`, `manifest.md`) and `docker save` archives.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::budget::Budget;
use super::overlay::Overlay;
use super::{Files, Rootfs, RootfsError, read_layer, scratch};
use crate::document::{Configuration, DockerManifest, Layout};
use minimg_base::board::Platform;
use minimg_base::digest::{Digest, DigestError, Hasher};
use minimg_store::Store;
use minimg_tree::{Content, RootPath};

/// How many layers an image may have; engines stop near 128.
const MOST_LAYERS: usize = 1024;
/// The most bytes that a document of an image may have, as registries limit manifests.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// What documents say of one another: only what is needed here, since a hostile one may say anything else at any length.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pointer {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) platform: Option<Platform>,
    annotations: Option<Annotations>,
}

/// The annotations that name an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Annotations {
    #[serde(rename = "io.containerd.image.name")]
    name: Option<String>,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    reference: Option<String>,
}

impl Pointer {
    /// Whether it leads to an index and not to a manifest.
    pub(super) fn is_index(&self) -> bool {
        self.media_type.contains("index") || self.media_type.contains("manifest.list")
    }

    /// Whether it leads to an image: attestations and the like have a platform that no machine has.
    pub(super) fn is_image(&self) -> bool {
        self.platform.as_ref().is_none_or(|platform| platform.architecture != "unknown")
    }

    /// What the image is called, the most telling name first.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.annotations.iter().flat_map(|annotations| annotations.name.iter().chain(&annotations.reference))
    }
}

/// An index, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(super) struct Pointers {
    pub(super) manifests: Vec<Pointer>,
}

/// A manifest, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Sheet {
    config: Pointer,
    layers: Vec<Pointer>,
}

/// The index of a layout of the version that is known; later ones of the same major version only add to it.
pub(super) fn first_index(files: &Files) -> Result<Pointers, RootfsError> {
    let Layout { image_layout_version: version } = parse("oci-layout", &document(files, "oci-layout")?)?;
    if version.split('.').next() != Some("1") {
        let message = format!("the layout has the version {version:?}, and this program knows 1.0.0");
        return Err(RootfsError::Document { name: "oci-layout".into(), message });
    }
    parse("index.json", &document(files, "index.json")?)
}

/// An index that another one points to.
pub(super) fn index(files: &Files, pointer: &Pointer) -> Result<Pointers, RootfsError> {
    parse(&pointer.digest, &blob_document(files, pointer)?)
}

/// The images of a docker-archive.
pub(super) fn docker_manifests(files: &Files) -> Result<Vec<DockerManifest>, RootfsError> {
    parse("manifest.json", &document(files, "manifest.json")?)
}

/// Whether the files have a list of images like that of a docker-archive.
pub(super) fn has_docker_manifest(files: &Files) -> bool {
    docker_manifests(files).is_ok_and(|manifests| !manifests.is_empty())
}

/// Reads the image of a manifest in a layout.
pub(super) fn of_manifest(
    files: &Files,
    pointer: &Pointer,
    budget: &mut Budget,
    store: &Store,
) -> Result<Rootfs, RootfsError> {
    let sheet: Sheet = parse(&pointer.digest, &blob_document(files, pointer)?)?;
    let config = blob_document(files, &sheet.config)?;
    let layers = sheet.layers.iter().map(|layer| (layer.digest.as_str(), blob(files, layer)));
    assemble(&config, layers, budget, store)
}

/// Reads one image of a docker-archive.
pub(super) fn of_docker_manifest(
    files: &Files,
    manifest: &DockerManifest,
    budget: &mut Budget,
    store: &Store,
) -> Result<Rootfs, RootfsError> {
    let config = document(files, &manifest.config)?;
    let layers = manifest.layers.iter().map(|layer| (layer.as_str(), files.content(layer).cloned()));
    assemble(&config, layers, budget, store)
}

/// The machines that images are for, each configuration read once.
#[derive(Default)]
pub(super) struct Machines(BTreeMap<RootPath, Option<Platform>>);

impl Machines {
    /// That of the image of a manifest in a layout; `None` when it is no image, or its documents are damaged.
    pub(super) fn of_manifest(&mut self, files: &Files, pointer: &Pointer) -> Option<Platform> {
        let manifest = blob_document(files, pointer).ok()?;
        let Sheet { config, .. } = serde_json::from_slice(&manifest).ok()?;
        let Blob { digest, .. } = (&config).try_into().ok()?;
        self.of_config(files, &blob_name(&digest))
    }

    /// That of a configuration; `None` when it names none.
    pub(super) fn of_config(&mut self, files: &Files, name: &str) -> Option<Platform> {
        let place = files.place(name).ok()?;
        let read = || serde_json::from_slice(&document(files, name).ok()?).ok();
        self.0.entry(place).or_insert_with(read).clone()
    }
}

/// Something that an image consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl TryFrom<&Pointer> for Blob {
    type Error = RootfsError;

    fn try_from(pointer: &Pointer) -> Result<Self, RootfsError> {
        let wrong =
            |error: DigestError| RootfsError::Document { name: pointer.digest.clone(), message: error.to_string() };
        Ok(Self { digest: pointer.digest.parse().map_err(wrong)?, size: pointer.size })
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
    manifests: Option<Vec<Pointer>>,
    config: Option<Pointer>,
    layers: Option<Vec<Pointer>>,
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

fn choose<'a>(manifests: &'a [Pointer], wanted: Option<&Platform>) -> Result<&'a Pointer, RootfsError> {
    let fits = |pointer: &&Pointer| match (&pointer.platform, wanted) {
        (Some(there), Some(wanted)) => there.fits(wanted),
        _ => pointer.is_image(),
    };
    // There may be variants for newer machines before that which is for all.
    let exact = wanted.and_then(|wanted| manifests.iter().find(|there| there.platform.as_ref() == Some(wanted)));
    exact
        .or_else(|| manifests.iter().find(fits))
        .ok_or_else(|| RootfsError::no_platform(wanted, manifests.iter().filter_map(|there| there.platform.as_ref())))
}

/// Puts the layers, each with its name in the image, over one another. Engines refuse layers other than those that the configuration
/// names by their digests, and so does this: in a docker-archive nothing else says that a layer is the right one.
fn assemble<'a>(
    config: &Bytes,
    layers: impl ExactSizeIterator<Item = (&'a str, Result<Content, RootfsError>)>,
    budget: &mut Budget,
    store: &Store,
) -> Result<Rootfs, RootfsError> {
    let document: Configuration = parse("configuration", config)?;
    let (image, expected) = (Digest::of(config), &document.rootfs.diff_ids);
    if layers.len() > MOST_LAYERS {
        let message = format!("it has more than {MOST_LAYERS} layers");
        return Err(RootfsError::Document { name: "manifest".into(), message });
    }
    if layers.len() != expected.len() {
        return Err(RootfsError::LayerCount { image, expected: expected.len(), found: layers.len() });
    }
    let mut overlay = Overlay::default();
    // One for all layers: what stays in memory of them is bounded together.
    let scratch = scratch(store);
    budget.begin_image();
    for (at, ((name, content), expected)) in layers.zip(expected).enumerate() {
        let (layer, found) = read_layer(name, &content?, budget, &scratch)?;
        if expected.parse() != Ok(found) {
            let (layer, expected) = (name.to_owned(), expected.clone());
            return Err(RootfsError::DiffId { image, number: at + 1, layer, expected, found });
        }
        overlay.apply(layer)?;
    }
    let platform = Some(document.platform());
    Ok(Rootfs { tree: overlay.into_tree(), config: Some(document.config.into()), platform })
}

/// A document at a path of an image.
pub(super) fn document(files: &Files, name: &str) -> Result<Bytes, RootfsError> {
    small(name, files.content(name)?)
}

/// A document that another one points to.
fn blob_document(files: &Files, pointer: &Pointer) -> Result<Bytes, RootfsError> {
    small(&pointer.digest, &blob(files, pointer)?)
}

fn small(name: &str, content: &Content) -> Result<Bytes, RootfsError> {
    if content.size() > LARGEST_DOCUMENT {
        let message = format!("it has {} bytes, more than the limit of {LARGEST_DOCUMENT}", content.size());
        return Err(RootfsError::Document { name: name.to_owned(), message });
    }
    content.map().map_err(|source| RootfsError::Content { name: name.to_owned(), source })
}

/// What a document points to, as long as it says and with the digest that it says.
fn blob(files: &Files, pointer: &Pointer) -> Result<Content, RootfsError> {
    let Blob { digest, size } = pointer.try_into()?;
    let name = blob_name(&digest);
    let content = files.content(&name)?;
    if content.size() != size {
        return Err(RootfsError::Size { digest, expected: size, found: content.size() });
    }
    let mut hasher = Hasher::default();
    content.copy(&mut hasher).map_err(|source| RootfsError::Content { name, source })?;
    let found = hasher.finish();
    if found == digest { Ok(content.clone()) } else { Err(RootfsError::Digest { expected: digest, found }) }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, RootfsError> {
    serde_json::from_slice(bytes)
        .map_err(|error| RootfsError::Document { name: name.to_owned(), message: error.to_string() })
}
