//! Redirects: through the right proxy each time, not for ever, and without telling others who asks.

use std::io::Read as _;

use minimg::Class;
use minimg::fetch::{FetchError, Fetcher};

use super::fixture;
use super::server::{Manner, Server};
use super::{Bench, assert_failure};

/// What an address gives, asked with these headers.
pub(crate) fn fetched(bench: &Bench, url: &str, headers: &[(&'static str, &str)]) -> Result<String, FetchError> {
    bench.with_context(|context| {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let fetcher = Fetcher::new(context.clone()).with_headers(headers);
        let mut text = String::new();
        fetcher.open("text", url, None, 100)?.read_to_string(&mut text).unwrap();
        Ok(text)
    })
}

/// A server that redirects from a path.
fn leading(from: &str, to: String) -> Server {
    let server = Server::start();
    server.put(from, "");
    server.behave(from, Manner::Redirect(to));
    server
}

#[test]
fn a_redirect_leads_through_the_proxy_of_the_new_address() {
    let (_, mut bench) = fixture();
    let plain = leading("http://mirror.invalid/a", "https://safe.invalid/b".into());
    let tunnel = Server::start();
    bench.settings.proxies = [("http_proxy", &plain), ("https_proxy", &tunnel)]
        .map(|(name, server)| (name.to_owned(), server.address.clone()))
        .into();
    let error = fetched(&bench, "http://mirror.invalid/a", &[]).unwrap_err();
    let part = format!("redirected to safe.invalid, through the proxy {}", &tunnel.address[7..]);
    assert!(error.class() == Class::Network && error.to_string().contains(&part), "{error}");
    let log = tunnel.log();
    assert!(log.len() > 1 && log.iter().all(|line| line == "safe.invalid:443 404"), "{log:?}");
}

#[test]
fn places_are_relative_to_where_they_were_told() {
    let (_, bench) = fixture();
    let server = leading("/a/b/c", "../d?e#f".into());
    server.put("/a/d?e", "found");
    assert_eq!(fetched(&bench, &format!("{}/a/b/c", server.address), &[]).unwrap(), "found");
}

#[test]
fn what_leads_nowhere_is_told() {
    let (_, bench) = fixture();
    let other = Server::start();
    for (to, part) in [
        ("/a".to_owned(), "/a redirects without end, the last time to http://127.0.0.1:"),
        ("file:///etc/passwd".to_owned(), "/a redirects to \"file:///etc/passwd\", which is not an address"),
        (format!("{}/c", other.address), "/a does not exist"),
    ] {
        let server = leading("/a", to);
        let error = fetched(&bench, &format!("{}/a", server.address), &[]).unwrap_err();
        assert_failure((error.class(), error.to_string()), Class::Network, part);
    }
}

#[test]
fn who_asks_is_told_to_the_first_server_alone() {
    let (_, bench) = fixture();
    let other = Server::start();
    other.put("/c", "found");
    let server = leading("/a", "/b".into());
    server.put("/b", "");
    server.behave("/b", Manner::Redirect(format!("{}/c", other.address)));
    let url = format!("{}/a", server.address);
    assert_eq!(fetched(&bench, &url, &[("authorization", "Bearer x")]).unwrap(), "found");
    assert_eq!(server.log(), ["/a as Bearer x 302", "/b as Bearer x 302"]);
    assert_eq!(other.log(), ["/c 200"]);
    // The same of names and passwords in addresses.
    let url = url.replace("http://", "http://user:word@");
    assert_eq!(fetched(&bench, &url, &[]).unwrap(), "found");
    assert_eq!(server.log(), ["/a as Basic dXNlcjp3b3Jk 302", "/b as Basic dXNlcjp3b3Jk 302"]);
    assert_eq!(other.log(), ["/c 200"]);
}
