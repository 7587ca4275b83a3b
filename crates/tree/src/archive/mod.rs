//! Reading foreign archives: compressed tar streams become nodes of a tree, and nothing is ever unpacked to the host's file system.
//!
//! [`compression`] decodes with limits, [`tar`] turns the stream into checked entries, [`Collector`] makes sure that the entries fit
//! together as one tree, [`Spill`] keeps the bodies in bounded memory, and [`read_tree`] is all of that in one call.

mod collector;
pub mod compression;
mod error;
mod gzip;
mod number;
mod pax;
mod sparse;
mod spill;
pub mod tar;
mod tree;

pub use collector::{Collector, Member, MemberKind};
pub use compression::{Codec, Limits, TooLarge};
pub use error::TarError;
pub use spill::{Scratch, Spill, Spilled, copy_region};
pub use tree::{Entries, read_entries, read_tree};

use minimg_base::error::{Class, Error};

impl From<TarError> for Error {
    fn from(error: TarError) -> Self {
        Error::new(error.class(), error)
    }
}

/// The class of an I/O error met while reading an archive: foreign bytes that do not decode, or the machine.
pub fn class_of_io(error: &std::io::Error) -> Class {
    use std::io::ErrorKind;
    match error.kind() {
        // What the decoders say of bytes that they cannot decode, and of limits that are exceeded.
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => Class::Malformed,
        _ if error.get_ref().is_some_and(|inner| inner.is::<compression::TooLarge>()) => Class::Malformed,
        _ => Class::Machine,
    }
}
