//! The front door: a profile and some boards become images.

use std::ops::Deref;
use std::sync::Arc;

use crate::backends::{self, Chosen};
use crate::lock::Lock;
use crate::pipeline::{self, Built, Job};
use crate::profile::{Catalogue, Profile};
use minimg_backend::{Backend, Context};
use minimg_base::board::Board;
use minimg_base::error::Result;
use minimg_board::Boards;
use minimg_oci::image::Compression;

/// Builds the images of a profile, one for each board.
#[derive(Clone)]
pub struct Builder {
    profile: Given,
    catalogue: Catalogue,
    suite: Option<String>,
    boards: Vec<Board>,
    backend: Option<Arc<dyn Backend>>,
    lock: Option<Lock>,
    locked: bool,
    epoch: Option<i64>,
    compression: Compression,
    reference: Option<String>,
}

/// A profile as it was given.
#[derive(Clone)]
enum Given {
    Named(String),
    Text { name: String, text: String },
    Typed(Box<Profile>),
}

impl Builder {
    /// Builds a profile of the binary by its name, or of a file by its path.
    pub fn named(name_or_path: impl Into<String>) -> Self {
        Self::new(Given::Named(name_or_path.into()))
    }

    /// Builds a profile from its TOML text; the image is called `name`.
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Given::Text { name: name.into(), text: text.into() })
    }

    /// Builds a profile of typed values.
    pub fn from_profile(profile: Profile) -> Self {
        Self::new(Given::Typed(Box::new(profile)))
    }

    fn new(profile: Given) -> Self {
        Self {
            profile,
            catalogue: Catalogue::built_in(),
            suite: None,
            boards: Vec::new(),
            backend: None,
            lock: None,
            locked: false,
            epoch: None,
            compression: Compression::Gzip,
            reference: None,
        }
    }

    /// Looks profiles up here, such as in directories of the user's ([`Catalogue::with_directory`]) or with rule sets of theirs.
    #[must_use]
    pub fn catalogue(self, catalogue: Catalogue) -> Self {
        Self { catalogue, ..self }
    }

    /// Builds from this release of the distribution, in place of the one that the profile names. Typed values keep theirs.
    #[must_use]
    pub fn suite(self, suite: impl Into<String>) -> Self {
        Self { suite: Some(suite.into()), ..self }
    }

    /// Builds for this board too; without any, the image is for the machine that the program was built for.
    #[must_use]
    pub fn board(mut self, board: Board) -> Self {
        self.boards.push(board);
        self
    }

    /// As [`Builder::board`], for a board of the binary by its name; [`Boards::with_directory`] finds others.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn board_named(self, name: &str) -> Result<Self> {
        Ok(self.board(Boards::built_in().get(name)?))
    }

    /// Makes the root tree with this backend, in place of the one that the profile names.
    #[must_use]
    pub fn backend(self, backend: Arc<dyn Backend>) -> Self {
        Self { backend: Some(backend), ..self }
    }

    /// Takes the packages from this lock where it fits the profile.
    #[must_use]
    pub fn lock(self, lock: Lock) -> Self {
        Self { lock: Some(lock), ..self }
    }

    /// Fails where the lock does not fit the profile, or where there is none.
    #[must_use]
    pub fn locked(self, locked: bool) -> Self {
        Self { locked, ..self }
    }

    /// Lets no time in the image be later than this, in seconds since 1970.
    #[must_use]
    pub fn epoch(self, epoch: i64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// Compresses layers in this way; gzip unless it is called.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Gives the image this name, in place of the profile's name and `latest`.
    #[must_use]
    pub fn reference(self, reference: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()), ..self }
    }

    /// Builds the images. The store, the reporter, the settings and whether the network may be used are the context's. A layer that is damaged
    /// in the store is made anew.
    ///
    /// # Errors
    /// When the profile is wrong, and those of [`pipeline::build`], also between two boards when the context's token is cancelled.
    pub fn build(&self, context: &Context) -> Result<Vec<Built>> {
        let own = if self.boards.is_empty() { vec![Boards::built_in().host()?] } else { Vec::new() };
        let build = || self.boards.iter().chain(&own).map(|board| self.build_for(board, context)).collect();
        let built: Vec<Built> = build()?;
        if pipeline::is_whole(&built, &context.store)? { Ok(built) } else { build() }
    }

    fn build_for(&self, board: &Board, context: &Context) -> Result<Built> {
        let mut profile = self.profile_for(board, context)?;
        let chosen: Maker<'_> = match &self.backend {
            Some(backend) => Maker::Own(&**backend),
            None => Maker::Chosen(backends::named(&profile.backend, &context.settings)?),
        };
        chosen.name().clone_into(&mut profile.backend);
        let usual = format!("{}:latest", profile.name);
        let job = Job {
            command: "build",
            profile: &profile,
            board,
            backend: &*chosen,
            lock: self.lock.as_ref(),
            locked: self.locked,
            epoch: self.epoch,
            compression: self.compression,
            reference: self.reference.as_ref().unwrap_or(&usual),
        };
        pipeline::build(&job, context)
    }

    fn profile_for(&self, board: &Board, context: &Context) -> Result<Profile> {
        let catalogue = || self.catalogue.clone().with_boards([board.name.clone()]).with_settings(&context.settings);
        let definition = match &self.profile {
            Given::Typed(profile) => return Ok((**profile).clone()),
            Given::Named(name) => catalogue().get(name)?,
            Given::Text { name, text } => catalogue().parse(name, text)?,
        };
        Ok(definition.profile(self.suite.as_deref(), Some(board)))
    }
}

/// The backend of a build: the caller's own, or the one that the profile names.
enum Maker<'b> {
    Own(&'b dyn Backend),
    Chosen(Chosen),
}

impl<'b> Deref for Maker<'b> {
    type Target = dyn Backend + 'b;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Own(backend) => *backend,
            Self::Chosen(chosen) => &**chosen,
        }
    }
}
