//! What every part of minimg shares: digests, error classes, events, cancellation and the names of machines.

pub mod board;
pub mod digest;
pub mod error;
pub mod interrupt;
pub mod report;
pub mod suggest;
pub mod sync;
pub mod threads;

pub use error::{Class, Error, Result};
