//! Who asks a registry: what it wants to know (RFC 9110, `WWW-Authenticate`; the distribution project's token authentication), and what
//! Docker's configuration says of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::TarballError;
use super::reference::{Reference, is_loopback};
use minimg_backend::Context;
use minimg_base::error::Result;
use minimg_fetch::{Document, Fetcher};
use minimg_tree::read_limited;

/// The largest configuration of Docker's, and the largest token, that are read.
const LARGEST: u64 = 1 << 20;

/// What a registry wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    /// Name and password.
    Basic,
    /// A token that somebody else gives out.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let realm = parameters.remove("realm")?;
        Some(Self::Bearer { realm, service: parameters.remove("service"), scope: parameters.remove("scope") })
    }
}

/// `a="b",c=d`; a comma may be between quotation marks.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    while let Some((name, rest)) = text.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        all.insert(name.trim_matches([',', ' ']).to_ascii_lowercase(), value.to_owned());
        text = rest;
    }
    all
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The value of the `Authorization` header that answers a challenge.
///
/// # Errors
/// When there are no credentials, they cannot be read, or whoever gives out tokens refuses.
pub(super) fn answer(challenge: Option<&str>, reference: &Reference, context: &Context) -> Result<String> {
    let refused = || TarballError::Access { image: reference.to_string(), host: reference.host.clone() };
    let basic = match &context.settings.docker_config {
        Some(path) => credentials(path, &reference.host)?.map(|secret| format!("Basic {secret}")),
        None => None,
    };
    match Challenge::parse(challenge.unwrap_or_default()).ok_or_else(refused)? {
        Challenge::Basic => Ok(basic.ok_or_else(refused)?),
        Challenge::Bearer { realm, service, scope } => {
            let is_safe = match realm.split_once("://") {
                Some(("https", _)) => true,
                Some(("http", rest)) => reference.plain || is_loopback(rest.split('/').next().unwrap_or_default()),
                _ => false,
            };
            if !is_safe {
                return Err(TarballError::Realm { host: reference.host.clone(), realm }.into());
            }
            let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", reference.name));
            let mut address =
                format!("{realm}{}scope={}", if realm.contains('?') { '&' } else { '?' }, escaped(&scope));
            if let Some(service) = service {
                address += &format!("&service={}", escaped(&service));
            }
            let headers = basic.into_iter().map(|basic| ("authorization", basic)).collect();
            let fetcher = Fetcher::new(context.clone()).with_headers(headers);
            let bytes = match fetcher.document("token", &address, LARGEST, None) {
                Ok(Document::New { bytes, .. }) => bytes,
                Ok(Document::Unchanged) => Vec::new(),
                Err(error) if matches!(error.status(), Some(401 | 403)) => return Err(refused().into()),
                Err(error) => return Err(error.into()),
            };
            let token = serde_json::from_slice::<Token>(&bytes).ok().and_then(|t| t.token.or(t.access_token));
            // What is no token must not become another header.
            let token = token.filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
            Ok(format!("Bearer {}", token.ok_or_else(refused)?))
        }
    }
}

fn escaped(text: &str) -> String {
    let escape = |b: u8| match b {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: String,
}

/// Name and password of a registry in base64, as Docker's `config.json` keeps them in `auths`.
fn credentials(path: &Path, host: &str) -> Result<Option<String>, TarballError> {
    let failed = |message: String| TarballError::Credentials { path: path.to_owned(), message };
    let bytes = match read_limited(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    of_host(&bytes, host).map_err(failed)
}

fn of_host(bytes: &[u8], host: &str) -> Result<Option<String>, String> {
    // The parser's own message might repeat what is secret.
    let config: DockerConfig =
        serde_json::from_slice(bytes).map_err(|error| format!("line {} is malformed", error.line()))?;
    let is_own = |key: &str| {
        let key = key.split_once("://").map_or(key, |(_, rest)| rest);
        key.split('/').next() == Some(host)
    };
    let secret = config.auths.into_iter().find(|(key, auth)| is_own(key) && !auth.auth.is_empty());
    let Some((_, Auth { auth })) = secret else { return Ok(None) };
    match auth.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) {
        true => Ok(Some(auth)),
        false => Err(format!("`auth` of {host} is no base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            Some(Challenge::Bearer { realm: realm.into(), service: own(service), scope: own(scope) })
        };
        for (text, expected) in [
            (
                r#"Bearer realm="https://a.example/t",service="s",scope="repository:x:pull,push""#,
                bearer("https://a.example/t", Some("s"), Some("repository:x:pull,push")),
            ),
            (r#"bearer service=s, realm="r""#, bearer("r", Some("s"), None)),
            (r#"Basic realm="x""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            (r#"Bearer service="s""#, None),
            ("Negotiate", None),
            (r#"Bearer realm="unended"#, bearer("unended", None, None)),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_of_the_right_host_only() {
        let config =
            br#"{"auths": {"https://r.example/v1/": {"auth": "YTpi"}, "s.example": {"auth": "Yzpk"}, "t.example": {},
            "u.example": {"auth": "a\nb"}}, "credsStore": "x"}"#;
        let found = |host| of_host(config, host);
        assert_eq!(found("r.example"), Ok(Some("YTpi".into())));
        assert_eq!(found("s.example"), Ok(Some("Yzpk".into())));
        assert_eq!((found("t.example"), found("example")), (Ok(None), Ok(None)));
        assert!(found("u.example").is_err());
        assert_eq!(of_host(br#"{"auths": {"r": {"auth": 1234567}}}"#, "r"), Err("line 1 is malformed".into()));
    }

    #[test]
    fn what_goes_into_an_address() {
        assert_eq!(escaped("repository:a/b:pull c"), "repository%3Aa%2Fb%3Apull%20c");
    }
}
