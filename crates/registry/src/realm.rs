//! Who gives out tokens: an address that the registry wrote, and that is read once.

use fluent_uri::Uri;

use crate::remote::is_this_machine;
use crate::{RegistryError, Remote};

/// The address of who gives out tokens, to which credentials may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realm(Uri<String>);

impl Realm {
    /// Reads what a registry wrote.
    ///
    /// # Errors
    /// When it is not an address, or one where credentials would not be safe: without encryption they go to this machine alone, and to the
    /// host of a registry that is asked so itself.
    pub(crate) fn parse(text: &str, remote: &Remote) -> Result<Self, RegistryError> {
        let host = || remote.host().to_owned();
        let malformed =
            |message: &'static str| RegistryError::MalformedRealm { host: host(), realm: text.to_owned(), message };
        let address = Uri::parse(text.to_owned()).map_err(|_| malformed("it is not an address"))?;
        let authority = address.authority().ok_or_else(|| malformed("it has no host"))?;
        if authority.host().is_empty() || authority.port_to_u16().is_err() {
            return Err(malformed("its host or port is wrong"));
        }
        if authority.has_userinfo() {
            return Err(malformed("it has a user before its host"));
        }
        let is_own = remote.is_plain() && remote.is_on_host_of(&authority);
        match address.scheme().as_str().to_ascii_lowercase().as_str() {
            "https" => {}
            "http" if is_own || is_this_machine(&authority) => {}
            _ => return Err(RegistryError::UnsafeRealm { host: host(), realm: text.to_owned() }),
        }
        Ok(Self(address.strip_fragment().to_owned()))
    }

    /// The address of a token.
    pub(crate) fn token_address(&self, scope: &str, service: Option<&str>) -> String {
        let separator = if self.0.has_query() { '&' } else { '?' };
        let service = service.map(|service| format!("&service={}", escaped(service))).unwrap_or_default();
        format!("{}{separator}scope={}{service}", self.0, escaped(scope))
    }
}

fn escaped(text: &str) -> String {
    let escape = |b: u8| match b {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Scope};

    #[test]
    fn where_credentials_may_go() {
        let far = Remote::parse("reg.example/a/b").unwrap();
        let plain = Remote::parse("http://reg.example:5000/a").unwrap();
        let near = Remote::parse("localhost:5000/a").unwrap();
        for (remote, realm) in [
            (&far, "https://other.example:1/t?a=b#c"),
            (&far, "http://localhost:1/t"),
            (&far, "http://127.0.0.1/t"),
            (&far, "HTTP://[::1]/t"),
            (&plain, "http://REG.example:80/t"),
            (&near, "http://127.0.0.2/t"),
        ] {
            assert!(Realm::parse(realm, remote).is_ok(), "{realm}");
        }
        for (remote, realm) in [
            (&far, "http://other.example/t"),
            (&far, "http://reg.example/t"),
            (&far, "http://localhost.example/t"),
            (&far, "http://127.0.0.1.example/t"),
            (&far, "http://%6cocalhost/t"),
            (&far, "http://0x7f.1/t"),
            (&far, "ftp://localhost/t"),
            (&plain, "http://other.example/t"),
            (&near, "http://other.example/t"),
        ] {
            let found = Realm::parse(realm, remote);
            assert!(matches!(found, Err(RegistryError::UnsafeRealm { .. })), "{realm}: {found:?}");
        }
        for realm in [
            "http://localhost:1@other.example:7803/t",
            "https://user:secret@reg.example/t",
            "https://@reg.example/t",
            "http://localhost:1\\@other.example/t",
            "http://other.example\\.localhost/t",
            "https://reg.example\\t",
            "https:reg.example/t",
            "https:///t",
            "https://reg.example:99999/t",
            "https://reg example/t",
            "https://reg.example/t\r\nx: y",
            "//reg.example/t",
            "/t",
            "",
        ] {
            let found = Realm::parse(realm, &far);
            assert!(matches!(found, Err(RegistryError::MalformedRealm { .. })), "{realm}: {found:?}");
        }
    }

    #[test]
    fn addresses_of_tokens() {
        let remote = Remote::parse("reg.example/a/b").unwrap();
        let scope = Scope::new(&remote, &[Action::Pull]).to_string();
        for (realm, service, expected) in [
            ("https://x.example/t", None, "https://x.example/t?scope=repository%3Aa%2Fb%3Apull"),
            (
                "https://x.example?k=v#f",
                Some("s t"),
                "https://x.example?k=v&scope=repository%3Aa%2Fb%3Apull&service=s%20t",
            ),
        ] {
            assert_eq!(Realm::parse(realm, &remote).unwrap().token_address(&scope, service), expected);
        }
    }
}
