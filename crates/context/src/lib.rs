//! What every step of a build may use: the store, the user's settings, and somebody to tell.
//!
//! ```
//! use minimg_context::{Context, Settings};
//! use minimg_store::Store;
//!
//! let directory = tempfile::tempdir()?;
//! let environment = [("PATH".into(), "/opt/tools/bin".into())];
//! let context = Context::new(Store::open(directory.path())?)
//!     .with_settings(Settings::of_this_machine(environment))
//!     .with_offline(true);
//! assert_eq!(context.settings.path, "/opt/tools/bin");
//!
//! let digest = context.store.put_blob(b"hello")?;
//! assert!(context.clone().store.has_blob(&digest, Some(5)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod settings;

use std::sync::Arc;

use minimg_base::cancel::Cancellation;
use minimg_base::report::{Reporter, Silent};
use minimg_store::Store;
use serde::Serialize;

pub use settings::Settings;

/// What every step may use: the store, the user's settings, and somebody to tell. A clone shares all of them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// The cache on disk.
    pub store: Store,
    /// Told of what happens.
    pub reporter: Arc<dyn Reporter>,
    /// Whether the network may be used at all.
    pub offline: bool,
    /// The user's settings for finding mirrors and tools.
    pub settings: Arc<Settings>,
    /// Cancels what is done with this context.
    pub cancellation: Cancellation,
}

impl Context {
    /// A context that tells nobody, may use the network, and has the default settings, which know nothing of the machine.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            reporter: Arc::new(Silent),
            offline: false,
            settings: Arc::default(),
            cancellation: Cancellation::new(),
        }
    }

    /// The same with these settings.
    pub fn with_settings(self, settings: impl Into<Arc<Settings>>) -> Self {
        Self { settings: settings.into(), ..self }
    }

    /// The same, telling this reporter.
    pub fn with_reporter(self, reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, ..self }
    }

    /// The same, with the network or without it.
    pub fn with_offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// The same, cancelled by this token: downloads end, and no further step of a build begins.
    pub fn with_cancellation(self, cancellation: Cancellation) -> Self {
        Self { cancellation, ..self }
    }
}

/// Something of this machine that a backend or engine uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is: `mmdebstrap or debootstrap`, `user namespaces`.
    pub name: String,
    /// Where it is, or what can be said of it; `None` when it is missing.
    pub found: Option<String>,
    /// Whether nothing works without it.
    pub needed: bool,
    /// What to do when it is missing; a command where there is one.
    pub remedy: String,
}
