//! Debian packages, without dpkg or apt: Debian, Ubuntu and their kin, for any of their architectures, since nothing is run.

pub mod archive;
pub mod package;
pub mod rules;

use crate::backend::{Backend, Context, Pins, Produced, Request};
use crate::error::Result;

/// The backend that reads signed archives and unpacks their packages in process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deb;

impl Backend for Deb {
    fn name(&self) -> &'static str {
        "deb"
    }

    fn description(&self) -> &'static str {
        "packages of Debian, Ubuntu and their kin, in process and for any architecture"
    }

    fn family(&self) -> &'static str {
        "deb"
    }

    fn resolve(&self, request: &Request, context: &Context<'_>) -> Result<Pins> {
        archive::resolve(request, context)
    }

    fn produce(&self, request: &Request, pins: &Pins, context: &Context<'_>) -> Result<Produced> {
        package::produce(request, pins, context, fetch)
    }
}

fn fetch(
    pins: &Pins,
    context: &Context<'_>,
    consume: &(dyn Fn(&crate::backend::PinnedPackage, std::fs::File) + Sync),
) -> Result<()> {
    archive::fetch_packages(pins, context, |_, package, file| {
        consume(package, file);
        Ok(())
    })
}
