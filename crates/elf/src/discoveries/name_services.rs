//! NSS: the modules by which glibc looks up users, groups, hosts and services, as nsswitch.conf(5) names them.

use std::collections::BTreeSet;
use std::io;

use super::{Discovery, c_library};
use crate::closure::Why;
use crate::context::Context;
use crate::elf::SymbolTable;
use crate::features::Feature;
use crate::loader::Process;
use minimg_tree::Root;

/// What NSS does when there is no nsswitch.conf (`nss/nss_database.c`).
const DEFAULT_SERVICES: &str = "passwd: files\nhosts: files dns\n";

/// Opens the modules for objects that look something up.
pub(super) struct NameServices;

impl<R: Root + ?Sized> Discovery<R> for NameServices {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        let features = [Feature::Resolver, Feature::NameService, Feature::Services];
        if !features.into_iter().any(|feature| context.uses(process, at, feature).is_some()) {
            return Ok(());
        }
        let libc = c_library(process, at);
        let table = context.view().file(b"/etc/nsswitch.conf")?;
        let content = table.as_ref().map(|place| context.view().root().read(&place.path)).transpose()?;
        let text = content.as_deref().map_or(DEFAULT_SERVICES.into(), String::from_utf8_lossy);
        // From glibc 2.34 on these two are built in.
        let built_in: &[&str] = if defines(process, libc, b"GLIBC_2.34") { &["files", "dns"] } else { &[] };
        for service in services(&text) {
            let name = format!("libnss_{service}.so.2");
            if !built_in.contains(&service) && process.named(name.as_bytes()).is_none() {
                let why = format!("nsswitch.conf names the service {service}");
                let opened = context.loader().open(process, libc, name.as_bytes(), &why)?;
                if let (Some(_), Some(table)) = (opened, &table) {
                    let asker = process.loaded[at].place.path.clone();
                    let why = "the C library reads in it which services to ask".to_owned();
                    context.keep_place(table, Why::Opened(why), Some(&asker));
                }
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
