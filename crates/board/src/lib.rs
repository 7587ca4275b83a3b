//! The catalogue of boards: the machines that images are made for.

mod catalogue;
mod file;

pub use catalogue::{Boards, UnknownHost, schema};
pub use minimg_base::board::{ArchNames, Board, Platform};
