//! The HTTP client: one pool of connections, one look-up of every name.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::Patience;

/// How many connections to one server are kept and used at once.
pub(super) const CONNECTIONS: usize = 8;

/// A client that takes proxies from the environment, as ureq does by itself.
pub(super) fn new(patience: &Patience) -> ureq::Agent {
    let config = Config::builder()
        .http_status_as_error(false)
        .user_agent(concat!("minimg/", env!("CARGO_PKG_VERSION")))
        .redirect_auth_headers(RedirectAuthHeaders::Never)
        .accept_encoding("identity")
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .max_idle_connections(2 * CONNECTIONS)
        .max_idle_connections_per_host(CONNECTIONS)
        .build();
    ureq::Agent::with_parts(config, DefaultConnector::default(), OnceResolver::default())
}

/// Looks every name up once, and one at a time: many look-ups at once lose answers on some networks and stall for seconds.
#[derive(Debug, Default)]
struct OnceResolver {
    inner: DefaultResolver,
    known: Mutex<BTreeMap<String, ResolvedSocketAddrs>>,
}

impl Resolver for OnceResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
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
