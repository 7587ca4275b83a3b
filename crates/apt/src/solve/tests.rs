//! Tiny archives and what is chosen from them. A line is `name version[ arch][ Field: value; Field: value]`; `suite NAME[ not-automatic]` begins a suite.

use std::sync::atomic::AtomicU64;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::index::Index;
use super::super::packages;
use super::super::universe::Indexed;
use super::*;

fn indexes(archive: &str) -> Vec<Indexed> {
    let mut suites = vec![("stable", false, String::new())];
    for line in archive.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(suite) = line.strip_prefix("suite ") {
            let (name, rest) = suite.split_once(' ').unwrap_or((suite, ""));
            suites.push((name, rest == "not-automatic", String::new()));
            continue;
        }
        let (head, fields) = line.split_once(" | ").unwrap_or((line, ""));
        let mut words = head.split_whitespace();
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        let architecture = words.next().unwrap_or("amd64");
        let text = &mut suites.last_mut().unwrap().2;
        writeln!(text, "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nFilename: {name}.deb")
            .unwrap();
        for field in fields.split(';').map(str::trim).filter(|field| !field.is_empty()) {
            writeln!(text, "{field}").unwrap();
        }
        text.push('\n');
    }
    let indexed = suites.iter().enumerate().map(|(archive, (name, not_automatic, text))| Indexed {
        index: Index::open(
            packages::read(text.as_bytes(), &AtomicU64::new(u64::MAX)).ok().unwrap().finish().unwrap().into(),
        )
        .unwrap(),
        archive,
        suite_names: vec![name.to_string()],
        not_automatic: *not_automatic,
    });
    indexed.collect()
}

#[derive(Default)]
struct Given<'g> {
    pins: &'g [(&'g str, &'g str)],
    exclude: &'g [&'g str],
    recommends: bool,
}

fn solved_with(archive: &str, request: &str, given: &Given<'_>) -> String {
    let indexes = indexes(archive);
    let pins: BTreeMap<_, _> = given.pins.iter().map(|(name, pin)| (name.to_string(), pin.to_string())).collect();
    let exclude: Vec<_> = given.exclude.iter().map(|name| name.to_string()).collect();
    let universe = Universe::new(&indexes, "amd64", &pins, &exclude);
    let wanted: Vec<_> = request.split_whitespace().map(|text| Item::parse(text).unwrap()).collect();
    match solve(&universe, &wanted, given.recommends) {
        Ok(chosen) => {
            let names = chosen.iter().map(|candidate| match universe.architecture_of(candidate) {
                "amd64" => format!("{}={}", candidate.package.name, candidate.package.version),
                other => format!("{}:{other}={}", candidate.package.name, candidate.package.version),
            });
            names.collect::<Vec<_>>().join(" ")
        }
        Err(message) => format!("no: {message}"),
    }
}

fn solved(archive: &str, request: &str) -> String {
    solved_with(archive, request, &Given::default())
}

#[test]
fn dependencies() {
    for (archive, request, expected) in [
        ("a 1 | Depends: b; Pre-Depends: c\nb 1\nc 1\nd 1 | Essential: yes", "a", "a=1 b=1 c=1"),
        ("a 1 | Depends: b | c\nb 1\nc 1", "a", "a=1 b=1"),
        ("a 1 | Depends: x | c\nc 1", "a", "a=1 c=1"),
        ("a 1 | Depends: b (>= 2) | c\nb 1\nc 1", "a", "a=1 c=1"),
        ("a 1 | Depends: b | c\nb 1\nc 1", "a c", "a=1 c=1"),
        ("a 1 | Depends: b\nb 1 | Depends: a", "a", "a=1 b=1"),
        ("a 1\na 1.10\na 1.9", "a", "a=1.10"),
        ("a 1\na 2", "a=1", "a=1"),
        ("a 1 | Depends: b (<< 2)\nb 1\nb 2", "a", "a=1 b=1"),
        ("a 1 | Depends: b (= 1) | c (= 1)\nb 2\nc 1\nc 2", "a", "a=1 c=1"),
        ("a 1 all | Depends: b\nb 1", "a", "a=1 b=1"),
        ("a 2 | Depends: x\na 1", "a", "a=1"),
        ("a 1\nb 1", "", ""),
    ] {
        assert_eq!(solved(archive, request), expected, "{archive}");
    }
}

#[test]
fn providers() {
    for (archive, request, expected) in [
        ("a 1 | Depends: v\nb 1 | Provides: v", "a", "a=1 b=1"),
        ("a 1 | Depends: v\nb 1 | Provides: v\nv 1", "a", "a=1 v=1"),
        ("a 1 | Depends: v\nz 1 | Provides: v\nb 1 | Provides: v", "a", "a=1 b=1"),
        ("a 1 | Depends: v\nz 1 | Provides: v; Priority: important\nb 1 | Provides: v", "a", "a=1 z=1"),
        ("a 1 | Depends: v\nz 1 | Provides: v; Essential: yes\nb 1 | Provides: v; Priority: required", "a", "a=1 z=1"),
        (
            "a 1 | Depends: v (>= 2)\nb 1 | Provides: v\nc 1 | Provides: v (= 1)\nd 1 | Provides: v (= 2)",
            "a",
            "a=1 d=1",
        ),
        ("a 1 | Depends: v (>= 2)\nb 2 | Provides: v (= 1)\nb 1 | Provides: v (= 2)", "a", "a=1 b=1"),
        ("b 1 | Provides: v", "v", "b=1"),
        ("a 1 | Depends: v; Provides: v", "a", "a=1"),
    ] {
        assert_eq!(solved(archive, request), expected, "{archive}");
    }
}

#[test]
fn conflicts() {
    for (archive, request, expected) in [
        ("a 1 | Depends: b | c\nb 1\nc 1\nd 1 | Conflicts: b", "a d", "a=1 c=1 d=1"),
        ("a 1 | Depends: b\nb 1\nb 2 | Breaks: a (<= 1)", "a", "a=1 b=1"),
        ("a 1 | Depends: v\nb 1 | Provides: v; Conflicts: v", "a", "a=1 b=1"),
        ("a 1 | Depends: v\nb 1 | Provides: v; Conflicts: v\nc 1 | Provides: v; Conflicts: v", "a c", "a=1 c=1"),
        ("a 1 | Depends: b | c; Conflicts: v\nb 1 | Provides: v\nc 1", "a", "a=1 c=1"),
        ("a 1 | Depends: b | c; Breaks: v (<< 2)\nb 1 | Provides: v\nc 1", "a", "a=1 b=1"),
        ("a 2 | Conflicts: a (<< 2)\na 1", "a", "a=2"),
    ] {
        assert_eq!(solved(archive, request), expected, "{archive}");
    }
}

#[test]
fn architectures() {
    for (archive, request, expected) in [
        ("a 1 | Depends: b:any\nb 1 | Multi-Arch: allowed", "a", "a=1 b=1"),
        ("a 1 | Depends: b:native\nb 1", "a", "a=1 b=1"),
        ("a 1 i386 | Depends: b\nb 1\nb 1 i386", "a:i386", "a:i386=1 b:i386=1"),
        ("a 1 i386 | Depends: b\nb 1 | Multi-Arch: foreign", "a:i386", "a:i386=1 b=1"),
        ("a 1 i386 | Depends: b\nb 1 all", "a:i386", "no: a 1 needs b, but b is available as 1"),
        ("a 1 | Multi-Arch: same\na 1 i386 | Multi-Arch: same", "a a:i386", "a=1 a:i386=1"),
        ("a 1\na 1 i386", "a a:i386", "no: a 1 cannot be installed together with a 1, which has another architecture"),
    ] {
        assert_eq!(solved(archive, request), expected, "{archive}");
    }
}

#[test]
fn suites_pins_and_exclusions() {
    let archive =
        "a 1 | Depends: b\nb 1\nsuite security\nb 1.1\nsuite backports not-automatic\nb 3\na 3 | Depends: b (>= 3)";
    for (request, given, expected) in [
        ("a", Given::default(), "a=1 b=1.1"),
        ("a/backports", Given::default(), "a=3 b=3"),
        ("a=3", Given::default(), "a=3 b=3"),
        ("a", Given { pins: &[("b", "stable")], ..Given::default() }, "a=1 b=1"),
        ("a", Given { pins: &[("b", "3")], ..Given::default() }, "a=1 b=3"),
        (
            "a",
            Given { pins: &[("b", "4")], ..Given::default() },
            "no: no set of packages satisfies the request:\n  a 1 needs b, but b is available as 1.1, 1, 3, which are ruled out: it is pinned \
             to 4\n  a 3 needs b (>= 3), but b is available as 1.1, 1, 3, which are ruled out: it is pinned to 4",
        ),
        ("a", Given { pins: &[("unrelated", "4")], ..Given::default() }, "a=1 b=1.1"),
    ] {
        assert_eq!(solved_with(archive, request, &given), expected, "{request} {:?}", given.pins);
    }
    let exclude = Given { exclude: &["b"], ..Given::default() };
    assert_eq!(solved_with("a 1 | Depends: b | c\nb 1\nc 1", "a", &exclude), "a=1 c=1");
    assert_eq!(solved_with("a 1 | Depends: v\nb 1 | Provides: v\nc 1 | Provides: v", "a", &exclude), "a=1 c=1");
}

#[test]
fn recommends() {
    let archive = "a 1 | Recommends: b, x, c | d, e\nb 1 | Recommends: f\nd 1\ne 1 | Conflicts: a\nf 1";
    assert_eq!(solved(archive, "a"), "a=1");
    assert_eq!(solved_with(archive, "a", &Given { recommends: true, ..Given::default() }), "a=1 b=1 d=1 f=1");
}

#[test]
fn explanations() {
    for (archive, request, expected) in [
        ("busybox 1", "busibox", "there is no package busibox, and nothing provides it; did you mean busybox?"),
        ("a 1", "zzzzzz", "there is no package zzzzzz, and nothing provides it"),
        ("a 1\na 2", "a=3", "a=3 is requested, but a is available as 2, 1"),
        ("a 1 | Depends: b\nb 2 | Depends: c (>= 3)\nc 1", "a", "a 1 → b 2 needs c (>= 3), but c is available as 1"),
        (
            "a 1 | Depends: b | c (= 2)\nc 1",
            "a",
            "a 1 needs b | c (= 2), but nothing is called b or provides it, and c is available as 1",
        ),
        ("a 1 | Depends: v (= 2)\nb 1 | Provides: v", "a", "a 1 needs v (= 2), but b 1 provides v"),
        ("a 1 | Depends: b c", "a", "a 1 cannot be installed: its dependency \"b c\" is malformed"),
        ("a 1 | Depends: c\nb 1 | Conflicts: c\nc 1", "a b", "b 1 excludes c, which a 1 → c 1 is"),
        (
            "a 1 | Depends: c (= 1)\nb 1 | Depends: c (= 2)\nc 1\nc 2",
            "a b",
            "only one version of c can be installed: a 1 → c 1, or b 1 → c 2",
        ),
    ] {
        assert_eq!(solved(archive, request), format!("no: {expected}"), "{archive}");
    }
}

#[test]
fn the_order_of_packages_in_the_index_does_not_matter() {
    let lines = [
        "a 1 | Depends: v, w",
        "b 1 | Provides: v",
        "c 1 | Provides: v, w",
        "d 1 | Provides: w",
        "d 2 | Provides: w; Breaks: a",
    ];
    let expected = solved(&lines.join("\n"), "a");
    for turn in 1..lines.len() {
        let mut lines = lines;
        lines.rotate_left(turn);
        assert_eq!(solved(&lines.join("\n"), "a"), expected);
    }
}
