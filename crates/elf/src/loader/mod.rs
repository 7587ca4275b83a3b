//! The loader: which files a program's start brings into memory, found as the root's own loader would find them.
//!
//! Each program is a [`Process`] of its own with its own table of names; only looked-up paths and parsed files are shared, through a
//! [`View`]. The rules of glibc (`elf/dl-load.c`, `elf/dl-deps.c`) are in `glibc`, those of musl (`ldso/dynlink.c`) in `musl`; which of
//! them hold is decided by the interpreter's base name. Nothing here looks at the machine that runs it.

mod candidate;
mod glibc;
mod musl;
mod process;
mod tokens;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;

use process::Unused;
pub use process::{Loaded, Missing, Process, Role, Tried};

pub(crate) use tokens::names_origin;

pub use crate::ldcache::CacheSource;

use crate::elf::Identity;
use crate::ldcache::Lookup;
use crate::system::{Libc, System, usual_interpreters};
use crate::text;
use crate::view::{Absent, Object, Place, View};
use minimg_tree::{Root, RootPath};

/// What a program's environment tells the loader, and how the walk is done.
#[derive(Debug, Clone, Default)]
pub struct LoaderSettings {
    /// `LD_LIBRARY_PATH` and `LD_PRELOAD` of the image count.
    pub environment: BTreeMap<String, String>,
    /// The directory that programs start in.
    pub working_directory: RootPath,
    /// Which cache is searched.
    pub cache: CacheSource,
    /// Whether the variants for better processors (`glibc-hwcaps`) are found too.
    pub hwcaps: bool,
}

/// A name or path as the files have it.
pub(crate) type Name = Box<[u8]>;

/// Finds what programs of one root load.
pub struct Loader<'r, R: Root + ?Sized> {
    view: View<'r, R>,
    settings: LoaderSettings,
    systems: RefCell<HashMap<Name, Option<Started>>>,
    lookups: RefCell<Vec<(System, Rc<Lookup>)>>,
    preloads: RefCell<HashMap<Name, Option<Preloads>>>,
}

/// An interpreter that is there.
#[derive(Debug, Clone)]
struct Started {
    system: Rc<System>,
    place: Rc<Place>,
    object: Rc<Object>,
}

/// A file that names libraries to be loaded into every program.
#[derive(Debug, Clone)]
struct Preloads {
    place: Rc<Place>,
    names: Rc<Vec<Name>>,
}

impl<'r, R: Root + ?Sized> Loader<'r, R> {
    /// A loader for the programs of `root`.
    pub fn new(root: &'r R, settings: LoaderSettings) -> Self {
        Self {
            view: View::new(root),
            settings,
            systems: RefCell::default(),
            lookups: RefCell::default(),
            preloads: RefCell::default(),
        }
    }

    /// The root and what is remembered of it.
    pub fn view(&self) -> &View<'r, R> {
        &self.view
    }

    /// The settings that the loader was made with.
    pub fn settings(&self) -> &LoaderSettings {
        &self.settings
    }

    /// Starts the program at `path`, which must be an ELF file, and loads all that it needs. What is missing is listed in the
    /// [`Process`]; that is no failure of the walk.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn start(&self, path: &[u8]) -> io::Result<Option<Process>> {
        let Some(mut process) = self.begin(path)? else { return Ok(None) };
        self.add_interpreter(&mut process)?;
        self.load_all(process)
    }

    /// Loads the library at `path` by itself, as a program that opens it would. The interpreter that it may have is not asked for: it only
    /// tells which loader that program is likely to have.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn start_library(&self, path: &[u8]) -> io::Result<Option<Process>> {
        let Some(mut process) = self.begin(path)? else { return Ok(None) };
        self.lend_loader(&mut process)?;
        self.load_all(process)
    }

    fn begin(&self, path: &[u8]) -> io::Result<Option<Process>> {
        let Some(place) = self.view.file(path)? else { return Ok(None) };
        let object = self.view.object(&place)?.filter(|object| object.facts.is_ok());
        Ok(object.map(|object| Process::begin(path, place, object)))
    }

    fn load_all(&self, mut process: Process) -> io::Result<Option<Process>> {
        self.add_preloads(&mut process)?;
        self.load_pending(&mut process)?;
        Ok(Some(process))
    }

    /// Loads a library into a running program as `dlopen` called from the object `asker` does, with all that it needs. Returns its place
    /// in the process; `None` when it is not found, and then nothing is listed as missing. `why` says how it is known that it is opened.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn open(&self, process: &mut Process, asker: usize, name: &[u8], why: &str) -> io::Result<Option<usize>> {
        let known = process.loaded.len();
        let Some(index) = self.request(process, asker, name, Role::Opened, true)? else { return Ok(None) };
        if index >= known {
            process.loaded[index].why = Some(why.into());
        }
        self.load_pending(process)?;
        Ok(Some(index))
    }

    /// Where `dlopen` called from the object `asker` would find a library, without loading it.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn locate(&self, process: &mut Process, asker: usize, name: &[u8]) -> io::Result<Option<Rc<Place>>> {
        Ok(match self.find(process, asker, name)? {
            Found::Known(index) => Some(process.loaded[index].place.clone()),
            Found::New(new) => Some(new.place),
            Found::Nowhere(_) => None,
        })
    }

    fn find(&self, process: &mut Process, asker: usize, name: &[u8]) -> io::Result<Found> {
        let Some(system) = process.system.clone() else { return Ok(Found::Nowhere(Vec::new())) };
        match system.libc {
            Libc::Glibc => self.find_for_glibc(process, &system, asker, name),
            Libc::Musl => self.find_for_musl(process, &system, asker, name),
        }
    }

    fn add_interpreter(&self, process: &mut Process) -> io::Result<()> {
        let Some(facts) = process.facts(0) else { return Ok(()) };
        let identity = facts.identity;
        let Some(name) = facts.interpreter.clone() else { return self.lend_loader(process) };
        match self.started(&name, identity)? {
            Some(started) => process.add_interpreter(&name, started.place, started.object, Some(started.system)),
            None => {
                process.system = Some(Rc::new(System::of(&name, identity, None)));
                let tried = self.view.place(&name)?.err().map_or("not a usable ELF file", Absent::describe);
                process.add_missing(0, &name, Role::Interpreter, vec![Tried { path: name.clone(), why: tried }]);
            }
        }
        Ok(())
    }

    /// The loader that is there for files of its kind, without which a file that names libraries cannot be loaded.
    fn lend_loader(&self, process: &mut Process) -> io::Result<()> {
        let Some(facts) = process.facts(0) else { return Ok(()) };
        if facts.dynamic.is_none() || facts.is_static() {
            return Ok(());
        }
        let (identity, named) = (facts.identity, facts.interpreter.clone());
        let usual = usual_interpreters(&identity).iter().map(|name| name.as_bytes());
        for name in named.as_deref().into_iter().chain(usual) {
            if let Some(started) = self.started(name, identity)? {
                process.system = Some(started.system);
                process.unused_interpreter =
                    Some(Unused { path: name.into(), place: started.place, object: started.object });
                return Ok(());
            }
        }
        process.system = Some(Rc::new(System::of(named.as_deref().unwrap_or_default(), identity, None)));
        Ok(())
    }

    /// The loader called `name`, read once.
    fn started(&self, name: &[u8], identity: Identity) -> io::Result<Option<Started>> {
        if let Some(known) = self.systems.borrow().get(name) {
            return Ok(known.clone().filter(|s| s.system.identity.fits(&identity)));
        }
        let name_from = tokens::absolute(name.to_vec(), &self.working_directory());
        let started = match self.view.file(&name_from)? {
            None => None,
            Some(place) => self.view.object(&place)?.and_then(|object| {
                let theirs = object.facts.as_ref().ok()?.identity;
                let system = Rc::new(System::of(name, theirs, Some(&object)));
                Some(Started { system, place, object })
            }),
        };
        self.systems.borrow_mut().insert(name.into(), started.clone());
        Ok(started.filter(|s| s.system.identity.fits(&identity)))
    }

    /// `LD_PRELOAD`, `/etc/ld.so.preload` and DT_AUDIT, in this order: what is missing of them is not fatal.
    fn add_preloads(&self, process: &mut Process) -> io::Result<()> {
        let Some(system) = process.system.clone() else { return Ok(()) };
        if let Some(list) = self.settings.environment.get("LD_PRELOAD") {
            for name in words(list.as_bytes(), b": ") {
                self.request(process, 0, name, Role::Preloaded, true)?;
            }
        }
        if let Some(file) = self.preloads(&system)? {
            for name in &*file.names {
                // A file that names nothing that is there does nothing but complain.
                if self.request(process, 0, name, Role::Preloaded, true)?.is_some() {
                    process.consult(file.place.clone());
                }
            }
        }
        if system.libc == Libc::Glibc {
            let audit = process.facts(0).and_then(|facts| facts.dynamic.as_ref()).map(|d| d.audit.clone());
            for list in audit.unwrap_or_default() {
                for name in words(&list, b":") {
                    self.request(process, 0, name, Role::Audit, true)?;
                }
            }
        }
        Ok(())
    }

    /// The file of preloaded libraries that a loader reads, where the root has it.
    fn preloads(&self, system: &System) -> io::Result<Option<Preloads>> {
        let Some(path) = &system.preload else { return Ok(None) };
        if let Some(known) = self.preloads.borrow().get(path) {
            return Ok(known.clone());
        }
        let found = match self.view.file(path)? {
            None => None,
            Some(place) => {
                let content = self.view.root().read(&place.path)?;
                let lines =
                    content.split(|&b| b == b'\n').map(|line| line.split(|&b| b == b'#').next().unwrap_or_default());
                let names = lines.flat_map(|line| words(line, b": \t")).map(Into::into).collect();
                Some(Preloads { place, names: Rc::new(names) })
            }
        };
        self.preloads.borrow_mut().insert(path.clone(), found.clone());
        Ok(found)
    }

    /// Breadth first, each object's names in the order of its dynamic segment.
    fn load_pending(&self, process: &mut Process) -> io::Result<()> {
        while let Some((position, asker)) = process.next_unvisited() {
            let Some(facts) = process.object(asker).facts.as_ref().ok().map(|f| f.edges().to_vec()) else { continue };
            let mut before = Vec::new();
            for edge in facts {
                let role = Role::of(edge.kind);
                // musl knows neither filters nor auxiliaries.
                if role != Role::Needed && process.libc() == Some(Libc::Musl) {
                    continue;
                }
                let found = self.request(process, asker, &edge.name, role, role == Role::Auxiliary)?;
                if let Some(index) = found {
                    process.depend(asker, index);
                    if role != Role::Needed {
                        before.push(index);
                    }
                }
            }
            process.move_before(position, &before);
        }
        Ok(())
    }

    /// One name that the object `asker` asks for. `optional` names leave no trace when they are missing.
    fn request(
        &self,
        process: &mut Process,
        asker: usize,
        name: &[u8],
        role: Role,
        optional: bool,
    ) -> io::Result<Option<usize>> {
        Ok(match self.find(process, asker, name)? {
            Found::Known(index) => Some(index),
            Found::New(new) => Some(process.add(*new, asker, name, role)),
            Found::Nowhere(tried) => {
                if !optional {
                    process.add_missing(asker, name, role, tried);
                }
                None
            }
        })
    }

    /// The path that the cache gives for `name`.
    fn look_up_in_cache(
        &self,
        name: &[u8],
        system: &System,
        level: Option<&'static str>,
    ) -> io::Result<Option<Box<[u8]>>> {
        self.cache_for(system)?.find(&self.view, name, &system.identity, level)
    }

    /// The cache for loaders with this cache and these system directories, made when it is first needed.
    fn cache_for(&self, system: &System) -> io::Result<Rc<Lookup>> {
        let is_same = |known: &System| known.cache == system.cache && known.directories == system.directories;
        if let Some((_, lookup)) = self.lookups.borrow().iter().find(|(known, _)| is_same(known)) {
            return Ok(lookup.clone());
        }
        let lookup = Rc::new(Lookup::new(&self.view, self.settings.cache, system)?);
        self.lookups.borrow_mut().push((system.clone(), lookup.clone()));
        Ok(lookup)
    }

    fn working_directory(&self) -> Vec<u8> {
        text::absolute(&self.settings.working_directory)
    }
}

/// What became of a request.
enum Found {
    /// It is in the process already.
    Known(usize),
    /// It was found and opened.
    New(Box<Opened>),
    /// It was not found, or what was found cannot be used.
    Nowhere(Vec<Tried>),
}

/// A library that was found.
struct Opened {
    /// The path by which it was opened.
    path: Box<[u8]>,
    place: Rc<Place>,
    object: Rc<Object>,
    /// The processor level without which it is not found.
    level: Option<&'static str>,
    /// Whether a list with `$PLATFORM` was searched for it.
    by_platform: bool,
    /// The same library for other processors.
    variants: Vec<Rc<Place>>,
}

fn words<'a>(text: &'a [u8], separators: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    text.split(|b| separators.contains(b)).filter(|word| !word.is_empty())
}
