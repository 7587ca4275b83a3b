//! TOML documents that people write: read into types, with every problem and its place, from the shelf they stand on.

pub mod document;
mod error;
pub mod problem;
pub mod shelf;

pub use error::DocumentError;
pub use problem::{FileError, Problem, Problems};
