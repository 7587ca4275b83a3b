//! Minimal container images: only the files that your programs need, with a reason for each.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod archive;
pub mod backend;
pub mod board;
pub mod closure;
pub mod compose;
pub mod digest;
pub mod engine;
pub mod error;
pub mod export;
pub mod fetch;
pub mod image;
pub mod interrupt;
pub mod layer;
pub mod lock;
mod openpgp;
pub mod outputs;
pub mod pipeline;
pub mod process;
pub mod profile;
pub mod recipe;
pub mod record;
pub mod report;
pub mod rootfs;
pub mod shrink;
pub mod store;
pub mod suggest;
mod sync;
pub mod tree;

#[path = "../backends/mod.rs"]
pub mod backends;

pub use error::{Class, Error, Result};
