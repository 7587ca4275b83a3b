//! What a registry wants to be told (RFC 9110, `WWW-Authenticate`).

/// What a registry wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token that the realm gives out.
    Bearer {
        /// The address of who gives it out, as the registry wrote it.
        realm: String,
        /// What it is for.
        service: Option<String>,
        /// What it must allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge that can be answered, a token rather than a password; none where there is none of these.
    ///
    /// # Errors
    /// What is wrong with the header.
    pub(crate) fn parse(header: &str) -> Result<Option<Self>, String> {
        let challenges = http_auth::parse_challenges(header).map_err(|error| error.to_string())?;
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
        let Some(bearer) = of("bearer") else { return Ok(of("basic").map(|_| Self::Basic)) };
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = parameter("realm").ok_or("it names no token server")?;
        Ok(Some(Self::Bearer { realm, service: parameter("service"), scope: parameter("scope") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            Ok(Some(Challenge::Bearer { realm: realm.into(), service: own(service), scope: own(scope) }))
        };
        for (text, expected) in [
            (
                r#"Bearer realm="https://a.example/t",service="s",scope="repository:x:pull,push""#,
                bearer("https://a.example/t", Some("s"), Some("repository:x:pull,push")),
            ),
            (r#"bearer service=s, realm="r""#, bearer("r", Some("s"), None)),
            (r#"Basic realm="x", Bearer realm="a\"b""#, bearer("a\"b", None, None)),
            (r#"Negotiate, Basic realm="x""#, Ok(Some(Challenge::Basic))),
            ("Basic", Ok(Some(Challenge::Basic))),
            ("Negotiate", Ok(None)),
        ] {
            assert_eq!(Challenge::parse(text), expected, "{text}");
        }
        for text in [r#"Bearer service="s""#, r#"Bearer realm="unended"#, "", "=", "Bearer realm=\"a\u{1}b\""] {
            assert!(Challenge::parse(text).is_err(), "{text}");
        }
    }
}
