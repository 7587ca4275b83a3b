use super::*;

const DEBIAN: &str = "Types: deb\nURIs: http://m.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
    Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\nComponents: main\n";

const OTHERS: &str = "deb http://docker.example/linux/debian bookworm stable\ndeb http://pg.example/pub/apt bookworm-pgdg main\n\
    deb cdrom:[Debian]/ bookworm main\ndeb http://m.example/ubuntu noble main\n";

fn source(suite: &str) -> Source {
    Source { distribution: "debian".into(), suite: suite.into(), ..Source::default() }
}

/// The planned suites, one a line, on a machine with these apt sources.
fn planned(source: &Source, mirrors: &[(&str, &str)], machine: &[(&str, &str)]) -> String {
    let root = tempfile::tempdir().unwrap();
    let parts = root.path().join("etc/apt/sources.list.d");
    std::fs::create_dir_all(&parts).unwrap();
    for (name, text) in machine {
        std::fs::write(parts.join(name), text).unwrap();
    }
    let mirrors = mirrors.iter().map(|(name, address)| (name.to_string(), address.to_string())).collect();
    let settings = Settings { mirrors, machine: Some(root.path().into()), jobs: 0, ..Settings::default() };
    match suites(source, "amd64", &settings) {
        Ok((suites, warnings)) => {
            let line = |suite: &Suite| {
                let optional = if suite.optional { " optional" } else { "" };
                format!("{} {}{optional}", suite.directory(), suite.components.join(" "))
            };
            let warnings = warnings.iter().map(|warning| format!("warning: {}", &warning[..40]));
            suites.iter().map(line).chain(warnings).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn the_machines_mirrors_serve_other_suites() {
    let machine = [("a.list", OTHERS), ("debian.sources", DEBIAN)];
    assert_eq!(
        planned(&source("trixie"), &[], &machine),
        "http://m.example/debian/dists/trixie main\nhttp://m.example/debian/dists/trixie-updates main optional\n\
         http://m.example/debian-security/dists/trixie-security main optional"
    );
    assert_eq!(planned(&source("sid"), &[], &machine), "http://m.example/debian/dists/sid main");
    let ubuntu = Source { distribution: "ubuntu".into(), extra_suites: Some(vec![]), ..source("plucky") };
    assert_eq!(planned(&ubuntu, &[], &machine), "http://m.example/ubuntu/dists/plucky main");
}

#[test]
fn what_is_named_wins() {
    let machine = [("debian.sources", DEBIAN)];
    let settings = [("debian", "http://s.example/d"), ("debian-security", "http://s.example/s/")];
    assert_eq!(
        planned(&source("trixie"), &settings, &machine),
        "http://s.example/d/dists/trixie main\nhttp://s.example/d/dists/trixie-updates main optional\n\
         http://s.example/s/dists/trixie-security main optional"
    );
    let named = Source {
        mirror: Some("/srv/mirror".into()),
        components: vec!["main".into(), "contrib".into()],
        extra_suites: Some(vec!["trixie-backports".into()]),
        ..source("trixie")
    };
    assert_eq!(
        planned(&named, &settings, &machine),
        "file:///srv/mirror/dists/trixie main contrib\nfile:///srv/mirror/dists/trixie-backports main contrib"
    );
}

#[test]
fn without_a_mirror_it_says_how_to_name_one() {
    let error = planned(&source("trixie"), &[], &[("a.list", OTHERS)]);
    assert!(error.contains("no mirror of debian is known") && error.contains("--mirror"), "{error}");
    let no_security = planned(&source("trixie"), &[("debian", "http://s.example/d")], &[]);
    assert!(no_security.contains("warning: no mirror of debian-security is known"), "{no_security}");
    let wanted = Source { extra_suites: Some(vec!["trixie-security".into()]), ..source("trixie") };
    let error = planned(&wanted, &[("debian", "http://s.example/d")], &[]);
    assert!(error.contains("no mirror of debian-security is known"), "{error}");
}

#[test]
fn entries_stand_for_themselves() {
    let entries = vec![
        "deb http://e.example/x ./".to_owned(),
        "deb http://e.example/x flat/".to_owned(),
        "Types: deb\nURIs: http://e.example/y/\nSuites: a b\nComponents: main\n".to_owned(),
    ];
    assert_eq!(
        planned(&Source { entries, ..source("") }, &[], &[]),
        "http://e.example/x \nhttp://e.example/x/flat \nhttp://e.example/y/dists/a main\nhttp://e.example/y/dists/b main"
    );
    let error = planned(&Source { entries: vec!["deb nonsense".into()], ..source("") }, &[], &[]);
    assert!(error.contains("is malformed: line 1"), "{error}");
}

#[test]
fn names_that_lead_out_of_the_archive_are_refused() {
    for suite in ["", "../x", "a//b", "a/.."] {
        assert!(planned(&source(suite), &[("debian", "http://s.example/d")], &[]).starts_with("error: "), "{suite}");
    }
}
