//! The files of glibc that a symbol gives away: NSS modules, gconv modules, locales.

use std::io;

use crate::closure::Why;
use crate::closure::elf::SymbolTable;
use crate::closure::loader::Process;
use crate::closure::walker::Walker;
use crate::tree::{Entry, Root, RootPath};

/// The conversions that programs ask for besides those built in; the rest is the rule set `gconv`.
const USUAL_CONVERSIONS: [&str; 3] = ["ISO8859-1.so", "UTF-16.so", "UTF-32.so"];
/// What NSS does when there is no nsswitch.conf (`nss/nss_database.c`).
const DEFAULT_SERVICES: &str = "passwd: files\nhosts: files dns\n";

impl<R: Root + ?Sized> Walker<'_, R> {
    /// The modules of the services in nsswitch.conf. From glibc 2.34 on `files` and `dns` are built in.
    pub(super) fn open_name_services(&mut self, process: &mut Process, libc: usize) -> io::Result<()> {
        let content = self.loader.view().content(b"/etc/nsswitch.conf")?;
        let text = content.as_deref().map_or(DEFAULT_SERVICES.into(), String::from_utf8_lossy);
        let built_in: &[&str] = if defines(process, libc, b"GLIBC_2.34") { &["files", "dns"] } else { &[] };
        for service in services(&text) {
            let name = format!("libnss_{service}.so.2");
            if !built_in.contains(&service) && process.named(name.as_bytes()).is_none() {
                let why = format!("nsswitch.conf names the service {service}");
                self.loader.open(process, libc, name.as_bytes(), &why)?;
            }
        }
        Ok(())
    }

    /// The table of conversions and the usual ones, beside the C library.
    pub(super) fn keep_gconv(&mut self, process: &Process, libc: usize, asker: &RootPath) -> io::Result<()> {
        let why = Why::Opened(format!("{asker} converts text (iconv_open)"));
        let Some(beside) = process.loaded[libc].place.path.parent() else { return Ok(()) };
        let beside = [b"/", beside.as_bytes(), b"/gconv"].concat();
        let below_usr = [b"/usr".as_slice(), &beside].concat();
        for directory in [beside, below_usr] {
            for name in ["gconv-modules", "gconv-modules.cache"].iter().chain(&USUAL_CONVERSIONS) {
                let path = [&directory, b"/".as_slice(), name.as_bytes()].concat();
                if let Some(place) = self.loader.view().file(&path)? {
                    self.keep_place(&place, why.clone(), Some(asker));
                }
            }
        }
        Ok(())
    }

    /// C.UTF-8 is not built into glibc. It is kept when the image's environment asks for it.
    pub(super) fn keep_locale(&mut self, asker: &RootPath) -> io::Result<()> {
        let wants = |(name, value): (&String, &String)| {
            (name == "LANG" || name.starts_with("LC_")) && matches!(value.to_lowercase().as_str(), "c.utf-8" | "c.utf8")
        };
        if !self.settings.env.iter().any(wants) {
            return Ok(());
        }
        let why = Why::Opened(format!("{asker} uses the locale (setlocale), and the environment asks for C.UTF-8"));
        for directory in ["/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"] {
            self.keep_below(directory.as_bytes(), &why, asker)?;
        }
        if let Some(place) = self.loader.view().file(b"/usr/lib/locale/locale-archive")? {
            self.keep_place(&place, why, Some(asker));
        }
        Ok(())
    }

    fn keep_below(&mut self, directory: &[u8], why: &Why, asker: &RootPath) -> io::Result<()> {
        let Ok(place) = self.loader.view().place(directory)? else { return Ok(()) };
        if place.entry != Entry::Directory {
            return Ok(());
        }
        for name in self.loader.view().root().list(&place.path)? {
            let path = [directory, b"/", &name].concat();
            match self.loader.view().place(&path)? {
                Ok(found) if found.entry == Entry::Directory && found.file_links.is_empty() => {
                    self.keep_below(&path, why, asker)?;
                }
                Ok(found) => self.keep_place(&found, why.clone(), Some(asker)),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

fn defines(process: &Process, index: usize, version: &[u8]) -> bool {
    let object = &process.loaded[index].object;
    let table = object.facts.as_ref().ok().and_then(|facts| SymbolTable::new(&object.bytes, facts));
    table.is_some_and(|table| table.defines_version(version))
}

/// The services that are named, without the actions in brackets; sorted, each once.
fn services(text: &str) -> std::collections::BTreeSet<&str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let lists = lines.filter_map(|line| line.split_once(':')).map(|(_, list)| list);
    let mut found = std::collections::BTreeSet::new();
    for list in lists {
        let mut inside = false;
        for word in list.split_whitespace() {
            let action = inside || word.starts_with('[');
            inside = action && !word.ends_with(']');
            let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !action && plain {
                found.insert(word);
            }
        }
    }
    found
}
