//! Globs over the paths of a root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use globset::GlobBuilder;

use crate::error::ClosureError;
use crate::text::absolute;
use minimg_tree::RootPath;

/// `*` stops at a slash, `**` does not.
pub(crate) fn parse_glob(glob: &str) -> Result<globset::Glob, ClosureError> {
    let error = |message: String| ClosureError::Glob { glob: glob.to_owned(), message };
    if !glob.starts_with('/') {
        return Err(error("it must begin with a slash, as paths in the image do".to_owned()));
    }
    GlobBuilder::new(glob).literal_separator(true).build().map_err(|e| error(e.kind().to_string()))
}

/// A path as globs see it: with a leading slash.
pub(crate) fn glob_path(path: &RootPath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&absolute(path)))
}

/// Whether a text is a glob rather than a plain name.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}
