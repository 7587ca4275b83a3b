//! The merged /usr: what was beside it is in it, and a link leads there.

use crate::RootPath;

/// The directories that are links into `/usr` on a merged system (Debian's usrmerge; `lib*` by architecture).
pub const MERGED: [&str; 7] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"];

/// Whether a path is one of [`MERGED`].
pub fn is_merged(path: &RootPath) -> bool {
    MERGED.iter().any(|name| path.as_bytes() == name.as_bytes())
}
