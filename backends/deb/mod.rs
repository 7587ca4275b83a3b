//! The Debian backend: Debian, Ubuntu and their kin, without any of their tools.

pub mod package;
pub mod rules;
