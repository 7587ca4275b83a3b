//! The tarball backend: any root file system that is there already, as the tree to prune. A root tar, a directory, an image in a file, in a
//! local engine or in a registry.
//!
//! [`location`] reads where it is, `open` opens it, and [`take()`] makes it pins: from then on the store has it.
//!
//! ```
//! use minimg_backend::{Backend, Context, Request, Source};
//! use minimg_board::Boards;
//! use minimg_store::Store;
//! use minimg_tarball::{Tarball, set_root};
//! use minimg_tree::RootPath;
//!
//! let directory = tempfile::tempdir()?;
//! let root = directory.path().join("root");
//! std::fs::create_dir_all(root.join("srv"))?;
//! std::fs::write(root.join("srv/hello"), "hello\n")?;
//!
//! let context = Context::new(Store::open(&directory.path().join("store"))?).with_offline(true);
//! let mut source = Source::default();
//! set_root(&mut source, &root.display().to_string());
//! let request = Request { board: Boards::built_in().get("amd64")?, source, packages: Vec::new() };
//! let pins = Tarball.pin(&request, &context)?;
//! assert!(Tarball.produce(&request, &pins, &context)?.tree.contains(&RootPath::new("srv/hello")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod digests;
mod error;
pub mod location;
mod open;
mod options;
mod take;

pub use digests::check_digests;
pub use error::TarballError;
pub use take::{Taken, take};

use std::path::PathBuf;

use minimg_backend::{Backend, Context, Pins, Produced, Request, Source, fixed};
use minimg_base::error::Result;

/// The backend's name, under which a profile has its options.
pub const NAME: &str = "tarball";

/// The tarball backend.
#[derive(Debug, Clone, Copy)]
pub struct Tarball;

impl Backend for Tarball {
    fn name(&self) -> &str {
        NAME
    }

    fn description(&self) -> &str {
        "an existing root file system: a tar, a directory, or an image to shrink"
    }

    fn family(&self) -> &str {
        NAME
    }

    fn works_without_packages(&self) -> bool {
        true
    }

    fn pin(&self, request: &Request, context: &Context) -> Result<Pins> {
        Ok(take(request, context)?.pins)
    }

    fn produce(&self, request: &Request, pins: &Pins, context: &Context) -> Result<Produced> {
        if !fixed::is_there(pins, context)? {
            // The store was emptied since: the same source gives the same tree again.
            let again = take(request, context)?.pins;
            if again.root.as_ref().map(|root| root.sha256) != pins.root.as_ref().map(|root| root.sha256) {
                return Err(TarballError::Changed { origin: origin(pins) }.into());
            }
        }
        fixed::produce(pins, context)
    }
}

fn origin(pins: &Pins) -> String {
    pins.root.as_ref().map(|root| root.origin.clone()).unwrap_or_default()
}

/// Makes `root`, as it is given on a command line, the root file system of a source, in place of what the profile says.
pub fn set_root(source: &mut Source, root: &str) {
    let options = toml::Table::from_iter([(options::ROOT.to_owned(), toml::Value::String(root.to_owned()))]);
    source.options.insert(NAME.to_owned(), toml::Value::Table(options));
    source.directory = PathBuf::new();
}
