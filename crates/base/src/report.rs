//! Events of a build, for a program that shows them. The library itself never prints.

/// An event of a build.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A new phase began, such as `resolve` or `fetch`; phases do not overlap.
    Phase(&'a str),
    /// The current phase will have this many steps.
    Steps(u64),
    /// One step of the current phase is done.
    Step,
    /// What an outside tool is doing now, in its own words; each takes the place of the last.
    Activity(&'a str),
    /// A download began; `id` tells concurrent ones apart.
    DownloadStarted {
        /// Tells concurrent downloads apart.
        id: u64,
        /// What is fetched, short: a package's or an index's name.
        name: &'a str,
        /// The size in bytes, where it is known.
        size: Option<u64>,
    },
    /// More bytes of a download arrived.
    DownloadAdvanced {
        /// Which download.
        id: u64,
        /// How many more bytes.
        bytes: u64,
    },
    /// A download ended, successfully or not.
    DownloadFinished {
        /// Which download.
        id: u64,
    },
    /// Something was taken from the store instead of being fetched or made.
    Reused {
        /// What was reused: `index`, `package`, `members`, `layer`.
        what: &'static str,
        /// How many bytes needed not be fetched or made.
        bytes: u64,
    },
    /// Something had to be made although it might have been in the store, and why.
    Missed {
        /// What was looked for.
        what: &'a str,
        /// Why it was missing.
        why: &'a str,
    },
    /// Something that the user should know, which does not stop the build.
    Warning(&'a str),
    /// A detail, shown with `--verbose`.
    Detail(&'a str),
}

/// Receives events. Called from several threads at once; must return quickly.
pub trait Reporter: Send + Sync {
    /// Receives an event.
    fn event(&self, event: Event<'_>);
}

/// Ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: Event<'_>) {}
}
