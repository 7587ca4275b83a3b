//! `.note.dlopen`: what a file says itself of the libraries that it opens (systemd's ELF dlopen metadata).

use std::collections::BTreeSet;
use std::io;

use super::Discovery;
use crate::context::Context;
use crate::elf::{Priority, dlopen_notes};
use crate::finding::Severity;
use crate::loader::Process;
use minimg_tree::{Root, RootPath};

/// Opens what the notes of an object name, as far as it is required, recommended or asked for.
#[derive(Default)]
pub(super) struct Notes {
    /// Objects and the names that were reported missing for them.
    reported: BTreeSet<(RootPath, String)>,
}

impl<R: Root + ?Sized> Discovery<R> for Notes {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        let object = process.loaded[at].object.clone();
        let Ok(facts) = &object.facts else { return Ok(()) };
        let path = process.loaded[at].place.path.clone();
        for note in dlopen_notes(&object.bytes, facts) {
            let names = note.soname.join(", ");
            let feature = if note.feature.is_empty() { String::new() } else { format!(" for {}", note.feature) };
            let why = format!("{path} says in its .note.dlopen that it opens {names}{feature}");
            if note.priority == Priority::Suggested {
                let policy = context.settings().closure.suggested;
                let text = || format!("it can use {names}{feature}; keep it with suggested = \"keep\" under [closure]");
                if !context.ask(policy, &path, text) {
                    continue;
                }
            }
            let mut found = false;
            for name in &note.soname {
                found = found || context.loader().open(process, at, name.as_bytes(), &why)?.is_some();
            }
            if !found && self.reported.insert((path.clone(), names.clone())) {
                let (severity, effect) = match note.priority {
                    Priority::Required => (Severity::Error, "it does not work without"),
                    _ => (Severity::Note, "a part of it does not work without"),
                };
                context.find(severity, &path, format!("{effect} {names}{feature}, which the tree does not have"));
            }
        }
        Ok(())
    }
}
