//! Outside tools and programs of other machines: found, run with limits, in namespaces without privilege.

mod emulator;
pub mod namespace;
pub mod process;
pub mod tool;
