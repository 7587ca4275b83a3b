//! The backend's own settings in a profile.

use super::{NAME, TarballError};
use minimg_backend::{Source, options};
use minimg_base::digest::Digest;

/// The option that says where the root file system is.
pub(super) const ROOT: &str = "root";
/// The option that says what it must be.
pub(super) const SHA256: &str = "sha256";
/// The option that names the signed list of digests that says so.
pub(super) const DIGESTS: &str = "digests";
/// The option that names the keys that may have signed it.
const KEYRING: &str = "keyring";

/// What `[source.options.tarball]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Where the root file system is.
    pub(super) root: String,
    /// What it must be.
    pub(super) sha256: Option<Digest>,
    /// Where the signed list of digests is that has it.
    pub(super) digests: Option<String>,
    /// The keyring that the list is checked against.
    pub(super) keyring: Option<String>,
}

impl Options {
    pub(super) fn read(source: &Source) -> Result<Self, TarballError> {
        let (mut root, mut sha256, mut digests, mut keyring) = (None, None, None, None);
        let table = match source.options.get(NAME) {
            None => return Err(TarballError::NoRoot),
            Some(value) => value.as_table().ok_or_else(|| TarballError::Option("it is not a table".into()))?,
        };
        for (key, value) in table {
            let text = value.as_str().ok_or_else(|| TarballError::Option(format!("`{key}` is not a text")))?;
            match key.as_str() {
                ROOT => root = Some(text.to_owned()),
                SHA256 => sha256 = Some(digest(text)?),
                DIGESTS => digests = Some(text.to_owned()),
                KEYRING => keyring = Some(text.to_owned()),
                other => {
                    return Err(TarballError::Option(options::unknown(other, [ROOT, SHA256, DIGESTS, KEYRING])));
                }
            }
        }
        if keyring.is_some() && digests.is_none() {
            return Err(TarballError::Option("`keyring` checks nothing without `digests`".into()));
        }
        let root = root.filter(|root| !root.is_empty()).ok_or(TarballError::NoRoot)?;
        Ok(Self { root, sha256, digests, keyring })
    }
}

fn digest(text: &str) -> Result<Digest, TarballError> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{hex}").parse().map_err(|_| TarballError::Option(format!("`sha256` is not a digest: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Result<Options, String> {
        let options = [(NAME.to_owned(), toml::Value::Table(options.parse().unwrap()))].into();
        Options::read(&Source { options, ..Source::default() }).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let hex = Digest::of("x").hex();
        for text in [hex.clone(), format!("sha256:{hex}")] {
            let options = read(&format!("root = 'a.tar'\nsha256 = '{text}'")).unwrap();
            assert_eq!((&*options.root, options.sha256), ("a.tar", Some(Digest::of("x"))));
        }
        for (text, expected) in [
            ("rot = 'a'", "there is no `rot`; did you mean `root`?"),
            ("root = 1", "`root` is not a text"),
            ("root = 'a'\nsha256 = 'abc'", "`sha256` is not a digest: \"abc\""),
            ("root = 'a'\nkeyring = 'k'", "`keyring` checks nothing without `digests`"),
            ("", "needs a root file system"),
            ("root = ''", "needs a root file system"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
