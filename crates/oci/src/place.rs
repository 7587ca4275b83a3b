//! Where images come from and go to, as people write it: `SCHEME:REST` for both, where a scheme is a format of a file, an engine, or
//! `registry`; or the bare path of a file, whose form is seen when it is read, and follows from its name when it is written.

/// The scheme of an image in a registry.
pub const REGISTRY: &str = "registry";

/// The scheme of a text, and what follows it. A scheme is a word of small letters, digits and dashes, so that a path with a colon further on
/// has none.
pub fn scheme(text: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.split_once(':').filter(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(is_word))
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
}
