//! What kept configuration names: files and modules of PAM and OpenSSL, modules that a cache lists, commands of scripts.

use std::io;

use super::{commands, openssl, pam};
use crate::Policy;
use crate::walker::Walker;
use crate::{Severity, Shebang, Why, show};
use minimg_tree::{Entry, Root, RootPath};

/// Configuration longer than this was not written by people.
const LONGEST: usize = 1 << 20;
/// Caches in which a library lists its modules: the file that a module is opened from is named in them.
const MODULE_CACHES: [&[u8]; 3] = [b"giomodule.cache", b"loaders.cache", b"immodules.cache"];

/// What kind of configuration a file is, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pam,
    PamTable,
    OpenSsl,
    ModuleCache,
}

fn kind_of(path: &RootPath, is_included: bool) -> Option<Kind> {
    let name = path.file_name();
    let directory = path.parent().unwrap_or_default();
    if matches!(directory.as_bytes(), b"etc/pam.d" | b"usr/lib/pam.d") {
        return Some(Kind::Pam);
    }
    match name {
        _ if is_included || name == b"openssl.cnf" => Some(Kind::OpenSsl),
        b"pam.conf" if directory.as_bytes() == b"etc" => Some(Kind::PamTable),
        _ => MODULE_CACHES.contains(&name).then_some(Kind::ModuleCache),
    }
}

impl<R: Root + ?Sized> Walker<'_, R> {
    /// Puts a kept file aside when it is configuration that names other files; it is read when all programs are known.
    pub(crate) fn note_configuration(&mut self, path: &RootPath) {
        if self.settings.hidden && kind_of(path, self.included.contains(path)).is_some() {
            self.configuration.push_back(path.clone());
        }
    }

    /// Keeps what a configuration file names.
    pub(crate) fn follow_configuration(&mut self, path: &RootPath) -> io::Result<()> {
        let Some(content) = self.loader.view().content(&absolute(path))? else { return Ok(()) };
        let text = String::from_utf8_lossy(&content[..content.len().min(LONGEST)]);
        match kind_of(path, self.included.contains(path)) {
            Some(Kind::Pam) => self.follow_pam(path, &pam::parse(&text, false)),
            Some(Kind::PamTable) => self.follow_pam(path, &pam::parse(&text, true)),
            Some(Kind::OpenSsl) => self.follow_openssl(path, &openssl::parse(&text)),
            Some(Kind::ModuleCache) => {
                self.module_caches.push((path.clone(), text.into_owned()));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The service of a program that was started with libpam, and the one that stands in for services without a file.
    pub(super) fn keep_pam_services(&mut self, program: &RootPath) -> io::Result<()> {
        for service in [program.file_name(), b"other"] {
            for directory in ["/etc/pam.d/", "/usr/lib/pam.d/"] {
                if let Some(place) = self.loader.view().file(&[directory.as_bytes(), service].concat())? {
                    let why = Why::Opened(format!("{program} was linked with libpam, which reads it"));
                    self.keep_place(&place, why, Some(program));
                    break;
                }
            }
        }
        Ok(())
    }

    fn follow_pam(&mut self, path: &RootPath, lines: &[pam::Line]) -> io::Result<()> {
        let libraries: Vec<RootPath> =
            self.kept.keys().filter(|kept| kept.file_name().starts_with(b"libpam.so.")).cloned().collect();
        // Nobody reads the file without the library.
        if libraries.is_empty() {
            return Ok(());
        }
        let beside = libraries.iter().filter_map(RootPath::parent).map(|parent| format!("{parent}/security/"));
        let modules: Vec<String> = beside.chain(["/lib/security/", "/usr/lib/security/"].map(str::to_owned)).collect();
        let services = ["/etc/pam.d/", "/usr/lib/pam.d/"].map(str::to_owned);
        for line in lines {
            let (name, directories, optional, what) = match line {
                pam::Line::Include(name) => (name, &services[..], false, "file"),
                pam::Line::Module { name, optional } => (name, &modules[..], *optional, "module"),
            };
            let found = self.keep_named(name, directories, path, &format!("{path} names this {what} of PAM"))?;
            if found && name.ends_with("pam_unix.so") {
                let helper = ["/usr/sbin/", "/sbin/"].map(str::to_owned);
                self.keep_named(
                    "unix_chkpwd",
                    &helper,
                    path,
                    "pam_unix.so runs it for users who may not read /etc/shadow",
                )?;
            }
            if !found && !optional {
                let text = format!("it names the {what} {name}, which the tree does not have: PAM refuses the service");
                self.find(Severity::Warning, &path.to_string(), text);
            }
        }
        Ok(())
    }

    fn follow_openssl(&mut self, path: &RootPath, named: &openssl::Named) -> io::Result<()> {
        for include in &named.includes {
            for file in self.included_files(include)? {
                if let Some(place) = self.loader.view().file(&file)? {
                    // What is kept already was not read as configuration.
                    if self.included.insert(place.path.clone()) && self.kept.contains_key(&place.path) {
                        self.configuration.push_back(place.path.clone());
                    }
                    self.keep_place(&place, Why::Opened(format!("{path} includes it")), Some(path));
                }
            }
        }
        let directory = self.openssl_modules()?;
        for name in named.modules.iter().chain(&named.engines) {
            let file = if name.contains('/') || name.ends_with(".so") { name.clone() } else { format!("{name}.so") };
            let why = format!("{path} makes OpenSSL load it");
            if !self.keep_named(&file, &directory, path, &why)? {
                let text = format!("it makes OpenSSL load {file}, which the tree does not have");
                self.find(Severity::Warning, &path.to_string(), text);
            }
        }
        Ok(())
    }

    /// Where kept libcrypto libraries look for providers: the directory that is compiled into them, else the usual one beside them.
    fn openssl_modules(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let libraries = self.kept.keys().filter(|kept| kept.file_name().starts_with(b"libcrypto.so."));
        for library in libraries {
            let content = self.loader.view().content(&absolute(library))?.unwrap_or_default();
            let marker = b"MODULESDIR: \"";
            let baked = memchr::memmem::find(&content, marker).map(|at| &content[at + marker.len()..]);
            let baked = baked.and_then(|rest| rest.iter().take(256).position(|&b| b == b'"').map(|end| &rest[..end]));
            found.extend(baked.map(|directory| format!("{}/", show(directory))));
            found.extend(library.parent().map(|parent| format!("{parent}/ossl-modules/")));
        }
        Ok(found)
    }

    /// The files that `.include` means: the file itself, or of a directory those that end in `.cnf` or `.conf`.
    fn included_files(&self, include: &str) -> io::Result<Vec<Vec<u8>>> {
        let view = self.loader.view();
        match view.place(include.as_bytes())? {
            Ok(place) if place.entry == Entry::Directory => {
                let names = view.root().list(&place.path)?;
                let wanted = names.iter().filter(|name| name.ends_with(b".cnf") || name.ends_with(b".conf"));
                Ok(wanted.map(|name| [include.as_bytes(), b"/", name].concat()).collect())
            }
            _ => Ok(vec![include.as_bytes().to_vec()]),
        }
    }

    /// Keeps the file of this name: an absolute path, or one in the first of these directories that has it.
    fn keep_named(&mut self, name: &str, directories: &[String], by: &RootPath, why: &str) -> io::Result<bool> {
        let candidates = match name.starts_with('/') {
            true => vec![name.to_owned()],
            false => directories.iter().map(|directory| format!("{directory}{name}")).collect(),
        };
        for candidate in candidates {
            let candidate = if candidate.starts_with('/') { candidate } else { format!("/{candidate}") };
            if let Some(place) = self.loader.view().file(candidate.as_bytes())? {
                self.keep_place(&place, Why::Opened(why.to_owned()), Some(by));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reports what a kept cache of modules lists and the image will not have.
    pub(crate) fn report_module_caches(&mut self) -> io::Result<()> {
        for (path, text) in std::mem::take(&mut self.module_caches) {
            let mut missing = Vec::new();
            for name in listed_modules(&text) {
                let directory = path.parent().unwrap_or_default();
                let file = if name.starts_with('/') {
                    name.to_owned()
                } else {
                    format!("/{directory}/{name}").replace("//", "/")
                };
                let kept =
                    self.loader.view().file(file.as_bytes())?.is_some_and(|place| self.kept.contains_key(&place.path));
                if !kept {
                    missing.push(name.to_owned());
                }
            }
            if !missing.is_empty() {
                let text = format!(
                    "it lists modules that are not in the image ({}): keep them, or put a shorter file in its place",
                    missing.join(", ")
                );
                self.find(Severity::Warning, &path.to_string(), text);
            }
        }
        Ok(())
    }

    /// The commands that a shell script names, under the policy for them.
    pub(crate) fn follow_commands(&mut self, path: &RootPath, shebang: &Shebang, bytes: &[u8]) -> io::Result<()> {
        let policy = self.settings.closure.script_commands;
        if !self.settings.hidden || policy == Policy::Ignore {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
        for command in commands::commands_of(shebang, &text) {
            let Some((_, place)) = self.find_program(command)? else { continue };
            match policy {
                Policy::Keep => {
                    let why = Why::Opened(format!("the script {path} names the command {command}"));
                    self.keep_place(&place, why, Some(path));
                }
                _ => drop(self.script_commands.insert((path.clone(), command.to_owned(), place.path.clone()))),
            }
        }
        Ok(())
    }

    /// Reports the commands of scripts that nothing else has kept, one line for each script.
    pub(crate) fn report_commands(&mut self) {
        let mut by_script = std::collections::BTreeMap::<RootPath, Vec<String>>::new();
        for (script, command, place) in std::mem::take(&mut self.script_commands) {
            if !self.kept.contains_key(&place) {
                by_script.entry(script).or_default().push(command);
            }
        }
        for (script, commands) in by_script {
            let text = format!(
                "it names commands that are not kept ({}): add those that it needs under programs, or set script-commands = \"keep\" under [closure]",
                commands.join(", ")
            );
            self.find(Severity::Note, &script.to_string(), text);
        }
    }
}

/// The modules that a cache lists: `"path"` at the beginning of a line (GdkPixbuf, GTK), or `name: points` (GIO).
fn listed_modules(text: &str) -> Vec<&str> {
    let name = |line: &'_ str| -> Option<(usize, usize)> {
        if let Some(rest) = line.strip_prefix('"') {
            return rest.find('"').map(|end| (1, end + 1)).filter(|(start, end)| line[*start..*end].contains(".so"));
        }
        line.find(": ").map(|end| (0, end))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| name(line).map(|(start, end)| &line[start..end]))
        .filter(|name| name.ends_with(".so"))
        .collect()
}

fn absolute(path: &RootPath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a file holds, its readers come back.
        #[test]
        fn any_text(text in "(\\PC|[\\[\\]\"'`#;|&$()<\\\\=:\n\t -]|auth|EOF|[.]include|[.]so){0,80}") {
            pam::parse(&text, false);
            openssl::parse(&text);
            commands::in_script(&text);
            listed_modules(&text);
        }
    }

    #[test]
    fn modules_of_both_kinds_of_caches() {
        let pixbuf =
            "# GdkPixbuf\n\"/usr/lib/loaders/libpixbufloader-png.so\"\n\"png\" 5 \"gdk-pixbuf\" \"PNG\" \"LGPL\"\n";
        assert_eq!(listed_modules(pixbuf), ["/usr/lib/loaders/libpixbufloader-png.so"]);
        let gio = "libgiognutls.so: gio-tls-backend\nlibdconfsettings.so: gsettings-backend\n";
        assert_eq!(listed_modules(gio), ["libgiognutls.so", "libdconfsettings.so"]);
    }
}
