//! `Release` files: what an archive signs.

use std::collections::BTreeMap;

use minimg_base::digest::Digest;
use minimg_deb822 as deb822;

/// What a verified `Release` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// Who made the archive: `Debian`.
    pub origin: Option<String>,
    /// The suite's changing name: `stable`.
    pub suite: Option<String>,
    /// The suite's lasting name: `trixie`.
    pub codename: Option<String>,
    /// When it was made, in seconds since 1970.
    pub date: i64,
    /// Until when it may be used, in seconds since 1970.
    pub valid_until: Option<i64>,
    /// Whether index files can be had by their digest.
    pub by_hash: bool,
    /// Whether its packages are only taken when asked for: backports, experimental.
    pub not_automatic: bool,
    /// The architectures.
    pub architectures: Vec<String>,
    /// The components.
    pub components: Vec<String>,
    /// Whether packages for all architectures have an index of their own and are not in the others.
    pub separate_all: bool,
    /// Length and digest of each `Packages` file, plain and compressed, by its path below the Release file.
    pub packages: BTreeMap<String, (u64, Digest)>,
}

impl Release {
    /// Reads the text of a Release file.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
        let stanzas = deb822::stanzas(text).map_err(|line| format!("line {line} is not a field"))?;
        let [stanza] = &stanzas[..] else { return Err(format!("it has {} stanzas instead of one", stanzas.len())) };
        let owned = |name| stanza.get(name).map(str::to_owned);
        let yes = |name| stanza.get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let words = |name| stanza.words(name).map(str::to_owned).collect::<Vec<_>>();
        let date = stanza.get("Date").ok_or("it has no Date")?;
        let architectures = words("Architectures");
        let merged_all = stanza.words("No-Support-for-Architecture-all").any(|word| word == "Packages");
        Ok(Self {
            origin: owned("Origin"),
            suite: owned("Suite"),
            codename: owned("Codename"),
            date: parse_date(date)?,
            valid_until: stanza.get("Valid-Until").map(parse_date).transpose()?,
            by_hash: yes("Acquire-By-Hash"),
            not_automatic: yes("NotAutomatic"),
            separate_all: architectures.iter().any(|name| name == "all") && !merged_all,
            architectures,
            components: words("Components"),
            packages: packages(stanza.get("SHA256").ok_or("it has no SHA256 list")?)?,
        })
    }

    /// Whether it is the Release file of a suite that was asked for by this name.
    pub(super) fn is_suite(&self, wanted: &str) -> bool {
        let names = [&self.codename, &self.suite];
        let mut names = names.into_iter().flatten().peekable();
        wanted.ends_with('/') || names.peek().is_none() || names.any(|name| name == wanted)
    }

    /// What it calls itself: `Debian trixie-security`.
    pub(super) fn title(&self, wanted: &str) -> String {
        let name = self.codename.as_deref().or(self.suite.as_deref()).unwrap_or(wanted);
        match &self.origin {
            Some(origin) => format!("{origin} {name}"),
            None => name.to_owned(),
        }
    }
}

/// The lines `DIGEST SIZE PATH` of the files named `Packages`.
fn packages(list: &str) -> Result<BTreeMap<String, (u64, Digest)>, String> {
    let mut files = BTreeMap::new();
    for line in list.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        if name == "Packages" || name.starts_with("Packages.") {
            let digest = digest.parse().map_err(|error| format!("{path}: {error}"))?;
            let size = size.parse().map_err(|_| format!("{path}: {size:?} is not a size"))?;
            files.insert(path.to_owned(), (size, digest));
        }
    }
    Ok(files)
}

/// A date such as `Sat, 12 Sep 2026 07:55:41 UTC`, in seconds since 1970.
fn parse_date(text: &str) -> Result<i64, String> {
    let numeric = text.trim().strip_suffix("UTC").map(|date| format!("{date}+0000"));
    let parsed = jiff::fmt::rfc2822::parse(numeric.as_deref().unwrap_or(text.trim()));
    parsed.map(|date| date.timestamp().as_second()).map_err(|error| format!("{text:?} is not a date: {error}"))
}

/// A date as RFC 3339 writes it.
pub(super) fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
        Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n\
        Architectures: all amd64\nComponents: main contrib\nMD5Sum:\n 0 1 main/binary-amd64/Packages\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855   17 main/binary-amd64/Packages.xz\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 3 main/Contents-amd64.gz\n";

    #[test]
    fn fields() {
        let release = Release::parse(TEXT.as_bytes()).unwrap();
        assert_eq!((release.date, release.valid_until), (1789199741, Some(1789804541)));
        assert_eq!(release.packages.keys().collect::<Vec<_>>(), ["main/binary-amd64/Packages.xz"]);
        assert_eq!(release.packages["main/binary-amd64/Packages.xz"].0, 17);
        assert!(release.by_hash && !release.not_automatic && !release.separate_all);
        assert_eq!(release.title("trixie"), "Debian trixie");
        assert_eq!(rfc3339(release.date), "2026-09-12T07:55:41Z");
        for (name, fits) in
            [("trixie", true), ("stable", true), ("bookworm", false), ("trixie-updates", false), ("./", true)]
        {
            assert_eq!(release.is_suite(name), fits, "{name}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (from, to, message) in [
            ("Date: Sat, ", "Date: Foo, ", "is not a date"),
            ("Date: Sat, 12 Sep 2026 07:55:41 UTC\n", "", "has no Date"),
            ("SHA256:", "SHA1:", "has no SHA256"),
            ("b855   17", "b85   17", "is not a SHA-256 digest"),
            ("  17 ", "  -1 ", "is not a size"),
            ("Codename: ", "Codename ", "line 3 is not a field"),
            ("Codename: ", "\nCodename: ", "has 2 stanzas"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = Release::parse(TEXT.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn mutations_do_not_make_it_panic(at in 0..TEXT.len(), byte: u8, cut in 0..TEXT.len()) {
            let mut text = TEXT.as_bytes().to_vec();
            text[at] = byte;
            let _ = Release::parse(&text);
            let _ = Release::parse(&text[..cut]);
        }
    }
}
