//! The table of backends.

pub mod deb;
