//! The classes of failure. Every error of the library has one, so that scripts can tell failures apart by the exit code.

use std::io;

/// The class of a failure. The numbers are the program's exit codes and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// The machine failed: a full disk, a file that cannot be read or written.
    Machine = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A profile, board, lock or configuration file is wrong.
    Profile = 3,
    /// The request cannot be satisfied: no such package, or packages that exclude each other.
    Unsatisfiable = 4,
    /// The network, a mirror or a registry failed, or is needed but not allowed.
    Network = 5,
    /// A signature, digest or date failed verification.
    Verification = 6,
    /// Foreign data is malformed, hostile, or larger than the stated limit.
    Malformed = 7,
    /// The image would not be complete: a library, symbol version, interpreter or file is missing in it.
    Incomplete = 8,
    /// An outside tool or engine is missing or failed.
    Tool = 9,
    /// The lock does not match the profile, and `--locked` forbids resolving again.
    Stale = 10,
}

impl Class {
    /// All classes, in the order of their codes.
    pub const ALL: [Class; 10] = [
        Class::Machine,
        Class::Usage,
        Class::Profile,
        Class::Unsatisfiable,
        Class::Network,
        Class::Verification,
        Class::Malformed,
        Class::Incomplete,
        Class::Tool,
        Class::Stale,
    ];

    /// The exit code of the program.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Its name in JSON documents.
    pub fn name(self) -> &'static str {
        match self {
            Class::Machine => "machine",
            Class::Usage => "usage",
            Class::Profile => "profile",
            Class::Unsatisfiable => "unsatisfiable",
            Class::Network => "network",
            Class::Verification => "verification",
            Class::Malformed => "malformed",
            Class::Incomplete => "incomplete",
            Class::Tool => "tool",
            Class::Stale => "stale",
        }
    }

    /// What the code means, for the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Class::Machine => "the machine failed: disk, memory, permissions",
            Class::Usage => "the command line is wrong",
            Class::Profile => "a profile, board, lock or configuration file is wrong",
            Class::Unsatisfiable => "the request cannot be satisfied",
            Class::Network => "the network, a mirror or a registry failed, or was needed with --offline",
            Class::Verification => "a signature, digest or date failed verification",
            Class::Malformed => "foreign data is malformed, hostile or too large",
            Class::Incomplete => "the image would not be complete",
            Class::Tool => "an outside tool or engine is missing or failed",
            Class::Stale => "the lock is stale and --locked forbids resolving again",
        }
    }
}

/// Whether a path that somebody named is what is wrong, and not the machine: nothing is there, or something else than was meant.
pub fn is_wrong_path(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidInput | InvalidFilename)
}

/// What to do about the store or a directory in it that cannot be used, to be put behind the error.
pub fn store_remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{FileTooLarge, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "free some space or name another store with --store",
        PermissionDenied | ReadOnlyFilesystem => "name a store with --store that you may write to",
        NotFound => "something else has removed it: try again, or name another store with --store",
        _ => "name another store with --store, on a sound disk",
    }
}

/// An error of any crate, with its class: the error type between crates that do not know each other.
#[derive(Debug)]
pub struct Error {
    class: Class,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    /// Wraps a crate's own error.
    pub fn new(class: Class, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { class, source: source.into() }
    }

    /// The class, from which the exit code follows.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The crate's own error, to examine with `downcast_ref`.
    pub fn inner(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// The result of operations between crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_are_for_what_is_wrong() {
        for (number, remedy) in [
            (28, "free some space"),
            (122, "free some space"),
            (13, "may write to"),
            (30, "may write to"),
            (2, "try again"),
            (5, "sound disk"),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert!(store_remedy(&error).contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_path_is_wrong_where_the_machine_is_sound() {
        for (number, wrong) in [(2, true), (20, true), (21, true), (36, true), (13, false), (5, false), (28, false)] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(is_wrong_path(&error), wrong, "{error}");
        }
    }
}
