//! `Release` files: what an archive signs.

use std::collections::BTreeMap;

use super::sum::Sum;
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
    /// When it was made, in seconds since 1970; 0 where it does not say.
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
    pub packages: BTreeMap<String, (u64, Sum)>,
}

impl Release {
    /// Reads the text of a Release file. A line that is no field is passed over, as apt does.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
        let stanzas = deb822::stanzas_among_other_lines(text);
        let [stanza] = &stanzas[..] else { return Err(format!("it has {} stanzas instead of one", stanzas.len())) };
        let owned = |name| stanza.get(name).map(str::to_owned);
        let yes = |name| stanza.get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let words = |name| stanza.words(name).map(str::to_owned).collect::<Vec<_>>();
        let architectures = words("Architectures");
        let merged_all = stanza.words("No-Support-for-Architecture-all").any(|word| word == "Packages");
        Ok(Self {
            origin: owned("Origin"),
            suite: owned("Suite"),
            codename: owned("Codename"),
            date: stanza.get("Date").map(parse_date).transpose()?.unwrap_or_default(),
            valid_until: stanza.get("Valid-Until").map(parse_date).transpose()?,
            by_hash: yes("Acquire-By-Hash"),
            not_automatic: yes("NotAutomatic"),
            separate_all: architectures.iter().any(|name| name == "all") && !merged_all,
            architectures,
            components: words("Components"),
            packages: packages(stanza.get("SHA256"), stanza.get("SHA512"))?,
        })
    }

    /// Whether it is the Release file of a suite that was asked for by this name.
    pub(super) fn is_suite(&self, wanted: &str) -> bool {
        let names = [&self.codename, &self.suite];
        let mut names = names.into_iter().flatten().peekable();
        wanted.ends_with('/') || names.peek().is_none() || names.any(|name| name == wanted)
    }

    /// Whether a component has packages for all architectures, and none for single ones.
    pub(super) fn has_only_all(&self, component: &str) -> bool {
        let prefix = format!("{component}/binary-");
        let mut architectures = self.packages.keys().filter_map(|path| path.strip_prefix(&prefix)).peekable();
        architectures.peek().is_some() && architectures.all(|rest| rest.starts_with("all/"))
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

/// The files named `Packages` of both lists. What has a SHA-256 digest is known by that.
fn packages(sha256: Option<&str>, sha512: Option<&str>) -> Result<BTreeMap<String, (u64, Sum)>, String> {
    if sha256.or(sha512).is_none() {
        return Err("it has neither a SHA256 nor a SHA512 list".to_owned());
    }
    let mut files = BTreeMap::new();
    add_packages(sha512, &mut files, |digest| digest.parse().map(Sum::Sha512))?;
    add_packages(sha256, &mut files, |digest| {
        digest.parse().map(Sum::Sha256).map_err(|error: minimg_base::digest::DigestError| error.to_string())
    })?;
    Ok(files)
}

/// The lines `DIGEST SIZE PATH` of a list.
fn add_packages(
    list: Option<&str>,
    files: &mut BTreeMap<String, (u64, Sum)>,
    parse: impl Fn(&str) -> Result<Sum, String>,
) -> Result<(), String> {
    for line in list.unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        if name == "Packages" || name.starts_with("Packages.") {
            let digest = parse(digest).map_err(|error| format!("{path}: {error}"))?;
            let size = size.parse().map_err(|_| format!("{path}: {size:?} is not a size"))?;
            files.insert(path.to_owned(), (size, digest));
        }
    }
    Ok(())
}

/// A date such as `Sat, 12 Sep 2026 07:55:41 UTC`, in seconds since 1970. The hour may have one digit.
fn parse_date(text: &str) -> Result<i64, String> {
    let two_digits = |word: &str| if word.find(':') == Some(1) { format!("0{word}") } else { word.to_owned() };
    let words: Vec<String> = text.split_ascii_whitespace().map(two_digits).collect();
    let words = words.join(" ");
    let numeric = words.strip_suffix("UTC").map(|date| format!("{date}+0000"));
    let parsed = jiff::fmt::rfc2822::parse(numeric.as_deref().unwrap_or(&words));
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
            ("Date: Sat, 12 Sep 2026 07:55:41 UTC", "Date:", "is not a date"),
            ("SHA256:", "SHA1:", "has neither a SHA256 nor a SHA512 list"),
            ("SHA256:", "SHA512:", "is not a SHA-512 digest"),
            ("b855   17", "b85   17", "is not a SHA-256 digest"),
            ("  17 ", "  -1 ", "is not a size"),
            ("Codename: ", "\nCodename: ", "has 2 stanzas"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = Release::parse(TEXT.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    /// Ways that apt takes too.
    #[test]
    fn other_ways_to_say_the_same() {
        let good = Release::parse(TEXT.as_bytes()).unwrap();
        for (from, to) in [
            ("\n", "\r\n"),
            ("Date: Sat, 12", "DATE:   Sat,  12"),
            ("Acquire-By-Hash: yes", "acquire-by-hash: YES"),
            ("SHA256:", "Sha256:"),
            ("MD5Sum:", "stray line\nMD5Sum:"),
            ("MD5Sum:\n", "MD5Sum:\n<<<<<<< a merge\n"),
            (" 07:55:41 UTC\nValid", " 7:55:41 UTC\nValid"),
            ("07:55:41 UTC", "07:55:41 +0000"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            assert_eq!(Release::parse(TEXT.replace(from, to).as_bytes()).as_ref(), Ok(&good), "{to}");
        }
        let undated = TEXT.replace("Date: Sat, 12 Sep 2026 07:55:41 UTC\n", "");
        assert_eq!(Release::parse(undated.as_bytes()), Ok(Release { date: 0, ..good }));
    }

    #[test]
    fn a_list_of_sha_512_digests_is_enough() {
        let digest = "ab".repeat(64);
        let list =
            format!("SHA512:\n {digest} 5 main/binary-amd64/Packages.xz\n {digest} 6 main/binary-amd64/Packages\n");
        let both = Release::parse(format!("{TEXT}{list}").as_bytes()).unwrap().packages;
        let alone =
            Release::parse(TEXT.replace("SHA256:", "SHA1:").replace("MD5Sum:", &format!("{list}MD5Sum:")).as_bytes());
        let told = |packages: &BTreeMap<String, (u64, Sum)>| -> Vec<String> {
            packages.iter().map(|(path, (size, sum))| format!("{path} {size} {}", &sum.to_string()[..9])).collect()
        };
        assert_eq!(
            told(&both),
            ["main/binary-amd64/Packages 6 sha512:ab", "main/binary-amd64/Packages.xz 17 sha256:e3"]
        );
        assert_eq!(
            told(&alone.unwrap().packages),
            ["main/binary-amd64/Packages 6 sha512:ab", "main/binary-amd64/Packages.xz 5 sha512:ab"]
        );
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
