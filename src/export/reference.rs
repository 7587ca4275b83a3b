//! The names of images, as far as files need them: `name`, `name:tag`, `host/name:tag`.

use crate::board::Platform;

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

#[cfg(test)]
mod tests {
    use super::*;

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
