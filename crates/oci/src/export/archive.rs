//! The default format: one tar that is an OCI layout and a docker-archive at once. `docker load` and `skopeo` with docker-archive read
//! `manifest.json`; `ctr images import`, `podman load`, newer Dockers and `skopeo` with oci-archive read `index.json`. Both name the
//! same blobs, so nothing is in it twice.

use super::documents;
use super::parts::{Part, archive, blob_name};
use super::{Destination, ExportError, Exporter, Exports, Sum, layout};
use crate::document::{DockerManifest, json};
use crate::image::Image;
use minimg_base::digest::Digest;
use minimg_base::error::Result;
use minimg_store::Store;

/// One archive for all engines.
pub(super) struct Archive;

impl Exporter for Archive {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn description(&self) -> &'static str {
        "one tar for docker load, podman load, ctr images import and skopeo"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".tar"]
    }

    fn holds_several(&self) -> bool {
        true
    }

    fn write(&self, Exports { images, .. }: Exports<'_>, destination: Destination<'_>, store: &Store) -> Result<Sum> {
        let mut parts = layout::parts(images)?;
        let manifests = images.iter().zip(tags(images)?).map(|(image, tag)| DockerManifest {
            config: blob_name(&Digest::of(documents::config(image))),
            repo_tags: vec![tag],
            layers: image.layers.iter().map(|layer| blob_name(&layer.digest)).collect(),
        });
        let manifests: Vec<_> = manifests.collect();
        parts.insert("manifest.json".into(), Part::Document(json(&manifests)));
        archive(&parts, images, destination, store)
    }
}

/// What Docker calls each image. Docker's formats have no platforms, so images of one name get them into their tags.
///
/// # Errors
/// When an image has a name that no engine takes.
pub fn tags(images: &[Image]) -> Result<Vec<String>, ExportError> {
    let alone = |image: &Image| images.iter().filter(|other| other.reference == image.reference).count() == 1;
    let tag = |image: &Image| {
        let reference = documents::name(image)?;
        Ok(if alone(image) { reference } else { reference.of_platform(&image.platform) }.to_string())
    };
    images.iter().map(tag).collect()
}
