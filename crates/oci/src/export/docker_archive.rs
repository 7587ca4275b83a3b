//! The format of `docker save` before it knew OCI: `<config>.json`, `<diff id>/layer.tar` uncompressed, `manifest.json`. Loaded from
//! it, an image has the digest of its configuration for its id.

use super::archive::tags;
use super::documents;
use super::parts::{Part, Parts, archive};
use super::{Destination, ExportError, Exporter, Exports, Sum};
use crate::document::{DockerManifest, json};
use crate::image::{Image, Layer};
use minimg_base::digest::Digest;
use minimg_base::error::Result;
use minimg_store::Store;

/// The classic archive of Docker.
pub(super) struct DockerArchive;

impl Exporter for DockerArchive {
    fn name(&self) -> &'static str {
        "docker-archive"
    }

    fn description(&self) -> &'static str {
        "the classic tar of docker save with uncompressed layers, for old engines and scanners"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[".docker.tar", ".docker-archive", ".docker-archive.tar"]
    }

    fn holds_several(&self) -> bool {
        true
    }

    fn write(&self, Exports { images, .. }: Exports<'_>, destination: Destination<'_>, store: &Store) -> Result<Sum> {
        archive(&parts(images)?, images, destination, store)
    }
}

fn parts(images: &[Image]) -> Result<Parts<'_>, ExportError> {
    let mut parts = Parts::new();
    let mut manifests = Vec::new();
    for (image, tag) in images.iter().zip(tags(images)?) {
        let config = documents::config(image);
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let name = |layer: &Layer| format!("{}/layer.tar", layer.diff_id.hex());
        manifests.push(DockerManifest {
            config: config_name.clone(),
            repo_tags: vec![tag],
            layers: image.layers.iter().map(name).collect(),
        });
        parts.insert(config_name, Part::Document(config));
        parts.extend(image.layers.iter().map(|layer| (name(layer), Part::Tar(layer))));
    }
    parts.insert("manifest.json".into(), Part::Document(json(&manifests)));
    Ok(parts)
}
