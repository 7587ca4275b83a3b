//! An image in a registry, as people write it: `HOST/NAME:TAG`, `HOST/NAME@sha256:...`, either perhaps after `http://` or `https://`.

use std::fmt;

use fluent_uri::Uri;
use fluent_uri::component::{Authority, Host};

use minimg_oci::reference::{Reference, ReferenceError};

/// An image in a registry, and how that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    reference: Reference,
    plain: bool,
}

/// Why a text does not name an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The name cannot be one.
    #[error("{0}; write registry:HOST/NAME:TAG or registry:HOST/NAME@sha256:DIGEST")]
    Reference(#[from] ReferenceError),
    /// Registries are not asked in this way.
    #[error("a registry is not asked by {0:?}; write registry:HOST/NAME:TAG or registry:HOST/NAME@sha256:DIGEST")]
    Scheme(String),
}

impl Remote {
    /// Reads a name, which begins with the host. Only this machine's own registries are asked without encryption, and those whose host
    /// follows `http://`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RemoteError> {
        let (scheme, name) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        let asked_plain = match scheme.map(str::to_ascii_lowercase).as_deref() {
            Some("http") => Some(true),
            Some("https") => Some(false),
            Some(other) => return Err(RemoteError::Scheme(other.to_owned())),
            None => None,
        };
        let encrypted = Self { reference: Reference::parse_with_host(name)?, plain: false };
        let plain = asked_plain.unwrap_or_else(|| encrypted.with_authority(is_this_machine));
        Ok(Self { plain, ..encrypted })
    }

    /// The image's name.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Whether the registry is asked without encryption.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The registry's host, with its port where it has one.
    pub fn host(&self) -> &str {
        self.reference.host().unwrap_or_default()
    }

    /// The address below which its manifests and blobs are (distribution-spec, "Endpoints").
    pub fn address(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}", self.host(), self.reference.path())
    }

    /// Whether an address is on the registry's host, whatever the port.
    pub(crate) fn is_on_host_of(&self, other: &Authority<'_>) -> bool {
        self.with_authority(|own| own.host().eq_ignore_ascii_case(other.host()))
    }

    /// Looks at the registry's host as addresses are read.
    fn with_authority(&self, look: impl FnOnce(&Authority<'_>) -> bool) -> bool {
        Uri::parse(self.address().as_str()).is_ok_and(|address| address.authority().is_some_and(|own| look(&own)))
    }
}

/// Whether a host is this machine itself.
pub(crate) fn is_this_machine(authority: &Authority<'_>) -> bool {
    match authority.host_parsed() {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::RegName(name) => name.as_str().eq_ignore_ascii_case("localhost"),
        _ => false,
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_is_none() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, shown, address) in [
            ("reg.example/team/app", "reg.example/team/app:latest", "https://reg.example/v2/team/app"),
            ("reg.example:5000/a:1.0_b", "reg.example:5000/a:1.0_b", "https://reg.example:5000/v2/a"),
            ("http://reg.example/a", "reg.example/a:latest", "http://reg.example/v2/a"),
            ("HTTPS://localhost/a", "localhost/a:latest", "https://localhost/v2/a"),
            ("localhost:5000/a:x", "localhost:5000/a:x", "http://localhost:5000/v2/a"),
            ("LocalHost/a", "LocalHost/a:latest", "http://LocalHost/v2/a"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "http://127.0.0.1:5000/v2/a"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "http://[::1]:5000/v2/a"),
            ("localhost.example/a", "localhost.example/a:latest", "https://localhost.example/v2/a"),
            ("127.0.0.1.example/a", "127.0.0.1.example/a:latest", "https://127.0.0.1.example/v2/a"),
            (&format!("r.example/a:1@sha256:{hex}"), &format!("r.example/a@sha256:{hex}"), "https://r.example/v2/a"),
        ] {
            let remote = Remote::parse(text).unwrap();
            assert_eq!((&*remote.to_string(), &*remote.address()), (shown, address), "{text}");
        }
        for text in
            ["app", "/a", "h/", "h/A", "h/../a", "h/a?b", "h/a:", "h/a@sha256:12", "u@h/a", "ftp://h/a", "h/a:x y"]
        {
            let error = Remote::parse(text).unwrap_err().to_string();
            assert!(error.contains("write registry:HOST/NAME:TAG"), "{text}: {error}");
        }
    }
}
