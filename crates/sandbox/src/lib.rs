//! Runs outside tools and programs of other machines with limits, in namespaces without privilege.

mod emulator;
pub mod namespace;
pub mod process;
pub mod tool;
