//! A path that may be the library that is looked for: opened and judged as `open_verify` in glibc's `elf/dl-load.c` does.

use std::io;
use std::rc::Rc;

use goblin::elf::header::ET_EXEC;

use super::Loader;
use crate::elf::{Unfit, is_for_another_machine, judge_header};
use crate::system::System;
use crate::view::{Absent, Object, Place};
use minimg_tree::{Entry, Root};

/// What became of a candidate.
pub(super) enum Candidate {
    /// It is taken.
    Fits(Rc<Place>, Rc<Object>),
    /// The search goes on.
    Skipped(&'static str),
    /// The search goes on with the next list of directories.
    EndsList(&'static str),
    /// The loader stops.
    Fatal(&'static str),
}

impl<R: Root + ?Sized> Loader<'_, R> {
    /// Opens `path` for a program that this loader loads.
    pub(super) fn try_path(&self, path: &[u8], system: &System) -> io::Result<Candidate> {
        let place = match self.view().place(path)? {
            Ok(place) => place,
            Err(absent @ Absent::Loop) => return Ok(Candidate::EndsList(absent.describe())),
            Err(absent) => return Ok(Candidate::Skipped(absent.describe())),
        };
        let object = match &place.entry {
            Entry::Directory => return Ok(Candidate::Fatal("a directory")),
            Entry::File { .. } => self.view().object(&place)?,
            Entry::Symlink(_) | Entry::Special => None,
        };
        let Some(object) = object else { return Ok(Candidate::Fatal("a pipe, socket or device")) };
        Ok(match judge(&object, system) {
            Ok(()) => Candidate::Fits(place, object),
            Err(Unfit::Skipped(why)) => Candidate::Skipped(why),
            Err(Unfit::Fatal(why)) => Candidate::Fatal(why),
        })
    }
}

fn judge(object: &Object, system: &System) -> Result<(), Unfit> {
    if system.skips_other_machines && is_for_another_machine(&object.bytes, &system.identity) {
        return Err(Unfit::Skipped("for another machine"));
    }
    judge_header(&object.bytes, &system.identity)?;
    let facts = object.facts.as_ref().map_err(|_| Unfit::Fatal("damaged"))?;
    if facts.segments.is_empty() {
        return Err(Unfit::Fatal("without a segment to load"));
    }
    if facts.kind == ET_EXEC || facts.is_pie() {
        return Err(Unfit::Fatal("a program, not a library"));
    }
    if facts.dynamic.is_none() {
        return Err(Unfit::Fatal("without a dynamic segment"));
    }
    Ok(())
}
