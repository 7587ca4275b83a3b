//! Container images: layers, configuration, references, layouts and archives, written and read.
//!
//! ```
//! use minimg_base::report::Silent;
//! use minimg_oci::image::Compression;
//! use minimg_oci::layer;
//! use minimg_store::Store;
//! use minimg_tree::{Node, RootPath, RootTree};
//!
//! let directory = tempfile::tempdir()?;
//! let store = Store::open(directory.path())?;
//! let mut tree = RootTree::new();
//! tree.insert(RootPath::new("hello")?, Node::file(0o644, "hello\n"));
//!
//! let options = layer::Options {
//!     epoch: 0,
//!     compression: Compression::Gzip,
//!     created_by: "an example",
//!     jobs: 1,
//!     reporter: &Silent,
//! };
//! let layer = layer::write(&tree, &options, &store)?;
//! assert_eq!(layer.files, 1);
//! assert!(layer::flatten(&[layer], &store)?.contains(&RootPath::new("hello")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod document;
pub mod export;
pub mod image;
pub mod layer;
pub mod place;
pub mod reference;
pub mod rootfs;
