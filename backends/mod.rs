//! The table of backends: a folder of this directory and a line here make one.

pub mod deb;
pub mod tarball;

use crate::backend::Backend;

/// Every backend, in the order in which people see them.
pub const ALL: [&dyn Backend; 2] = [&deb::Deb, &tarball::Tarball];

/// The backend of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Backend> {
    ALL.into_iter().find(|backend| backend.name() == name)
}
