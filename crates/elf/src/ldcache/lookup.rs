//! The cache as the walk asks it: from the root's file, or as `ldconfig` would write it, found out name by name.

use std::collections::BTreeMap;
use std::io;

use super::scan::{is_library_name, key_of, without_slash};
use super::{CacheSource, Entry, directories, flags, read};
use crate::elf::Identity;
use crate::system::System;
use crate::view::View;
use minimg_tree::{Root, RootPath};

/// What answers for the cache.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// No cache.
    None,
    /// The entries of the root's file by name.
    Shipped(BTreeMap<Box<[u8]>, Vec<Entry>>),
    /// What `ldconfig` would list: the files in these directories, each once.
    Computed(Vec<Box<[u8]>>),
}

impl Lookup {
    pub(crate) fn new<R: Root + ?Sized>(view: &View<'_, R>, source: CacheSource, system: &System) -> io::Result<Self> {
        let Some(path) = &system.cache else { return Ok(Lookup::None) };
        let shipped = match source {
            CacheSource::Computed => None,
            // The loader ignores a cache that it cannot read.
            CacheSource::Shipped | CacheSource::Either => view.content(path)?.and_then(|bytes| read(&bytes).ok()),
        };
        if let Some(entries) = shipped {
            let mut by_name: BTreeMap<Box<[u8]>, Vec<Entry>> = BTreeMap::new();
            for entry in entries {
                by_name.entry(entry.name.clone()).or_default().push(entry);
            }
            return Ok(Lookup::Shipped(by_name));
        }
        if source == CacheSource::Shipped {
            return Ok(Lookup::None);
        }
        let mut seen: Vec<RootPath> = Vec::new();
        let mut kept = Vec::new();
        for directory in directories(view, system)? {
            let directory = without_slash(&directory);
            if let Ok(place) = view.place(directory)?
                && !seen.contains(&place.path)
            {
                seen.push(place.path.clone());
                kept.push(directory.into());
            }
        }
        Ok(Lookup::Computed(kept))
    }

    /// The path that the cache gives for `name`.
    pub(crate) fn find<R: Root + ?Sized>(
        &self,
        view: &View<'_, R>,
        name: &[u8],
        identity: &Identity,
        level: Option<&'static str>,
    ) -> io::Result<Option<Box<[u8]>>> {
        match self {
            Lookup::None => Ok(None),
            Lookup::Shipped(entries) => {
                let ours = [1, 3, flags(identity)];
                let wanted = level.map(|level| level.strip_prefix("glibc-hwcaps/").unwrap_or(level).as_bytes());
                let fits = |e: &&Entry| ours.contains(&e.flags) && e.level.as_deref() == wanted;
                Ok(entries.get(name).and_then(|entries| entries.iter().find(fits)).map(|entry| entry.path.clone()))
            }
            Lookup::Computed(directories) if !name.contains(&b'/') && is_library_name(name) => {
                for directory in directories {
                    if let Some(found) = in_directory(view, directory, name, identity, level)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Lookup::Computed(_) => Ok(None),
        }
    }
}

/// Whether `ldconfig` would list a file of this directory under `name` for this loader. Only a file of that very name is looked at: in
/// every root that a package manager made, a library has its SONAME as one of its names.
fn in_directory<R: Root + ?Sized>(
    view: &View<'_, R>,
    directory: &[u8],
    name: &[u8],
    identity: &Identity,
    level: Option<&'static str>,
) -> io::Result<Option<Box<[u8]>>> {
    let path = match level {
        None => [directory, b"/", name].concat(),
        // The cache that is written lists no others.
        Some(level) if !level.starts_with("glibc-hwcaps/") => return Ok(None),
        Some(level) => [directory, b"/", level.as_bytes(), b"/", name].concat(),
    };
    let Some(place) = view.file(&path)? else { return Ok(None) };
    let Some(object) = view.object(&place)? else { return Ok(None) };
    let Ok(facts) = &object.facts else { return Ok(None) };
    let listed = *key_of(name, facts, !place.file_links.is_empty()).0 == *name;
    Ok((listed && facts.identity.fits(identity)).then(|| path.into()))
}
