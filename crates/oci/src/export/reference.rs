//! The names of images, as far as files need them: `name`, `name:tag`, `host/name:tag`.

use minimg_base::board::Platform;

/// A name with its tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    name: String,
    tag: String,
}

impl Reference {
    /// Divides a name from its tag, which is `latest` when there is none.
    pub(crate) fn new(text: &str) -> Self {
        let text = text.split('@').next().unwrap_or_default();
        match text.rsplit_once(':') {
            // A colon before a slash belongs to the port of a host.
            Some((name, tag)) if !tag.contains('/') && !tag.is_empty() => Self { name: name.into(), tag: tag.into() },
            _ => Self { name: text.trim_end_matches(':').into(), tag: "latest".into() },
        }
    }

    /// The tag.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// As people write it.
    pub(crate) fn familiar(&self) -> String {
        format!("{}:{}", self.name, self.tag)
    }

    /// As Docker and containerd complete it: with the host, and `library/` where there is no owner.
    pub(crate) fn full(&self) -> String {
        let host = self.name.split_once('/').map(|(first, _)| first);
        match host {
            Some(host) if host.contains(['.', ':']) || host == "localhost" => self.familiar(),
            Some(_) => format!("docker.io/{}", self.familiar()),
            None => format!("docker.io/library/{}", self.familiar()),
        }
    }

    /// The same name for one machine of several, in formats that have no platforms: `name:tag-arm-v7`.
    pub(crate) fn of_platform(&self, platform: &Platform) -> Self {
        let variant = platform.variant.as_ref().map(|variant| format!("-{variant}")).unwrap_or_default();
        Self { name: self.name.clone(), tag: format!("{}-{}{variant}", self.tag, platform.architecture) }
    }
}

/// Whether this can be an image's name, as engines and registries have it: `[host[:port]/]path[:tag]`, the path in small letters
/// (github.com/distribution/reference).
pub fn is_reference(text: &str) -> bool {
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    let is_tag = tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => is_host(host).then_some(path),
        _ => Some(name),
    };
    is_tag && name.len() <= 255 && path.is_some_and(|path| path.split('/').all(is_component))
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    is_name && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && port.parse::<u16>().is_ok()
}

/// Small letters and digits, between them one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut between = text.split(is_word).filter(|separator| !separator.is_empty());
    let separates = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    text.starts_with(is_word) && text.ends_with(is_word) && between.all(separates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_take_for_a_name() {
        let good = "a a:1 team/a a.b-c__d localhost/a:V1.0 reg.example:5000/a/b:_x a---b 127.0.0.1:5000/a a1";
        for name in good.split(" ") {
            assert!(is_reference(name), "{name}");
        }
        for name in [
            "",
            "A",
            "Team/a",
            "a/",
            "/a",
            "a//b",
            "a:",
            ":a",
            "a:b:c",
            "a b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a:.x",
            "reg.example:x/a",
            "a@b",
        ] {
            assert!(!is_reference(name), "{name}");
        }
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("me/busybox:1", "docker.io/me/busybox:1", "me/busybox:1"),
            ("localhost/busybox:1", "localhost/busybox:1", "localhost/busybox:1"),
            ("registry.example:5000/a/b", "registry.example:5000/a/b:latest", "registry.example:5000/a/b:latest"),
            ("a/b:1@sha256:00", "docker.io/a/b:1", "a/b:1"),
        ] {
            let reference = Reference::new(text);
            assert_eq!((reference.full().as_str(), reference.familiar().as_str()), (full, familiar), "{text}");
        }
    }
}
