//! Where images come from and go to, as people write it: `SCHEME:REST` for both, where a scheme is a format of a file, an engine, or
//! `registry`; or the bare path of a file, whose form is seen when it is read, and follows from its name when it is written.

use std::path::Path;

use crate::export::EXPORTERS;

/// The scheme of an image in a registry.
pub const REGISTRY: &str = "registry";

/// The scheme of a text, and what follows it. A scheme is a word of small letters, digits and dashes, so that a path with a colon further on
/// has none.
pub fn scheme(text: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.split_once(':').filter(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(is_word))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_words() {
        for (text, expected) in [
            ("oci:images", Some(("oci", "images"))),
            ("docker:team/app:1", Some(("docker", "team/app:1"))),
            ("docker-archive:", Some(("docker-archive", ""))),
            ("./a:b", None),
            ("a/b:c", None),
            (":x", None),
            ("C:x", None),
            ("plain", None),
        ] {
            assert_eq!(scheme(text), expected, "{text}");
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
