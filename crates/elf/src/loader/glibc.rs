//! Where glibc looks for a library (`_dl_map_object` in `elf/dl-load.c`).

use std::io;
use std::rc::Rc;

use super::candidate::Candidate;
use super::tokens::{Tokens, absolute, directories, expand, names_token};
use super::{Found, Loader, Opened, Process, Tried, Unused};
use crate::elf::{Dynamic, Facts};
use crate::system::System;
use crate::text::base_name;
use crate::view::{Object, Place};
use minimg_tree::Root;

/// One search: what was tried so far, and how much of the search is left.
struct Search<'a> {
    name: &'a [u8],
    system: &'a System,
    /// What `$PLATFORM` may stand for in this search.
    platforms: &'a [&'static str],
    /// Whether a list that was searched names `$PLATFORM`.
    saw_platform: bool,
    tried: Vec<Tried>,
}

/// Whether to go on with the next list.
enum Step {
    Found(Box<Opened>),
    Continue,
    EndsList,
    Stop,
}

impl<R: Root + ?Sized> Loader<'_, R> {
    pub(super) fn find_for_glibc(
        &self,
        process: &mut Process,
        system: &System,
        asker: usize,
        name: &[u8],
    ) -> io::Result<Found> {
        let names = match name.contains(&b'$') {
            false => vec![name.to_vec()],
            true => {
                let origin = origin(process, asker, &self.working_directory());
                expand(name, &Tokens { origin: &origin, system, platforms: system.platforms() })
            }
        };
        let Some(first) = names.first() else {
            let why = "a token in the name has no value";
            return Ok(Found::Nowhere(vec![Tried { path: name.into(), why }]));
        };
        if let Some(index) = process.named(first) {
            return Ok(Found::Known(index));
        }
        self.use_unnamed_interpreter(process, first);
        if let Some(index) = process.named(first) {
            return Ok(Found::Known(index));
        }
        let mut search =
            Search { name: first, system, platforms: system.platforms(), saw_platform: false, tried: Vec::new() };
        let found = if first.contains(&b'/') {
            self.try_directly(&mut search, &names)?
        } else {
            match self.search_lists(&mut search, process, asker, None)? {
                Some(mut found) => {
                    found.by_platform = search.saw_platform;
                    found.variants = self.variants(&mut search, process, asker)?;
                    Some(found)
                }
                None => self.search_levels(&mut search, process, asker)?,
            }
        };
        let name: &[u8] = first;
        let Some(found) = found else { return Ok(Found::Nowhere(search.tried)) };
        if let Some(index) = process.with_id(found.object.id) {
            process.learn_name(name, index);
            return Ok(Found::Known(index));
        }
        Ok(Found::New(found))
    }

    /// A library that is started by itself may name the loader.
    fn use_unnamed_interpreter(&self, process: &mut Process, name: &[u8]) {
        let is_it = |unused: &mut Unused| {
            base_name(&unused.path) == name || unused.object.facts.as_ref().ok().and_then(Facts::soname) == Some(name)
        };
        if let Some(unused) = process.unused_interpreter.take_if(is_it) {
            process.add_interpreter(&unused.path, unused.place, unused.object, None);
            let index = process.loaded.len() - 1;
            process.learn_name(name, index);
        }
    }

    /// A name with a slash is opened as it is; with `$PLATFORM` in it there are several.
    fn try_directly(&self, search: &mut Search<'_>, names: &[Vec<u8>]) -> io::Result<Option<Box<Opened>>> {
        let mut first: Option<Box<Opened>> = None;
        for name in names {
            let path = absolute(name.clone(), &self.working_directory());
            if let Step::Found(mut found) = self.step(search, path, None)? {
                found.by_platform = names.len() > 1;
                match &mut first {
                    Some(first) => first.variants.push(found.place),
                    None => first = Some(found),
                }
            }
        }
        Ok(first)
    }

    /// All lists in their order: RPATHs, `LD_LIBRARY_PATH`, RUNPATH, the cache, the system directories.
    fn search_lists(
        &self,
        search: &mut Search<'_>,
        process: &Process,
        asker: usize,
        level: Option<&'static str>,
    ) -> io::Result<Option<Box<Opened>>> {
        let working = self.working_directory();
        let dynamic = |index: usize| process.facts(index).and_then(|facts| facts.dynamic.as_ref());
        let runpath = |index: usize| dynamic(index).and_then(|d| d.runpath.as_deref());
        let platforms = search.platforms;
        let mut saw_platform = false;
        let mut list = |index: usize, path: &[u8], separators: &[u8]| {
            saw_platform |= names_token(path, b"PLATFORM");
            let origin = origin(process, index, &working);
            directories(path, separators, &Tokens { origin: &origin, system: search.system, platforms }, &working)
        };
        let mut lists = Vec::new();
        if runpath(asker).is_none() {
            let up = process.askers(asker);
            let program = (up.last() != Some(&0)).then_some(0);
            for index in up.into_iter().chain(program) {
                if let (Some(rpath), None) = (dynamic(index).and_then(|d| d.rpath.as_deref()), runpath(index)) {
                    lists.push(list(index, rpath, b":"));
                }
            }
        }
        if let Some(path) = self.settings.environment.get("LD_LIBRARY_PATH") {
            lists.push(list(0, path.as_bytes(), b":;"));
        }
        if let Some(path) = runpath(asker) {
            lists.push(list(asker, path, b":"));
        }
        search.saw_platform |= saw_platform;
        for list in lists {
            match self.search_list(search, &list, level)? {
                Step::Continue | Step::EndsList => {}
                Step::Found(found) => return Ok(Some(found)),
                Step::Stop => return Ok(None),
            }
        }
        let skips_system = dynamic(asker).is_some_and(Dynamic::skips_system_directories);
        match self.search_cache(search, skips_system, level)? {
            Step::Continue | Step::EndsList if !skips_system => {}
            Step::Found(found) => return Ok(Some(found)),
            Step::Continue | Step::EndsList | Step::Stop => return Ok(None),
        }
        let system: Vec<Vec<u8>> = search.system.directories.iter().map(|d| d.to_vec()).collect();
        Ok(match self.search_list(search, &system, level)? {
            Step::Found(found) => Some(found),
            Step::Continue | Step::EndsList | Step::Stop => None,
        })
    }

    fn search_list(&self, search: &mut Search<'_>, list: &[Vec<u8>], level: Option<&'static str>) -> io::Result<Step> {
        for directory in list {
            let mut path = directory.clone();
            if let Some(level) = level {
                path.extend_from_slice(level.as_bytes());
                path.push(b'/');
            }
            path.extend_from_slice(search.name);
            match self.step(search, path, level)? {
                Step::Continue => {}
                Step::EndsList => break,
                step => return Ok(step),
            }
        }
        Ok(Step::Continue)
    }

    fn search_cache(
        &self,
        search: &mut Search<'_>,
        skips_system: bool,
        level: Option<&'static str>,
    ) -> io::Result<Step> {
        let Some(path) = self.look_up_in_cache(search.name, search.system, level)? else { return Ok(Step::Continue) };
        if skips_system && search.system.directories.iter().any(|d| path.starts_with(d)) {
            return Ok(Step::Continue);
        }
        self.step(search, path.into(), level)
    }

    fn step(&self, search: &mut Search<'_>, path: Vec<u8>, level: Option<&'static str>) -> io::Result<Step> {
        let (why, step) = match self.try_path(&path, search.system)? {
            Candidate::Fits(place, object) => {
                let opened =
                    Opened { path: path.into(), place, object, level, by_platform: false, variants: Vec::new() };
                return Ok(Step::Found(Box::new(opened)));
            }
            Candidate::Skipped(why) => (why, Step::Continue),
            Candidate::EndsList(why) => (why, Step::EndsList),
            Candidate::Fatal(why) => (why, Step::Stop),
        };
        // The system directories are tried after the cache that has most of them; once is enough in a message.
        if !search.tried.iter().any(|tried| *tried.path == *path) {
            search.tried.push(Tried { path: path.into(), why });
        }
        Ok(step)
    }

    /// A library that exists only for better processors is found there, the least demanding first.
    fn search_levels(
        &self,
        search: &mut Search<'_>,
        process: &Process,
        asker: usize,
    ) -> io::Result<Option<Box<Opened>>> {
        let plain = search.tried.clone();
        for level in search.system.levels() {
            if let Some(found) = self.search_lists(search, process, asker, Some(level))? {
                return Ok(Some(found));
            }
        }
        search.tried = plain;
        Ok(None)
    }

    /// The same library for other processors: those that `$PLATFORM` may lead to, and those for better ones when they are wanted.
    fn variants(&self, search: &mut Search<'_>, process: &Process, asker: usize) -> io::Result<Vec<Rc<Place>>> {
        let mut variants = Vec::new();
        if search.saw_platform {
            for platform in search.system.platforms() {
                search.platforms = std::slice::from_ref(platform);
                variants.extend(self.search_lists(search, process, asker, None)?.map(|found| found.place));
            }
            search.platforms = search.system.platforms();
        }
        if self.settings.hwcaps {
            for level in search.system.levels() {
                variants.extend(self.search_lists(search, process, asker, Some(level))?.map(|found| found.place));
            }
        }
        Ok(variants)
    }
}

/// What `$ORIGIN` stands for: of the program the directory of its real path, of a library that of the path as it was found.
pub(super) fn origin(process: &Process, index: usize, working: &[u8]) -> Vec<u8> {
    let Some(loaded) = process.loaded.get(index) else { return Vec::new() };
    let path = match index {
        0 => [b"/", loaded.place.path.as_bytes()].concat(),
        _ => absolute(loaded.opened.to_vec(), working),
    };
    let end = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
    path[..end.max(1)].to_vec()
}

/// Kept for musl, which has no levels.
pub(super) fn plain(path: Vec<u8>, place: Rc<Place>, object: Rc<Object>) -> Opened {
    Opened { path: path.into(), place, object, level: None, by_platform: false, variants: Vec::new() }
}
