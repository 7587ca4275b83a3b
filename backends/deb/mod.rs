//! Debian packages, without dpkg or apt.

pub mod archive;
