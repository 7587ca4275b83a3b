//! All programs, libraries and scripts of a root.

use std::io;

use goblin::elf::header::{ET_DYN, ET_EXEC};

use crate::elf::is_elf;
use crate::view::View;
use minimg_tree::{Entry, FileId, Root, RootPath};

/// What there is to check, sorted by path; a file with several names is there once.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) programs: Vec<RootPath>,
    pub(super) libraries: Vec<RootPath>,
    pub(super) scripts: Vec<RootPath>,
    /// What this user may not look at: directories, and files that may be programs or libraries.
    pub(super) unreadable: Vec<RootPath>,
}

/// Directories that the kernel fills while a container runs.
const NOT_FILES: [&[u8]; 3] = [b"proc", b"sys", b"dev"];

pub(super) fn take<R: Root + ?Sized>(view: &View<'_, R>) -> io::Result<Inventory> {
    let mut inventory = Inventory::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut pending = vec![RootPath::root()];
    while let Some(directory) = pending.pop() {
        let names = match view.root().list(&directory) {
            Err(error) if is_forbidden(&error) => {
                inventory.unreadable.push(directory);
                continue;
            }
            Err(error) if is_gone(&error) => continue,
            names => names?,
        };
        let top = directory.is_root();
        for name in names.into_iter().filter(|name| !top || !NOT_FILES.contains(&&**name)) {
            let path = directory.child(&name);
            let entry = match view.root().entry(&path) {
                // A directory that may be listed but not searched.
                Err(error) if is_forbidden(&error) => {
                    inventory.unreadable.push(directory);
                    break;
                }
                entry => entry?,
            };
            match entry {
                Some(Entry::Directory) => pending.push(path),
                Some(Entry::File { mode, size, id }) if size >= 4 && may_matter(mode, &name) && seen.insert(id) => {
                    sort_in(view, path, mode, id, &mut inventory)?;
                }
                _ => {}
            }
        }
    }
    inventory.programs.sort();
    inventory.libraries.sort();
    inventory.scripts.sort();
    inventory.unreadable.sort();
    Ok(inventory)
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// What was removed meanwhile is not checked.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// What is loaded or run is executable, or a library by its name; other files are not opened at all.
fn may_matter(mode: u32, name: &[u8]) -> bool {
    mode & 0o111 != 0 || name.windows(3).any(|part| part == b".so") || name.ends_with(b".node")
}

fn sort_in<R: Root + ?Sized>(
    view: &View<'_, R>,
    path: RootPath,
    mode: u32,
    id: FileId,
    inventory: &mut Inventory,
) -> io::Result<()> {
    let bytes = match view.root().read(&path) {
        Err(error) if is_forbidden(&error) => {
            inventory.unreadable.push(path);
            return Ok(());
        }
        Err(error) if is_gone(&error) => return Ok(()),
        bytes => bytes?,
    };
    if bytes.starts_with(b"#!") {
        if mode & 0o111 != 0 {
            inventory.scripts.push(path);
        }
        return Ok(());
    }
    if !is_elf(&bytes) {
        return Ok(());
    }
    let object = view.adopt(id, bytes);
    match &object.facts {
        Ok(facts) if facts.kind != ET_DYN && facts.kind != ET_EXEC => {}
        Ok(facts) if facts.is_program() && !facts.is_library_named(path.file_name()) => inventory.programs.push(path),
        Ok(_) => inventory.libraries.push(path),
        Err(_) => {}
    }
    Ok(())
}
