//! OpenSSL's configuration: which other files it includes, and which modules it makes the library load (config(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Discovery;
use crate::closure::Why;
use crate::context::Context;
use crate::finding::Severity;
use crate::text::{absolute, show};
use minimg_tree::{Entry, Root, RootPath};

/// Keeps what a kept configuration includes, and the providers and engines that it activates.
#[derive(Default)]
pub(super) struct OpenSsl {
    /// Files that a configuration includes.
    included: BTreeSet<RootPath>,
}

impl<R: Root + ?Sized> Discovery<R> for OpenSsl {
    fn reads(&self, path: &RootPath) -> bool {
        path.file_name() == b"openssl.cnf" || self.included.contains(path)
    }

    fn text(&mut self, context: &mut Context<'_, R>, path: &RootPath, text: &str) -> io::Result<()> {
        let named = parse(text);
        for include in &named.includes {
            self.include(context, path, include)?;
        }
        let directories = module_directories(context)?;
        for name in named.modules.iter().chain(&named.engines) {
            let file = if name.contains('/') || name.ends_with(".so") { name.clone() } else { format!("{name}.so") };
            let why = format!("{path} makes OpenSSL load it");
            if !context.keep_named(&file, &directories, path, &why)? {
                let text = format!("it makes OpenSSL load {file}, which the tree does not have");
                context.find(Severity::Warning, path, text);
            }
        }
        Ok(())
    }
}

impl OpenSsl {
    fn include<R: Root + ?Sized>(
        &mut self,
        context: &mut Context<'_, R>,
        path: &RootPath,
        include: &str,
    ) -> io::Result<()> {
        for file in included_files(context, include)? {
            let Some(place) = context.view().file(&file)? else { continue };
            // What is kept already was not read as configuration.
            if self.included.insert(place.path.clone()) && context.ledger().keeps(&place.path) {
                context.read_later(&place.path);
            }
            context.keep_place(&place, Why::Opened(format!("{path} includes it")), Some(path));
        }
        Ok(())
    }
}

/// The files that `.include` means: the file itself, or of a directory those that end in `.cnf` or `.conf`.
fn included_files<R: Root + ?Sized>(context: &Context<'_, R>, include: &str) -> io::Result<Vec<Vec<u8>>> {
    let view = context.view();
    match view.place(include.as_bytes())? {
        Ok(place) if place.entry == Entry::Directory => {
            let names = view.root().list(&place.path)?;
            let wanted = names.iter().filter(|name| name.ends_with(b".cnf") || name.ends_with(b".conf"));
            Ok(wanted.map(|name| [include.as_bytes(), b"/", name].concat()).collect())
        }
        _ => Ok(vec![include.as_bytes().to_vec()]),
    }
}

/// Where kept libcrypto libraries look for providers: the directory that is compiled into them, else the usual one beside them.
fn module_directories<R: Root + ?Sized>(context: &Context<'_, R>) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let libraries = context.ledger().paths().filter(|kept| kept.file_name().starts_with(b"libcrypto.so."));
    for library in libraries {
        let content = context.view().content(&absolute(library))?.unwrap_or_default();
        let marker = b"MODULESDIR: \"";
        let baked = memchr::memmem::find(&content, marker).map(|at| &content[at + marker.len()..]);
        let baked = baked.and_then(|rest| rest.iter().take(256).position(|&b| b == b'"').map(|end| &rest[..end]));
        found.extend(baked.map(|directory| format!("{}/", show(directory))));
        found.extend(library.parent().map(|parent| format!("{parent}/ossl-modules/")));
    }
    Ok(found)
}

/// What a configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Named {
    /// Files or directories of `.include`.
    includes: Vec<String>,
    /// Providers that are activated: a path, or a name to be looked up in the directory of modules.
    modules: Vec<String>,
    /// Engines (`dynamic_path`).
    engines: Vec<String>,
}

/// Providers that are part of the library.
const BUILT_IN: [&str; 3] = ["default", "base", "null"];

type Sections<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// What the text names. Values with variables in them are passed over.
fn parse(text: &str) -> Named {
    let mut named = Named::default();
    let joined = text.replace("\\\n", "");
    let mut sections = Sections::new();
    let mut section = "default";
    for line in joined.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some(include) = line.strip_prefix(".include") {
            named.includes.extend(plain(include.trim_start().trim_start_matches('=')));
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = line.split_once('=') {
            sections.entry(section).or_default().insert(key.trim(), value.trim().trim_matches('"'));
        }
    }
    let value = |section: &str, key: &str| sections.get(section).and_then(|keys| keys.get(key)).copied();
    for start in ["openssl_conf", "nodejs_conf"].iter().filter_map(|key| value("default", key)) {
        for (provider, theirs) in entries(&sections, value(start, "providers")) {
            // What does not belong to the library is loaded only when it is activated.
            let is_active = value(theirs, "activate").is_some_and(|v| matches!(v, "1" | "yes" | "true" | "on"));
            let provider = provider.rsplit('.').next().unwrap_or(provider);
            if is_active && !BUILT_IN.contains(&provider) {
                named.modules.extend(plain(value(theirs, "module").unwrap_or(provider)));
            }
        }
        for (_, theirs) in entries(&sections, value(start, "engines")) {
            named.engines.extend(value(theirs, "dynamic_path").and_then(plain));
        }
    }
    named
}

fn entries<'a>(sections: &Sections<'a>, name: Option<&str>) -> Vec<(&'a str, &'a str)> {
    let section = name.and_then(|name| sections.get(name));
    section.map(|keys| keys.iter().map(|(key, value)| (*key, *value)).collect()).unwrap_or_default()
}

fn plain(value: &str) -> Option<String> {
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && !value.contains('$')).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a file holds, its reader comes back.
        #[test]
        fn any_text(text in "(\\PC|[\\[\\]#$\\\\=\"\n\t -]|[.]include|openssl_conf|providers){0,80}") {
            parse(&text);
        }
    }

    #[test]
    fn what_a_configuration_names() {
        let text = "openssl_conf = init # x\n.include /etc/ssl/more.cnf\n.include = /etc/ssl/conf.d\n.include $ENV::HOME/x\n\
                    [init]\nproviders = provs\nengines = engs\n[provs]\ndefault = d\nlegacy = l\nown = o\noff = f\n\
                    [d]\nactivate = 1\n[l]\nactivate = 1\n[o]\nactivate = yes\nmodule = /opt/own.so\n[f]\nmodule = off.so\n\
                    [engs]\ntoken = t\n[t]\ndynamic_path = /usr/lib/engines/token.so\n";
        let named = parse(text);
        assert_eq!(named.includes, ["/etc/ssl/more.cnf", "/etc/ssl/conf.d"]);
        assert_eq!(named.modules, ["legacy", "/opt/own.so"]);
        assert_eq!(named.engines, ["/usr/lib/engines/token.so"]);
    }
}
