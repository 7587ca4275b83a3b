//! Builds minimal container images: only the files your programs need, each with a reason.
//!
//! ```
//! use minimg::backend::Context;
//! use minimg::store::Store;
//! use minimg::tree::RootPath;
//! use minimg::{Builder, layer};
//!
//! let directory = tempfile::tempdir()?;
//! let root = directory.path().join("root");
//! std::fs::create_dir_all(root.join("srv"))?;
//! std::fs::write(root.join("srv/hello"), "hello\n")?;
//!
//! let context = Context::new(Store::open(&directory.path().join("store"))?).with_offline(true);
//! let profile = format!(
//!     "backend = 'tarball'\nsource.options.tarball.root = '{}'\nkeep.globs.'/srv/**' = 'what it serves'\n",
//!     root.display()
//! );
//! let built = Builder::from_text("hello", profile).board_named("arm64")?.build(&context)?;
//! assert!(layer::flatten(&built[0].image.layers, &context.store)?.contains(&RootPath::new("srv/hello")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod backends;
mod builder;
pub mod compose;
pub mod lock;
pub mod outputs;
pub mod pipeline;
pub mod profile;
pub mod recipe;
pub mod record;
pub mod shrink;
pub mod trial;

pub use builder::Builder;
pub use minimg_backend as backend;
pub use minimg_base::cancel::{Cancellation, Cancelled};
#[doc(inline)]
pub use minimg_base::error::{Class, Error, Result};
pub use minimg_base::{digest, error, interrupt, report, suggest};
pub use minimg_board as board;
pub use minimg_elf as closure;
pub use minimg_engine as engine;
pub use minimg_fetch as fetch;
pub use minimg_oci::{document, export, image, layer, place, reference, rootfs};
pub use minimg_ownership as ownership;
pub use minimg_package as package;
pub use minimg_registry as registry;
pub use minimg_sandbox as sandbox;
pub use minimg_store as store;
pub use minimg_tree as tree;
pub use minimg_tree::archive;
