//! Debian's control files (deb822(5), deb-control(5)) and versions (deb-version(7)).

mod control;
mod stanza;
mod version;

pub use control::{Control, ControlError, Relation};
pub use stanza::{Field, Stanza, stanzas};
pub use version::compare;
