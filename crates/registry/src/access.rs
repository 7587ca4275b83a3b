//! Answering a registry that wants to know who asks (the distribution project's token authentication).

use serde::Deserialize;

use crate::challenge::Challenge;
use crate::credentials::Credentials;
use crate::realm::Realm;
use crate::{RegistryError, Remote, Scope};
use minimg_base::error::Result;
use minimg_context::Context;
use minimg_fetch::{Document, Fetcher};

/// The largest token that is read.
const LARGEST: u64 = 1 << 20;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The value of the `Authorization` header that answers a challenge of the registry itself.
///
/// # Errors
/// When there are no credentials, they cannot be read, the challenge is malformed, or whoever gives out tokens refuses.
pub(crate) fn answer(header: Option<&str>, remote: &Remote, scope: &Scope, context: &Context) -> Result<String> {
    let host = remote.host();
    let refused = || RegistryError::Access { image: remote.to_string(), host: host.to_owned() };
    let malformed = |message| RegistryError::MalformedChallenge { host: host.to_owned(), message };
    let challenge = header.map(Challenge::parse).transpose().map_err(malformed)?.flatten();
    match challenge.ok_or_else(refused)? {
        Challenge::Basic => Ok(Credentials::of(host, context)?.ok_or_else(refused)?.header()),
        Challenge::Bearer { realm, service, scope: wanted } => {
            let realm = Realm::parse(&realm, remote)?;
            let wanted = wanted.unwrap_or_else(|| scope.to_string());
            let address = realm.token_address(&wanted, service.as_deref());
            let token = token(&address, Credentials::of(host, context)?, context)?;
            Ok(format!("Bearer {}", token.ok_or_else(refused)?))
        }
    }
}

/// The token that somebody gives at an address; none where they refuse, or what they give is none.
fn token(address: &str, credentials: Option<Credentials>, context: &Context) -> Result<Option<String>> {
    let headers = credentials.iter().map(|credentials| ("authorization", credentials.header())).collect();
    let bytes = match Fetcher::new(context.clone()).with_headers(headers).document("token", address, LARGEST, None) {
        Ok(Document::New { bytes, .. }) => bytes,
        Ok(Document::Unchanged) => return Ok(None),
        Err(error) if matches!(error.status(), Some(401 | 403)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let token = serde_json::from_slice::<Token>(&bytes).ok().and_then(|t| t.token.or(t.access_token));
    // What is no token must not become another header.
    Ok(token.filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())))
}
