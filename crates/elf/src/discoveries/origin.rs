//! `$ORIGIN` of a program: what the loader needs to know where the program lies.

use std::io;

use super::Discovery;
use crate::context::Context;
use crate::finding::Severity;
use crate::loader::{Process, names_origin};
use crate::system::Libc;
use minimg_tree::{Entry, Root};

/// Reports programs that find their libraries by `$ORIGIN`.
pub(super) struct Origin;

impl<R: Root + ?Sized> Discovery<R> for Origin {
    fn program(&mut self, context: &mut Context<'_, R>, process: &Process) -> io::Result<()> {
        if process.libc() == Some(Libc::Glibc) && process.facts(0).is_some_and(names_origin) {
            let place = &process.loaded[0].place;
            let is_privileged = matches!(place.entry, Entry::File { mode, .. } if mode & 0o6000 != 0);
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
            context.find(severity, &place.path, text);
        }
        Ok(())
    }
}
