//! libgcc_s: glibc opens it to unwind a cancelled thread, and aborts the program when it cannot (`misc/unwind-link.c`).

use std::io;

use super::{Discovery, c_library};
use crate::context::Context;
use crate::features::Feature;
use crate::finding::Severity;
use crate::loader::Process;
use minimg_tree::Root;

const NAME: &[u8] = b"libgcc_s.so.1";

/// Opens libgcc_s for objects that cancel threads or walk the stack.
pub(super) struct Libgcc;

impl<R: Root + ?Sized> Discovery<R> for Libgcc {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        let Some(function) = context.uses(process, at, Feature::Unwind) else { return Ok(()) };
        if process.named(NAME).is_some() {
            return Ok(());
        }
        let asker = process.loaded[at].place.path.clone();
        let why = format!("{asker} uses {function}, for which glibc opens libgcc_s.so.1");
        let libc = c_library(process, at);
        if context.loader().open(process, libc, NAME, &why)?.is_none() {
            let text = format!(
                "it uses {function}, for which glibc opens libgcc_s.so.1; without it the program is aborted: add the package that holds it (Debian: libgcc-s1)"
            );
            context.find(Severity::Warning, &asker, text);
        }
        Ok(())
    }
}
