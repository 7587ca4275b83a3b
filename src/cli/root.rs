//! The root file system that a verb examines: a directory, a tar, an image, or the result of a profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minimg::error::{Class, Error};
use minimg::export;
use minimg::rootfs::{self, Choice, Images, Rootfs, RootfsError};
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

/// What an argument names on this machine: a path, and the image in it.
struct OnDisk {
    path: PathBuf,
    image: Option<String>,
}

impl OnDisk {
    /// `None` where there is nothing.
    fn find(argument: &Path) -> Option<Self> {
        let plain = argument.to_str().map(|text| export::without_format(text, Path::new("")));
        let (path, image) = rootfs::archive_and_image(plain.map_or(argument, Path::new));
        path.exists().then_some(Self { path, image })
    }

    fn is_profile(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "toml")
    }

    /// Whether it is a root directory, of which only what is needed is looked at.
    fn is_directory(&self) -> bool {
        self.path.is_dir() && !rootfs::is_image(&self.path) && self.image.is_none()
    }

    fn directory(&self) -> anyhow::Result<Opened> {
        Ok(Opened::Directory(DirectoryRoot::new(&self.path).map_err(|error| Error::new(Class::Machine, error))?))
    }
}

impl Opened {
    /// Opens what is at a path, or the image of a name in what is there.
    pub(super) fn at(session: &Session, path: &Path, board: Option<&str>) -> anyhow::Result<Self> {
        let absent = || Error::new(Class::Usage, format!("there is no {}", path.display()));
        let found = OnDisk::find(path).ok_or_else(absent)?;
        if found.is_directory() {
            return found.directory();
        }
        let board = board.map(|name| boards(session)?.get(name).map_err(anyhow::Error::from)).transpose()?;
        let platform = board.map(|board| board.platform);
        let wanted = Choice { image: found.image.as_deref(), platform: platform.as_ref() };
        let store = session.user.store()?;
        let rootfs = Images::open(&found.path, &store).and_then(|images| images.choose(wanted));
        Ok(Self::Tree(Box::new(rootfs.map_err(|error| Error::from(error.within(&found.path)))?)))
    }

    /// Gives what is at the path to `look`, or else what the profile of that name becomes. Of an image for several machines all of them, one
    /// at a time, unless one board is named.
    pub(super) fn each(
        session: &Session,
        selection: &Selection,
        mut look: impl FnMut(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let argument = Path::new(selection.profile_argument());
        match OnDisk::find(argument).filter(|found| !found.is_profile()) {
            None => look(&Self::built(session, selection)?),
            Some(found) if found.is_directory() => look(&found.directory()?),
            Some(_) if selection.single_board().is_some() => {
                look(&Self::at(session, argument, selection.single_board())?)
            }
            Some(found) => {
                let store = session.user.store()?;
                let wrong = |error: RootfsError| Error::from(error.within(&found.path));
                let images = Images::open(&found.path, &store).map_err(wrong)?;
                for rootfs in images.each(found.image.as_deref()).map_err(wrong)? {
                    look(&Self::Tree(Box::new(rootfs.map_err(wrong)?)))?;
                }
                Ok(())
            }
        }
    }

    /// What a profile becomes.
    fn built(session: &Session, selection: &Selection) -> anyhow::Result<Self> {
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
