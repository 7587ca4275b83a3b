//! TOML documents that people write: found by name, and read into types with every problem and its place.
//!
//! ```
//! use minimg_document::document;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Lamp {
//!     color: String,
//!     #[serde(default)]
//!     watts: u32,
//! }
//!
//! let (lamp, _) = document::read::<Lamp>("lamp.toml", b"color = 'red'\nwatts = 5\n")?;
//! assert_eq!((lamp.color.as_str(), lamp.watts), ("red", 5));
//!
//! let error = document::read::<Lamp>("lamp.toml", b"color = 'red'\nwats = 5\n").map(drop).unwrap_err();
//! assert_eq!(error.position(&error.problems()[0]), Some((2, 1)));
//! assert!(error.to_string().contains("did you mean `watts`?"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod document;
mod error;
pub mod problem;
pub mod shelf;

pub use error::DocumentError;
pub use problem::{FileError, Problem, Problems};
