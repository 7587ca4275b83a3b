//! Reading packages lazily, whatever their format.
//!
//! A package is decoded once, to list what is in it; the [`Listing`] goes into the store. Contents stay where they are until somebody
//! reads them, and those that an image kept are stored as the package's pack, so that the next build neither needs the package nor
//! decodes it. A [`Format`] says how one kind of package is read; [`load`] does the rest for all of them, with an [`Unpacker`] that
//! decodes several side by side while others are still being fetched.
//!
//! ```
//! use std::io::{BufRead, Read};
//! use std::sync::Arc;
//!
//! use minimg_package::{Format, Head, Listing, Payload, Problem, Ration};
//! use minimg_tree::archive::{Member, tar};
//!
//! /// A tar archive that says nothing of itself.
//! #[derive(Debug, Clone, Copy)]
//! struct Nameless;
//!
//! impl Format for Nameless {
//!     type Facts = ();
//!     const PAYLOAD: &'static str = "the archive";
//!
//!     fn open<'a>(
//!         package: Box<dyn BufRead + Send + 'a>,
//!         ration: &Arc<Ration>,
//!     ) -> Result<(Head, Box<dyn Payload + 'a>), Problem> {
//!         Ok((Head::new(), Box::new(tar::Reader::new(ration.limit(package)))))
//!     }
//!
//!     fn facts(_: &Head) -> Result<(), Problem> {
//!         Ok(())
//!     }
//!
//!     fn identity(_: &()) -> (&str, &str, &str) {
//!         ("nameless", "0", "all")
//!     }
//!
//!     fn is_always_kept(_: &Member) -> bool {
//!         false
//!     }
//! }
//!
//! let empty = vec![0; 1024];
//! let (_, mut payload) = Nameless::open(Box::new(&empty[..]), &Ration::new(4096))?;
//! assert!(payload.next_entry().unwrap().is_none());
//! // Where more comes out of a package than was allowed, reading it fails.
//! let (_, mut payload) = Nameless::open(Box::new(&empty[..]), &Ration::new(100))?;
//! assert!(payload.next_entry().is_err());
//! // The store may hold anything: what is not a listing is none.
//! assert!(Listing::<Nameless>::decode(vec![1, 2, 3].into()).is_none());
//! # Ok::<(), Problem>(())
//! ```

mod contents;
mod error;
mod format;
mod listing;
mod load;
mod origin;
mod pack;
#[cfg(test)]
mod plain;
mod ration;
mod reach;
mod reading;
mod stored;
#[cfg(test)]
mod tests;
mod unpacker;

pub use contents::PackageFiles;
pub use error::{PackageError, Problem};
pub use format::{Format, Head, Payload};
pub use listing::Listing;
pub use load::{Loaded, load, packs};
pub use origin::Fetch;
pub use ration::Ration;
pub use unpacker::Unpacker;
