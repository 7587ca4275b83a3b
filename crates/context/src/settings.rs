//! The user's settings for finding mirrors and tools.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The user's settings. The library reads them from the machine only when it is told to, by [`Settings::of_this_machine`].
///
/// The default knows nothing: it reads no configuration of the machine, finds no tools, no credentials and no proxies, and never looks into the
/// working directory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Mirrors by distribution (`debian`, `debian-security`), from the environment or the configuration file.
    pub mirrors: BTreeMap<String, String>,
    /// The root below which the machine's own configuration is read: `/` in the program, a fixture in tests, `None` to read none.
    pub machine: Option<PathBuf>,
    /// How many downloads and unpackings run at once; 0 for as many as there are cores.
    pub jobs: usize,
    /// The directories in which outside tools are looked for, as in PATH; none when it is empty.
    pub path: OsString,
    /// Docker's `config.json`, which has the credentials for registries.
    pub docker_config: Option<PathBuf>,
    /// What the configuration file says of single backends, by name.
    pub backends: BTreeMap<String, toml::Table>,
    /// Whether this machine says which authorities it trusts with `https`; else those count that are built in.
    pub authorities: bool,
    /// The environment's variables of proxies, such as `http_proxy` and `no_proxy`, by their names in small letters.
    pub proxies: BTreeMap<String, String>,
    /// The directory of the configuration file, at which relative paths in it start.
    pub directory: PathBuf,
}

impl Settings {
    /// The settings of this machine with this environment, usually [`std::env::vars_os`]: its configuration, the tools of PATH, the mirrors of
    /// the variables `MINIMG_MIRROR` and `MINIMG_MIRROR_DEBIAN_SECURITY` and their like, proxies, certificates, and docker's credentials.
    pub fn of_this_machine(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let environment = Environment(environment.into_iter().collect());
        Self {
            mirrors: environment.mirrors(),
            machine: Some(PathBuf::from("/")),
            jobs: 0,
            path: environment.get("PATH").unwrap_or_default().to_owned(),
            docker_config: environment.docker_config(),
            backends: BTreeMap::new(),
            authorities: environment.has_authorities(),
            proxies: environment.proxies(),
            directory: PathBuf::from("/"),
        }
    }
}

/// The variables of a process, sorted.
struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// A variable; one that is empty counts as absent.
    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The variables that are text; no setting is anything else.
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// `MINIMG_MIRROR_DEBIAN_SECURITY` is the mirror of `debian-security`; `MINIMG_MIRROR` that of any distribution.
    fn mirrors(&self) -> BTreeMap<String, String> {
        let mirror = |(variable, value): (&str, &str)| {
            let distribution = variable.strip_prefix("MINIMG_MIRROR")?;
            Some((distribution.trim_start_matches('_').to_lowercase().replace('_', "-"), value.to_owned()))
        };
        self.texts().filter_map(mirror).collect()
    }

    /// The variables of proxies. Where one is there in small and in capital letters, the small ones win: they are sorted last.
    fn proxies(&self) -> BTreeMap<String, String> {
        self.texts()
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .filter(|(name, _)| name.ends_with("_proxy"))
            .collect()
    }

    /// Where docker(1) keeps the credentials for registries.
    fn docker_config(&self) -> Option<PathBuf> {
        let named = self.get("DOCKER_CONFIG").map(PathBuf::from);
        let directory = named.or_else(|| Some(Path::new(self.get("HOME")?).join(".docker")))?;
        Some(directory.join("config.json"))
    }

    /// Whether there are certificates of authorities where programs look for them.
    fn has_authorities(&self) -> bool {
        const BUNDLES: [&str; 4] = [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ];
        self.get("SSL_CERT_FILE").or_else(|| self.get("SSL_CERT_DIR")).is_some()
            || BUNDLES.iter().any(|bundle| Path::new(bundle).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Settings {
        Settings::of_this_machine(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn the_environment_is_read_as_it_is_given() {
        let settings = of(&[
            ("MINIMG_MIRROR_DEBIAN_SECURITY", "https://a.example"),
            ("HTTP_PROXY", "http://capital.example"),
            ("http_proxy", "http://small.example"),
            ("HOME", "/home/user"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(settings.mirrors["debian-security"], "https://a.example");
        assert_eq!(settings.proxies["http_proxy"], "http://small.example");
        assert_eq!(settings.docker_config.as_deref(), Some(Path::new("/home/user/.docker/config.json")));
        assert_eq!((settings.path, settings.machine), ("/bin".into(), Some("/".into())));
    }

    #[test]
    fn an_empty_environment_names_nothing() {
        let settings = of(&[("DOCKER_CONFIG", "")]);
        assert_eq!((settings.docker_config, settings.path), (None, OsString::new()));
        assert_eq!(Settings::default().machine, None);
    }
}
