//! The table of backends: a folder of this directory and a line here make one.

pub mod deb;

use crate::backend::Backend;

/// All backends, in the order in which they are listed.
pub fn all() -> &'static [&'static dyn Backend] {
    &[&deb::Deb]
}
