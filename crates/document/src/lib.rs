//! TOML documents that people write: found by name, and read into types with every problem and its place.

pub mod document;
mod error;
pub mod problem;
pub mod shelf;

pub use error::DocumentError;
pub use problem::{FileError, Problem, Problems};
