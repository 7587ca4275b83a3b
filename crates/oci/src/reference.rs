//! Names of images: `[HOST[:PORT]/]PATH[:TAG]` and `[HOST[:PORT]/]PATH[:TAG]@DIGEST`, as engines and registries read them
//! (github.com/distribution/reference).

use std::fmt;
use std::str::FromStr;

use minimg_base::board::Platform;
use minimg_base::digest::Digest;

/// The longest host and path together.
const LONGEST_NAME: usize = 255;
/// The longest tag.
const LONGEST_TAG: usize = 128;
/// The tag of a name that has none.
const LATEST: &str = "latest";

/// The name of an image, and which version of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The host, if there is one, and the path.
    name: String,
    /// How many bytes of the name are the host; 0 where there is none.
    host: usize,
    version: Version,
}

/// A version of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// What a tag stands for now.
    Tag(String),
    /// Exactly this manifest or index.
    Digest(Digest),
}

/// Why a text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing says which registry has it.
    #[error("{0:?} has no host")]
    NoHost(String),
    /// The host cannot be one.
    #[error("{0:?} is not a host")]
    Host(String),
    /// The path has characters that names of images do not have.
    #[error(
        "{0:?} is not an image's name, which has small letters and digits with single `.`, `_` or `-` between them"
    )]
    Path(String),
    /// The host and the path are too long.
    #[error("the name has more than {LONGEST_NAME} characters")]
    TooLong,
    /// The tag cannot be one.
    #[error("{0:?} is not a tag")]
    Tag(String),
    /// The digest cannot be one.
    #[error("{0:?} is not a digest")]
    Digest(String),
}

impl Reference {
    /// Reads a name as engines do: what comes before the first slash is a host if it has a dot or a port or is `localhost`. Without a tag
    /// the version is `latest`; a digest wins over a tag.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let host = text.split_once('/').map_or("", |(first, _)| first);
        let is_one = host.contains(['.', ':']) || host == "localhost";
        Self::read(text, if is_one { host.len() } else { 0 })
    }

    /// Reads a name that begins with a host, whatever that looks like.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_with_host(text: &str) -> Result<Self, ReferenceError> {
        let (host, _) = text.split_once('/').ok_or_else(|| ReferenceError::NoHost(text.to_owned()))?;
        if host.is_empty() {
            return Err(ReferenceError::NoHost(text.to_owned()));
        }
        Self::read(text, host.len())
    }

    /// Reads a name whose first bytes are its host.
    fn read(text: &str, host: usize) -> Result<Self, ReferenceError> {
        let (host_name, rest) = text.split_at(host);
        if host > 0 && !is_host(host_name) {
            return Err(ReferenceError::Host(host_name.to_owned()));
        }
        let rest = rest.strip_prefix('/').filter(|_| host > 0).unwrap_or(rest);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| ReferenceError::Digest(digest.to_owned()))?))
            }
            None => (rest, None),
        };
        let (path, tag) = rest.split_once(':').unwrap_or((rest, LATEST));
        if !is_tag(tag) {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        if !path.split('/').all(is_component) {
            return Err(ReferenceError::Path(path.to_owned()));
        }
        let name = if host > 0 { format!("{host_name}/{path}") } else { path.to_owned() };
        if name.len() > LONGEST_NAME {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self { name, host, version: digest.map_or_else(|| Version::Tag(tag.to_owned()), Version::Digest) })
    }

    /// The host with its port, if the name has one.
    pub fn host(&self) -> Option<&str> {
        Some(&self.name[..self.host]).filter(|host| !host.is_empty())
    }

    /// The name without the host.
    pub fn path(&self) -> &str {
        self.name[self.host..].trim_start_matches('/')
    }

    /// Which version is meant.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The tag; none where a digest says which version is meant.
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(tag) => Some(tag),
            Version::Digest(_) => None,
        }
    }

    /// As Docker and containerd complete it: with the host, and `library/` where there is no owner.
    pub fn completed(&self) -> String {
        match self.host {
            0 if self.name.contains('/') => format!("docker.io/{self}"),
            0 => format!("docker.io/library/{self}"),
            _ => self.to_string(),
        }
    }

    /// The same name for one machine of several, in formats that have no platforms: `name:tag-arm-v7`.
    pub fn of_platform(&self, platform: &Platform) -> Self {
        let variant = platform.variant.as_ref().map(|variant| format!("-{variant}")).unwrap_or_default();
        let version = match &self.version {
            Version::Tag(tag) => Version::Tag(format!("{tag}-{}{variant}", platform.architecture)),
            exact => exact.clone(),
        };
        Self { version, ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// As people write it: with the tag, or the digest instead.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.name),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.name),
        }
    }
}

/// A name or an address, the one of IPv6 in brackets; perhaps with a port.
fn is_host(text: &str) -> bool {
    let (is_name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
        None => {
            let name = text.split(':').next().unwrap_or_default();
            let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
            (is_name, &text[name.len()..])
        }
    };
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Small letters and digits, between them one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut between = text.split(is_word).filter(|separator| !separator.is_empty());
    let separates = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    text.starts_with(is_word) && text.ends_with(is_word) && between.all(separates)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= LONGEST_TAG && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || ".-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_engines_take_for_a_name() {
        let good =
            "a a:1 team/a a.b-c__d localhost/a:V1.0 reg.example:5000/a/b:_x a---b 127.0.0.1:5000/a a1 [::1]:5000/a";
        for name in good.split(' ') {
            assert!(Reference::parse(name).is_ok(), "{name}");
        }
        let bad = "A Team/a a/ /a a//b a: :a a:b:c -a a- a..b a___b a:.x reg.example:x/a reg.example:99999/a a@b a@sha256:12 \
                   [::g]:1/a u@reg.example/a a?b ../a a:x/y";
        for name in bad.split_whitespace().chain(["", "a b", &["a"; 200].join("/")]) {
            assert!(Reference::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let digest = format!("@sha256:{HEX}");
        for (text, completed, shown) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("me/busybox:1", "docker.io/me/busybox:1", "me/busybox:1"),
            ("localhost/busybox:1", "localhost/busybox:1", "localhost/busybox:1"),
            ("registry.example:5000/a/b", "registry.example:5000/a/b:latest", "registry.example:5000/a/b:latest"),
            (&format!("a/b:1{digest}"), &format!("docker.io/a/b{digest}"), &format!("a/b{digest}")),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((&*reference.completed(), &*reference.to_string()), (completed, shown), "{text}");
            assert_eq!(Reference::parse(shown), Ok(reference), "{text}");
        }
    }

    #[test]
    fn a_host_may_be_any_where_there_must_be_one() {
        for (text, host, path, tag) in [
            ("reg/a/b:1", "reg", "a/b", Some("1")),
            ("[::1]:5000/a", "[::1]:5000", "a", Some("latest")),
            (&format!("h/a:1@sha256:{HEX}"), "h", "a", None),
        ] {
            let reference = Reference::parse_with_host(text).unwrap();
            assert_eq!((reference.host(), reference.path(), reference.tag()), (Some(host), path, tag), "{text}");
        }
        assert_eq!(Reference::parse("reg/a/b:1").unwrap().host(), None);
        for text in ["app", "/a", "h/", "h/A", "h:port/a", "u@h/a", "h/a:-x"] {
            assert!(Reference::parse_with_host(text).is_err(), "{text}");
        }
    }
}
