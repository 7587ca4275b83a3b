//! Debian's control files (deb822(5), deb-control(5)) and versions (deb-version(7)).
//!
//! ```
//! use std::cmp::Ordering;
//!
//! let stanzas = minimg_deb822::stanzas("Package: hello\nDescription: a greeting\n for everybody\n").unwrap();
//! assert_eq!(stanzas[0].get("package"), Some("hello"));
//! assert_eq!(stanzas[0].get("Description"), Some("a greeting\nfor everybody"));
//! assert_eq!(minimg_deb822::compare("1:2.0", "10.0"), Ordering::Greater);
//! assert_eq!(minimg_deb822::compare("1.0~rc1", "1.0"), Ordering::Less);
//! ```

mod control;
mod stanza;
mod version;

pub use control::{Control, ControlError, Relation};
pub use stanza::{Field, Stanza, stanzas, stanzas_among_other_lines};
pub use version::compare;
