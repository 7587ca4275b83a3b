//! What DT_NEEDED hides: libraries and files that programs use while they run, and that no loader names.
//!
//! Each piece of such knowledge is a [`Discovery`]: one file, and one line in the [`table`]. What is certain from the files is kept, with
//! its reason; what is a guess is reported or kept as [`crate::ClosureSettings`] says. Files that belong to a library rather than to a
//! symbol are the business of rule sets and their triggers.

mod gconv;
mod libgcc;
mod libidn;
mod library_names;
mod locale;
mod module_caches;
mod name_services;
mod notes;
mod openssl;
mod origin;
mod pam;
mod script_commands;

use std::io;

use crate::context::Context;
use crate::loader::Process;
use crate::shebang::Shebang;
use minimg_tree::{Root, RootPath};

/// One piece of hidden knowledge. The walk shows it what is newly kept; it keeps and reports through the [`Context`].
pub(crate) trait Discovery<R: Root + ?Sized> {
    /// Looks at the object `at` of a process, and opens in the process what that object opens while it runs.
    fn object(&mut self, _context: &mut Context<'_, R>, _process: &mut Process, _at: usize) -> io::Result<()> {
        Ok(())
    }

    /// Looks at a program as a whole, with everything that it has loaded.
    fn program(&mut self, _context: &mut Context<'_, R>, _process: &Process) -> io::Result<()> {
        Ok(())
    }

    /// Looks at a script that the kernel would run.
    fn script(
        &mut self,
        _context: &mut Context<'_, R>,
        _path: &RootPath,
        _shebang: &Shebang,
        _bytes: &[u8],
    ) -> io::Result<()> {
        Ok(())
    }

    /// Whether the kept file at `path`, which is neither an ELF file nor a script, is for [`Discovery::text`]; the first in the table
    /// that says so gets it.
    fn reads(&self, _path: &RootPath) -> bool {
        false
    }

    /// Reads a kept file. All programs and libraries that are kept so far have been looked into by then.
    fn text(&mut self, _context: &mut Context<'_, R>, _path: &RootPath, _text: &str) -> io::Result<()> {
        Ok(())
    }

    /// Reports what can be said only now that nothing more will be kept.
    fn finish(&mut self, _context: &mut Context<'_, R>) -> io::Result<()> {
        Ok(())
    }
}

/// The table of discoveries, fresh for one walk. Each object is shown to them in this order, so what is certain comes first: the first
/// reason for a path stays.
pub(crate) fn table<R: Root + ?Sized>() -> Vec<Box<dyn Discovery<R>>> {
    vec![
        Box::new(notes::Notes::default()),
        Box::new(libgcc::Libgcc),
        Box::new(gconv::Gconv),
        Box::new(locale::Locales),
        Box::new(name_services::NameServices),
        Box::new(libidn::Libidn),
        Box::new(library_names::LibraryNames::default()),
        Box::new(pam::Pam),
        Box::new(openssl::OpenSsl::default()),
        Box::new(module_caches::ModuleCaches::default()),
        Box::new(script_commands::ScriptCommands::default()),
        Box::new(origin::Origin),
    ]
}

/// The place of the C library in a process; the object `at` itself where it is not loaded under its usual name.
fn c_library(process: &Process, at: usize) -> usize {
    process.named(b"libc.so.6").unwrap_or(at)
}
