//! The nearest right name for a wrong one.

/// Names longer than this are not typing mistakes, and comparing them would cost the square of their length.
const LONGEST: usize = 64;

/// The name among `right` that `wrong` was most likely meant to be; `None` when none is near. Of names that are equally near the
/// first one wins, so the answer depends on the order of `right` alone.
pub fn nearest<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = plain(wrong)?;
    let allowed = (wrong.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in right {
        let Some(name) = plain(candidate) else { continue };
        let distance = distance(&wrong, &name);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, name)| name)
}

/// The sentence that offers the nearest right name, or all of them when none is near and they are few.
pub fn help<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(name) = nearest(wrong, right.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let names: Vec<&str> = right.into_iter().collect();
    (!names.is_empty()).then(|| format!("one of: {}", names.join(", ")))
}

/// Suites of Debian and Ubuntu that people name.
const SUITES: [&str; 20] = [
    "trixie",
    "bookworm",
    "bullseye",
    "buster",
    "forky",
    "duke",
    "sid",
    "stable",
    "oldstable",
    "testing",
    "unstable",
    "experimental",
    "noble",
    "jammy",
    "focal",
    "bionic",
    "plucky",
    "questing",
    "xenial",
    "oracular",
];

/// The suite that a name was most likely meant to be. Distributions have many more than are known here, so only what is a typing mistake
/// by its looks has an answer.
pub fn suite(wrong: &str) -> Option<&'static str> {
    let is_free = wrong.len() > LONGEST || wrong.contains(['-', '/', '.']) || SUITES.contains(&wrong);
    let first = wrong.chars().next().filter(|_| !is_free && wrong.len() >= 4)?;
    let near = SUITES.iter().filter(|name| name.starts_with(first.to_ascii_lowercase()));
    let near = near.map(|name| (strsim::damerau_levenshtein(&wrong.to_lowercase(), name), *name));
    near.filter(|(distance, _)| *distance <= 2).min().map(|(_, name)| name)
}

/// People mix up case, `-` and `_`: such differences count for nothing.
fn plain(name: &str) -> Option<String> {
    (!name.is_empty() && name.len() <= LONGEST).then(|| name.to_lowercase().replace('_', "-"))
}

/// Typing mistakes, or less for a name that was cut short or spelled out.
fn distance(wrong: &str, name: &str) -> usize {
    let typing = strsim::damerau_levenshtein(wrong, name);
    let cut = wrong.len() >= 3 && (name.starts_with(wrong) || wrong.starts_with(name) && name.len() >= 3);
    if cut { typing.min(1) } else { typing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["entrypoint", "env", "cmd", "workdir", "stop-signal", "user"];
        for (wrong, right) in [
            ("entrypiont", Some("entrypoint")),
            ("Entrypoint", Some("entrypoint")),
            ("stop_signal", Some("stop-signal")),
            ("stopsignal", Some("stop-signal")),
            ("work", Some("workdir")),
            ("environment", Some("env")),
            ("cdm", Some("cmd")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names), right, "{wrong}");
        }
    }

    #[test]
    fn finds_the_suite_that_was_meant() {
        for (wrong, right) in [
            ("trixy", Some("trixie")),
            ("Trixie", Some("trixie")),
            ("bookwrom", Some("bookworm")),
            ("trixie", None),
            ("questing", None),
            ("trusty", None),
            ("kali-rolling", None),
            ("bookworm-backports", None),
            ("43", None),
            ("sit", None),
            ("", None),
        ] {
            assert_eq!(suite(wrong), right, "{wrong}");
        }
    }

    #[test]
    fn a_very_long_name_is_not_compared() {
        assert_eq!(nearest(&"a".repeat(1 << 20), ["a"]), None);
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(nearest("ab", ["ac", "ad"]), Some("ac"));
        assert_eq!(nearest("ab", ["ad", "ac"]), Some("ad"));
    }

    #[test]
    fn offers_all_when_none_is_near() {
        assert_eq!(help("zzz", ["keep", "report"]).as_deref(), Some("one of: keep, report"));
        assert_eq!(help("kep", ["keep", "report"]).as_deref(), Some("did you mean `keep`?"));
        assert_eq!(help("zzz", [] as [&str; 0]), None);
    }
}
