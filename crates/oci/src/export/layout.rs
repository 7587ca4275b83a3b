//! The layout of the OCI image specification, as a directory and as a tar of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::documents;
use super::parts::{Part, Parts, archive, blob_name, write_directory};
use super::{Destination, ExportError, Exporter, Exports, Sum, place};
use crate::document::{Descriptor, Index, LAYOUT, json};
use crate::image::Image;
use crate::reference::Reference;
use minimg_base::digest::Digest;
use minimg_base::error::Result;
use minimg_store::Store;
use minimg_tree::read_limited;

/// The most bytes that an `index.json` may have, as registries limit manifests.
const LARGEST_INDEX: u64 = 4 * 1024 * 1024;

/// The layout as a directory.
pub(super) struct Layout;

impl Exporter for Layout {
    fn name(&self) -> &'static str {
        "oci"
    }

    fn description(&self) -> &'static str {
        "a directory in the OCI layout; existing images in it are kept"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["/", ".oci"]
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn holds_several(&self) -> bool {
        true
    }

    fn write(&self, Exports { images, .. }: Exports<'_>, destination: Destination<'_>, store: &Store) -> Result<Sum> {
        let Destination::Path(path) = destination else {
            return Err(ExportError::DirectoryToStdout { format: self.name() }.into());
        };
        let parts = parts(images)?;
        if path.join("oci-layout").exists() {
            add(parts, path, store)
        } else {
            place::directory(path, &[], |directory| write_directory(&parts, directory, store))
        }
    }
}

/// The layout as a tar.
pub(super) struct LayoutArchive;

impl Exporter for LayoutArchive {
    fn name(&self) -> &'static str {
        "oci-archive"
    }

    fn description(&self) -> &'static str {
        "the OCI layout as a tar"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".oci.tar", ".oci-archive", ".oci-archive.tar"]
    }

    fn holds_several(&self) -> bool {
        true
    }

    fn write(&self, Exports { images, .. }: Exports<'_>, destination: Destination<'_>, store: &Store) -> Result<Sum> {
        archive(&parts(images)?, images, destination, store)
    }
}

/// All files of a layout of these images. Images of one name and several platforms get an index of their own under that name.
pub(super) fn parts(images: &[Image]) -> Result<Parts<'_>, ExportError> {
    let mut parts = Parts::new();
    let mut document = |bytes: Vec<u8>| {
        parts.insert(blob_name(&Digest::of(&bytes)), Part::Document(bytes));
    };
    let mut by_name: BTreeMap<Reference, Vec<Descriptor>> = BTreeMap::new();
    for image in images {
        let config = documents::config(image);
        let manifest = documents::manifest(image, &config)?;
        let descriptor = documents::manifest_descriptor(&manifest, &image.platform);
        by_name.entry(documents::name(image)?).or_default().push(descriptor);
        document(config);
        document(manifest);
    }
    let mut named = Vec::new();
    for (reference, mut manifests) in by_name {
        let descriptor = if manifests.len() == 1 {
            manifests.remove(0)
        } else {
            let index = documents::index(manifests);
            let descriptor = documents::index_descriptor(&index);
            document(index);
            descriptor
        };
        named.push(documents::named(descriptor, &reference));
    }
    let layers = images.iter().flat_map(|image| &image.layers);
    parts.extend(layers.map(|layer| (blob_name(&layer.digest), Part::Blob(layer))));
    parts.insert("index.json".into(), Part::Document(documents::index(named)));
    parts.insert("oci-layout".into(), Part::Document(LAYOUT.to_vec()));
    Ok(parts)
}

/// Adds images to a layout that is there: blobs first, then the index in one step. Of two images of one name the new one stays.
fn add(mut parts: Parts<'_>, path: &Path, store: &Store) -> Result<place::Sum> {
    let new = match parts.remove("index.json") {
        Some(Part::Document(bytes)) => read_index(&bytes, path)?,
        _ => Index { schema_version: 2, media_type: None, manifests: Vec::new(), rest: BTreeMap::new() },
    };
    let index_path = path.join("index.json");
    let old = read_limited(&index_path, LARGEST_INDEX).map_err(ExportError::at(&index_path))?;
    let mut index = read_index(&old, path)?;
    let names: BTreeSet<_> = new.manifests.iter().map(name).collect();
    index.manifests.retain(|old| !names.contains(&name(old)));
    index.manifests.extend(new.manifests.iter().cloned());
    parts.remove("oci-layout");
    let blobs = write_directory(&parts, path, store)?;
    let index = Parts::from([("index.json".to_owned(), Part::Document(json(&index)))]);
    let size = blobs + write_directory(&index, path, store)?;
    Ok(place::Sum { size, digest: None })
}

fn read_index(bytes: &[u8], path: &Path) -> Result<Index, ExportError> {
    serde_json::from_slice(bytes)
        .map_err(|e| ExportError::Layout { path: path.to_owned(), reason: format!("its index.json is malformed: {e}") })
}

/// What tells two images of a layout apart.
fn name(descriptor: &Descriptor) -> (Option<&String>, Option<&String>) {
    let annotation = |name| descriptor.annotations.get(name);
    (annotation("io.containerd.image.name"), annotation("org.opencontainers.image.ref.name"))
}
