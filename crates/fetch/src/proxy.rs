//! Proxies: which one an address is asked through, and how a plain `http` address is.
//!
//! ureq asks a proxy for a tunnel (CONNECT) whatever the address is, which caches of packages, and most other proxies, refuse for `http`.
//! Such an address is asked here as a proxy expects it: with the whole address in the first line (RFC 9112, section 3.2.2).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use ureq::http::Uri;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Proxy, ProxyProtocol};

/// The proxies of the user, by the kind of address that they are for.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// Reads the usual variables, whose names are in small letters. `http_proxy` and `https_proxy` win over `all_proxy`; hosts of `no_proxy`,
    /// and those below them, are asked directly.
    pub(super) fn new(variables: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let direct = value("no_proxy").unwrap_or_default();
        let proxy = |name: &str| proxy(value(name).or_else(|| value("all_proxy"))?, direct);
        Self { http: proxy("http_proxy"), https: proxy("https_proxy") }
    }

    /// The proxy that an address is asked through.
    pub(super) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = match uri.scheme_str() {
            Some("http") => self.http.as_ref()?,
            Some("https") => self.https.as_ref()?,
            _ => return None,
        };
        // ureq comes here for the address of a proxy too.
        let is = |proxy: &Proxy| uri.host() == Some(proxy.host()) && uri.port_u16() == Some(proxy.port());
        let is_one = self.http.iter().chain(&self.https).any(is);
        (!is_one && !proxy.is_no_proxy(uri)).then_some(proxy)
    }

    /// The proxy that an address is asked through with the whole address.
    pub(super) fn forwarding(&self, uri: &Uri) -> Option<&Proxy> {
        self.of(uri).filter(|proxy| uri.scheme_str() == Some("http") && proxy.protocol() == ProxyProtocol::Http)
    }

    /// The proxy that makes a tunnel to an address, which is ureq's business.
    pub(super) fn tunnelling(&self, uri: &Uri) -> Option<&Proxy> {
        if self.forwarding(uri).is_some() { None } else { self.of(uri) }
    }
}

/// A proxy, and the hosts that are asked without it; none if it is not an address of a proxy.
fn proxy(address: &str, direct: &str) -> Option<Proxy> {
    let plain = Proxy::new(address).ok()?;
    let mut proxy = Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    if let Some(user) = plain.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = plain.password() {
        proxy = proxy.password(password);
    }
    for host in direct.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let host = host.trim_start_matches("*.").trim_start_matches('.');
        proxy = proxy.no_proxy(host).no_proxy(&format!(".{host}"));
    }
    proxy.build().ok()
}

/// Lets connections to a proxy, which the resolver leads there, carry whole addresses.
#[derive(Debug)]
pub(super) struct Forwarding(pub(super) Arc<Proxies>);

impl<In: Transport> Connector<In> for Forwarding {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(connection) = chained else { return Ok(None) };
        let forwarding = self.0.forwarding(details.uri).filter(|_| details.config.proxy().is_none());
        Ok(Some(match forwarding {
            Some(proxy) => Box::new(WholeAddresses {
                connection,
                host: details.uri.authority().map_or(String::new(), |authority| format!("http://{authority}")),
                credentials: credentials(proxy),
            }),
            None => Box::new(connection),
        }))
    }
}

/// The header by which a proxy knows who asks (RFC 7617), or nothing.
fn credentials(proxy: &Proxy) -> String {
    let Some(user) = proxy.username() else { return String::new() };
    let plain = format!("{user}:{}", proxy.password().unwrap_or_default());
    format!("Proxy-Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(plain))
}

/// A connection on which `GET /path` becomes `GET http://host/path`.
#[derive(Debug)]
struct WholeAddresses<T> {
    connection: T,
    host: String,
    credentials: String,
}

impl<T: Transport> Transport for WholeAddresses<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        const METHOD: &[u8] = b"GET ";
        let output = self.connection.buffers().output();
        let sent = output.get(..amount).unwrap_or_default();
        let amount = match (sent.strip_prefix(METHOD), sent.windows(2).position(|pair| pair == b"\r\n")) {
            (Some(path), Some(end)) if path.starts_with(b"/") => {
                let (line, rest) = sent.split_at(end + 2);
                let line = line.strip_prefix(METHOD).unwrap_or_default();
                let whole = [METHOD, self.host.as_bytes(), line, self.credentials.as_bytes(), rest].concat();
                let too_long = || io::Error::other("the request to the proxy is too long");
                output.get_mut(..whole.len()).ok_or_else(too_long)?.copy_from_slice(&whole);
                whole.len()
            }
            _ => amount,
        };
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.connection.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_proxy_of_their_kind() {
        let variables = [
            ("http_proxy", "http://user:word@cache.example:3142"),
            ("all_proxy", "http://tunnel.example:8080"),
            ("no_proxy", "localhost, .near.example,127.0.0.1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let proxies = Proxies::new(&BTreeMap::from(variables));
        for (address, forwarding, tunnelling) in [
            ("http://mirror.example/debian", Some("cache.example"), None),
            ("https://mirror.example/debian", None, Some("tunnel.example")),
            ("http://localhost/x", None, None),
            ("http://near.example/x", None, None),
            ("https://a.near.example/x", None, None),
            ("http://127.0.0.1:9/x", None, None),
            ("http://cache.example:3142/", None, None),
            ("http://tunnel.example:8080/", None, None),
            ("http://cache.example/", Some("cache.example"), None),
        ] {
            let uri: Uri = address.parse().unwrap();
            assert_eq!(proxies.forwarding(&uri).map(Proxy::host), forwarding, "{address}");
            assert_eq!(proxies.tunnelling(&uri).map(Proxy::host), tunnelling, "{address}");
        }
        let uri: Uri = "http://a/".parse().unwrap();
        let credentials = proxies.forwarding(&uri).map(credentials);
        assert_eq!(credentials.as_deref(), Some("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n"));
        assert!(Proxies::new(&BTreeMap::new()).of(&uri).is_none());
    }
}
