//! What Docker's configuration says of who asks a registry: in the file itself, or by the name of a helper.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::RegistryError;
use crate::helper::{self, Login};
use minimg_base::report::Event;
use minimg_context::Context;
use minimg_tree::read_limited;

/// The largest configuration of Docker's that is read.
const LARGEST: u64 = 1 << 20;

/// Name and password in base64, as basic authentication has them. They are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials(String);

impl Credentials {
    /// Those of a registry's host with its port, if there are any. A helper named for that host alone wins over one for all hosts, and
    /// what a helper knows over what the file itself has.
    ///
    /// # Errors
    /// When the configuration cannot be read, or a helper fails.
    pub(crate) fn of(host: &str, context: &Context) -> Result<Option<Self>, RegistryError> {
        let Some(path) = &context.settings.docker_config else { return Ok(None) };
        let Some(config) = DockerConfig::read(path)? else { return Ok(None) };
        if let Some(name) = config.helper(host) {
            let path_variable = &context.settings.path;
            let Some(program) = helper::find(name, path_variable) else {
                let text = format!(
                    "{} names the credential helper `{}`, which is not in PATH; asking {host} without it",
                    path.display(),
                    helper::program(name)
                );
                context.reporter.event(Event::Warning(&text));
                return config.own(host, path);
            };
            let found = helper::get(&program, host, path_variable, helper::PATIENCE);
            let failed = |message| RegistryError::Helper {
                host: host.to_owned(),
                program: helper::program(name),
                path: path.clone(),
                message,
            };
            if let Some(login) = found.map_err(failed)? {
                return Ok(Some(login.into()));
            }
        }
        config.own(host, path)
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> String {
        format!("Basic {}", self.0)
    }
}

impl From<Login> for Credentials {
    fn from(login: Login) -> Self {
        Self(STANDARD.encode(format!("{}:{}", login.username, login.secret)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Docker's `config.json`, as far as it is about credentials.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: String,
}

impl DockerConfig {
    /// The file, if there is one.
    fn read(path: &Path) -> Result<Option<Self>, RegistryError> {
        let failed = |message| RegistryError::Credentials { path: path.to_owned(), message };
        let bytes = match read_limited(path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        Self::parse(&bytes).map(Some).map_err(failed)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // The parser's own message might repeat what is secret.
        serde_json::from_slice(bytes).map_err(|error| format!("line {} is malformed", error.line()))
    }

    /// The name of the helper that is asked for a host.
    fn helper(&self, host: &str) -> Option<&str> {
        let own = self.cred_helpers.iter().find(|(key, _)| is_key_of(key, host)).map(|(_, name)| name);
        own.or(self.creds_store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What the file itself has for a host.
    fn own(&self, host: &str, path: &Path) -> Result<Option<Credentials>, RegistryError> {
        let auth = self.auths.iter().find(|(key, auth)| is_key_of(key, host) && !auth.auth.is_empty());
        let Some((_, Auth { auth })) = auth else { return Ok(None) };
        // What is not base64 must not become another header.
        match STANDARD.decode(auth) {
            Ok(_) => Ok(Some(Credentials(auth.clone()))),
            Err(_) => {
                let message = format!("`auth` of {host} is not base64");
                Err(RegistryError::Credentials { path: path.to_owned(), message })
            }
        }
    }
}

/// Whether a key of the configuration means a host: older versions of Docker wrote addresses for keys.
fn is_key_of(key: &str, host: &str) -> bool {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().is_some_and(|key| key.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_right_host_only() {
        let config = DockerConfig::parse(
            br#"{"auths": {"https://r.example/v1/": {"auth": "YTpi"}, "s.example": {"auth": "Yzpk"}, "t.example": {},
            "u.example": {"auth": "a\nb"}}}"#,
        )
        .unwrap();
        let found = |host| config.own(host, Path::new("c"));
        assert_eq!(found("r.example").unwrap(), Some(Credentials("YTpi".into())));
        assert_eq!(found("S.example").unwrap(), Some(Credentials("Yzpk".into())));
        assert_eq!((found("t.example").unwrap(), found("example").unwrap()), (None, None));
        let error = found("u.example").unwrap_err().to_string();
        assert_eq!(error, "cannot read the credentials in c: `auth` of u.example is not base64");
        let error = DockerConfig::parse(br#"{"auths": {"r": {"auth": 1234567}}}"#).err();
        assert_eq!(error, Some("line 1 is malformed".into()));
    }

    #[test]
    fn a_helper_of_one_host_wins_over_that_of_all() {
        let config = DockerConfig::parse(
            br#"{"credsStore": "all", "credHelpers": {"r.example": "one", "https://s.example": ""}}"#,
        );
        let config = config.unwrap();
        let found = ["r.example", "s.example", "t.example"].map(|host| config.helper(host));
        assert_eq!(found, [Some("one"), None, Some("all")]);
        assert_eq!(DockerConfig::parse(b"{}").unwrap().helper("r.example"), None);
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let login = Login { username: "me".into(), secret: "secret".into() };
        let credentials = Credentials::from(login);
        assert_eq!(credentials.header(), "Basic bWU6c2VjcmV0");
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }
}
