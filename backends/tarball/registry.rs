//! Images in registries (distribution-spec): manifests and blobs are fetched into the store by their digests, and read from there as a
//! layout is.

use std::sync::Arc;

use super::TarballError;
use super::access;
use super::reference::{Reference, Version};
use crate::backend::Context;
use crate::board::Platform;
use crate::digest::Digest;
use crate::error::{Class, Error, Result};
use crate::fetch::{Document, FetchError, Fetcher, Wanted};
use crate::recipe::digest_of;
use crate::rootfs::{self, Blob, Leads, Rootfs};
use crate::tree::{Content, HostFiles, Node, RootPath, RootTree};

/// The kind of the store's entries that say what a reference stood for when it was asked last.
const KIND: &str = "registry-reference";
/// The largest manifest or index; registries accept no larger ones (distribution-spec, "Pushing Manifests").
const LARGEST_MANIFEST: u64 = 4 << 20;
/// The largest layer.
const LARGEST_LAYER: u64 = 16 << 30;
/// How deep indexes may be nested.
const DEEPEST: usize = 4;
/// The kinds of manifests and indexes that are understood: those of the OCI and Docker's own.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// An image in a registry, which is asked as one user.
pub(super) struct Registry<'a> {
    reference: &'a Reference,
    context: Context<'a>,
    fetcher: Fetcher<'a>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(reference: &'a Reference, context: Context<'a>) -> Self {
        let fetcher = Fetcher::new(context).with_headers(vec![("accept", ACCEPTED.to_owned())]);
        Self { reference, context, fetcher }
    }

    /// What the reference stands for; where the network may not be used, what it stood for the last time.
    pub(super) fn resolve(&mut self) -> Result<Digest> {
        let tag = match &self.reference.version {
            Version::Digest(digest) => return Ok(*digest),
            Version::Tag(tag) => tag.clone(),
        };
        let key = digest_of(&self.reference.to_string());
        if self.context.offline
            && let Some(bytes) = self.context.store.entry(KIND, &key)?
            && let Some(digest) = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok())
        {
            return Ok(digest);
        }
        let bytes = self.fetch_manifest(&tag)?;
        let digest = self.context.store.put_blob(&bytes)?;
        self.context.store.put_entry(KIND, &key, digest.to_string().as_bytes())?;
        Ok(digest)
    }

    /// Reads the image that a manifest, or an index by way of the platform, leads to.
    pub(super) fn open(mut self, top: Digest, platform: &Platform) -> Result<Rootfs> {
        let name = self.reference.to_string();
        let malformed = |error: rootfs::RootfsError| Error::from(error.within(name.as_ref()));
        let mut manifest = top;
        for _ in 0..DEEPEST {
            let bytes = self.manifest(&manifest)?;
            match rootfs::leads(&manifest.to_string(), &bytes, Some(platform)).map_err(malformed)? {
                Leads::To(chosen) => manifest = chosen.digest,
                Leads::Needs(blobs) => {
                    self.fetch_blobs(&blobs)?;
                    let own = Blob { digest: manifest, size: bytes.len() as u64 };
                    return rootfs::of_layout(self.layout(own, &blobs), Some(platform), self.context.store)
                        .map_err(malformed);
                }
            }
        }
        let message = "its indexes are nested too deeply";
        Err(Error::new(Class::Malformed, format!("failed to read {name}: {message}")))
    }

    /// The files of a layout with this one image, as they lie in the store.
    fn layout(&self, manifest: Blob, blobs: &[Blob]) -> RootTree {
        let mut tree = RootTree::new();
        let root = RootPath::root();
        let index = serde_json::json!({"manifests": [{"digest": manifest.digest, "size": manifest.size}]});
        tree.insert(root.child("oci-layout"), Node::file(0o644, r#"{"imageLayoutVersion":"1.0.0"}"#));
        tree.insert(root.child("index.json"), Node::file(0o644, index.to_string()));
        let directory = root.child("blobs").child("sha256");
        for blob in blobs.iter().chain([&manifest]) {
            let files = Arc::new(HostFiles(vec![self.context.store.blob_path(&blob.digest)]));
            let node = Node::new(crate::tree::Kind::File(Content::lazy(files, 0, blob.size)), 0o644);
            tree.insert(directory.child(blob.digest.hex()), node);
        }
        tree.add_missing_parents();
        tree
    }

    fn manifest(&mut self, digest: &Digest) -> Result<Vec<u8>> {
        if let Some(bytes) = self.context.store.blob(digest)? {
            return Ok(bytes.to_vec());
        }
        let bytes = self.fetch_manifest(&digest.to_string())?;
        let found = Digest::of(&bytes);
        if found != *digest {
            let url = format!("{}/manifests/{digest}", self.reference.address());
            return Err(FetchError::Digest { url, expected: *digest, found }.into());
        }
        self.context.store.put_blob(&bytes)?;
        Ok(bytes)
    }

    fn fetch_manifest(&mut self, version: &str) -> Result<Vec<u8>> {
        let (name, url) = (self.reference.to_string(), format!("{}/manifests/{version}", self.reference.address()));
        match self.ask(|fetcher| fetcher.document(&name, &url, LARGEST_MANIFEST, None))? {
            Document::New { bytes, .. } => Ok(bytes),
            Document::Unchanged => Ok(Vec::new()),
        }
    }

    /// Puts blobs into the store. The first one that it lacks shows whether the registry knows who asks; the others come side by side.
    fn fetch_blobs(&mut self, blobs: &[Blob]) -> Result<()> {
        let address = self.reference.address();
        let mut wanted = Vec::new();
        for blob in blobs {
            let url = format!("{address}/blobs/{}", blob.digest);
            if blob.size > LARGEST_LAYER {
                return Err(FetchError::TooLarge { url, limit: LARGEST_LAYER }.into());
            }
            if self.context.store.open_blob(&blob.digest)?.is_none() {
                let name = format!("layer {}", &blob.digest.hex()[..12]);
                wanted.push(Wanted { name, url, size: blob.size, sha256: blob.digest });
            }
        }
        let Some((first, others)) = wanted.split_first() else { return Ok(()) };
        self.ask(|fetcher| fetcher.blob(first))?;
        self.fetcher.blobs(others, |_, _| Ok(()))
    }

    /// Asks, and where the registry wants to know who does, tells it and asks again.
    fn ask<T>(&mut self, question: impl Fn(&Fetcher<'_>) -> Result<T, FetchError>) -> Result<T> {
        let challenge = match question(&self.fetcher) {
            Err(FetchError::Unauthorized { challenge, .. }) => challenge,
            other => return Ok(other?),
        };
        let answer = access::answer(challenge.as_deref(), self.reference, &self.context)?;
        let headers = vec![("accept", ACCEPTED.to_owned()), ("authorization", answer)];
        self.fetcher = Fetcher::new(self.context).with_headers(headers);
        question(&self.fetcher).map_err(|error| match error.status() {
            Some(401 | 403) => {
                let (image, host) = (self.reference.to_string(), self.reference.host.clone());
                TarballError::Access { image, host }.into()
            }
            _ => error.into(),
        })
    }
}
