//! What DT_NEEDED hides: libraries and files that programs open while they run.
//!
//! What is certain from the files is kept by itself, with its reason: libgcc_s for thread cancellation, NSS modules, gconv modules, the
//! C.UTF-8 locale, the libraries of `.note.dlopen`. What is a guess is reported or kept as [`crate::ClosureSettings`] says.
//! Files that belong to a library rather than to a symbol are the business of rule sets and their triggers; what kept configuration names
//! (PAM, OpenSSL, caches of modules) is in `configuration`, and the commands of scripts in `commands`.

mod baked;
mod commands;
mod configuration;
mod files;
mod openssl;
mod pam;
mod strings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::rc::Rc;

pub use baked::Baked;
pub use commands::commands_of;

use super::elf::{Priority, SymbolTable, dlopen_notes};
use super::loader::{Libc, Object, Process, Role, names_origin};
use super::walker::Walker;
use super::{Severity, show};
use crate::Policy;
use minimg_tree::{Entry, FileId, Root, RootPath};

/// A feature of the C library that needs files which nothing names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Threads are cancelled or the stack is walked: libgcc_s.
    Unwind,
    /// Libraries are opened by name.
    Dlopen,
    /// Text is converted: gconv modules.
    Iconv,
    /// The locale of the environment is used.
    Locale,
    /// Names of hosts are resolved.
    Resolver,
    /// Users, groups, hosts or services are looked up: NSS modules.
    NameService,
    /// `/etc/services` or `/etc/protocols` are read.
    Services,
    /// Local time is told: tzdata.
    LocalTime,
}

/// The functions that use a feature; sorted by name for the search.
const FUNCTIONS: [(&str, Feature); 45] = {
    use Feature::{Dlopen, Iconv, LocalTime, Locale, NameService, Resolver, Services, Unwind};
    [
        ("backtrace", Unwind),
        ("dlmopen", Dlopen),
        ("dlopen", Dlopen),
        ("getaddrinfo", Resolver),
        ("getgrent", NameService),
        ("getgrgid", NameService),
        ("getgrgid_r", NameService),
        ("getgrnam", NameService),
        ("getgrnam_r", NameService),
        ("getgrouplist", NameService),
        ("gethostbyaddr", NameService),
        ("gethostbyaddr_r", NameService),
        ("gethostbyname", NameService),
        ("gethostbyname2", NameService),
        ("gethostbyname2_r", NameService),
        ("gethostbyname_r", NameService),
        ("getnameinfo", Resolver),
        ("getnetbyname", NameService),
        ("getnetgrent", NameService),
        ("getprotobyname", Services),
        ("getprotobyname_r", Services),
        ("getprotobynumber", Services),
        ("getpwent", NameService),
        ("getpwnam", NameService),
        ("getpwnam_r", NameService),
        ("getpwuid", NameService),
        ("getpwuid_r", NameService),
        ("getrpcbyname", NameService),
        ("getservbyname", Services),
        ("getservbyname_r", Services),
        ("getservbyport", Services),
        ("getservbyport_r", Services),
        ("getservent", Services),
        ("getspnam", NameService),
        ("getspnam_r", NameService),
        ("iconv_open", Iconv),
        ("initgroups", NameService),
        ("localtime", LocalTime),
        ("localtime_r", LocalTime),
        ("mktime", LocalTime),
        ("newlocale", Locale),
        ("pthread_cancel", Unwind),
        ("pthread_exit", Unwind),
        ("setlocale", Locale),
        ("thrd_exit", Unwind),
    ]
};

/// No program opens more libraries than this by name.
const MAX_GUESSES: usize = 4096;

/// Which features the kept objects use, and the first object that uses each.
#[derive(Debug, Default)]
pub(super) struct Imports {
    first: BTreeMap<Feature, RootPath>,
    known: HashMap<FileId, BTreeMap<Feature, &'static str>>,
    noted: BTreeSet<(RootPath, Box<[u8]>)>,
    /// The strings of each object that look like libraries: programs share their libraries, and the search is long.
    strings: HashMap<FileId, Rc<Vec<Box<[u8]>>>>,
    /// Strings that look like libraries, with the object and the place that the loader would find.
    guesses: BTreeSet<(RootPath, String, RootPath)>,
}

impl Imports {
    /// The features that `object` uses, each with a function that says so.
    pub(super) fn of(&mut self, object: &Object) -> &BTreeMap<Feature, &'static str> {
        self.known.entry(object.id).or_insert_with(|| features(object))
    }

    /// The strings in `object` that look like libraries, sorted.
    fn library_names(&mut self, object: &Object) -> Rc<Vec<Box<[u8]>>> {
        let read = || {
            let Ok(facts) = &object.facts else { return Rc::default() };
            let names = strings::library_names(&object.bytes, facts).into_iter().take(MAX_GUESSES);
            Rc::new(names.map(Into::into).collect())
        };
        self.strings.entry(object.id).or_insert_with(read).clone()
    }

    /// Notes what the kept file at `path` uses.
    pub(super) fn note(&mut self, path: &RootPath, object: &Object) {
        let features: Vec<Feature> = self.of(object).keys().copied().collect();
        for feature in features {
            self.first.entry(feature).or_insert_with(|| path.clone());
        }
    }

    /// The first kept object that uses a feature.
    pub(super) fn first(&self, feature: Feature) -> Option<&RootPath> {
        self.first.get(&feature)
    }
}

fn features(object: &Object) -> BTreeMap<Feature, &'static str> {
    let mut found = BTreeMap::new();
    let Ok(facts) = &object.facts else { return found };
    let Some(table) = SymbolTable::new(&object.bytes, facts) else { return found };
    for symbol in table.undefined() {
        if let Ok(at) = FUNCTIONS.binary_search_by(|(name, _)| name.as_bytes().cmp(symbol.name)) {
            let (name, feature) = FUNCTIONS[at];
            found.entry(feature).or_insert(name);
        }
    }
    found
}

impl<R: Root + ?Sized> Walker<'_, R> {
    /// Opens in a process what its objects will open while they run, as far as that is certain or wanted.
    pub(super) fn open_hidden(&mut self, process: &mut Process) -> io::Result<()> {
        let mut at = 0;
        // What is opened may open more.
        while at < process.loaded.len() {
            self.open_for_notes(process, at)?;
            if process.libc() == Some(Libc::Glibc) {
                self.open_for_features(process, at)?;
            }
            self.guess_from_strings(process, at)?;
            at += 1;
        }
        Ok(())
    }

    /// What concerns a program as a whole: PAM asks for its service by name, and `$ORIGIN` needs /proc.
    pub(super) fn look_at_program(&mut self, process: &Process) -> io::Result<()> {
        let path = process.loaded[0].place.path.clone();
        if process.named(b"libpam.so.0").is_some() {
            self.keep_pam_services(&path)?;
        }
        if process.libc() == Some(Libc::Glibc) && process.facts(0).is_some_and(names_origin) {
            let is_privileged = matches!(process.loaded[0].place.entry, Entry::File { mode, .. } if mode & 0o6000 != 0);
            let (severity, text) = match is_privileged {
                true => (
                    Severity::Warning,
                    "it is set-user-id or set-group-id and finds libraries by $ORIGIN, which the loader ignores for such programs outside of the system directories: give it an absolute RUNPATH",
                ),
                false => (
                    Severity::Note,
                    "it finds libraries by $ORIGIN, for which the loader reads the link /proc/self/exe: run it where /proc is mounted, as engines do",
                ),
            };
            self.find(severity, &path.to_string(), text);
        }
        Ok(())
    }

    fn open_for_features(&mut self, process: &mut Process, at: usize) -> io::Result<()> {
        let object = process.loaded[at].object.clone();
        let features = self.imports.of(&object).clone();
        let asker = process.loaded[at].place.path.clone();
        let libc = process.named(b"libc.so.6").unwrap_or(at);
        for (feature, function) in features {
            match feature {
                Feature::Unwind => self.open_libgcc(process, at, libc, function)?,
                Feature::Resolver | Feature::NameService | Feature::Services => {
                    self.open_name_services(process, libc)?;
                    if feature == Feature::Resolver {
                        self.open_libidn(process, libc, &asker)?;
                    }
                }
                Feature::Iconv => self.keep_gconv(process, libc, &asker)?,
                Feature::Locale => self.keep_locale(&asker)?,
                Feature::Dlopen | Feature::LocalTime => {}
            }
        }
        Ok(())
    }

    /// glibc opens libgcc_s to unwind a cancelled thread, and aborts the program when it cannot (`misc/unwind-link.c`).
    fn open_libgcc(&mut self, process: &mut Process, at: usize, libc: usize, function: &str) -> io::Result<()> {
        let name = b"libgcc_s.so.1";
        if process.named(name).is_some() {
            return Ok(());
        }
        let asker = process.loaded[at].place.path.to_string();
        let why = format!("{asker} uses {function}, for which glibc opens libgcc_s.so.1");
        if self.loader.open(process, libc, name, &why)?.is_none() {
            let text = format!(
                "it uses {function}, for which glibc opens libgcc_s.so.1; without it the program is aborted: add the package that holds it (Debian: libgcc-s1)"
            );
            self.find(Severity::Warning, &asker, text);
        }
        Ok(())
    }

    /// Names of hosts that are not ASCII are encoded by libidn2, if it is there and asked for.
    fn open_libidn(&mut self, process: &mut Process, libc: usize, asker: &RootPath) -> io::Result<()> {
        let name = b"libidn2.so.0";
        if self.settings.closure.suggested == Policy::Keep && process.named(name).is_none() {
            let why = format!("{asker} resolves names of hosts, for which glibc opens libidn2 if it is there");
            self.loader.open(process, libc, name, &why)?;
        }
        Ok(())
    }

    fn open_for_notes(&mut self, process: &mut Process, at: usize) -> io::Result<()> {
        let object = process.loaded[at].object.clone();
        let Ok(facts) = &object.facts else { return Ok(()) };
        let path = process.loaded[at].place.path.clone();
        for note in dlopen_notes(&object.bytes, facts) {
            let names = note.soname.join(", ");
            let feature = if note.feature.is_empty() { String::new() } else { format!(" for {}", note.feature) };
            let why = format!("{path} says in its .note.dlopen that it opens {names}{feature}");
            if note.priority == Priority::Suggested {
                let policy = self.settings.closure.suggested;
                let text = || format!("it can use {names}{feature}; keep it with suggested = \"keep\" under [closure]");
                if !self.ask(policy, &path.to_string(), text) {
                    continue;
                }
            }
            let mut found = false;
            for name in &note.soname {
                found = found || self.loader.open(process, at, name.as_bytes(), &why)?.is_some();
            }
            if !found && self.imports.noted.insert((path.clone(), names.as_bytes().into())) {
                let (severity, effect) = match note.priority {
                    Priority::Required => (Severity::Error, "it does not work without"),
                    _ => (Severity::Note, "a part of it does not work without"),
                };
                self.find(
                    severity,
                    &path.to_string(),
                    format!("{effect} {names}{feature}, which the tree does not have"),
                );
            }
        }
        Ok(())
    }

    /// A string that names a library, in an object that opens libraries by name.
    fn guess_from_strings(&mut self, process: &mut Process, at: usize) -> io::Result<()> {
        let policy = self.settings.closure.dlopen_strings;
        let object = process.loaded[at].object.clone();
        let opens = policy != Policy::Ignore && self.imports.of(&object).contains_key(&Feature::Dlopen);
        // A loader and a C library name what they open; those are known.
        if !opens || process.loaded[at].role == Role::Interpreter {
            return Ok(());
        }
        let path = process.loaded[at].place.path.clone();
        for name in self.imports.library_names(&object).iter() {
            if process.named(name).is_some() {
                continue;
            }
            if policy == Policy::Keep {
                let why = format!("{path} opens libraries by name and holds the string {}", show(name));
                self.loader.open(process, at, name, &why)?;
            } else if let Some(place) = self.loader.locate(process, at, name)? {
                self.imports.guesses.insert((path.clone(), show(name), place.path.clone()));
            }
        }
        Ok(())
    }

    /// Reports the guesses that nothing else has kept.
    pub(super) fn report_guesses(&mut self) {
        for (path, name, place) in std::mem::take(&mut self.imports.guesses) {
            if !self.kept.contains_key(&place) {
                let text = format!(
                    "it opens libraries by name and holds the string {name}: if it needs {place}, keep that path, or set dlopen-strings = \"keep\" under [closure]"
                );
                self.find(Severity::Note, &path.to_string(), text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted() {
        assert!(FUNCTIONS.is_sorted_by_key(|(name, _)| *name));
    }
}
