//! Which suites a request reads, from which addresses, and by whose keys.
//!
//! No address is built in. A mirror is the one that the command line or the profile names, else the one of the environment or the user's
//! configuration, else that of the machine's own apt sources: a mirror of one suite is assumed to have all suites of the distribution.

use std::path::Path;

use super::error::ArchiveError;
use super::keyring::Keys;
use super::sources::{self, Entry};
use minimg_backend::{Settings, Source};

/// One signed index to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suite {
    /// The address below which package paths lie; it does not end in a slash.
    pub address: String,
    /// The suite: `trixie`, `trixie-updates`; a flat archive's ends in a slash.
    pub name: String,
    /// The components, none for a flat archive.
    pub components: Vec<String>,
    /// The keys that may have signed it.
    pub keys: Keys,
    /// The only architectures that are read from it; none means all.
    pub architectures: Vec<String>,
    /// Whether it is one of the usual extra ones, which a mirror need not have.
    pub optional: bool,
    /// Whether it is accepted without a signature.
    pub trusted: bool,
    /// Whether it is accepted though it has expired.
    pub allow_expired: bool,
    /// Whether it is accepted though it is older than one seen before.
    pub allow_older: bool,
    /// Whether it is accepted though it calls itself otherwise.
    pub allow_other_suite: bool,
}

impl Suite {
    /// The directory of the Release file.
    pub(super) fn directory(&self) -> String {
        match self.name.strip_suffix('/') {
            Some("." | "") => self.address.clone(),
            Some(flat) => format!("{}/{}", self.address, flat.trim_start_matches("./")),
            None => format!("{}/dists/{}", self.address, self.name),
        }
    }
}

/// What must be known of a distribution that uses apt.
struct Distribution {
    name: &'static str,
    /// The name of a mirror of its own that security updates have.
    security: Option<&'static str>,
    /// The name of the mirror for all architectures but the given ones.
    ports: Option<(&'static str, &'static [&'static str])>,
    /// Suites without updates and security.
    rolling: &'static [&'static str],
}

const DISTRIBUTIONS: &[Distribution] = &[
    Distribution {
        name: "debian",
        security: Some("debian-security"),
        ports: None,
        rolling: &["sid", "unstable", "experimental"],
    },
    Distribution { name: "ubuntu", security: None, ports: Some(("ubuntu-ports", &["amd64", "i386"])), rolling: &[] },
];

/// The suites of a request for these architectures, and warnings on what is left out.
pub(super) fn suites(
    source: &Source,
    architecture: &str,
    settings: &Settings,
) -> Result<(Vec<Suite>, Vec<String>), ArchiveError> {
    let root = settings.machine.as_deref();
    let allow_expired = source.allow_expired || !root.is_none_or(sources::machine_checks_valid_until);
    let machine = root.map(sources::of_machine).unwrap_or_default();
    let planner = Planner { source, settings, allow_expired, machine };
    if source.entries.is_empty() {
        planner.suites_of_distribution(architecture)
    } else {
        planner.suites_of_entries(architecture).map(|suites| (suites, Vec::new()))
    }
}

/// The mirrors that the main suites of a distribution would come from on this machine, for `minimg doctor`.
pub fn mirrors(distribution: &str, settings: &Settings) -> Result<Vec<String>, ArchiveError> {
    let source = Source { distribution: distribution.to_owned(), suite: "stable".to_owned(), ..Source::default() };
    let (suites, _) = suites(&source, "amd64", settings)?;
    let mut mirrors: Vec<String> = suites.into_iter().map(|suite| suite.address).collect();
    mirrors.dedup();
    Ok(mirrors)
}

struct Planner<'a> {
    source: &'a Source,
    settings: &'a Settings,
    allow_expired: bool,
    machine: Vec<Entry>,
}

/// A mirror and the keys that its entry names.
struct Mirror {
    address: String,
    keys: Keys,
}

impl Planner<'_> {
    fn distribution_name(&self) -> &str {
        if self.source.distribution.is_empty() { "debian" } else { &self.source.distribution }
    }

    fn suites_of_entries(&self, architecture: &str) -> Result<Vec<Suite>, ArchiveError> {
        let mut suites = Vec::new();
        for text in &self.source.entries {
            let entries =
                sources::parse(text).map_err(|error| ArchiveError::Entry { entry: text.clone(), source: error })?;
            for entry in &entries {
                let keys = Keys::of(self.distribution_name(), self.source.keyring.as_deref(), entry.signed_by.as_ref());
                for (uri, suite) in entry.uris.iter().flat_map(|uri| entry.suites.iter().map(move |suite| (uri, suite)))
                {
                    suites.push(Suite {
                        address: uri.trim_end_matches('/').to_owned(),
                        name: suite.replace("$(ARCH)", architecture),
                        components: entry.components.clone(),
                        keys: keys.clone(),
                        architectures: entry.architectures.clone(),
                        optional: false,
                        trusted: entry.trusted,
                        allow_expired: match entry.check_valid_until {
                            Some(check) => !check || self.source.allow_expired,
                            None => self.allow_expired,
                        },
                        allow_older: self.source.allow_expired,
                        allow_other_suite: self.source.allow_other_suite,
                    });
                }
            }
        }
        Ok(suites)
    }

    fn suites_of_distribution(&self, architecture: &str) -> Result<(Vec<Suite>, Vec<String>), ArchiveError> {
        let name = self.distribution_name();
        let suite = &self.source.suite;
        if suite.is_empty() || suite.split('/').any(|part| part == ".." || part.is_empty()) {
            return Err(ArchiveError::Suite { suite: suite.clone() });
        }
        let known = DISTRIBUTIONS.iter().find(|distribution| distribution.name == name);
        let main_name = match known.and_then(|distribution| distribution.ports) {
            Some((ports, architectures)) if !architectures.contains(&architecture) => ports,
            _ => name,
        };
        let main = self.mirror(main_name, self.source.mirror.as_deref(), suite);
        let main = main.ok_or_else(|| ArchiveError::NoMirror { distribution: main_name.to_owned() })?;
        let usual = || match known {
            Some(distribution) if !distribution.rolling.contains(&suite.as_str()) => {
                vec![format!("{suite}-updates"), format!("{suite}-security")]
            }
            _ => Vec::new(),
        };
        let optional = self.source.extra_suites.is_none();
        let mut suites = vec![self.suite(&main, suite, false)];
        let mut warnings = Vec::new();
        for extra in self.source.extra_suites.clone().unwrap_or_else(usual) {
            match known.and_then(|distribution| distribution.security).filter(|_| extra.ends_with("-security")) {
                None => suites.push(self.suite(&main, &extra, optional)),
                Some(security) => match self.mirror(security, self.source.security_mirror.as_deref(), &extra) {
                    Some(mirror) => suites.push(self.suite(&mirror, &extra, optional)),
                    None if optional => warnings.push(format!(
                        "no mirror of {security} is known, so {extra} is not searched; name one with --security-mirror or \
                         security-mirror in the profile's [source]"
                    )),
                    None => return Err(ArchiveError::NoMirror { distribution: security.to_owned() }),
                },
            }
        }
        Ok((suites, warnings))
    }

    fn suite(&self, mirror: &Mirror, name: &str, optional: bool) -> Suite {
        let components = &self.source.components;
        Suite {
            address: mirror.address.clone(),
            name: name.to_owned(),
            components: if components.is_empty() { vec!["main".to_owned()] } else { components.clone() },
            keys: mirror.keys.clone(),
            architectures: Vec::new(),
            optional,
            trusted: false,
            allow_expired: self.allow_expired,
            allow_older: self.source.allow_expired,
            allow_other_suite: self.source.allow_other_suite,
        }
    }

    /// The mirror of this name: `debian`, `debian-security`.
    fn mirror(&self, name: &str, named: Option<&str>, suite: &str) -> Option<Mirror> {
        let keyring = self.source.keyring.as_deref();
        if let Some(address) = named.or_else(|| self.settings.mirrors.get(name).map(String::as_str)) {
            let address = absolute_address(address);
            return Some(Mirror { address, keys: Keys::of(self.distribution_name(), keyring, None) });
        }
        let (entry, uri) = self.machine.iter().find_map(|entry| Some((entry, serves(entry, name, suite)?)))?;
        // The machine may be older than the suite, and its keyring not know the keys that the distribution has by now.
        let keys = Keys::of(self.distribution_name(), keyring, None).with(entry.signed_by.as_ref());
        Some(Mirror { address: uri.trim_end_matches('/').to_owned(), keys })
    }
}

/// A mirror's address, where a plain absolute path stands for a directory of this machine.
fn absolute_address(address: &str) -> String {
    let address = address.trim_end_matches('/');
    if Path::new(address).is_absolute() { format!("file://{address}") } else { address.to_owned() }
}

/// The address of an entry that serves the distribution: by its path, as mirrors have it by custom, or because it names the very suite.
/// Archives of third parties do not carry the component main, or name suites of their own.
fn serves<'e>(entry: &'e Entry, name: &str, suite: &str) -> Option<&'e str> {
    if !entry.components.iter().any(|component| component == "main") {
        return None;
    }
    let names_suite = entry.suites.iter().any(|named| named == suite);
    let of_kind = |uri: &&String| {
        let path =
            uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let fetchable = ["http:", "https:", "file:"].iter().any(|scheme| uri.starts_with(scheme));
        fetchable && (names_suite || path.split('/').any(|part| part == name))
    };
    entry.uris.iter().find(of_kind).map(String::as_str)
}

#[cfg(test)]
mod tests;
