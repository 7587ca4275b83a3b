//! Container images: layers, configuration, references, layouts and archives, written and read.

pub mod document;
pub mod export;
pub mod image;
pub mod layer;
pub mod reference;
pub mod rootfs;
