//! Opening a root file system where it is.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::TarballError;
use super::location::Location;
use super::registry::Registry;
use crate::backend::Context;
use crate::board::Platform;
use crate::digest::Digest;
use crate::engine::{Engine, EngineError};
use crate::error::{Class, Error, Result};
use crate::fetch::{FetchError, Fetcher};
use crate::rootfs::{self, Rootfs};
use crate::store::StoreError;

/// The largest file that is fetched.
const LARGEST_FETCHED: u64 = 16 << 30;

/// A root file system that was found but not read yet.
pub(super) struct Found<'a> {
    /// What it is, where that can be known without reading all of it as a tree: equal for equal bytes.
    pub(super) identity: Option<Digest>,
    place: Place<'a>,
}

enum Place<'a> {
    File(File),
    Directory(&'a Path),
    Engine(Engine, &'a str),
    Registry(Registry<'a>, Digest),
}

/// Finds it, and makes sure that it is what it must be.
pub(super) fn find<'a>(location: &'a Location, sha256: Option<Digest>, context: &Context<'a>) -> Result<Found<'a>> {
    match location {
        Location::Path(path) if path.is_dir() => match sha256 {
            Some(_) => Err(TarballError::NotOneFile(location.to_string()).into()),
            None => Ok(Found { identity: None, place: Place::Directory(path) }),
        },
        Location::Path(path) => {
            let unreadable = |source: std::io::Error| match source.kind() {
                std::io::ErrorKind::NotFound => TarballError::NotFound(path.clone()),
                _ => TarballError::Read { path: path.clone(), source },
            };
            let mut file = File::open(path).map_err(unreadable)?;
            let (found, _) = Digest::of_reader(&mut file).map_err(unreadable)?;
            file.rewind().map_err(unreadable)?;
            check(location, sha256, found)?;
            Ok(Found { identity: Some(found), place: Place::File(file) })
        }
        Location::Engine { engine, image } => {
            let engine = Engine::find(engine, &context.settings.path).map_err(|error| no_engine(error, image))?;
            let found = engine.id(image, context.store)?;
            check(location, sha256, found)?;
            Ok(Found { identity: Some(found), place: Place::Engine(engine, image) })
        }
        Location::Registry(reference) => {
            let mut registry = Registry::new(reference, *context);
            let found = registry.resolve()?;
            check(location, sha256, found)?;
            Ok(Found { identity: Some(found), place: Place::Registry(registry, found) })
        }
        Location::Address(address) => {
            let sha256 = sha256.ok_or_else(|| TarballError::Unverified(address.clone()))?;
            Ok(Found { identity: Some(sha256), place: Place::File(fetch(address, &sha256, context)?) })
        }
    }
}

/// The advice of an engine that images are put into is of no use where one is taken out.
fn no_engine(error: EngineError, image: &str) -> Error {
    match error {
        EngineError::Missing { name: engine, package, .. } => {
            TarballError::NoEngine { engine, package, image: image.to_owned() }.into()
        }
        other => other.into(),
    }
}

fn check(location: &Location, expected: Option<Digest>, found: Digest) -> Result<(), TarballError> {
    match expected {
        Some(expected) if expected != found => {
            Err(TarballError::Digest { origin: location.to_string(), expected, found })
        }
        _ => Ok(()),
    }
}

/// The file out of the store, where it is put first if need be.
fn fetch(address: &str, sha256: &Digest, context: &Context<'_>) -> Result<File> {
    if let Some(file) = context.store.open_blob(sha256)? {
        return Ok(file);
    }
    let fetcher = Fetcher::new(*context);
    let name = address.rsplit('/').next().unwrap_or(address);
    let mut download = fetcher.open(name, address, None, LARGEST_FETCHED)?;
    let mut blob = context.store.new_blob()?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = download.read(&mut buffer).map_err(|error| Error::new(Class::Network, error))?;
        let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else { break };
        let path = || context.store.path().to_owned();
        blob.write_all(data).map_err(|source| StoreError::Io { path: path(), source })?;
    }
    match blob.commit_as(sha256, name) {
        Ok(_) => {}
        Err(StoreError::Mismatch { expected, found, .. }) => {
            return Err(FetchError::Digest { url: address.to_owned(), expected, found }.into());
        }
        Err(error) => return Err(error.into()),
    }
    let path = context.store.blob_path(sha256);
    Ok(File::open(&path).map_err(|source| StoreError::Io { path, source })?)
}

impl Found<'_> {
    /// Reads it; of an image for several machines, that for `platform`.
    pub(super) fn open(self, platform: &Platform, context: &Context<'_>) -> Result<Rootfs> {
        Ok(match self.place {
            Place::File(file) => rootfs::read(file, Some(platform), context.store)?,
            Place::Registry(registry, digest) => registry.open(digest, platform)?,
            Place::Directory(path) => rootfs::open(path, Some(platform), context.store)?,
            Place::Engine(engine, image) => {
                rootfs::read(engine.save(image, context.store)?, Some(platform), context.store)?
            }
        })
    }
}
