//! Where musl looks for a library (`load_library` in `ldso/dynlink.c`).

use std::io;
use std::rc::Rc;

use super::candidate::Candidate;
use super::glibc::{origin, plain};
use super::tokens::absolute;
use super::{Found, Loader, Process, Tried, words};
use crate::system::System;
use crate::text::base_name;
use crate::view::Place;
use minimg_tree::Root;

/// Names that stand for the loader itself, which is the whole C library: `libc.so`, `libpthread.so.0`, `libc.musl-x86_64.so.1`.
const RESERVED: [&str; 7] = ["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];

impl<R: Root + ?Sized> Loader<'_, R> {
    pub(super) fn find_for_musl(
        &self,
        process: &mut Process,
        system: &System,
        asker: usize,
        name: &[u8],
    ) -> io::Result<Found> {
        if let Some(interpreter) = self.musl_itself(process, name) {
            return Ok(Found::Known(interpreter));
        }
        let mut tried = Vec::new();
        let mut candidates = Vec::new();
        if name.contains(&b'/') {
            candidates.push(absolute(name.to_vec(), &self.working_directory()));
        } else {
            if let Some(index) = process.named(name) {
                return Ok(Found::Known(index));
            }
            let own = self.musl_path_file(process)?;
            if let Some(own) = &own {
                process.consult(own.clone());
            }
            for list in self.musl_lists(process, system, asker, own.as_deref())? {
                let elements = words(&list, b":\n").map(|directory| [directory, b"/", name].concat());
                candidates.extend(elements.map(|path| absolute(path, &self.working_directory())));
            }
        }
        for path in candidates {
            let why = match self.try_path(&path, system)? {
                Candidate::Fits(place, object) => {
                    if let Some(index) = process.with_id(object.id) {
                        process.learn_name(name, index);
                        return Ok(Found::Known(index));
                    }
                    return Ok(Found::New(Box::new(plain(path, place, object))));
                }
                Candidate::Skipped(why) => why,
                Candidate::EndsList(why) | Candidate::Fatal(why) => {
                    tried.push(Tried { path: path.into(), why });
                    break;
                }
            };
            let exists = self.view().place(&path)?.is_ok();
            tried.push(Tried { path: path.into(), why });
            // The first file that opens is taken, whatever it is.
            if exists {
                break;
            }
        }
        Ok(Found::Nowhere(tried))
    }

    fn musl_itself(&self, process: &mut Process, name: &[u8]) -> Option<usize> {
        let reserved = RESERVED.iter().any(|reserved| name.starts_with(reserved.as_bytes()));
        if let Some(unused) = process.unused_interpreter.take_if(|unused| reserved || *unused.path == *name) {
            process.add_interpreter(&unused.path, unused.place, unused.object, None);
        }
        let interpreter = process.loaded.iter().position(|loaded| loaded.role == super::Role::Interpreter)?;
        (reserved || *process.loaded[interpreter].name == *name).then_some(interpreter)
    }

    /// The file with directories that the loader reads instead of the list that is compiled in.
    fn musl_path_file(&self, process: &Process) -> io::Result<Option<Rc<Place>>> {
        let interpreter = process.loaded.iter().find(|loaded| loaded.role == super::Role::Interpreter);
        interpreter.map_or(Ok(None), |interpreter| self.view().file(&path_file(&interpreter.opened)))
    }

    /// `LD_LIBRARY_PATH`, the RPATH or RUNPATH of the asker and of all who asked for it, and the system's path, which may be in a file.
    fn musl_lists(
        &self,
        process: &Process,
        system: &System,
        asker: usize,
        own: Option<&Place>,
    ) -> io::Result<Vec<Vec<u8>>> {
        let mut lists = Vec::new();
        if let Some(path) = self.settings.environment.get("LD_LIBRARY_PATH") {
            lists.push(path.clone().into_bytes());
        }
        for index in process.askers(asker) {
            let dynamic = process.facts(index).and_then(|facts| facts.dynamic.as_ref());
            if let Some(path) = dynamic.and_then(|d| d.runpath.as_ref().or(d.rpath.as_ref())) {
                lists.extend(expand(path, &origin(process, index, &self.working_directory())));
            }
        }
        let own = own.map(|file| self.view().root().read(&file.path)).transpose()?;
        lists.push(own.map_or_else(|| system.musl_path.to_vec(), |path| path.to_vec()));
        Ok(lists)
    }
}

/// `/etc/ld-musl-x86_64.path` for `/lib/ld-musl-x86_64.so.1`.
fn path_file(interpreter: &[u8]) -> Vec<u8> {
    let base = base_name(interpreter);
    let stem = base.strip_suffix(b".so.1").unwrap_or(base);
    let directory = &interpreter[..interpreter.len() - base.len()];
    let prefix = directory.strip_suffix(b"/lib/").unwrap_or_default();
    [prefix, b"/etc/", stem, b".path"].concat()
}

/// Only `$ORIGIN` is known; a list with any other dollar sign is void.
fn expand(list: &[u8], origin: &[u8]) -> Option<Vec<u8>> {
    let mut parts = list.split(|&b| b == b'$');
    let mut result = parts.next()?.to_vec();
    for part in parts {
        let rest = part.strip_prefix(b"ORIGIN").or_else(|| part.strip_prefix(b"{ORIGIN}"))?;
        result.extend_from_slice(origin);
        result.extend_from_slice(rest);
    }
    Some(result)
}
