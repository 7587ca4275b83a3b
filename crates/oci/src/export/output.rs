//! What `--output` says: a format and a place.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{EXPORTERS, ExportError, Exporter};
use crate::place::scheme;
use minimg_base::error::Result;

/// The format that is used when nothing else says which.
const DEFAULT: &str = "archive";

/// One wanted output.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The exporter's name in [`EXPORTERS`].
    pub(super) format: &'static str,
    /// Where it goes.
    pub target: Target,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file or directory.
    Path(PathBuf),
    /// Standard output, which only formats of one file can be written to.
    Stdout,
}

impl Output {
    /// The named format at `target`.
    ///
    /// # Errors
    /// When there is no such format, or it is a directory and cannot be standard output.
    pub fn new(format: &str, target: Target) -> Result<Self> {
        let exporter = find(format)?;
        if exporter.is_directory() && target == Target::Stdout {
            return Err(ExportError::DirectoryToStdout { format: exporter.name() }.into());
        }
        Ok(Self { format: exporter.name(), target })
    }

    /// The default format, one archive for all engines, at `path`.
    pub fn archive(path: impl Into<PathBuf>) -> Self {
        Self { format: DEFAULT, target: Target::Path(path.into()) }
    }

    /// The name of the format.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// Whether the build records are in the output, and not beside it.
    pub fn holds_records(&self) -> bool {
        find(self.format).is_ok_and(Exporter::holds_records)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.format, self.target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Path(path) => path.display().fmt(f),
            Target::Stdout => f.write_str("-"),
        }
    }
}

/// Reads `PATH`, `FORMAT:PATH` or `FORMAT=PATH`. Without a format the ending of the path decides; `-` is standard output. A path whose
/// beginning looks like a format is written with `./` before it.
///
/// # Errors
/// When there is no such format, with the nearest right name, or when the path's ending says nothing.
pub fn parse_output(text: &str) -> Result<Output> {
    let with_equals_sign = || text.split_once('=').filter(|(format, _)| scheme(&format!("{format}:")).is_some());
    match scheme(text).or_else(with_equals_sign) {
        Some((format, path)) => Output::new(format, target(path)?),
        None => by_ending(text),
    }
}

fn by_ending(text: &str) -> Result<Output> {
    let target = target(text)?;
    if target == Target::Stdout {
        return Output::new(DEFAULT, target);
    }
    let endings = EXPORTERS.iter().flat_map(|exporter| exporter.endings().iter().map(move |ending| (ending, exporter)));
    let longest = endings.filter(|(ending, _)| text.ends_with(**ending)).max_by_key(|(ending, _)| ending.len());
    match longest {
        Some((_, exporter)) => Output::new(exporter.name(), target),
        None => Err(ExportError::NoFormat { path: text.to_owned() }.into()),
    }
}

fn target(path: &str) -> Result<Target, ExportError> {
    match path {
        "" => Err(ExportError::NoPath),
        "-" => Ok(Target::Stdout),
        path => Ok(Target::Path(PathBuf::from(path))),
    }
}

/// The path of a file that is to be read, from `directory` on, where its format may stand before it: `oci:images`. What is there under the
/// whole name is meant as it stands.
pub fn without_format<'t>(text: &'t str, directory: &Path) -> &'t str {
    match scheme(text) {
        Some((format, path)) if EXPORTERS.iter().any(|exporter| exporter.name() == format) => {
            let is_there = directory.join(text).symlink_metadata().is_ok() || directory.join(format).exists();
            if is_there || path.is_empty() { text } else { path }
        }
        _ => text,
    }
}

pub(super) fn find(format: &str) -> Result<&'static dyn Exporter, ExportError> {
    let unknown = || ExportError::UnknownFormat { format: format.to_owned(), nearest: nearest(format) };
    EXPORTERS.iter().find(|exporter| exporter.name() == format).copied().ok_or_else(unknown)
}

fn nearest(format: &str) -> Option<&'static str> {
    let names = EXPORTERS.iter().map(|exporter| exporter.name());
    let (likeness, name) = names
        .map(|name| (strsim::normalized_damerau_levenshtein(name, format), name))
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (likeness >= 0.4).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_and_place() {
        for (text, expected) in [
            ("busybox.tar", "archive:busybox.tar"),
            ("-", "archive:-"),
            ("out/", "oci:out/"),
            ("busybox.oci", "oci:busybox.oci"),
            ("busybox.oci.tar", "oci-archive:busybox.oci.tar"),
            ("busybox.docker.tar", "docker-archive:busybox.docker.tar"),
            ("busybox.tar.gz", "rootfs:busybox.tar.gz"),
            ("busybox.tar.zst", "rootfs:busybox.tar.zst"),
            ("busybox.rootfs.tar", "rootfs:busybox.rootfs.tar"),
            ("busybox.dockerfile", "dockerfile:busybox.dockerfile"),
            ("oci:out", "oci:out"),
            ("oci=out", "oci:out"),
            ("docker-archive:-", "docker-archive:-"),
            ("rootfs:a:b=c", "rootfs:a:b=c"),
            ("./oci:x.tar", "archive:./oci:x.tar"),
            ("a/b:c.tar", "archive:a/b:c.tar"),
            ("Oci:x.tar", "archive:Oci:x.tar"),
        ] {
            assert_eq!(
                parse_output(text).map(|o| o.to_string()).map_err(|e| e.to_string()),
                Ok(expected.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_and_what_to_do() {
        for (text, expected) in [
            ("oic:out", "there is no format `oic`; did you mean `oci`?"),
            ("docker:out", "there is no format `docker`; did you mean `docker"),
            (
                "q:out",
                "there is no format `q`; there are archive, oci, oci-archive, docker-archive, rootfs, dockerfile",
            ),
            ("out", "the name `out` does not select a format"),
            ("oci:", "no path is given"),
            ("", "no path is given"),
            ("oci:-", "the format oci is a directory and cannot be written to standard output"),
        ] {
            let error = parse_output(text).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{text}: {error}");
            assert_eq!(error.class(), minimg_base::Class::Usage, "{text}");
        }
    }

    #[test]
    fn formats_are_taken_off_unless_a_file_has_that_name() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("oci:there"), "").unwrap();
        std::fs::write(directory.path().join("archive"), "").unwrap();
        for (text, expected) in [
            ("oci:images", "images"),
            ("rootfs:x.tar.xz", "x.tar.xz"),
            ("oci:there", "oci:there"),
            ("archive:team/app", "archive:team/app"),
            ("x.tar:team/app", "x.tar:team/app"),
            ("oci:", "oci:"),
        ] {
            assert_eq!(without_format(text, directory.path()), expected, "{text}");
        }
    }
}
