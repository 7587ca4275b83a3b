//! From an existing image to the profile and the lock that make a smaller one of it.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Asked, keep};
use crate::lock::Lock;
use crate::pipeline::{self, Job};
use crate::profile::{Additions, Keep, Profile};
use minimg_backend::{Backend, Context, Request, Source, fixed};
use minimg_base::board::Board;
use minimg_base::error::{Class, Error, Result};
use minimg_oci::image::{Compression, Config};
use minimg_tarball::location::Location;
use minimg_tarball::{self as tarball, Taken, Tarball};
use minimg_tree::RootTree;

/// The image does not say what it starts, and no program was named.
#[derive(Debug, thiserror::Error)]
#[error("{image} does not say what it starts: name the programs to keep with --program")]
pub struct NothingStarts {
    /// The image as it was given.
    pub image: String,
}

impl From<NothingStarts> for Error {
    fn from(error: NothingStarts) -> Self {
        Error::new(Class::Usage, error)
    }
}

/// An image that was read, and what its smaller form keeps.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// The profile that says the same as the request and the image's own configuration.
    pub profile: Profile,
    /// The lock that pins the image's files.
    pub lock: Lock,
    /// How many bytes the files have as a tar.
    pub before: Option<u64>,
    board: Board,
}

impl Prepared {
    /// The job that builds the smaller image under this name; [`pipeline::build`] does it.
    pub fn job<'a>(&'a self, reference: &'a str) -> Job<'a> {
        Job {
            command: "shrink",
            profile: &self.profile,
            board: &self.board,
            backend: &Tarball,
            lock: Some(&self.lock),
            locked: true,
            epoch: None,
            compression: Compression::Gzip,
            reference,
        }
    }
}

/// What an image is called while it is shrunk. Never the name of a profile, so that nobody takes one for the other.
pub fn name_of(location: &Location) -> String {
    match location {
        Location::Path { .. } => format!("./{location}"),
        _ => location.to_string(),
    }
}

/// Reads the image for this board into the store and decides what its smaller form keeps. `image` is an image archive or layout, a root tar,
/// a directory, `docker:NAME`, `podman:NAME` or `registry:HOST/NAME:TAG`; a relative path starts at the working directory.
///
/// # Errors
/// When the image cannot be read or is for another machine than the board, and [`NothingStarts`].
pub fn prepare(image: &str, asked: &Asked, board: &Board, context: &Context) -> Result<Prepared> {
    let (mut profile, request, taken) = read(image, board, context)?;
    let tree = fixed::produce(&taken.pins, context)?.tree;
    profile.image = taken.config.unwrap_or_default();
    // Without a configuration there is nothing to run by default; with one program there is.
    if profile.image.entrypoint.is_empty() && profile.image.cmd.is_empty() {
        profile.image.cmd.extend(asked.programs.first().cloned());
    }
    profile.keep = keep(asked, &profile.image, &tree).ok_or_else(|| NothingStarts { image: image.to_owned() })?;
    let before = taken.pins.root.as_ref().map(|root| root.size);
    let mut lock = Lock::new(&profile.name);
    lock.set(Tarball.name(), &request, taken.pins);
    Ok(Prepared { profile, lock, before, board: board.clone() })
}

/// All files of the image that [`prepare`] makes smaller: what can be kept of it.
///
/// # Errors
/// When the image cannot be read or is for another machine than the board.
pub fn source_tree(image: &str, board: &Board, context: &Context) -> Result<RootTree> {
    let (_, _, taken) = read(image, board, context)?;
    Ok(fixed::produce(&taken.pins, context)?.tree)
}

/// Reads the image into the store: a profile that keeps nothing of it yet, what is asked of the backend, and what that gives.
fn read(image: &str, board: &Board, context: &Context) -> Result<(Profile, Request, Taken)> {
    let name = name_of(&Location::parse(image, Path::new(""))?);
    let mut source = Source::default();
    tarball::set_root(&mut source, image);
    let profile = Profile {
        name,
        description: String::new(),
        backend: tarball::NAME.to_owned(),
        source,
        packages: BTreeMap::new(),
        keep: Keep::default(),
        add: Additions { base: true, ..Additions::default() },
        image: Config::default(),
        tests: Vec::new(),
    };
    let request = pipeline::request_of(&profile, board, &Tarball)?;
    let taken = tarball::take(&request, context)?;
    Ok((profile, request, taken))
}
