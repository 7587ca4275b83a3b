//! What every part of minimg shares: digests, error classes, events, cancellation and the names of machines.
//!
//! ```
//! use minimg_base::digest::Digest;
//! use minimg_base::suggest;
//!
//! let digest = Digest::of("hello\n");
//! assert_eq!(digest.short(), "5891b5b522d5");
//! assert_eq!(digest.to_string().parse(), Ok(digest));
//! assert_eq!(suggest::nearest("ngnix", ["nginx", "redis"]), Some("nginx"));
//! ```

pub mod board;
pub mod cancel;
pub mod digest;
pub mod error;
pub mod interrupt;
pub mod partial;
pub mod report;
pub mod suggest;
pub mod sync;
pub mod threads;

pub use cancel::{Cancellation, Cancelled};
pub use error::{Class, Error, Result};
