//! A root as the loader sees it: every look-up and every parsed file is remembered, since programs share most of their libraries.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use crate::elf::{ElfError, Facts, is_elf};
use minimg_tree::{Entry, FileId, MAX_LINKS, ResolveError, Root, RootPath, resolve};

/// Where a name leads, and what was followed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path without links.
    pub path: RootPath,
    /// Links to directories on the way, in order.
    pub directory_links: Vec<RootPath>,
    /// Directories that the way goes into and leaves by `..`, in order.
    pub left: Vec<RootPath>,
    /// Links to the file itself, in order; the last one leads to [`Place::path`].
    pub file_links: Vec<RootPath>,
    /// What is there.
    pub entry: Entry,
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing has that name.
    Nothing,
    /// Too many links.
    Loop,
    /// It may not be looked at.
    Forbidden,
}

impl Absent {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Absent::Nothing => "absent",
            Absent::Loop => "a link that leads to itself",
            Absent::Forbidden => "not readable",
        }
    }
}

/// An ELF file, or what should be one; parsed once for all programs.
#[derive(Debug)]
pub struct Object {
    /// Which file.
    pub id: FileId,
    /// Its content.
    pub bytes: Bytes,
    /// What is in it.
    pub facts: Result<Facts, ElfError>,
}

type Found = Result<Rc<Place>, Absent>;
type FoundDirectory = Result<Rc<Directory>, Absent>;

/// A root with a memory.
pub struct View<'r, R: ?Sized> {
    root: &'r R,
    entries: RefCell<HashMap<RootPath, Result<Entry, Absent>>>,
    places: RefCell<HashMap<Box<[u8]>, Found>>,
    directories: RefCell<HashMap<Box<[u8]>, FoundDirectory>>,
    objects: RefCell<HashMap<FileId, Rc<Object>>>,
}

struct Directory {
    path: RootPath,
    links: Vec<RootPath>,
    left: Vec<RootPath>,
}

impl<'r, R: Root + ?Sized> View<'r, R> {
    /// A view of `root` that remembers nothing yet.
    pub fn new(root: &'r R) -> Self {
        Self {
            root,
            entries: RefCell::default(),
            places: RefCell::default(),
            directories: RefCell::default(),
            objects: RefCell::default(),
        }
    }

    /// The root itself.
    pub fn root(&self) -> &'r R {
        self.root
    }

    /// Follows the absolute path `name`, or one relative to the root directory, to what is there.
    ///
    /// # Errors
    /// When the root cannot be read. That nothing is there is not one.
    pub fn place(&self, name: &[u8]) -> io::Result<Found> {
        if let Some(known) = self.places.borrow().get(name) {
            return Ok(known.clone());
        }
        let found = self.look_up(name)?;
        self.places.borrow_mut().insert(name.into(), found.clone());
        Ok(found)
    }

    /// As [`View::place`], for regular files only.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn file(&self, name: &[u8]) -> io::Result<Option<Rc<Place>>> {
        Ok(self.place(name)?.ok().filter(|place| matches!(place.entry, Entry::File { .. })))
    }

    /// The content of the regular file that `name` leads to.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn content(&self, name: &[u8]) -> io::Result<Option<Bytes>> {
        match self.file(name)? {
            Some(place) => self.read(&place.path),
            None => Ok(None),
        }
    }

    /// The ELF file at a place; `None` when that is not a regular file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn object(&self, place: &Place) -> io::Result<Option<Rc<Object>>> {
        let Entry::File { id, .. } = place.entry else { return Ok(None) };
        if let Some(object) = self.objects.borrow().get(&id) {
            return Ok(Some(object.clone()));
        }
        Ok(self.read(&place.path)?.map(|bytes| self.adopt(id, bytes)))
    }

    /// The content of a file; `None` when something has removed it since it was found.
    fn read(&self, path: &RootPath) -> io::Result<Option<Bytes>> {
        match self.root.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        }
    }

    /// The content of the regular file at a place, and the ELF file that it is, if it is one; read and parsed once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look_into(&self, place: &Place) -> io::Result<(Bytes, Option<Rc<Object>>)> {
        let Entry::File { id, .. } = place.entry else { return Ok((Bytes::new(), None)) };
        if let Some(object) = self.objects.borrow().get(&id) {
            return Ok((object.bytes.clone(), Some(object.clone()).filter(|object| is_elf(&object.bytes))));
        }
        let Some(bytes) = self.read(&place.path)? else { return Ok((Bytes::new(), None)) };
        let object = is_elf(&bytes).then(|| self.adopt(id, bytes.clone()));
        Ok((bytes, object))
    }

    /// Remembers the content of a file that was read already.
    pub fn adopt(&self, id: FileId, bytes: Bytes) -> Rc<Object> {
        let facts = Facts::parse(&bytes);
        let object = Rc::new(Object { id, bytes, facts });
        self.objects.borrow_mut().insert(id, object.clone());
        object
    }

    fn look_up(&self, name: &[u8]) -> io::Result<Found> {
        let mut name = name.to_vec();
        let (mut directory_links, mut file_links, mut left) = (Vec::new(), Vec::new(), Vec::new());
        while directory_links.len() + file_links.len() <= MAX_LINKS {
            let split = name.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
            let (directory, base) = name.split_at(split);
            if matches!(base, b"" | b"." | b"..") {
                return Ok(self.directory(&name)?.map(|directory| {
                    directory_links.extend(directory.links.iter().cloned());
                    left.extend(directory.left.iter().cloned());
                    let path = directory.path.clone();
                    Rc::new(Place { path, directory_links, left, file_links, entry: Entry::Directory })
                }));
            }
            let directory = match self.directory(directory)? {
                Ok(directory) => directory,
                Err(absent) => return Ok(Err(absent)),
            };
            directory_links.extend(directory.links.iter().cloned());
            left.extend(directory.left.iter().cloned());
            let path = directory.path.child(base);
            match self.entry(&path)? {
                Err(absent) => return Ok(Err(absent)),
                Ok(Entry::Symlink(target)) => {
                    file_links.push(path);
                    name = if target.first() == Some(&b'/') { target.into() } else { below(&directory.path, &target) };
                }
                Ok(entry) => return Ok(Ok(Rc::new(Place { path, directory_links, left, file_links, entry }))),
            }
        }
        Ok(Err(Absent::Loop))
    }

    /// What is at a path whose directories are real ones, looked at once.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn entry(&self, path: &RootPath) -> io::Result<Result<Entry, Absent>> {
        if let Some(known) = self.entries.borrow().get(path) {
            return Ok(known.clone());
        }
        let found = match self.root.entry(path) {
            Ok(Some(entry)) => Ok(entry),
            Ok(None) => Err(Absent::Nothing),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Absent::Forbidden),
            // A name of more than 255 bytes can be asked for and never exists.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Err(Absent::Nothing),
            Err(error) => return Err(error),
        };
        self.entries.borrow_mut().insert(path.clone(), found.clone());
        Ok(found)
    }

    fn directory(&self, name: &[u8]) -> io::Result<FoundDirectory> {
        if let Some(known) = self.directories.borrow().get(name) {
            return Ok(known.clone());
        }
        let found = match resolve(self.root, &RootPath::root(), name) {
            Ok(found) if found.entry == Some(Entry::Directory) => {
                Ok(Rc::new(Directory { path: found.path, links: found.hops, left: found.left }))
            }
            Ok(_) | Err(ResolveError::NotADirectory(_) | ResolveError::NotFound(_)) => Err(Absent::Nothing),
            Err(ResolveError::Loop(_)) => Err(Absent::Loop),
            Err(ResolveError::Io(error)) => match error.kind() {
                io::ErrorKind::PermissionDenied => Err(Absent::Forbidden),
                io::ErrorKind::InvalidFilename => Err(Absent::Nothing),
                _ => return Err(error),
            },
        };
        self.directories.borrow_mut().insert(name.into(), found.clone());
        Ok(found)
    }
}

fn below(directory: &RootPath, target: &[u8]) -> Vec<u8> {
    [b"/", directory.as_bytes(), b"/", target].concat()
}
