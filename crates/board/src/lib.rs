//! The catalogue of boards: the machines that images target.
//!
//! ```
//! use minimg_board::Boards;
//!
//! let boards = Boards::built_in();
//! assert_eq!(boards.get("raspberry-pi-4")?.platform.to_string(), "linux/arm64/v8");
//! let error = boards.get("rasberry-pi-4").unwrap_err();
//! assert!(error.to_string().contains("did you mean `raspberry-pi-4`?"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalogue;
mod file;

pub use catalogue::{Boards, UnknownHost, schema};
pub use minimg_base::board::{ArchNames, Board, Platform};
