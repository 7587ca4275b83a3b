//! Images in registries (distribution-spec): manifests and blobs are fetched into the store by their digests, and read from there as a
//! layout is.

use std::sync::Arc;

use crate::client::LARGEST_MANIFEST;
use crate::{Client, RegistryError};
use minimg_base::board::Platform;
use minimg_base::digest::{Digest, digest_of};
use minimg_base::error::{Error, Result};
use minimg_oci::document::{Descriptor, Index, LAYOUT, json, media};
use minimg_oci::reference::Version;
use minimg_oci::rootfs::{self, Blob, Leads, Rootfs, RootfsError};
use minimg_tree::{Content, HostFiles, Kind, Node, RootPath, RootTree};

/// The kind of the store's entries that say what a reference stood for when it was asked last.
const KIND: &str = "registry-reference";
/// All layers of the largest image, as they are compressed.
const LARGEST_IMAGE: u64 = 16 << 30;
/// How deep indexes may be nested.
const DEEPEST: usize = 4;

impl Client<'_> {
    /// What the image's name stands for; where the network may not be used, what it stood for the last time.
    ///
    /// # Errors
    /// When the registry cannot be asked, or does not have it.
    pub fn resolve(&mut self) -> Result<Digest> {
        let tag = match self.remote.reference().version() {
            Version::Digest(digest) => return Ok(*digest),
            Version::Tag(tag) => tag,
        };
        let key = digest_of(&self.remote.to_string());
        if self.context.offline
            && let Some(bytes) = self.context.store.entry(KIND, &key)?
            && let Some(digest) = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok())
        {
            return Ok(digest);
        }
        let bytes = self.fetch_manifest(tag)?;
        let digest = self.context.store.put_blob(&bytes)?;
        self.context.store.put_entry(KIND, &key, digest.to_string().as_bytes())?;
        Ok(digest)
    }

    /// Reads the image that a manifest, or an index by way of the platform, leads to.
    ///
    /// # Errors
    /// When it cannot be had, is malformed or hostile, or has nothing for the platform.
    pub fn open(mut self, top: Digest, platform: &Platform) -> Result<Rootfs> {
        let name = self.remote.to_string();
        let malformed = |error: RootfsError| Error::from(error.within(name.as_ref()));
        let mut manifest = top;
        for _ in 0..DEEPEST {
            let bytes = self.manifest(&manifest)?;
            match rootfs::leads(&manifest.to_string(), &bytes, Some(platform)).map_err(malformed)? {
                Leads::To(chosen) => manifest = chosen.digest,
                Leads::Needs { config, layers } => {
                    self.check_size("the configuration", config.size, LARGEST_MANIFEST)?;
                    let all = layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
                    self.check_size("all layers", all, LARGEST_IMAGE)?;
                    let blobs = [&[config][..], &layers].concat();
                    self.fetch_blobs(&blobs)?;
                    let own = Blob { digest: manifest, size: bytes.len() as u64 };
                    return rootfs::of_layout(self.layout(own, &blobs), Some(platform), &self.context.store)
                        .map_err(malformed);
                }
            }
        }
        Err(RegistryError::Nested { image: name }.into())
    }

    /// The files of a layout with this one image, as they lie in the store.
    fn layout(&self, manifest: Blob, blobs: &[Blob]) -> RootTree {
        let mut tree = RootTree::new();
        let root = RootPath::root();
        let index = Index::new(vec![Descriptor::new(media::MANIFEST, manifest.digest, manifest.size)]);
        tree.insert(root.child("oci-layout"), Node::file(0o644, LAYOUT));
        tree.insert(root.child("index.json"), Node::file(0o644, json(&index)));
        let directory = root.child("blobs").child("sha256");
        for blob in blobs.iter().chain([&manifest]) {
            let files = Arc::new(HostFiles(vec![self.context.store.blob_path(&blob.digest)]));
            let node = Node::new(Kind::File(Content::lazy(files, 0, blob.size)), 0o644);
            tree.insert(directory.child(blob.digest.hex()), node);
        }
        tree.add_missing_parents();
        tree
    }

    fn check_size(&self, what: &'static str, size: u64, limit: u64) -> Result<()> {
        if size <= limit {
            return Ok(());
        }
        Err(RegistryError::TooLarge { image: self.remote.to_string(), what, size, limit }.into())
    }
}
