//! What backends that drive an outside tool have in common: the tool runs once for a request, and its tree is remembered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Context, Pins, fixed};
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, Result};
use minimg_base::report::{Event, Reused};

/// The kind of the store's entries that say which tree a request gave.
const DRIVEN: &str = "driven-root";
/// How long a tree is taken for what the tool would give again, unless the profile says otherwise: package archives change daily.
pub const USUAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum DrivenError {
    /// The tool would need the network.
    #[error("{tool} has not made this root tree before, and --offline forbids fetching; build once without --offline")]
    Offline {
        /// The tool.
        tool: String,
    },
}

impl From<DrivenError> for Error {
    fn from(error: DrivenError) -> Self {
        Error::new(Class::Network, error)
    }
}

/// The tree that a request gave, and when.
#[derive(Serialize, Deserialize)]
struct Made {
    pins: Pins,
    /// In seconds since 1970.
    at: u64,
}

/// The pins that `make` gave for this key no longer than `age` ago, with their tree still in the store; else those that it gives now.
/// Processes that want the same wait for one another. Offline, what was made at any time will do, and nothing is made.
///
/// # Errors
/// Those of `make`; when the context is offline and there is nothing; when the store fails.
pub fn remembered(
    tool: &str,
    key: &Digest,
    age: Duration,
    context: &Context,
    make: impl FnOnce() -> Result<Pins>,
) -> Result<Pins> {
    let _lock = context.store.lock(&format!("{DRIVEN}-{}", key.short()))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(bytes) = context.store.entry(DRIVEN, key)?
        && let Ok(made) = serde_json::from_slice::<Made>(&bytes)
        && (context.offline || now.saturating_sub(made.at) < age.as_secs())
        && fixed::is_there(&made.pins, context)?
    {
        let bytes = made.pins.root.as_ref().map_or(0, |root| root.size);
        context.reporter.event(Event::Reused { what: Reused::Root, bytes });
        return Ok(made.pins);
    }
    if context.offline {
        return Err(DrivenError::Offline { tool: tool.to_owned() }.into());
    }
    let made = Made { pins: make()?, at: now };
    let bytes = serde_json::to_vec(&made).map_err(|error| Error::new(Class::Machine, error))?;
    context.store.put_entry(DRIVEN, key, &bytes)?;
    Ok(made.pins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minimg_store::Store;
    use minimg_tree::{Node, RootPath, RootTree};

    #[test]
    fn a_tool_runs_once_for_a_request() {
        let directory = tempfile::tempdir().unwrap();
        let context = &Context::new(Store::open(directory.path()).unwrap());
        let offline = context.clone().with_offline(true);
        let key = Digest::of("request");
        let make = |content: &'static str| {
            move || {
                let mut tree = RootTree::new();
                tree.insert(RootPath::new("file").unwrap(), Node::file(0o644, content));
                fixed::fix(tree, "a test", context)
            }
        };
        let never = || -> Result<Pins> { panic!("the tool ran again") };
        let error = remembered("the-tool", &key, USUAL_AGE, &offline, never).unwrap_err();
        assert!(error.to_string().starts_with("the-tool has not made this root tree before"), "{error}");
        let first = remembered("the-tool", &key, USUAL_AGE, context, make("one")).unwrap();
        assert_eq!(remembered("the-tool", &key, USUAL_AGE, context, never).unwrap(), first);
        assert_eq!(remembered("the-tool", &key, Duration::ZERO, &offline, never).unwrap(), first);
        let second = remembered("the-tool", &key, Duration::ZERO, context, make("two")).unwrap();
        assert_ne!(second, first);
        let lost = second.root.as_ref().unwrap().sha256;
        std::fs::remove_file(context.store.blob_path(&lost)).unwrap();
        assert_eq!(remembered("the-tool", &key, USUAL_AGE, context, make("two")).unwrap(), second);
    }
}
