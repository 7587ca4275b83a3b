//! Events of a build, for a program that shows them. The library itself never prints.

use std::fmt;

/// An event of a build.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A new phase began; phases do not overlap.
    Phase(Phase),
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
        /// What was reused.
        what: Reused,
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

/// A part of a build. As text, it is what people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Packages are chosen.
    Resolve,
    /// An outside tool's configuration is made.
    Configure,
    /// A tool compiles.
    Compile,
    /// The licenses of what was compiled are collected.
    LegalInfo,
    /// A tool installs packages.
    Install,
    /// An outside backend makes its root tree.
    Produce,
    /// Packages are fetched and unpacked.
    FetchAndUnpack,
    /// What is not needed is left out.
    Prune,
    /// The layer is written.
    WriteLayer,
    /// An engine gets the image.
    LoadIntoEngine,
    /// The image's tests run.
    Test,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Configure => "configure",
            Self::Compile => "build",
            Self::LegalInfo => "legal-info",
            Self::Install => "install",
            Self::Produce => "produce",
            Self::FetchAndUnpack => "fetch and unpack",
            Self::Prune => "prune",
            Self::WriteLayer => "write the layer",
            Self::LoadIntoEngine => "load into the engine",
            Self::Test => "test",
        })
    }
}

/// Something that the store had. As text, it is what people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reused {
    /// An index of packages.
    Index,
    /// A package's file.
    Package,
    /// A whole root tree.
    Root,
    /// The layer of a recipe.
    Layer,
    /// A layer of the same content, already compressed.
    CompressedLayer,
}

impl fmt::Display for Reused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "index",
            Self::Package => "package",
            Self::Root => "root",
            Self::Layer => "layer",
            Self::CompressedLayer => "compressed layer",
        })
    }
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
