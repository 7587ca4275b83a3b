//! The root file system that a verb examines: a directory, a tar, an image, or the result of a profile.

use std::collections::BTreeMap;
use std::path::Path;

use minimg::board::Platform;
use minimg::error::{Class, Error};
use minimg::rootfs::{self, Rootfs};
use minimg::tree::{DirectoryRoot, Root};
use minimg::{layer, pipeline};

use super::Session;
use super::explain::with_job;
use super::progress::Progress;
use super::select::{Selection, boards};

/// A root file system that was opened.
pub(super) enum Opened {
    /// A directory, of which only what is needed is looked at.
    Directory(DirectoryRoot),
    /// A tar or an image.
    Tree(Box<Rootfs>),
}

impl Opened {
    /// Opens what is at a path.
    pub(super) fn at(session: &Session, path: &Path, board: Option<&str>) -> anyhow::Result<Self> {
        if path.is_dir() && !rootfs::is_image(path) {
            let root = DirectoryRoot::new(path).map_err(|error| Error::new(Class::Machine, error))?;
            return Ok(Self::Directory(root));
        }
        let board = board.map(|name| boards(session)?.get(name).map_err(anyhow::Error::from)).transpose()?;
        Self::for_platform(session, path, board.map(|board| board.platform).as_ref())
    }

    fn for_platform(session: &Session, path: &Path, platform: Option<&Platform>) -> anyhow::Result<Self> {
        let rootfs = rootfs::open(path, platform, &session.user.store()?).map_err(Error::from)?;
        Ok(Self::Tree(Box::new(rootfs)))
    }

    /// Like [`Opened::target`], but of an image for several machines all of them, unless one board is named.
    pub(super) fn targets(session: &Session, selection: &Selection) -> anyhow::Result<Vec<Self>> {
        let path = Path::new(selection.profile_argument());
        let is_image =
            path.is_file() && path.extension().is_none_or(|extension| extension != "toml") || rootfs::is_image(path);
        if is_image && selection.single_board().is_none() {
            let platforms = rootfs::platforms(path, &session.user.store()?).map_err(Error::from)?;
            if platforms.len() > 1 {
                return platforms.iter().map(|platform| Self::for_platform(session, path, Some(platform))).collect();
            }
        }
        Ok(vec![Self::target(session, selection)?])
    }

    /// Opens what is at the path, or else builds the profile of that name.
    pub(super) fn target(session: &Session, selection: &Selection) -> anyhow::Result<Self> {
        let argument = selection.profile_argument();
        let path = Path::new(argument);
        if path.exists() && path.extension().is_none_or(|extension| extension != "toml") {
            return Self::at(session, path, selection.single_board());
        }
        let progress = Progress::new(&session.global, session.style);
        let selected = selection.clone().select(session)?;
        let store = session.user.store()?;
        let context = session.context(&store, &progress);
        let built = with_job(&selected, |job| pipeline::build(job, &context))?;
        progress.finish();
        let tree = layer::flatten(&built.image.layers, &store)?;
        let (config, platform) = (Some(built.image.config), Some(built.image.platform));
        Ok(Self::Tree(Box::new(Rootfs { tree, config, platform })))
    }

    /// The files.
    pub(super) fn root(&self) -> &dyn Root {
        match self {
            Self::Directory(root) => root,
            Self::Tree(rootfs) => &rootfs.tree,
        }
    }

    /// The environment of the image's program; empty for what is not an image.
    pub(super) fn env(&self) -> BTreeMap<String, String> {
        match self {
            Self::Tree(rootfs) => rootfs.config.as_ref().map(|config| config.env.clone()).unwrap_or_default(),
            Self::Directory(_) => BTreeMap::new(),
        }
    }
}
