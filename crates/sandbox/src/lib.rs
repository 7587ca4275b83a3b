//! Runs outside tools and programs of other machines with limits, in namespaces without privilege.
//!
//! ```
//! use minimg_sandbox::tool::Need;
//!
//! let need = Need { programs: &["mmdebstrap-of-tomorrow"], package: "mmdebstrap" };
//! let error = need.find("/nowhere".as_ref()).unwrap_err();
//! assert!(error.to_string().contains("`apt-get install mmdebstrap`"));
//! assert_eq!(need.survey("/nowhere".as_ref()).found, None);
//! ```

mod emulator;
pub mod namespace;
pub mod process;
pub mod root;
pub mod tool;
