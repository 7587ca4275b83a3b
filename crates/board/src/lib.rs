//! The catalogue of boards: the machines that images target.

mod catalogue;
mod file;

pub use catalogue::{Boards, UnknownHost, schema};
pub use minimg_base::board::{ArchNames, Board, Platform};
