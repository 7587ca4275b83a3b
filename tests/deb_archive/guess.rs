//! Packages that are fetched while the index is still being read.

use std::fs::File;
use std::io::Read as _;

use minimg::backend::PinnedPackage;
use minimg::digest::Digest;
use minimg_apt as archive;

use super::Bench;
use super::repository::Repository;
use super::server::Manner;

const A: &str = "/pool/a_1.deb";
const B: &str = "/pool/b_2.deb";

/// An archive whose index is so long that it is read in several parts.
fn long() -> Repository {
    let stanza = |number: u32| {
        let digest = Digest::of(number.to_le_bytes()).hex();
        format!(
            "\nPackage: z{number}\nVersion: 1\nArchitecture: amd64\nFilename: pool/z{number}.deb\nSize: 1\nSHA256: {digest}\n"
        )
    };
    Repository { extra: (0..20_000).map(stanza).collect(), ..Repository::new() }
}

/// Resolves, and gives what packages were asked for by then, sorted, and what is chosen.
fn resolve_and_begin(bench: &Bench) -> (Vec<String>, Vec<String>) {
    let ready = |package: &PinnedPackage, mut file: File| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), package.sha256);
    };
    let pins = bench.with_context(|context| archive::resolve_and_begin(&bench.request(), context, ready)).unwrap();
    let mut asked: Vec<_> = bench.server.log().into_iter().filter(|line| line.contains("/pool/")).collect();
    asked.sort();
    let chosen = pins.packages.iter().map(|package| format!("{} {}", package.name, package.version));
    (asked, chosen.collect())
}

#[test]
fn packages_come_before_the_index_has_ended() {
    let bench = Bench::new(&long());
    bench.server.behave("Packages.gz", Manner::Hold { until: A });
    let (asked, chosen) = resolve_and_begin(&bench);
    assert_eq!(asked, [format!("{A} 200"), format!("{B} 200")]);
    assert_eq!(chosen, ["a 1", "b 2"]);
    let pins = bench.resolve().unwrap();
    assert_eq!(bench.fetch(&pins).unwrap(), ["a 300000", "b 70000"]);
    assert!(!bench.server.log().iter().any(|line| line.contains("/pool/")));
}

#[test]
fn nothing_is_guessed_where_only_the_choice_is_wanted_or_pins_and_exclusions_make_it() {
    let bench = Bench::new(&long());
    bench.resolve().unwrap();
    let mut pinned = Bench::new(&long());
    pinned.source.pins.insert("b".into(), "2".into());
    let mut excluding = Bench::new(&long());
    excluding.source.exclude.push("z1".into());
    let mut one_job = Bench::new(&long());
    one_job.settings.jobs = 1;
    for bench in [&pinned, &excluding, &one_job] {
        assert_eq!(resolve_and_begin(bench).0, [""; 0]);
    }
    assert!(!bench.server.log().iter().any(|line| line.contains("/pool/")));
}

#[test]
fn what_another_suite_has_newer_is_not_fetched() {
    let repository = long();
    for (version, expected) in [("3", vec![format!("{A} 200")]), ("1", vec![format!("{A} 200"), format!("{B} 200")])] {
        let mut bench = Bench::new(&repository);
        bench.source.extra_suites = Some(vec!["trixie-updates".into()]);
        let mut updates = Repository {
            codename: "trixie-updates".into(),
            key: repository.key.clone(),
            forms: vec!["", ".xz"],
            ..Repository::new()
        };
        updates.packages.remove(0);
        updates.packages[0].version = version;
        bench.server.put_all(updates.files());
        let (asked, chosen) = resolve_and_begin(&bench);
        assert_eq!(asked, expected, "{version}");
        assert_eq!(chosen[1], format!("b {}", version.max("2")));
    }
}

#[test]
fn without_the_index_of_a_suite_nothing_is_guessed() {
    let mut bench = Bench::new(&long());
    // Its usual suites are not there.
    bench.source.extra_suites = None;
    assert_eq!(resolve_and_begin(&bench), (vec![], vec!["a 1".into(), "b 2".into()]));
}

#[test]
fn a_wrong_guess_or_a_package_that_does_not_come_changes_nothing() {
    // What `a` names first is not there in the version that it wants, so `b` is chosen.
    let mut repository = long();
    repository.packages[0].fields = "Depends: z7 (>= 2) | b\n";
    let bench = Bench::new(&repository);
    assert_eq!(resolve_and_begin(&bench).1, ["a 1", "b 2"]);

    let bench = Bench::new(&long());
    bench.server.change("a_1.deb", |content| content.truncate(20));
    bench.server.behave("b_2.deb", Manner::Endless);
    assert_eq!(resolve_and_begin(&bench).1, ["a 1", "b 2"]);
    assert_eq!(bench.store().usage().unwrap().get("blobs"), None);
}
