//! From pinned packages to a root tree, in four steps: what is in each package is taken from the store, or found by decoding it;
//! packages are put together as dpkg would; rules do what maintainer scripts would have done; contents stay where they are until
//! somebody reads them.

mod ar;
mod assemble;
mod deb;
mod error;
pub(crate) mod files;
mod listing;
pub(crate) mod pack;
mod ration;
mod reach;
mod stored;
pub(crate) mod unpacker;

pub(crate) use assemble::merge;
pub use assemble::{Diversions, Loaded, assemble, sort};
pub use deb::{Data, Metadata, read};
pub use error::{PackageError, Problem};
pub use files::{Fetch, PackageFiles};
pub use listing::{KEPT, Listing};
pub use minimg_deb822::{Control, Relation};
pub use unpacker::Unpacker;
