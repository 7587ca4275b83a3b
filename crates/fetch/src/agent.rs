//! The HTTP client: one connection pool, one lookup of each name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, DefaultConnector, NextTimeout};

use super::Patience;
use super::proxy::{Forwarding, Proxies};

/// How many connections to one server are kept and used at once.
pub(super) const CONNECTIONS: usize = 8;

/// A client for whoever asks these proxies; where one makes a tunnel, the request names it. Redirects are answers like others to it, since
/// each may lead to another proxy.
/// With `authorities` those of the machine are trusted (`SSL_CERT_FILE` and `SSL_CERT_DIR` win), else those that are built in.
pub(super) fn new(patience: &Patience, authorities: bool, proxies: &Arc<Proxies>) -> ureq::Agent {
    let roots = if authorities { RootCerts::PlatformVerifier } else { RootCerts::WebPki };
    let config = Config::builder()
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("minimg/", env!("CARGO_PKG_VERSION")))
        .max_redirects(0)
        .accept_encoding("identity")
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .max_idle_connections(2 * CONNECTIONS)
        .max_idle_connections_per_host(CONNECTIONS)
        .build();
    let connector = DefaultConnector::default().chain(Forwarding(proxies.clone()));
    let resolver =
        OnceResolver { proxies: proxies.clone(), inner: DefaultResolver::default(), known: Mutex::default() };
    ureq::Agent::with_parts(config, connector, resolver)
}

/// Looks every name up once, and one at a time: many look-ups at once lose answers on some networks and stall for seconds. What is asked
/// through a proxy leads to that.
#[derive(Debug)]
struct OnceResolver {
    proxies: Arc<Proxies>,
    inner: DefaultResolver,
    known: Mutex<BTreeMap<String, ResolvedSocketAddrs>>,
}

impl Resolver for OnceResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let uri = self.proxies.forwarding(uri).map_or(uri, ureq::Proxy::uri);
        let key = format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = known.get(&key) {
            return Ok(addresses.clone());
        }
        let addresses = self.inner.resolve(uri, config, timeout)?;
        known.insert(key, addresses.clone());
        Ok(addresses)
    }
}
