//! `/etc/ld.so.cache`: the list of libraries by SONAME that glibc's loader searches before its system directories.
//!
//! `format` reads and writes the file (`sysdeps/generic/dl-cache.h`), `scan` finds what `ldconfig` would find in a root
//! (`elf/ldconfig.c`), `conf` reads `ld.so.conf`, and `lookup` answers the walk without scanning whole directories.

mod conf;
mod format;
mod lookup;
mod scan;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::elf::Identity;
use crate::error::ClosureError;
use crate::system::System;
use crate::text::show;
use crate::view::View;
use minimg_tree::{Root, RootPath, RootTree, resolve};

pub use format::{CacheError, Entry, read, write};
pub(crate) use lookup::Lookup;

/// Where `/etc/ld.so.cache` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheSource {
    /// The one that minimg writes for the image: what `ldconfig` would find in the root.
    #[default]
    Computed,
    /// The file in the root, as it is; without it there is no cache.
    Shipped,
    /// The file in the root, or else a computed one.
    Either,
}

/// Where loaders expect the cache, unless they were built for a prefix.
pub const PATH: &str = "/etc/ld.so.cache";

/// The caches for an image that holds `pruned`, of which `full` is the tree before pruning: `ld.so.conf` is read from there, since an
/// image has no use for that file. There is one for each place in which a glibc loader of the image looks for its cache; none when there
/// is no such loader, so that nobody would read a cache.
///
/// # Errors
/// When files of the trees cannot be read.
pub fn for_tree(pruned: &RootTree, full: &RootTree) -> Result<BTreeMap<RootPath, Vec<u8>>, ClosureError> {
    let view = View::new(pruned);
    let io = |source| ClosureError::Io { path: PATH.to_owned(), source };
    let mut readers: BTreeMap<Box<[u8]>, Vec<System>> = BTreeMap::new();
    for system in scan::loaders(&view, pruned).map_err(io)? {
        if let Some(cache) = &system.cache {
            readers.entry(cache.clone()).or_default().push(system);
        }
    }
    let mut caches = BTreeMap::new();
    for (cache, systems) in readers {
        let io = |source| ClosureError::Io { path: show(&cache), source };
        let Some(first) = systems.first() else { continue };
        let big = first.identity.encoding.big;
        let mut directories = conf::directories(&View::new(full), &conf_of(&cache)).map_err(io)?;
        directories.extend(systems.iter().flat_map(|system| system.directories.iter().cloned()));
        let entries = scan::entries(&view, &directories, big).map_err(io)?;
        caches.insert(place_of(pruned, &cache), write(&entries, big));
    }
    Ok(caches)
}

/// The directories that `ldconfig` searches in a root for a loader.
pub(crate) fn directories<R: Root + ?Sized>(view: &View<'_, R>, system: &System) -> std::io::Result<Vec<Box<[u8]>>> {
    let conf = system.cache.as_deref().map_or_else(Vec::new, conf_of);
    let mut directories = conf::directories(view, &conf)?;
    directories.extend(system.directories.iter().cloned());
    Ok(directories)
}

/// The configuration from which `ldconfig` writes this cache: the two are built with the same directory.
fn conf_of(cache: &[u8]) -> Vec<u8> {
    let stem = cache.strip_suffix(b"cache").unwrap_or(cache);
    [stem, b"conf"].concat()
}

/// Where the cache has to be put for the loader to find it, in a tree whose directories may be links.
fn place_of(tree: &RootTree, cache: &[u8]) -> RootPath {
    let path = RootPath::root().join_clamped(cache);
    let parent = path.parent().unwrap_or_default();
    let real = resolve(tree, &RootPath::root(), parent.as_bytes()).map_or(parent, |found| found.path);
    real.child(path.file_name())
}

/// The flags by which loaders know the entries that are for them (`sysdeps/generic/ldconfig.h`).
pub fn flags(identity: &Identity) -> u32 {
    use goblin::elf::header as h;
    let (wide, e_flags) = (identity.encoding.wide, identity.flags);
    let required = match (identity.machine, wide) {
        (h::EM_X86_64, true) => 0x0300,
        (h::EM_X86_64, false) => 0x0800,
        (h::EM_S390, true) => 0x0400,
        (h::EM_PPC64, _) => 0x0500,
        (h::EM_SPARCV9, _) => 0x0100,
        (h::EM_IA_64, _) => 0x0200,
        (h::EM_AARCH64, true) => 0x0a00,
        (h::EM_ARM, _) if e_flags & 0x400 != 0 => 0x0900,
        (h::EM_ARM, _) if e_flags & 0x200 != 0 => 0x0b00,
        (h::EM_RISCV, _) if e_flags & 0x6 == 0x4 => 0x1000,
        (h::EM_RISCV, _) => 0x0f00,
        (h::EM_LOONGARCH, _) if e_flags & 0x7 == 0x3 => 0x1200,
        (h::EM_LOONGARCH, _) => 0x1100,
        (h::EM_MIPS, _) => match (wide, e_flags & 0x20 != 0, e_flags & 0x400 != 0) {
            (true, _, false) => 0x0700,
            (true, _, true) => 0x0e00,
            (false, true, false) => 0x0600,
            (false, true, true) => 0x0d00,
            (false, false, false) => 0,
            (false, false, true) => 0x0c00,
        },
        _ => 0,
    };
    required | 3
}

/// The order of names in the cache, which compares numbers in them by value (`_dl_cache_libcmp` in `elf/dl-cache.c`). The loader
/// searches by halves in exactly this order.
pub fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    let number = |bytes: &mut std::iter::Peekable<std::iter::Copied<std::slice::Iter<'_, u8>>>| {
        let mut value = 0i32;
        while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
            value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        }
        value
    };
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(x), y) if x.is_ascii_digit() => {
                if !y.is_some_and(|y| y.is_ascii_digit()) {
                    return Ordering::Greater;
                }
                match number(&mut a).cmp(&number(&mut b)) {
                    Ordering::Equal => {}
                    unequal => return unequal,
                }
            }
            (Some(_), Some(y)) if y.is_ascii_digit() => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x == y => {
                a.next();
                b.next();
            }
            (Some(x), Some(y)) => return x.cmp(&y),
        }
    }
}
