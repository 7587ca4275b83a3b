//! Asking a registry: for manifests and blobs, and as the user that it lets in.

use std::collections::BTreeSet;

use crate::{Action, RegistryError, Remote, Scope, access};
use minimg_base::digest::Digest;
use minimg_base::error::{Error, Result};
use minimg_context::Context;
use minimg_fetch::{Document, FetchError, Fetcher, RemoteFile};
use minimg_oci::document::media;
use minimg_oci::rootfs::{Blob, RootfsError};

/// The largest manifest or index; registries accept no larger ones (distribution-spec, "Pushing Manifests").
pub(crate) const LARGEST_MANIFEST: u64 = 4 << 20;
/// The kinds of manifests and indexes that are understood: those of the OCI and Docker's own.
const ACCEPTED: [&str; 4] = [media::INDEX, media::MANIFEST, media::DOCKER_INDEX, media::DOCKER_MANIFEST];

/// Asks the registry of one image, as one user.
pub struct Client<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) context: Context,
    scope: Scope,
    fetcher: Fetcher,
}

impl<'a> Client<'a> {
    /// One that may do so much with the image's repository, if the registry lets it.
    pub fn new(remote: &'a Remote, actions: &[Action], context: Context) -> Self {
        let fetcher = Fetcher::new(context.clone()).with_headers(headers(None));
        Self { remote, context, scope: Scope::new(remote, actions), fetcher }
    }

    /// The manifest or index with this digest, which the store has from then on.
    ///
    /// # Errors
    /// When it cannot be had, or is not what its digest says.
    pub fn manifest(&mut self, digest: &Digest) -> Result<Vec<u8>> {
        if let Some(bytes) = self.context.store.blob(digest)? {
            return Ok(bytes.to_vec());
        }
        let bytes = self.fetch_manifest(&digest.to_string())?;
        let found = Digest::of(&bytes);
        if found != *digest {
            let url = format!("{}/manifests/{digest}", self.remote.address());
            return Err(FetchError::Digest { url, expected: *digest, found }.into());
        }
        self.context.store.put_blob(&bytes)?;
        Ok(bytes)
    }

    /// The manifest or index that a tag or a digest stands for now. It is not checked.
    pub(crate) fn fetch_manifest(&mut self, version: &str) -> Result<Vec<u8>> {
        let (name, url) = (self.remote.to_string(), format!("{}/manifests/{version}", self.remote.address()));
        let answer = self.ask(|fetcher| Ok(fetcher.document(&name, &url, LARGEST_MANIFEST, None)?));
        match answer {
            Ok(Document::New { bytes, .. }) => Ok(bytes),
            Ok(Document::Unchanged) => Err(FetchError::Status { url, status: 304 }.into()),
            Err(error) if matches!(error.inner().downcast_ref(), Some(FetchError::NotFound { .. })) => {
                let (host, name) = (self.remote.host().to_owned(), self.remote.reference().path().to_owned());
                Err(RegistryError::Unknown { host, name, version: version.to_owned() }.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Puts blobs into the store, several at once.
    ///
    /// # Errors
    /// When one cannot be had, or is not what its digest and length say.
    pub fn fetch_blobs(&mut self, blobs: &[Blob]) -> Result<()> {
        let address = self.remote.address();
        let mut wanted: Vec<RemoteFile> = Vec::new();
        for blob in blobs {
            let again = wanted.iter().any(|wanted| wanted.sha256 == blob.digest);
            let there = self.context.store.open_blob(&blob.digest)?.and_then(|file| Some(file.metadata().ok()?.len()));
            if let Some(found) = there.filter(|length| *length != blob.size) {
                let wrong = RootfsError::Size { digest: blob.digest, expected: blob.size, found };
                return Err(wrong.within(self.remote.to_string().as_ref()).into());
            }
            if !again && there.is_none() {
                let name = format!("layer {}", blob.digest.short());
                let url = format!("{address}/blobs/{}", blob.digest);
                wanted.push(RemoteFile { name, url, size: blob.size, sha256: blob.digest });
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
            let answer = access::answer(challenge, self.remote, &self.scope, &self.context)?;
            self.fetcher = Fetcher::new(self.context.clone()).with_headers(headers(Some(answer)));
        }
    }

    /// What it means when the registry refuses.
    fn refusal(&self, error: Error) -> Error {
        match error.inner().downcast_ref().and_then(FetchError::status) {
            Some(401 | 403) => {
                let (image, host) = (self.remote.to_string(), self.remote.host().to_owned());
                RegistryError::Access { image, host }.into()
            }
            _ => error,
        }
    }
}

fn headers(authorization: Option<String>) -> Vec<(&'static str, String)> {
    let authorization = authorization.map(|value| ("authorization", value));
    std::iter::once(("accept", ACCEPTED.join(", "))).chain(authorization).collect()
}
