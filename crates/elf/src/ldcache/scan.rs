//! What `ldconfig` finds in a root: the libraries of its directories by SONAME (`search_dir` in `elf/ldconfig.c`).

use std::collections::BTreeMap;
use std::io;

use super::{Entry, compare_names, flags};
use crate::elf::Facts;
use crate::system::{Libc, System, system_of};
use crate::text::{absolute, base_name};
use crate::view::View;
use minimg_tree::{Entry as Kind, Root, RootPath, RootTree};

/// The loaders of glibc in the tree, those where programs look for them first.
pub(super) fn loaders(view: &View<'_, RootTree>, tree: &RootTree) -> io::Result<Vec<System>> {
    let mut paths = Vec::new();
    for directory in ["/lib", "/lib64", "/lib32", "/libx32", "/usr/lib", "/usr/lib64"] {
        let names = list(view, directory.as_bytes())?;
        paths.extend(names.iter().map(|name| [directory.as_bytes(), b"/", name].concat()));
    }
    // One that was built for a prefix is anywhere.
    paths.extend(tree.iter().map(|(path, _)| absolute(path)));
    let mut found: Vec<System> = Vec::new();
    for path in paths.iter().filter(|path| is_loader_name(base_name(path))) {
        let Some(place) = view.file(path)? else { continue };
        let Some(object) = view.object(&place)? else { continue };
        if let Some(system) = system_of(path, &object).filter(|system| system.libc == Libc::Glibc)
            && !found.contains(&system)
        {
            found.push(system);
        }
    }
    Ok(found)
}

fn is_loader_name(name: &[u8]) -> bool {
    [b"ld-linux".as_slice(), b"ld64.so.", b"ld.so."].iter().any(|start| name.starts_with(start))
}

fn list<R: Root + ?Sized>(view: &View<'_, R>, directory: &[u8]) -> io::Result<Vec<Box<[u8]>>> {
    match view.place(directory)? {
        Ok(place) if place.entry == Kind::Directory => view.root().list(&place.path),
        _ => Ok(Vec::new()),
    }
}

/// The entries for the libraries in `directories`, each directory read once however many names it has.
pub(super) fn entries<R: Root + ?Sized>(
    view: &View<'_, R>,
    directories: &[Box<[u8]>],
    big: bool,
) -> io::Result<Vec<Entry>> {
    let mut seen: Vec<RootPath> = Vec::new();
    let mut entries = Vec::new();
    for directory in directories {
        let directory = without_slash(directory);
        let Ok(place) = view.place(directory)? else { continue };
        if place.entry != Kind::Directory || seen.contains(&place.path) {
            continue;
        }
        seen.push(place.path.clone());
        entries.extend(directory_entries(view, directory, None, big)?);
        let levels = [directory, b"/glibc-hwcaps"].concat();
        for level in list(view, &levels)? {
            let below = [&levels, b"/".as_slice(), &level].concat();
            entries.extend(directory_entries(view, &below, Some(&level), big)?);
        }
    }
    Ok(entries)
}

struct Best {
    name: Box<[u8]>,
    link: bool,
}

fn directory_entries<R: Root + ?Sized>(
    view: &View<'_, R>,
    directory: &[u8],
    level: Option<&[u8]>,
    big: bool,
) -> io::Result<Vec<Entry>> {
    let mut best: BTreeMap<(Box<[u8]>, u32), Best> = BTreeMap::new();
    for name in list(view, directory)?.into_iter().filter(|name| is_library_name(name)) {
        let path = [directory, b"/", &name].concat();
        let Some(place) = view.file(&path)? else { continue };
        let Some(object) = view.object(&place)? else { continue };
        let Ok(facts) = &object.facts else { continue };
        if facts.identity.encoding.big != big || facts.dynamic.is_none() || facts.is_pie() {
            continue;
        }
        let (key, link) = key_of(&name, facts, !place.file_links.is_empty());
        let new = Best { name, link };
        let entry = best.entry((key, flags(&facts.identity)));
        entry
            .and_modify(|known| {
                let newer = compare_names(&known.name, &new.name).is_lt();
                if (!new.link && known.link) || (new.link == known.link && newer) {
                    *known = Best { name: new.name.clone(), link: new.link };
                }
            })
            .or_insert(new);
    }
    best.into_iter()
        .map(|((key, flags), best)| {
            // ldconfig makes a link called as the SONAME; where there is none, the file itself will do.
            let by_name = [directory, b"/", &key].concat();
            let exists = level.is_none() && view.file(&by_name)?.is_some();
            let path = if exists { by_name } else { [directory, b"/", &best.name].concat() };
            Ok(Entry { name: key, path: path.into(), flags, level: level.map(Into::into) })
        })
        .collect()
}

/// The name under which `ldconfig` lists the file called `name`, and whether it counts as a link.
pub(super) fn key_of(name: &[u8], facts: &Facts, link: bool) -> (Box<[u8]>, bool) {
    let soname = facts.soname().unwrap_or(name);
    // A link counts by its own name when that is the SONAME, or the name without a version that the compiler asks for.
    let own = link && (soname == name || name.ends_with(b".so") && soname.starts_with(name));
    (if own { name } else { soname }.into(), own)
}

/// Whether `ldconfig` looks at a file of this name at all.
pub(super) fn is_library_name(name: &[u8]) -> bool {
    let name = base_name(name);
    let has_so = || name.windows(3).any(|window| window == b".so");
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    (starts(b"lib") || starts(b"ld-")) && has_so() || starts(b"ld.so.") || starts(b"ld64.so.")
}

/// A directory as it stands in the cache.
pub(super) fn without_slash(mut directory: &[u8]) -> &[u8] {
    while let [rest @ .., b'/'] = directory
        && !rest.is_empty()
    {
        directory = rest;
    }
    directory
}
