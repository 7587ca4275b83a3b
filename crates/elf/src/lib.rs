#![doc = include_str!("../README.md")]
//!
//! ## The modules
//! [`walk()`] follows programs on any [`tree::Root`]; [`closure_of()`] makes the [`Closure`] of a whole tree, with [`rules`] and globs.
//! [`check`] proves that a root is complete, [`explain`] answers why a path is kept or not, and [`ldcache`] reads and writes
//! `/etc/ld.so.cache`. They stand on [`elf`], which turns bytes into facts, [`view`], a root with a memory, [`system`], what a root's
//! loader says of itself, and [`loader`], which follows the rules of glibc and musl.

mod advice;
pub mod check;
mod closure;
mod closure_of;
mod context;
mod discoveries;
pub mod elf;
mod error;
pub mod explain;
mod features;
mod finding;
mod glob;
mod keep;
pub mod ldcache;
mod ledger;
pub mod loader;
pub mod rules;
mod settings;
mod shebang;
mod shell;
pub mod system;
mod text;
pub mod view;
mod walk;

pub use closure::{Closure, Reason, Why};
pub use closure_of::{ClosureOptions, closure_of};
pub use error::{ClosureError, MissingFile};
pub use features::Feature;
pub use finding::{Finding, Severity};
pub use keep::{Keep, Pattern};
pub use rules::Rules;
pub use settings::{ClosureSettings, Policy, WalkSettings};
pub use shebang::{Shebang, ShebangError};
pub use shell::commands_of;
pub use walk::walk;

pub use minimg_tree as tree;
