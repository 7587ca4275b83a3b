//! A client of container registries (the distribution specification of the OCI): what a backend reads images with, and what an exporter
//! can push them with.
//!
//! [`Remote`] names an image in a registry, [`Client`] asks that registry for as much as its [`Action`]s need. Manifests and blobs go into
//! the store by their digests. Credentials are those of `docker login`, those in helpers included; they are told to the registry itself and
//! to whoever it names for tokens, never to a server that an answer redirects to.
//!
//! ```
//! use minimg_registry::{Action, Remote, Scope};
//!
//! let remote = Remote::parse("reg.example:5000/team/app:1.0").unwrap();
//! assert_eq!(remote.address(), "https://reg.example:5000/v2/team/app");
//! let scope = Scope::new(&remote, &[Action::Pull, Action::Push]);
//! assert_eq!(scope.to_string(), "repository:team/app:pull,push");
//! assert!(Remote::parse("localhost:5000/app").unwrap().is_plain());
//! ```

mod access;
mod challenge;
mod client;
mod credentials;
mod error;
mod helper;
mod image;
mod realm;
mod remote;
mod scope;

pub use client::Client;
pub use error::RegistryError;
pub use remote::{Remote, RemoteError};
pub use scope::{Action, Scope};
