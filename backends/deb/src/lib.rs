//! The Debian backend: Debian, Ubuntu and their derivatives, without any of their tools. It needs no setup, no privilege and no network but a
//! mirror.
//!
//! [`archive`] chooses packages and brings them, verified, into the store; [`DebFormat`] reads them; [`assemble`](assemble()) puts them
//! together as one tree; [`rules`] does what their maintainer scripts would have done.
//!
//! ```
//! use minimg_backend::{Backend, Settings};
//! use minimg_deb::Deb;
//!
//! let mirror = |name: &str| (name.to_owned(), format!("https://deb.example/{name}"));
//! let mirrors = ["debian", "debian-security"].map(mirror);
//! let settings = Settings { mirrors: mirrors.into(), ..Settings::default() };
//! let mirrors = Deb.survey(&settings)[0].found.clone();
//! assert!(mirrors.is_some_and(|mirrors| mirrors.starts_with("https://deb.example/debian")));
//! ```

mod ar;
mod assemble;
mod format;
mod produce;
pub mod rules;

use std::sync::Arc;

use minimg_apt as archive;

use minimg_backend::options::OptionsError;
use minimg_backend::{Backend, Context, Part, Pins, Produced, Request, Resolution, Settings};
use minimg_base::error::Result;
use minimg_package::Fetch;

pub use assemble::{Diversions, assemble, sort};
pub use format::{Data, DebFormat, Listing, Loaded, Unpacker, read};
pub use produce::produce;

/// The Debian backend.
#[derive(Debug, Clone, Copy)]
pub struct Deb;

impl Deb {
    fn refuse_options(&self, request: &Request) -> Result<()> {
        if request.source.options.contains_key(self.name()) {
            let message = "it has no options; all its settings are in [source] itself".to_owned();
            return Err(OptionsError { backend: "deb", message }.into());
        }
        Ok(())
    }
}

impl Backend for Deb {
    fn name(&self) -> &str {
        "deb"
    }

    fn description(&self) -> &str {
        "Debian packages, read by minimg itself: no setup, no root privileges, any architecture"
    }

    fn family(&self) -> &str {
        "deb"
    }

    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let name = "mirror of debian".to_owned();
        vec![match archive::mirrors("debian", settings) {
            Ok(mirrors) => Part { name, found: Some(mirrors.join(", ")), needed: true, remedy: String::new() },
            Err(error) => Part { name, found: None, needed: true, remedy: error.to_string() },
        }]
    }

    fn pin(&self, request: &Request, context: &Context) -> Result<Pins> {
        self.refuse_options(request)?;
        archive::resolve(request, context)
    }

    fn resolve(&self, request: &Request, context: &Context) -> Result<Box<dyn Resolution>> {
        self.refuse_options(request)?;
        let unpacker = Unpacker::new(&context.store);
        let pins = archive::resolve_and_begin(request, context, |package, file| {
            // Where there is no room, it is in the store for later.
            unpacker.push_open(package, file);
            // One, since the index is still being read, which takes two cores.
            unpacker.grow(1);
        })?;
        Ok(Box::new(Unpacking { request: request.clone(), pins, unpacker, context: context.clone() }))
    }

    fn locate(&self, request: &Request, pins: Pins, context: &Context) -> Result<Pins> {
        archive::locate(request, pins, context)
    }

    fn produce(&self, request: &Request, pins: &Pins, context: &Context) -> Result<Produced> {
        unpack(request, pins, Unpacker::new(&context.store), context)
    }
}

/// A resolved request, of whose packages some are being unpacked already.
struct Unpacking {
    request: Request,
    pins: Pins,
    unpacker: Unpacker,
    context: Context,
}

impl Resolution for Unpacking {
    fn pins(&self) -> &Pins {
        &self.pins
    }

    fn produce(self: Box<Self>) -> Result<Produced> {
        unpack(&self.request, &self.pins, self.unpacker, &self.context)
    }
}

fn unpack(request: &Request, pins: &Pins, unpacker: Unpacker, context: &Context) -> Result<Produced> {
    // A lock names no mirror: one is looked for when something must be fetched, and not before.
    let request_of_fetch = request.clone();
    let fetch: Fetch = Arc::new(move |missing, context, ready| {
        let located = archive::locate(&request_of_fetch, missing.clone(), context)?;
        archive::fetch_packages(&located, context, |_, package, file| {
            ready(package, file);
            Ok(())
        })
    });
    produce(request, pins, unpacker, context, &fetch)
}
