//! The name of an image in a registry, as people write it: `HOST/NAME:TAG`, `HOST/NAME@sha256:...`.

use std::fmt;

use minimg_base::digest::Digest;

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The host, with its port where it has one.
    pub host: String,
    /// The name there.
    pub name: String,
    /// Which version of it.
    pub version: Version,
    /// Whether it is asked for without encryption.
    pub plain: bool,
}

/// A version of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// What a tag stands for now.
    Tag(String),
    /// Exactly this manifest or index.
    Digest(Digest),
}

impl Reference {
    /// Reads a reference. Without a tag it is `latest`. Only this machine's own registries are asked without encryption, and those whose
    /// host follows `http://`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let usage = || "write registry:HOST/NAME:TAG or registry:HOST/NAME@sha256:DIGEST".to_owned();
        let (asked_plain, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err(usage()),
            None => (false, text),
        };
        let encrypted = text.starts_with("https://");
        let (host, image) = rest.split_once('/').ok_or_else(usage)?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(format!("{host:?} is not a host; {}", usage()));
        }
        let (name, version) = match image.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|_| format!("{digest:?} is not a digest; {}", usage()))?;
                // As with docker, the digest decides where there is a tag, too.
                (name.split(':').next().unwrap_or(name), Version::Digest(digest))
            }
            None => {
                let (name, tag) = image.split_once(':').unwrap_or((image, "latest"));
                if !is_tag(tag) {
                    return Err(format!("{tag:?} is not a tag; {}", usage()));
                }
                (name, Version::Tag(tag.to_owned()))
            }
        };
        if !name.split('/').all(is_component) {
            return Err(format!("{name:?} is not an image's name; {}", usage()));
        }
        let plain = asked_plain || !encrypted && is_loopback(host);
        Ok(Self { host: host.to_owned(), name: name.to_owned(), version, plain })
    }

    /// The address below which its manifests and blobs are (distribution-spec, "Endpoints").
    pub(super) fn address(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}", self.host, self.name)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}/{}:{tag}", self.host, self.name),
            Version::Digest(digest) => write!(f, "{}/{}@{digest}", self.host, self.name),
        }
    }
}

/// A part of a name (distribution-spec, "Pulling manifests"), which cannot lead anywhere else in an address.
fn is_component(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(is_plain) && part.ends_with(is_plain) && part.chars().all(|c| is_plain(c) || "._-".contains(c))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || ".-".contains(c))
}

/// Whether a host, with or without a port, is this machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_what_is_none() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, shown, address) in [
            ("reg.example/team/app", "reg.example/team/app:latest", "https://reg.example/v2/team/app"),
            ("reg.example:5000/a:1.0_b", "reg.example:5000/a:1.0_b", "https://reg.example:5000/v2/a"),
            ("http://reg.example/a", "reg.example/a:latest", "http://reg.example/v2/a"),
            ("localhost:5000/a:x", "localhost:5000/a:x", "http://localhost:5000/v2/a"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "http://127.0.0.1:5000/v2/a"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "http://[::1]:5000/v2/a"),
            ("https://localhost/a", "localhost/a:latest", "https://localhost/v2/a"),
            ("localhost.example/a", "localhost.example/a:latest", "https://localhost.example/v2/a"),
            (&format!("r.example/a:1@sha256:{hex}"), &format!("r.example/a@sha256:{hex}"), "https://r.example/v2/a"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.address().as_str()), (shown, address), "{text}");
        }
        for text in [
            "app",
            "/a",
            "h/",
            "h/A",
            "h/../a",
            "h/a//b",
            "h/a?b",
            "h/a:",
            "h/a:-x",
            "h/a@sha256:12",
            "u@h/a",
            "ftp://h/a",
            "h/a:x/y",
            "h/a:x y",
        ] {
            assert!(Reference::parse(text).is_err_and(|error| error.contains("registry:HOST/NAME")), "{text}");
        }
    }
}
