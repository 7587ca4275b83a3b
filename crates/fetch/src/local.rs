//! Addresses of files on this machine.

use std::path::PathBuf;

use super::FetchError;

/// The path that a `file:` address names, or `None` for a known network scheme.
pub(super) fn local_path(url: &str) -> Result<Option<PathBuf>, FetchError> {
    let wrong = |message: &str| Err(FetchError::Address { url: url.to_owned(), message: message.to_owned() });
    let Some((scheme, rest)) = url.split_once(':') else { return wrong("it has no scheme") };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Ok(None),
        "file" => {
            let path = rest.strip_prefix("//localhost/").map(|rest| format!("/{rest}"));
            let path = path.unwrap_or_else(|| rest.strip_prefix("//").unwrap_or(rest).to_owned());
            if !path.starts_with('/') {
                return wrong("its path is not absolute");
            }
            Ok(Some(percent_decoded(&path)))
        }
        _ => wrong("its scheme is not known"),
    }
}

fn percent_decoded(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => (*high as char).to_digit(16).zip((*low as char).to_digit(16)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, expected) in [
            ("http://m.example/x", Some(None)),
            ("https://m.example/x", Some(None)),
            ("HTTPS://m.example/x", Some(None)),
            ("file:/a/b", Some(Some("/a/b"))),
            ("file:///a%20b%2", Some(Some("/a b%2"))),
            ("file://localhost/a", Some(Some("/a"))),
            ("file://elsewhere/a", None),
            ("file:a", None),
            ("ftp://m.example/x", None),
            ("/a/b", None),
            ("", None),
        ] {
            let path = local_path(url).ok().map(|path| path.map(|path| path.display().to_string()));
            assert_eq!(path, expected.map(|path| path.map(str::to_owned)), "{url}");
        }
    }
}
