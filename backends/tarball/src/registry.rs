//! Images in registries (distribution-spec): manifests and blobs are fetched into the store by their digests, and read from there as a
//! layout is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::TarballError;
use super::access;
use super::reference::{Reference, Version};
use minimg_backend::Context;
use minimg_base::board::Platform;
use minimg_base::digest::Digest;
use minimg_base::digest::digest_of;
use minimg_base::error::{Class, Error, Result};
use minimg_fetch::{Document, FetchError, Fetcher, Wanted};
use minimg_oci::rootfs::{self, Blob, Leads, Rootfs, RootfsError};
use minimg_tree::{Content, HostFiles, Node, RootPath, RootTree};

/// The kind of the store's entries that say what a reference stood for when it was asked last.
const KIND: &str = "registry-reference";
/// The largest manifest or index; registries accept no larger ones (distribution-spec, "Pushing Manifests").
const LARGEST_MANIFEST: u64 = 4 << 20;
/// All layers of the largest image, as they are compressed.
const LARGEST_IMAGE: u64 = 16 << 30;
/// How deep indexes may be nested.
const DEEPEST: usize = 4;
/// The kinds of manifests and indexes that are understood: those of the OCI and Docker's own.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// An image in a registry, which is asked as one user.
pub(super) struct Registry<'a> {
    reference: &'a Reference,
    context: Context,
    fetcher: Fetcher,
}

impl<'a> Registry<'a> {
    pub(super) fn new(reference: &'a Reference, context: Context) -> Self {
        let fetcher = Fetcher::new(context.clone()).with_headers(vec![("accept", ACCEPTED.to_owned())]);
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
            let node = Node::new(minimg_tree::Kind::File(Content::lazy(files, 0, blob.size)), 0o644);
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
        let answer = self.ask(|fetcher| Ok(fetcher.document(&name, &url, LARGEST_MANIFEST, None)?));
        match answer {
            Ok(Document::New { bytes, .. }) => Ok(bytes),
            Ok(Document::Unchanged) => Err(FetchError::Status { url, status: 304 }.into()),
            Err(error) if matches!(error.inner().downcast_ref(), Some(FetchError::NotFound { .. })) => {
                let Reference { host, name, .. } = self.reference;
                Err(TarballError::Unknown { host: host.clone(), name: name.clone(), version: version.to_owned() }
                    .into())
            }
            Err(error) => Err(error),
        }
    }

    fn check_size(&self, what: &'static str, size: u64, limit: u64) -> Result<()> {
        if size <= limit {
            return Ok(());
        }
        Err(TarballError::TooLarge { image: self.reference.to_string(), what, size, limit }.into())
    }

    /// Puts blobs into the store, several at once.
    fn fetch_blobs(&mut self, blobs: &[Blob]) -> Result<()> {
        let address = self.reference.address();
        let mut wanted: Vec<Wanted> = Vec::new();
        for blob in blobs {
            let again = wanted.iter().any(|wanted| wanted.sha256 == blob.digest);
            let there = self.context.store.open_blob(&blob.digest)?.and_then(|file| Some(file.metadata().ok()?.len()));
            if let Some(found) = there.filter(|length| *length != blob.size) {
                let wrong = RootfsError::Size { digest: blob.digest, expected: blob.size, found };
                return Err(wrong.within(self.reference.to_string().as_ref()).into());
            }
            if !again && there.is_none() {
                let name = format!("layer {}", blob.digest.short());
                let url = format!("{address}/blobs/{}", blob.digest);
                wanted.push(Wanted { name, url, size: blob.size, sha256: blob.digest });
            }
        }
        self.ask(|fetcher| fetcher.blobs(&wanted, |_, _| Ok(())))
    }

    /// Asks, and where the registry wants to know who does, tells it and asks again; once for each address, since tokens last for minutes,
    /// and large images take longer.
    fn ask<T>(&mut self, question: impl Fn(&Fetcher) -> Result<T>) -> Result<T> {
        let mut told = BTreeSet::new();
        loop {
            let error = match question(&self.fetcher) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let challenge = match error.inner().downcast_ref() {
                Some(FetchError::Unauthorized { url, challenge }) if told.insert(url.clone()) => challenge.as_deref(),
                _ => return Err(self.refusal(error)),
            };
            let answer = access::answer(challenge, self.reference, &self.context)?;
            let headers = vec![("accept", ACCEPTED.to_owned()), ("authorization", answer)];
            self.fetcher = Fetcher::new(self.context.clone()).with_headers(headers);
        }
    }

    /// What it means when the registry refuses.
    fn refusal(&self, error: Error) -> Error {
        match error.inner().downcast_ref().and_then(FetchError::status) {
            Some(401 | 403) => {
                let (image, host) = (self.reference.to_string(), self.reference.host.clone());
                TarballError::Access { image, host }.into()
            }
            _ => error,
        }
    }
}
