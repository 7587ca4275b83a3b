//! The table of backends: a crate in `backends/` and a line here make one.

pub use minimg_buildroot as buildroot;
pub use minimg_deb as deb;
pub use minimg_debootstrap as debootstrap;
pub use minimg_exec as exec;
pub use minimg_tarball as tarball;
pub use minimg_yum as yum;

use minimg_backend::{Backend, Settings};
use minimg_base::error::{Class, Error, Result};
use minimg_base::suggest;

/// Every backend, in the order in which people see them.
pub const ALL: [&dyn Backend; 5] =
    [&deb::Deb, &debootstrap::Debootstrap, &yum::Yum, &buildroot::Buildroot, &tarball::Tarball];

/// The backend of this name: one of the table, or an outside program that these settings find.
///
/// # Errors
/// When there is an outside program of that name which cannot be used.
pub fn by_name(name: &str, settings: &Settings) -> Result<Option<Chosen>> {
    match ALL.into_iter().find(|backend| backend.name() == name) {
        Some(backend) => Ok(Some(Chosen::OfTable(backend))),
        None => Ok(exec::Exec::find(name, settings)?.map(Chosen::Outside)),
    }
}

/// As [`by_name`], for a name that must be there.
///
/// # Errors
/// As [`by_name`], and when there is no such backend: with the nearest name.
pub fn named(name: &str, settings: &Settings) -> Result<Chosen> {
    by_name(name, settings)?.ok_or_else(|| {
        let help = suggest::help(name, ALL.map(|backend| backend.name())).unwrap_or_default();
        Error::new(Class::Profile, format!("there is no backend {name:?}; {help}"))
    })
}

/// A backend that was chosen by name.
#[derive(Clone)]
pub enum Chosen {
    /// One of [`ALL`].
    OfTable(&'static dyn Backend),
    /// An outside program.
    Outside(exec::Exec),
}

impl std::ops::Deref for Chosen {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::OfTable(backend) => *backend,
            Self::Outside(backend) => backend,
        }
    }
}
