//! Fetching a Release file, checking its signature and its age, and remembering it.
//!
//! The store keeps, per address and suite, the verified text, what is needed to ask whether it changed, and the digest of the keyring it was
//! checked against. The check is repeated when the text or the keyring changes, and once a day, so that a key that expired is noticed.

use std::time::{SystemTime, UNIX_EPOCH};

use super::error::ArchiveError;
use super::plan::Suite;
use super::release::{Release, rfc3339};
use minimg_backend::Context;
use minimg_base::digest::Digest;
use minimg_base::report::Event;
use minimg_base::suggest;
use minimg_fetch::{Document, FetchError, Fetcher, Validators};
use minimg_openpgp::Keyring;

/// The longest Release file that is read; Debian's are below one megabyte.
const RELEASE_LIMIT: u64 = 32 << 20;

/// The longest detached signature that is read.
const SIGNATURE_LIMIT: u64 = 1 << 20;

/// For how many seconds a checked signature is not checked again.
const TRUST_SECONDS: i64 = 24 * 3600;

/// The kind of the store's entries.
const KIND: &str = "release";

/// Gets the Release file of a suite; `None` when the mirror does not have a suite that is optional.
pub(super) fn release(suite: &Suite, fetcher: &Fetcher, context: &Context) -> Result<Option<Release>, ArchiveError> {
    let keyring = suite.keys.load(context.settings.machine.as_deref())?;
    let key = key(suite);
    let known = context.store.entry(KIND, &key)?.and_then(|bytes| Remembered::parse(&bytes));
    let reader = Reader { suite, fetcher, context, keyring: &keyring, now: now(), key };
    match reader.current(known) {
        Err(ArchiveError::Fetch(FetchError::NotFound { url })) if suite.optional => {
            let text = format!("{url} does not exist, so {} is not searched", suite.name);
            context.reporter.event(Event::Warning(&text));
            Ok(None)
        }
        Err(ArchiveError::Fetch(FetchError::NotFound { url })) => {
            let near = suggest::suite(&suite.name).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            Err(ArchiveError::NoSuite { suite: suite.name.clone(), address: suite.address.clone(), url, near })
        }
        result => result.map(Some),
    }
}

/// Whether the store has seen a Release file of this suite.
pub(super) fn is_known(suite: &Suite, context: &Context) -> Result<bool, ArchiveError> {
    Ok(context.store.entry(KIND, &key(suite))?.is_some())
}

fn key(suite: &Suite) -> Digest {
    Digest::of(format!("{}\0{}", suite.address, suite.name))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

struct Reader<'r> {
    suite: &'r Suite,
    fetcher: &'r Fetcher,
    context: &'r Context,
    keyring: &'r Keyring,
    now: i64,
    key: Digest,
}

impl Reader<'_> {
    fn current(&self, known: Option<Remembered>) -> Result<Release, ArchiveError> {
        let usable = known.as_ref().filter(|known| known.keyring == self.keyring.digest());
        if self.context.offline
            && let Some(usable) = usable
        {
            return self.accept(&usable.text, "the store's copy", None);
        }
        let fresh = usable.filter(|known| (0..TRUST_SECONDS).contains(&self.now.saturating_sub(known.checked)));
        let url = format!("{}/InRelease", self.suite.directory());
        let name = format!("{} InRelease", self.suite.name);
        let answer = self.fetcher.document(&name, &url, RELEASE_LIMIT, fresh.map(|known| &known.validators));
        let (signed, url, validators) = match answer {
            Ok(Document::Unchanged) => (None, url, Validators::default()),
            Ok(Document::New { bytes, validators }) => (Some(Signed::Inline(bytes)), url, validators),
            Err(missing @ FetchError::NotFound { .. }) => {
                let (signed, url) = self.detached(missing)?;
                (Some(signed), url, Validators::default())
            }
            Err(error) => return Err(error.into()),
        };
        let same = |known: &&Remembered| signed.as_ref().is_none_or(|signed| signed.digest() == known.raw);
        if let Some(known) = fresh.filter(same) {
            return self.accept(&known.text, &url, None);
        }
        // A server that says "unchanged" without having been asked has nothing to give.
        let signed = signed.ok_or_else(|| FetchError::Status { url: url.clone(), status: 304 })?;
        let text = self.verified(&signed, &url)?;
        let release = self.accept(&text, &url, known.as_ref().map(|known| known.date))?;
        let (raw, keyring) = (signed.digest(), self.keyring.digest());
        let date = known.map_or(release.date, |known| known.date.max(release.date));
        let remembered = Remembered { raw, keyring, checked: self.now, date, validators, text };
        self.context.store.put_entry(KIND, &self.key, &remembered.write())?;
        Ok(release)
    }

    /// `Release` and `Release.gpg`, for archives without `InRelease`.
    fn detached(&self, missing: FetchError) -> Result<(Signed, String), ArchiveError> {
        let url = format!("{}/Release", self.suite.directory());
        let get = |name: &str, url: &str, limit| match self.fetcher.document(name, url, limit, None) {
            Ok(Document::New { bytes, .. }) => Ok(bytes),
            Ok(Document::Unchanged) => Err(FetchError::Status { url: url.to_owned(), status: 304 }),
            Err(error) => Err(error),
        };
        let text = match get(&format!("{} Release", self.suite.name), &url, RELEASE_LIMIT) {
            Ok(text) => text,
            Err(FetchError::NotFound { .. }) => return Err(missing.into()),
            Err(error) => return Err(error.into()),
        };
        let signature = match get(&format!("{} Release.gpg", self.suite.name), &format!("{url}.gpg"), SIGNATURE_LIMIT) {
            Err(FetchError::NotFound { .. }) => Vec::new(),
            signature => signature?,
        };
        Ok((Signed::Detached { text, signature }, url))
    }

    /// The text that a trusted key has signed.
    fn verified(&self, signed: &Signed, url: &str) -> Result<Vec<u8>, ArchiveError> {
        let checked = match signed {
            Signed::Inline(message) => self.keyring.verify_inline(message),
            Signed::Detached { signature, .. } if signature.is_empty() => Err("it is not signed".to_owned()),
            Signed::Detached { text, signature } => {
                self.keyring.verify_detached(signature, text).map(|()| text.clone())
            }
        };
        match (checked, signed) {
            (Err(reason), Signed::Detached { text, .. }) if self.suite.trusted => {
                self.warn(&format!("{url} is used although {reason}, as its source entry allows"));
                Ok(text.clone())
            }
            (Err(reason), _) => Err(ArchiveError::Signature { url: url.to_owned(), reason }),
            (Ok(text), _) => Ok(text),
        }
    }

    fn warn(&self, text: &str) {
        self.context.reporter.event(Event::Warning(text));
    }

    /// Reads a verified text and checks that it is the one that was asked for, of our time, and not older than `seen`.
    fn accept(&self, text: &[u8], url: &str, seen: Option<i64>) -> Result<Release, ArchiveError> {
        let url = || url.to_owned();
        let release = Release::parse(text).map_err(|message| ArchiveError::Malformed { what: url(), message })?;
        if !release.is_suite(&self.suite.name) {
            let names = [release.codename.as_deref(), release.suite.as_deref()];
            let found = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
            let wanted = self.suite.name.clone();
            if !self.suite.allow_other_suite {
                return Err(ArchiveError::WrongSuite { url: url(), found, wanted });
            }
            self.warn(&format!(
                "{} is the index of {found} instead of {wanted}, and is used as --allow-other-suite says",
                url()
            ));
        }
        if release.date == 0 {
            self.warn(&format!("{} has no date, so nobody would notice an older one in its place", url()));
        }
        if let Some(until) = release.valid_until.filter(|until| !self.suite.allow_expired && *until < self.now) {
            return Err(ArchiveError::Expired { url: url(), until: rfc3339(until) });
        }
        if let Some(seen) = seen.filter(|seen| !self.suite.allow_older && *seen > release.date) {
            return Err(ArchiveError::Replayed { url: url(), date: rfc3339(release.date), seen: rfc3339(seen) });
        }
        Ok(release)
    }
}

/// A signed text as it was fetched.
enum Signed {
    Inline(Vec<u8>),
    Detached { text: Vec<u8>, signature: Vec<u8> },
}

impl Signed {
    fn digest(&self) -> Digest {
        match self {
            Self::Inline(message) => Digest::of(message),
            Self::Detached { text, signature } => Digest::of([text.as_slice(), signature.as_slice()].concat()),
        }
    }
}

/// A verified Release file in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    raw: Digest,
    keyring: Digest,
    checked: i64,
    date: i64,
    validators: Validators,
    text: Vec<u8>,
}

impl Remembered {
    /// One line each, then the text.
    fn write(&self) -> Vec<u8> {
        let line = |text: &Option<String>| text.as_deref().unwrap_or_default().replace(['\n', '\r'], "");
        let (etag, modified) = (line(&self.validators.etag), line(&self.validators.modified));
        let head = format!("{}\n{}\n{}\n{}\n{etag}\n{modified}\n", self.raw, self.keyring, self.checked, self.date);
        [head.as_bytes(), &self.text].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(7, |byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(parts.next()?).ok();
        let (raw, keyring) = (line()?.parse().ok()?, line()?.parse().ok()?);
        let (checked, date) = (line()?.parse().ok()?, line()?.parse().ok()?);
        let mut validator = || Some(line()?.to_owned()).map(|text| Some(text).filter(|text| !text.is_empty()));
        let validators = Validators { etag: validator()?, modified: validator()? };
        Some(Self { raw, keyring, checked, date, validators, text: parts.next()?.to_vec() })
    }
}
