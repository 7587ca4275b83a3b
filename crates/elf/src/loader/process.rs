//! One started program: what is loaded, in which order, who asked for it, and what is missing.

use std::collections::HashMap;
use std::rc::Rc;

use super::Opened;
use crate::elf::{Dependency, Facts};
use crate::error::MissingFile;
use crate::system::{Libc, System};
use crate::text::show;
use crate::view::{Object, Place};
use minimg_tree::FileId;

/// How something came into a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It is the program.
    Program,
    /// It is the program's interpreter, the loader.
    Interpreter,
    /// `LD_PRELOAD` or `/etc/ld.so.preload`.
    Preloaded,
    /// DT_AUDIT.
    Audit,
    /// DT_NEEDED.
    Needed,
    /// DT_AUXILIARY.
    Auxiliary,
    /// DT_FILTER.
    Filter,
    /// `dlopen`.
    Opened,
}

impl Role {
    pub(super) fn of(kind: Dependency) -> Self {
        match kind {
            Dependency::Needed => Role::Needed,
            Dependency::Auxiliary => Role::Auxiliary,
            Dependency::Filter => Role::Filter,
        }
    }
}

/// A file in a process.
#[derive(Debug)]
pub struct Loaded {
    /// How it came in.
    pub role: Role,
    /// The name that was asked for first.
    pub name: Box<[u8]>,
    /// The path by which it was opened.
    pub opened: Box<[u8]>,
    /// Where that leads.
    pub place: Rc<Place>,
    /// The file.
    pub object: Rc<Object>,
    /// The object that asked for it first; `None` for the program.
    pub asker: Option<usize>,
    /// The objects that it names itself.
    pub depends: Vec<usize>,
    /// The processor level without which it is not found.
    pub level: Option<&'static str>,
    /// Whether a list with `$PLATFORM` was searched for it, so that other processors may get one of the variants.
    pub by_platform: bool,
    /// The same library for other processors.
    pub variants: Vec<Rc<Place>>,
    /// For what is opened while the program runs: how that is known.
    pub why: Option<Box<str>>,
    visited: bool,
}

/// A path that was tried and why it did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which path.
    pub path: Box<[u8]>,
    /// Why not.
    pub why: &'static str,
}

/// A name that led to no usable file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name.
    pub name: Box<[u8]>,
    /// How it was asked for.
    pub role: Role,
    /// Who asked.
    pub asker: usize,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
}

/// A loader that nothing has asked for.
#[derive(Debug)]
pub(super) struct Unused {
    pub(super) path: Box<[u8]>,
    pub(super) place: Rc<Place>,
    pub(super) object: Rc<Object>,
}

/// A started program.
#[derive(Debug)]
pub struct Process {
    /// Everything that is loaded, in the order in which it was; the program is the first.
    pub loaded: Vec<Loaded>,
    /// The order in which symbols are looked up, as places in `loaded`.
    pub order: Vec<usize>,
    /// What is missing.
    pub missing: Vec<Missing>,
    /// Files that the loader reads and that decided what is loaded: `/etc/ld.so.preload`, musl's list of directories.
    pub consulted: Vec<Rc<Place>>,
    /// The loader; `None` for a static program.
    pub system: Option<Rc<System>>,
    /// The loader of a library that was loaded by itself: there, but not asked for.
    pub(super) unused_interpreter: Option<Unused>,
    names: HashMap<Box<[u8]>, usize>,
    ids: HashMap<FileId, usize>,
    next: usize,
}

impl Process {
    pub(super) fn begin(path: &[u8], place: Rc<Place>, object: Rc<Object>) -> Self {
        let mut process = Self {
            loaded: Vec::new(),
            order: Vec::new(),
            missing: Vec::new(),
            consulted: Vec::new(),
            system: None,
            unused_interpreter: None,
            names: HashMap::new(),
            ids: HashMap::new(),
            next: 0,
        };
        process.push(path, path, place, object, None, Role::Program);
        process.order.push(0);
        process
    }

    /// The facts of a loaded file.
    pub fn facts(&self, index: usize) -> Option<&Facts> {
        self.loaded.get(index)?.object.facts.as_ref().ok()
    }

    /// Whose loader loads the program; `None` for a static program.
    pub fn libc(&self) -> Option<Libc> {
        self.system.as_ref().map(|system| system.libc)
    }

    /// The names of those who asked, from `index` up to the program.
    pub fn askers(&self, index: usize) -> Vec<usize> {
        std::iter::successors(Some(index), |&at| self.loaded[at].asker).collect()
    }

    /// The loaded object of this name, if there is one.
    pub fn named(&self, name: &[u8]) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// A missing name with the chain of those who asked, from the program down.
    pub(crate) fn describe(&self, missing: &Missing) -> MissingFile {
        let mut chain: Vec<String> =
            self.askers(missing.asker).into_iter().map(|at| self.loaded[at].place.path.to_string()).collect();
        chain.reverse();
        let tried = missing.tried.iter().map(|tried| (show(&tried.path), tried.why)).collect();
        let what = if missing.role == Role::Interpreter { "loader" } else { "library" };
        MissingFile { name: show(&missing.name), what, chain, tried, advice: None }
    }

    pub(super) fn object(&self, index: usize) -> &Object {
        &self.loaded[index].object
    }

    pub(super) fn with_id(&self, id: FileId) -> Option<usize> {
        self.ids.get(&id).copied()
    }

    pub(super) fn consult(&mut self, file: Rc<Place>) {
        if !self.consulted.contains(&file) {
            self.consulted.push(file);
        }
    }

    pub(super) fn learn_name(&mut self, name: &[u8], index: usize) {
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), index);
        }
    }

    pub(super) fn add_interpreter(
        &mut self,
        name: &[u8],
        place: Rc<Place>,
        object: Rc<Object>,
        system: Option<Rc<System>>,
    ) {
        if let Some(system) = system {
            self.system = Some(system);
        }
        let index = self.push(name, name, place, object, Some(0), Role::Interpreter);
        self.learn_name(name, index);
        // It is not walked: it needs nothing, and comes into the order when a library names it.
        self.loaded[index].visited = true;
    }

    pub(super) fn add(&mut self, new: Opened, asker: usize, name: &[u8], role: Role) -> usize {
        let index = self.push(name, &new.path, new.place, new.object, Some(asker), role);
        self.learn_name(name, index);
        self.learn_name(&new.path, index);
        self.loaded[index].level = new.level;
        self.loaded[index].by_platform = new.by_platform;
        self.loaded[index].variants = new.variants;
        self.order.push(index);
        index
    }

    fn push(
        &mut self,
        name: &[u8],
        opened: &[u8],
        place: Rc<Place>,
        object: Rc<Object>,
        asker: Option<usize>,
        role: Role,
    ) -> usize {
        let index = self.loaded.len();
        self.ids.entry(object.id).or_insert(index);
        // musl does not match by SONAME.
        if self.libc() != Some(Libc::Musl)
            && let Some(soname) = object.facts.as_ref().ok().and_then(Facts::soname)
        {
            self.learn_name(soname, index);
        }
        self.loaded.push(Loaded {
            role,
            name: name.into(),
            opened: opened.into(),
            place,
            object,
            asker,
            depends: Vec::new(),
            level: None,
            by_platform: false,
            variants: Vec::new(),
            why: None,
            visited: false,
        });
        index
    }

    pub(super) fn add_missing(&mut self, asker: usize, name: &[u8], role: Role, tried: Vec<Tried>) {
        let known = |m: &Missing| m.asker == asker && *m.name == *name;
        if !self.missing.iter().any(known) {
            self.missing.push(Missing { name: name.into(), role, asker, tried });
        }
    }

    pub(super) fn depend(&mut self, asker: usize, on: usize) {
        let depends = &mut self.loaded[asker].depends;
        if !depends.contains(&on) {
            depends.push(on);
        }
        if self.loaded[on].role == Role::Interpreter && !self.order.contains(&on) {
            self.order.push(on);
        }
    }

    /// The next object whose names are to be read, with its place in the order.
    pub(super) fn next_unvisited(&mut self) -> Option<(usize, usize)> {
        while let Some(&index) = self.order.get(self.next) {
            if !std::mem::replace(&mut self.loaded[index].visited, true) {
                return Some((self.next, index));
            }
            self.next += 1;
        }
        None
    }

    /// Filters and auxiliaries stand in the order before the object at `position`, which named them, and are visited next.
    pub(super) fn move_before(&mut self, position: usize, objects: &[usize]) {
        let mut position = position;
        for object in objects {
            let Some(at) = self.order.iter().position(|o| o == object) else { continue };
            if at > position {
                self.order.remove(at);
                self.order.insert(position, *object);
                position += 1;
            }
        }
    }
}
