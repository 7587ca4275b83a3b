//! The images of an archive or layout: which there are, what they are called, which of them is meant, and reading them one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::budget::Budget;
use super::image::{self, Machines, Pointer, Pointers};
use super::{Files, Form, Rootfs, RootfsError, unpack};
use crate::document::DockerManifest;
use minimg_base::board::Platform;
use minimg_base::digest::Digest;
use minimg_store::Store;
use minimg_tree::{RootPath, RootTree, read_directory};

/// How deep indexes may be nested.
const DEEPEST: usize = 4;
/// How many manifests and indexes an archive may name.
const MOST_NAMED: usize = 4096;
/// How many machines an image may be for where all of them are wanted; Debian's is for ten.
const MOST_MACHINES: usize = 64;

/// Which image of an archive is meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    /// Its name or the beginning of its id; without one there must be one image that fits.
    pub image: Option<&'a str>,
    /// The machine that it must be for.
    pub platform: Option<&'a Platform>,
}

/// Divides `archive.tar:NAME` into the archive and the image in it: at the first colon that follows something which is there. Of what is
/// there as a whole no colon divides anything.
pub fn archive_and_image(path: &Path) -> (PathBuf, Option<String>) {
    let whole = || (path.to_owned(), None);
    let Some(text) = path.to_str().filter(|_| path.symlink_metadata().is_err()) else { return whole() };
    let parts = text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let mut parts = parts.filter(|(archive, image)| !archive.is_empty() && !image.is_empty());
    match parts.find(|(archive, _)| Path::new(archive).exists()) {
        Some((archive, image)) => (PathBuf::from(archive), Some(image.to_owned())),
        None => whole(),
    }
}

/// A directory, tar, archive or layout that was opened: a root file system, or the documents of its images.
pub struct Images<'s> {
    files: Files,
    form: Form,
    store: &'s Store,
    found: Vec<Found>,
    budget: Budget,
}

/// One image.
#[derive(Debug, Clone)]
struct Found {
    /// What it is called.
    names: Vec<String>,
    /// The digest of its manifest, or of its configuration in a docker-archive.
    id: Digest,
    /// The machines that it is for, where they were said or looked for.
    platforms: BTreeSet<Platform>,
    /// The nested index that it is in: all that are in one are one image for several machines.
    index: Option<Digest>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Layout(Pointer),
    DockerArchive(DockerManifest),
}

impl<'s> Images<'s> {
    /// Opens what is at a path.
    ///
    /// # Errors
    /// When it cannot be read, or its documents are malformed or hostile.
    pub fn open(path: &Path, store: &'s Store) -> Result<Self, RootfsError> {
        let unreadable = |source| RootfsError::Io { path: path.to_owned(), source };
        let opened = if path.metadata().map_err(unreadable)?.is_dir() {
            let files = Files(read_directory(path).map_err(unreadable)?);
            let form = if super::is_image(path) { files.form() } else { Form::Root };
            Self::new(files, form, store)
        } else {
            Self::read(File::open(path).map_err(unreadable)?, store)
        };
        opened.map_err(|error| error.within(path))
    }

    /// Reads a root tar or an archive, compressed or not.
    ///
    /// # Errors
    /// When it is malformed or hostile.
    pub fn read(reader: impl Read + Send, store: &'s Store) -> Result<Self, RootfsError> {
        let files = Files(unpack(reader, store)?);
        let form = files.form();
        Self::new(files, form, store)
    }

    /// The images in the files of an OCI layout.
    ///
    /// # Errors
    /// When its documents are malformed or hostile.
    pub fn of_layout(files: RootTree, store: &'s Store) -> Result<Self, RootfsError> {
        Self::new(Files(files), Form::Layout, store)
    }

    fn new(files: Files, form: Form, store: &'s Store) -> Result<Self, RootfsError> {
        let found = match form {
            Form::Layout => in_layout(&files)?,
            Form::DockerArchive => in_docker_archive(&files)?,
            Form::Root => Vec::new(),
        };
        Ok(Self { files, form, store, found, budget: Budget::default() })
    }

    /// Whether there is more than one image, be it of the same name for another machine.
    pub fn are_several(&self) -> bool {
        self.found.len() > 1
    }

    /// Reads the one that is meant, or the root file system that it is.
    ///
    /// # Errors
    /// When none or several fit, or it is malformed or hostile.
    pub fn choose(mut self, wanted: Choice<'_>) -> Result<Rootfs, RootfsError> {
        if self.form == Form::Root {
            return self.files.into_rootfs(wanted.image);
        }
        let chosen = select(&self.named(wanted.image)?, wanted.platform)?.clone();
        self.rootfs(&chosen)
    }

    /// Reads the image that is meant for each of its machines, or the root file system that it is: one at a time, when it is asked for.
    ///
    /// # Errors
    /// When none or several fit, or it is for too many machines; of the iterator those of [`Images::choose`].
    pub fn each(
        mut self,
        image: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<Rootfs, RootfsError>> + use<'s>, RootfsError> {
        let mut chosen = Vec::new();
        if self.form != Form::Root {
            chosen = for_each_machine(&self.named(image)?)?;
        }
        let name = image.map(str::to_owned);
        let mut pending = chosen.into_iter();
        let mut root = Some(()).filter(|()| self.form == Form::Root);
        Ok(std::iter::from_fn(move || match root.take() {
            Some(()) => Some(std::mem::take(&mut self.files).into_rootfs(name.as_deref())),
            None => pending.next().map(|found| self.rootfs(&found)),
        }))
    }

    /// Those of a name, all without one; each with its machine where that decides.
    fn named(&self, name: Option<&str>) -> Result<Vec<Found>, RootfsError> {
        let mut named: Vec<Found> =
            self.found.iter().filter(|found| name.is_none_or(|name| found.is_called(name))).cloned().collect();
        if let (Some(name), true) = (name, named.is_empty()) {
            return Err(RootfsError::NoImage { wanted: name.to_owned(), there: list(&self.found) });
        }
        if named.len() > 1 {
            let mut machines = Machines::default();
            for found in &mut named {
                if found.platforms.is_empty() {
                    found.platforms.extend(match &found.place {
                        Place::Layout(pointer) => machines.of_manifest(&self.files, pointer),
                        Place::DockerArchive(manifest) => machines.of_config(&self.files, &manifest.config),
                    });
                }
            }
            // What is for no machine is no image, where others are for one: signatures and the like.
            if named.iter().any(|found| !found.platforms.is_empty()) {
                named.retain(|found| !found.platforms.is_empty());
            }
        }
        Ok(named)
    }

    fn rootfs(&mut self, found: &Found) -> Result<Rootfs, RootfsError> {
        match &found.place {
            Place::Layout(pointer) => image::of_manifest(&self.files, pointer, &mut self.budget, self.store),
            Place::DockerArchive(manifest) => {
                image::of_docker_manifest(&self.files, manifest, &mut self.budget, self.store)
            }
        }
    }
}

impl Found {
    /// Whether this is its name, as engines complete it, or begins its id.
    fn is_called(&self, name: &str) -> bool {
        let id = name.strip_prefix("sha256:").unwrap_or(name);
        let is_id = id.len() >= 12 && self.id.hex().starts_with(id);
        is_id || self.names.iter().any(|own| own == name || short(own) == short(name))
    }
}

/// `NAME:TAG` without what engines complete it with.
fn short(name: &str) -> String {
    let completed = ["docker.io/library/", "docker.io/", "localhost/"].iter().find_map(|host| name.strip_prefix(host));
    let bare = completed.unwrap_or(name);
    let has_version = bare.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if has_version { bare.to_owned() } else { format!("{bare}:latest") }
}

/// The one that fits the machine best. Of one image's several forms for one machine the first counts, as for engines.
fn select<'f>(named: &'f [Found], wanted: Option<&Platform>) -> Result<&'f Found, RootfsError> {
    let fits = |found: &&Found| {
        let wanted = wanted.filter(|_| !found.platforms.is_empty());
        wanted.is_none_or(|wanted| found.platforms.iter().any(|there| there.fits(wanted)))
    };
    let fitting: Vec<&Found> = named.iter().filter(fits).collect();
    // There may be variants for newer machines before that which is for all.
    let is_exact = |found: &&&Found| wanted.is_some_and(|wanted| found.platforms.contains(wanted));
    let exact: Vec<&Found> = fitting.iter().filter(is_exact).copied().collect();
    let best = if exact.is_empty() { fitting } else { exact };
    match best[..] {
        [] => Err(RootfsError::no_platform(wanted, named.iter().flat_map(|found| &found.platforms))),
        [first, ..] if is_one_image(&best) => Ok(first),
        _ => Err(RootfsError::Several { there: list(&best.into_iter().cloned().collect::<Vec<_>>()) }),
    }
}

/// Whether these are forms of one image: they are in one index, or have one name and are for different machines.
fn is_one_image(found: &[&Found]) -> bool {
    let Some((first, others)) = found.split_first() else { return false };
    let platforms: BTreeSet<_> = found.iter().flat_map(|found| &found.platforms).collect();
    let is_for_each = platforms.len() == found.iter().map(|found| found.platforms.len()).sum::<usize>()
        && found.iter().all(|found| !found.platforms.is_empty());
    let is_like = |other: &&Found| match &first.index {
        Some(index) => other.index.as_ref() == Some(index),
        None => is_for_each && other.index.is_none() && other.names == first.names,
    };
    others.iter().all(is_like)
}

/// For each machine the one that is for it, in the order of the machines.
fn for_each_machine(named: &[Found]) -> Result<Vec<Found>, RootfsError> {
    let platforms: BTreeSet<&Platform> = named.iter().flat_map(|found| &found.platforms).collect();
    if platforms.len() > MOST_MACHINES {
        return Err(RootfsError::Machines { found: platforms.len(), limit: MOST_MACHINES });
    }
    if platforms.len() < 2 {
        return Ok(vec![select(named, platforms.first().copied())?.clone()]);
    }
    let mut ids = BTreeSet::new();
    let chosen = platforms.into_iter().map(|platform| select(named, Some(platform)).cloned());
    chosen.filter(|found| found.as_ref().map_or(true, |found| ids.insert(found.id))).collect()
}

/// Images as people can name them.
fn list(found: &[Found]) -> String {
    const SHOWN: usize = 20;
    let name = |found: &Found| {
        let name = found.names.first().cloned().unwrap_or_else(|| format!("sha256:{}", &found.id.hex()[..12]));
        let platforms = found.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let platforms = if platforms.is_empty() { platforms } else { format!(" ({platforms})") };
        format!("{name}{platforms}").escape_debug().to_string()
    };
    let mut names: Vec<String> = found.iter().take(SHOWN).map(name).collect();
    if found.len() > SHOWN {
        names.push(format!("{} more", found.len() - SHOWN));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The images of a layout: what its index leads to, each digest once.
fn in_layout(files: &Files) -> Result<Vec<Found>, RootfsError> {
    let mut walk =
        Walk { files, named: 0, found: Vec::new(), places: BTreeMap::new(), indexes: BTreeMap::new(), strange: None };
    let Pointers { manifests } = image::first_index(files)?;
    for pointer in &manifests {
        let names = pointer.names().cloned().collect::<Vec<_>>();
        walk.visit(pointer, &names, None, &mut BTreeSet::new(), 0)?;
    }
    match walk.strange {
        Some(error) if walk.found.is_empty() => Err(error),
        _ => Ok(walk.found),
    }
}

struct Walk<'f> {
    files: &'f Files,
    /// How many manifests and indexes were named so far.
    named: usize,
    found: Vec<Found>,
    /// The place of each image in `found`.
    places: BTreeMap<Digest, usize>,
    /// The indexes that were read.
    indexes: BTreeMap<Digest, Rc<Pointers>>,
    /// What is wrong with something that is named by another kind of digest: nothing, where there is something else.
    strange: Option<RootfsError>,
}

impl Walk<'_> {
    /// Visits what an index of the layout points to; `seen` are the indexes that were visited for the same names.
    fn visit(
        &mut self,
        pointer: &Pointer,
        names: &[String],
        index: Option<Digest>,
        seen: &mut BTreeSet<Digest>,
        depth: usize,
    ) -> Result<(), RootfsError> {
        let refuse = |message: String| Err(RootfsError::Document { name: "index.json".into(), message });
        self.named += 1;
        if self.named > MOST_NAMED {
            return refuse(format!("it leads to more than {MOST_NAMED} manifests and indexes"));
        }
        if !pointer.is_image() {
            return Ok(());
        }
        let id = match image::Blob::try_from(pointer) {
            Ok(blob) => blob.digest,
            Err(error) => {
                self.strange.get_or_insert(error);
                return Ok(());
            }
        };
        if !pointer.is_index() {
            self.add(pointer, id, names, index);
            return Ok(());
        }
        if !seen.insert(id) {
            return Ok(());
        }
        if depth == DEEPEST {
            return refuse("indexes are nested too deeply".into());
        }
        let nested = match self.indexes.get(&id) {
            Some(known) => known.clone(),
            None => Rc::new(image::index(self.files, pointer)?),
        };
        self.indexes.insert(id, nested.clone());
        for nested in &nested.manifests {
            self.visit(nested, names, Some(id), seen, depth + 1)?;
        }
        Ok(())
    }

    fn add(&mut self, pointer: &Pointer, id: Digest, names: &[String], index: Option<Digest>) {
        if let Some(known) = self.places.get(&id).and_then(|&at| self.found.get_mut(at)) {
            known.names.extend(names.iter().filter(|name| !known.names.contains(name)).cloned().collect::<Vec<_>>());
            known.platforms.extend(pointer.platform.clone());
            return;
        }
        self.places.insert(id, self.found.len());
        let (platforms, place) = (pointer.platform.clone().into_iter().collect(), Place::Layout(pointer.clone()));
        self.found.push(Found { names: names.to_vec(), id, platforms, index, place });
    }
}

/// The images of a docker-archive, each configuration read once.
fn in_docker_archive(files: &Files) -> Result<Vec<Found>, RootfsError> {
    let manifests = image::docker_manifests(files)?;
    if manifests.is_empty() {
        return Err(RootfsError::Missing { name: "image".into() });
    }
    if manifests.len() > MOST_NAMED {
        let message = format!("it names more than {MOST_NAMED} images");
        return Err(RootfsError::Document { name: "manifest.json".into(), message });
    }
    let mut ids: BTreeMap<RootPath, Digest> = BTreeMap::new();
    let mut found: Vec<Found> = Vec::new();
    for manifest in manifests {
        let place = files.place(&manifest.config)?;
        let id = match ids.get(&place) {
            Some(known) => *known,
            None => Digest::of(image::document(files, &manifest.config)?),
        };
        ids.insert(place, id);
        // The same image once for each of its names.
        match found.iter_mut().find(|known| known.id == id) {
            Some(known) => known.names.extend(manifest.repo_tags.iter().cloned()),
            None => {
                let names = manifest.repo_tags.clone();
                let place = Place::DockerArchive(manifest);
                found.push(Found { names, id, platforms: BTreeSet::new(), index: None, place });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
