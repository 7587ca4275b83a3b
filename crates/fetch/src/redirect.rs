//! Redirects: where an answer leads, and what the next server may learn.

use std::io::{self, Read as _};

use fluent_uri::{Uri as Base, UriRef};
use ureq::http::{Response, Uri, header};

/// How many redirects are followed.
pub(super) const MOST: usize = 10;

/// The most bytes of a redirect's own text that are read to keep the connection.
const LONGEST_TEXT: u64 = 64 * 1024;

/// Where an answer leads; none if it is not a redirect (RFC 9110, section 15.4).
pub(super) fn location(response: &Response<ureq::Body>) -> Option<&[u8]> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(header::LOCATION).filter(|_| is_redirect).map(|location| location.as_bytes())
}

/// Reads what a redirect says for people, so that the connection may be used again.
pub(super) fn finish(response: Response<ureq::Body>) {
    // A connection that fails here is not used again, and nothing else is lost.
    let _ = io::copy(&mut response.into_body().into_reader().take(LONGEST_TEXT), &mut io::sink());
}

/// The address that a location names, seen from the one that was asked (RFC 3986, section 5). Where it has to be `safe`, `https` is not left.
///
/// # Errors
/// Why it is not followed, to be read after "redirects".
pub(super) fn target(asked: &Uri, location: &[u8], safe: bool) -> Result<Uri, String> {
    let resolved = resolved(&asked.to_string(), location);
    let wrong = || format!("to {:?}, which is not an address", String::from_utf8_lossy(location));
    let target: Uri = resolved.and_then(|address| address.parse().ok()).ok_or_else(wrong)?;
    match (asked.scheme_str(), target.scheme_str()) {
        (Some("https"), Some("http")) if safe => Err(format!("to {target}, which is not safe as https is")),
        (_, Some("http" | "https")) if target.host().is_some_and(|host| !host.is_empty()) => Ok(target),
        _ => Err(format!("to {target}, which is neither http nor https")),
    }
}

/// Whether two addresses are of one server: only then it may be told who asks.
pub(super) fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().or(if uri.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

/// A server as people see it, without the user that an address may have.
pub(super) fn host_and_port(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn resolved(base: &str, location: &[u8]) -> Option<String> {
    let (base, location) = (encoded(base.as_bytes()), encoded(location));
    let base = Base::parse(base.as_str()).ok()?;
    let resolved = UriRef::parse(location.as_str()).ok()?.resolve_against(&base).ok()?;
    resolved.authority()?.port_to_u16().ok()?;
    Some(resolved.strip_fragment().as_str().to_owned())
}

/// Writes the bytes as `%20` that addresses may not have, which servers send all the same.
fn encoded(address: &[u8]) -> String {
    let is_escape = |rest: &[u8]| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    // Brackets are of addresses of IPv6 alone.
    let has_brackets = address.windows(3).any(|part| part == b"//[");
    let mut text = String::with_capacity(address.len());
    for (i, &byte) in address.iter().enumerate() {
        let may_be = match byte {
            b'%' => is_escape(&address[i + 1..]),
            b'[' | b']' => has_brackets,
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(&byte),
        };
        match may_be {
            true => text.push(byte.into()),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_seen_from_where_they_were_told() {
        for (asked, location, expected) in [
            ("http://a/b/c?d", "https://e:1/f?g=%2f#h", Ok("https://e:1/f?g=%2f")),
            ("http://a/b/c?d", "/e", Ok("http://a/e")),
            ("http://a/b/c?d", "e/./f", Ok("http://a/b/e/f")),
            ("http://a/b/c?d", "../../../e", Ok("http://a/e")),
            ("http://a/b/c?d", "?e", Ok("http://a/b/c?e")),
            ("https://a:4/b", "//e/f", Ok("https://e/f")),
            ("http://u:p@a/b", "/e", Ok("http://u:p@a/e")),
            ("http://u:p@a/b", "http://e/", Ok("http://e/")),
            ("http://a/b", "/\u{e9} |[x]%2", Ok("http://a/%C3%A9%20%7C%5Bx%5D%252")),
            ("http://a/b", "http://[::1]:8/e", Ok("http://[::1]:8/e")),
            ("http://a/b", "HTTPS://e/", Ok("https://e/")),
            ("https://a/b", "http://a/b", Err("to http://a/b, which is not safe as https is")),
            ("http://a/b", "file:///etc/passwd", Err("to \"file:///etc/passwd\", which is not an address")),
            ("http://a/b", "ftp://e/f", Err("to ftp://e/f, which is neither http nor https")),
            ("http://a/b", "http://", Err("to \"http://\", which is not an address")),
            ("http://a/b", "http:///e", Err("to \"http:///e\", which is not an address")),
            ("http://a/b", "http://e:99999/", Err("to \"http://e:99999/\", which is not an address")),
        ] {
            let found = target(&asked.parse().unwrap(), location.as_bytes(), true).map(|uri| uri.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{asked} {location}");
        }
        let unsafe_one = target(&"https://a/".parse().unwrap(), b"http://a/", false);
        assert_eq!(unsafe_one.unwrap().to_string(), "http://a/");
    }

    #[test]
    fn servers() {
        for (one, other, same) in [
            ("http://a/b", "http://A:80/c", true),
            ("https://a/b", "https://a:443/c", true),
            ("https://a/b", "http://a:443/c", false),
            ("http://a/b", "http://a:81/b", false),
            ("http://a/b", "http://a.b/b", false),
        ] {
            assert_eq!(is_same_server(&one.parse().unwrap(), &other.parse().unwrap()), same, "{one} {other}");
        }
    }
}
