//! Taking a root file system into the store.

use serde::{Deserialize, Serialize};

use super::TarballError;
use super::digests;
use super::location::Location;
use super::open::{self, Expected};
use super::options::Options;
use minimg_backend::{Context, Pins, Request, fixed};
use minimg_base::digest::digest_of;
use minimg_base::error::{Class, Error, Result};
use minimg_base::report::{Event, Reused};
use minimg_oci::image::Config;
use minimg_ownership as ownership;

/// The kind of the store's entries that say what a file or image became when it was taken in.
const TAKEN: &str = "taken-root";
/// Raised when the same file would be read as another tree than before.
const VERSION: u32 = 4;

/// A root file system that was taken in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Taken {
    /// What pins its tree.
    pub pins: Pins,
    /// How its program is run, where it is an image.
    pub config: Option<Config>,
}

/// Takes the root file system that the request's options name into the store, with the owners of its files. What was read before and has
/// not changed is not read again.
///
/// # Errors
/// When it cannot be had or read, is not what it must be, or is for another machine than the request's.
pub fn take(request: &Request, context: &Context) -> Result<Taken> {
    let options = Options::read(&request.source)?;
    let location = Location::parse(&options.root, &request.source.directory)?;
    let platform = &request.board.platform;
    let listed = digests::listed(&options, &location, request, context)?;
    let expected = Expected { sha256: options.sha256, listed: listed.as_ref() };
    let found = open::find(&location, &expected, context)?;
    let key = found.identity.map(|identity| digest_of(&(VERSION, identity, location.to_string(), platform)));
    if let Some(key) = &key
        && let Some(bytes) = context.store.entry(TAKEN, key)?
        && let Ok(taken) = serde_json::from_slice::<Taken>(&bytes)
        && fixed::is_there(&taken.pins, context)?
    {
        let bytes = taken.pins.root.as_ref().map_or(0, |root| root.size);
        context.reporter.event(Event::Reused { what: Reused::Root, bytes });
        return Ok(taken);
    }
    let mut rootfs = found.open(platform, context)?;
    if let Some(there) = rootfs.platform.filter(|there| !there.fits(platform)) {
        let (there, wanted) = (there.to_string(), platform.to_string());
        return Err(TarballError::Platform { origin: location.to_string(), there, wanted }.into());
    }
    if rootfs.tree.is_empty() {
        return Err(TarballError::Empty(location.to_string()).into());
    }
    ownership::assign(&mut rootfs.tree)?;
    let taken = Taken { pins: fixed::fix(rootfs.tree, &location.to_string(), context)?, config: rootfs.config };
    if let Some(key) = &key {
        let bytes = serde_json::to_vec(&taken).map_err(|error| Error::new(Class::Machine, error))?;
        context.store.put_entry(TAKEN, key, &bytes)?;
    }
    Ok(taken)
}
