//! Opening a root file system where it is.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::TarballError;
use super::digests::{Checker, Listed};
use super::location::Location;
use super::options::SHA256;
use minimg_backend::Context;
use minimg_base::board::Platform;
use minimg_base::digest::digest_of;
use minimg_base::digest::{Digest, HashingWriter};
use minimg_base::error::{Class, Error, Result};
use minimg_engine::{Engine, EngineError};
use minimg_fetch::{FetchError, Fetcher};
use minimg_oci::rootfs::{Choice, Images, Rootfs, RootfsError};
use minimg_registry::{Action, Client};
use minimg_store::StoreError;
use minimg_tree::archive::Limits;

/// The largest file that is fetched, or read from a pipe: nothing larger can be unpacked.
const LARGEST_FETCHED: u64 = Limits::PACKAGE.output;

/// The kind of the store's entries that say which blob is the file of a signed list.
const LISTED: &str = "listed-file";

/// What a root file system must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'l> {
    /// Its digest, or its image's.
    pub(super) sha256: Option<Digest>,
    /// What a signed list says of it.
    pub(super) listed: Option<&'l Listed>,
}

/// A root file system that was found but not read yet.
pub(super) struct Found<'a> {
    /// What it is, where that can be known without reading all of it as a tree: equal for equal bytes.
    pub(super) identity: Option<Digest>,
    place: Place<'a>,
}

enum Place<'a> {
    /// A file, and the name of an image in it.
    File(File, Option<&'a str>),
    /// A directory, and the name of an image in it.
    Directory(&'a Path, Option<&'a str>),
    Engine(Engine, &'a str),
    Registry(Box<Client<'a>>, Digest),
}

/// Finds it, and makes sure that it is what it must be.
pub(super) fn find<'a>(location: &'a Location, expected: &Expected<'_>, context: &Context) -> Result<Found<'a>> {
    let sha256 = expected.sha256;
    match location {
        Location::Path { path, image } if path.is_dir() => match sha256 {
            Some(_) => Err(TarballError::NotOneFile { origin: location.to_string(), option: SHA256 }.into()),
            None => Ok(Found { identity: None, place: Place::Directory(path, image.as_deref()) }),
        },
        Location::Path { path, image } => {
            let unreadable = |source: std::io::Error| match source.kind() {
                std::io::ErrorKind::NotFound => TarballError::NotFound(path.clone()),
                _ => TarballError::Read { path: path.clone(), source },
            };
            let mut file = File::open(path).map_err(unreadable)?;
            if !file.metadata().map_err(unreadable)?.is_file() {
                file = spooled(file, context).map_err(unreadable)?;
            }
            let mut out =
                HashingWriter::new(Checked { out: io::sink(), checker: expected.listed.map(Listed::checker) });
            io::copy(&mut file, &mut out).map_err(unreadable)?;
            file.rewind().map_err(unreadable)?;
            let (checked, found, _) = out.finish();
            check(location, sha256, found)?;
            checked.finish(&location.to_string())?;
            Ok(Found { identity: Some(found), place: Place::File(file, image.as_deref()) })
        }
        Location::Engine { engine, image } => {
            let engine = Engine::find(engine, &context.settings.path).map_err(|error| no_engine(error, image))?;
            let found = engine.id(image, &context.store)?;
            check(location, sha256, found)?;
            Ok(Found { identity: Some(found), place: Place::Engine(engine, image) })
        }
        Location::Registry(remote) => {
            let mut registry = Client::new(remote, &[Action::Pull], context.clone());
            let found = registry.resolve()?;
            check(location, sha256, found)?;
            Ok(Found { identity: Some(found), place: Place::Registry(Box::new(registry), found) })
        }
        Location::Address(address) => {
            let (sha256, file) = fetch(address, expected, context)?;
            Ok(Found { identity: Some(sha256), place: Place::File(file, None) })
        }
    }
}

/// What comes out of a pipe, such as `docker save NAME | minimg shrink /dev/stdin`, as a file that can be read twice.
fn spooled(pipe: File, context: &Context) -> io::Result<File> {
    let mut file = context.store.scratch().map_err(io::Error::other)?;
    if io::copy(&mut pipe.take(LARGEST_FETCHED), &mut file)? == LARGEST_FETCHED {
        return Err(io::Error::other(format!("it has more than the limit of {LARGEST_FETCHED} bytes")));
    }
    file.rewind()?;
    Ok(file)
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

/// The file out of the store, where it is put first if need be, with its digest.
fn fetch(address: &str, expected: &Expected<'_>, context: &Context) -> Result<(Digest, File)> {
    if expected.sha256.is_none() && expected.listed.is_none() {
        return Err(TarballError::Unverified(address.to_owned()).into());
    }
    // Which blob it is that has the listed hashes is known once it was fetched.
    let key = expected.listed.map(digest_of);
    let known = match &key {
        Some(key) => context.store.entry(LISTED, key)?.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()),
        None => expected.sha256,
    };
    if let Some(known) = known.filter(|known| expected.sha256.is_none_or(|sha256| sha256 == *known))
        && let Some(file) = context.store.open_blob(&known)?
    {
        return Ok((known, file));
    }
    let fetcher = Fetcher::new(context.clone());
    let name = address.rsplit('/').next().unwrap_or(address);
    let mut download = fetcher.open(name, address, None, LARGEST_FETCHED)?;
    let mut out = Checked { out: context.store.new_blob()?, checker: expected.listed.map(Listed::checker) };
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = download.read(&mut buffer).map_err(|error| Error::new(Class::Network, error))?;
        let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else { break };
        let path = || context.store.path().to_owned();
        out.write_all(data).map_err(|source| StoreError::Io { path: path(), source })?;
    }
    let blob = out.finish(address)?;
    let sha256 = match expected.sha256 {
        Some(sha256) => match blob.commit_as(&sha256, name) {
            Ok(_) => sha256,
            Err(StoreError::Mismatch { expected, found, .. }) => {
                return Err(FetchError::Digest { url: address.to_owned(), expected, found }.into());
            }
            Err(error) => return Err(error.into()),
        },
        None => blob.commit()?.0,
    };
    if let Some(key) = &key {
        context.store.put_entry(LISTED, key, sha256.to_string().as_bytes())?;
    }
    let path = context.store.blob_path(&sha256);
    Ok((sha256, File::open(&path).map_err(|source| StoreError::Io { path, source })?))
}

/// Passes what is written on, and holds it against a signed list where there is one.
struct Checked<'l, W> {
    out: W,
    checker: Option<Checker<'l>>,
}

impl<W> Checked<'_, W> {
    fn finish(self, origin: &str) -> Result<W, TarballError> {
        self.checker.map_or(Ok(()), |checker| checker.finish(origin))?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Checked<'_, W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.out.write(data)?;
        if let Some(checker) = &mut self.checker {
            checker.write_all(data.get(..written).unwrap_or_default())?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Found<'_> {
    /// Reads it; of an image for several machines, that for `platform`.
    pub(super) fn open(self, platform: &Platform, context: &Context) -> Result<Rootfs> {
        let wanted = |image| Choice { image, platform: Some(platform) };
        let store = &context.store;
        Ok(match self.place {
            Place::File(file, image) => Images::read(file, store)?.choose(wanted(image))?,
            Place::Directory(path, image) => {
                let within = |error: RootfsError| error.within(path);
                Images::open(path, store)?.choose(wanted(image)).map_err(within)?
            }
            Place::Registry(registry, digest) => registry.open(digest, platform)?,
            Place::Engine(engine, image) => {
                let images = Images::read(engine.save(image, store)?, store)?;
                // An engine saves what has the name; of a name without a tag some save every image that has one.
                let name = images.are_several().then_some(image);
                images.choose(wanted(name))?
            }
        })
    }
}
