//! Directories that are compiled into libraries: where they look for modules and configuration.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::elf::{Facts, Segment};
use crate::text::show;
use minimg_tree::RootPath;

/// How to find a directory in a library, and what of it belongs to the rule set. One of `after`, `starts-with` and `ends-with` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Baked {
    /// The beginning of the file name of the library, or the file name of the program.
    pub library: String,
    /// The text before the path, which then ends at a quotation mark: `MODULESDIR: "`.
    #[serde(default)]
    pub after: Option<String>,
    /// How the whole string begins.
    #[serde(default)]
    pub starts_with: Option<String>,
    /// How the whole string, or its part between colons, ends; a slash at its end is no part of it.
    #[serde(default)]
    pub ends_with: Option<String>,
    /// Globs below the path; without any it is the path itself.
    #[serde(default)]
    pub keep: Vec<String>,
}

const LONGEST: usize = 256;
/// A library that names more directories than this means something else.
const MOST: usize = 64;

impl Baked {
    /// Whether the kept file at `path` is the library or program.
    pub(crate) fn is_in(&self, path: &RootPath) -> bool {
        match self.library.contains(".so") {
            true => path.file_name().starts_with(self.library.as_bytes()),
            false => path.file_name() == self.library.as_bytes(),
        }
    }

    /// The globs that the library with this content stands for, sorted.
    pub(crate) fn globs(&self, bytes: &[u8], facts: &Facts) -> BTreeSet<String> {
        let data =
            facts.segments.iter().filter(|segment| !segment.executable).map(|segment| Segment::bytes(segment, bytes));
        let mut paths: BTreeSet<String> = data.flat_map(|data| self.paths(data)).collect();
        while paths.len() > MOST {
            paths.pop_last();
        }
        let below = |path: String| {
            let path = globset::escape(&path);
            match self.keep.is_empty() {
                true => vec![path],
                false => self.keep.iter().map(|glob| format!("{path}/{glob}")).collect(),
            }
        };
        paths.into_iter().flat_map(below).collect()
    }

    fn paths(&self, data: &[u8]) -> Vec<String> {
        let found = |marker: &str, cut: fn(&[u8], usize, usize) -> Option<&[u8]>| -> Vec<String> {
            let ranges = memchr::memmem::find_iter(data, marker.as_bytes()).map(|at| (at, at + marker.len()));
            ranges.filter_map(|(start, end)| cut(data, start, end).and_then(path)).collect()
        };
        match (&self.after, &self.starts_with, &self.ends_with) {
            (Some(marker), ..) => found(marker, |data, _, end| until(&data[end..], b'"')),
            (_, Some(marker), _) => found(marker, |data, start, _| {
                let is_start = start == 0 || data[start - 1] == 0;
                until(&data[start..], 0).filter(|_| is_start)
            }),
            (.., Some(marker)) => found(marker, |data, start, end| {
                let is_end = [&b"\0"[..], b":", b"/\0"].iter().any(|after| data[end..].starts_with(after));
                let length = data[..start].iter().rev().take(LONGEST).position(|b| matches!(b, 0 | b':'))?;
                is_end.then(|| &data[start - length..end])
            }),
            _ => Vec::new(),
        }
    }
}

fn until(data: &[u8], end: u8) -> Option<&[u8]> {
    data.iter().take(LONGEST).position(|&b| b == end).map(|length| &data[..length])
}

/// An absolute path of two components or more, so that no mistake keeps a whole tree.
fn path(text: &[u8]) -> Option<String> {
    let text = text.strip_suffix(b"/").unwrap_or(text);
    let mut components = text.strip_prefix(b"/")?.split(|&b| b == b'/');
    let sound = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && part.iter().all(u8::is_ascii_graphic);
    (components.clone().count() >= 2 && components.all(sound)).then(|| show(text))
}
