//! The files of glibc that a symbol gives away: NSS modules, gconv modules, locales.

use std::collections::BTreeSet;
use std::io;

use crate::elf::SymbolTable;
use crate::loader::Process;
use crate::walker::Walker;
use crate::{Severity, Why};
use minimg_tree::{Entry, Root, RootPath};

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
            self.keep_below(&[&directory, b"/gconv-modules.d".as_slice()].concat(), &why, asker)?;
            for name in ["gconv-modules", "gconv-modules.cache"].iter().chain(&USUAL_CONVERSIONS) {
                let path = [&directory, b"/".as_slice(), name.as_bytes()].concat();
                if let Some(place) = self.loader.view().file(&path)? {
                    self.keep_place(&place, why.clone(), Some(asker));
                }
            }
        }
        Ok(())
    }

    /// The locales that the image's environment asks for. C and POSIX are built into glibc; C.UTF-8 is not before 2.35, and every other
    /// one is a directory or a part of the archive.
    pub(super) fn keep_locale(&mut self, asker: &RootPath) -> io::Result<()> {
        let is_setting = |name: &str| matches!(name, "LANG" | "LC_ALL") || name.starts_with("LC_");
        let settings = self.settings.env.iter().filter(|(name, value)| is_setting(name) && is_locale(value));
        let wanted: BTreeSet<String> = settings.map(|(_, value)| value.clone()).collect();
        for locale in wanted {
            let why =
                Why::Opened(format!("{asker} uses the locale (setlocale), and the environment asks for {locale}"));
            let mut found = false;
            for name in [locale.clone(), normalized(&locale)] {
                let directory = format!("/usr/lib/locale/{name}");
                found |= self.loader.view().place(directory.as_bytes())?.is_ok();
                self.keep_below(directory.as_bytes(), &why, asker)?;
            }
            if let Some(place) = self.loader.view().file(b"/usr/lib/locale/locale-archive")? {
                self.keep_place(&place, why, Some(asker));
                found = true;
            }
            if !found {
                let text = format!(
                    "it uses the locale, and the environment asks for {locale}, which the tree does not have: add the package that holds it, or ask for another one"
                );
                self.find(Severity::Warning, &asker.to_string(), text);
            }
        }
        Ok(())
    }

    pub(super) fn keep_below(&mut self, directory: &[u8], why: &Why, asker: &RootPath) -> io::Result<()> {
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

/// Whether a value of LANG asks for files: C and POSIX do not, and a slash is no name.
fn is_locale(value: &str) -> bool {
    !matches!(value, "" | "C" | "POSIX") && !value.contains('/')
}

/// The name with its character set as directories have it: `en_US.utf8` for `en_US.UTF-8` (`_nl_normalize_codeset`).
fn normalized(locale: &str) -> String {
    let Some((language, rest)) = locale.split_once('.') else { return locale.to_owned() };
    let (codeset, modifier) = rest.split_at(rest.find('@').unwrap_or(rest.len()));
    let plain: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{language}.{}{modifier}", plain.to_lowercase())
}

fn defines(process: &Process, index: usize, version: &[u8]) -> bool {
    let object = &process.loaded[index].object;
    let table = object.facts.as_ref().ok().and_then(|facts| SymbolTable::new(&object.bytes, facts));
    table.is_some_and(|table| table.defines_version(version))
}

/// The services that are named, without the actions in brackets; sorted, each once.
fn services(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let lists = lines.filter_map(|line| line.split_once(':')).map(|(_, list)| list);
    let mut found = BTreeSet::new();
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
