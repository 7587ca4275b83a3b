use super::*;

fn summary(text: &str) -> String {
    let entries = match parse(text) {
        Ok(entries) => entries,
        Err(error) => return error.to_string(),
    };
    let lines = entries.iter().map(|entry| {
        let keys = match &entry.signed_by {
            None => String::new(),
            Some(SignedBy::Inline(text)) => format!(" inline {text:?}"),
            Some(SignedBy::Named { files, fingerprints }) => format!(" {files:?} {fingerprints:?}"),
        };
        let until = entry.check_valid_until.map_or(String::new(), |check| format!(" check={check}"));
        let trusted = if entry.trusted { " trusted" } else { "" };
        let arch = entry.architectures.join(",");
        format!("{:?} {:?} {:?} {arch}{trusted}{until}{keys}", entry.uris, entry.suites, entry.components)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn both_forms() {
    for (text, expected) in [
        ("", ""),
        (
            "deb http://m.example/debian sid main contrib # why",
            r#"["http://m.example/debian"] ["sid"] ["main", "contrib"] "#,
        ),
        (
            "deb-src http://m.example sid main\ndeb [ arch=amd64,i386 trusted=yes check-valid-until=no ] file:/m sid main",
            r#"["file:/m"] ["sid"] ["main"] amd64,i386 trusted check=false"#,
        ),
        (
            "deb [signed-by=/k/a.gpg,/k/b.gpg,0123ABCD!] http://m.example ./",
            r#"["http://m.example"] ["./"] []  ["/k/a.gpg", "/k/b.gpg"] ["0123ABCD"]"#,
        ),
        (
            "Types: deb deb-src\nURIs: http://m.example/debian\nSuites: sid experimental\nComponents: main\nSigned-By:\n -----BEGIN X-----\n .\n abc\n -----END X-----\n\nTypes: deb\nEnabled: no\n",
            r#"["http://m.example/debian"] ["sid", "experimental"] ["main"]  inline "-----BEGIN X-----\n\nabc\n-----END X-----""#,
        ),
        ("Types: deb-src\nURIs: x\nSuites: y\n", ""),
        ("deb [arch=amd64 http://m.example sid main", "line 1: the [ of the options has no ]"),
        ("deb http://m.example sid", r#"line 1: the suite "sid" needs components, such as main"#),
        ("deb http://m.example ./ main", r#"line 1: the suite "./" takes no components"#),
        ("deb http://m.example ../../x main", r#"line 1: the suite "../../x" leads out of the archive"#),
        ("deb http://m.example sid main\nrpm x y", r#"line 2: "rpm" is not a kind of entry; expected deb or deb-src"#),
        ("URIs: x\nSuites: y\nComponents: main", "line 1: the entry has no Types; expected `Types: deb`"),
        ("\nTypes: deb\nSuites: y\nComponents: main", "line 2: the entry needs an address and a suite"),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn settings_of_apt() {
    for (text, expected) in [
        ("Acquire::Check-Valid-Until \"false\";", Some("false")),
        ("Acquire { Retries 3; Check-Valid-Until no; };", Some("no")),
        ("acquire::CHECK-VALID-UNTIL 0;\n# Acquire::Check-Valid-Until 1;\n// the same\n/* ; */", Some("0")),
        ("Acquire::Check-Valid-Until \"false\"; Acquire::Check-Valid-Until \"true\";", Some("true")),
        ("Other { Check-Valid-Until no; };", None),
        ("Acquire { http { Check-Valid-Until no; }; };", None),
        ("Acquire::Check-Valid-Until \"unclosed", None),
        ("}};;{{", None),
    ] {
        assert_eq!(conf_value(text, "acquire::check-valid-until").as_deref(), expected, "{text}");
    }
}

#[test]
fn the_machines_files_in_apts_order() {
    let root = tempfile::tempdir().unwrap();
    let apt = root.path().join("etc/apt");
    std::fs::create_dir_all(apt.join("sources.list.d")).unwrap();
    std::fs::create_dir_all(apt.join("apt.conf.d")).unwrap();
    std::fs::write(apt.join("sources.list"), "deb http://a.example x main\n").unwrap();
    std::fs::write(apt.join("sources.list.d/b.list"), "deb http://b.example x main\n").unwrap();
    std::fs::write(
        apt.join("sources.list.d/a.sources"),
        "Types: deb\nURIs: http://c.example\nSuites: x\nComponents: main\n",
    )
    .unwrap();
    std::fs::write(apt.join("sources.list.d/broken.sources"), "what is this").unwrap();
    std::fs::write(apt.join("sources.list.d/old.list.save"), "deb http://d.example x main\n").unwrap();
    let uris: Vec<_> = of_machine(root.path()).into_iter().flat_map(|entry| entry.uris).collect();
    assert_eq!(uris, ["http://a.example", "http://c.example", "http://b.example"]);
    assert!(machine_checks_valid_until(root.path()));
    std::fs::write(apt.join("apt.conf.d/99x"), "Acquire::Check-Valid-Until false;").unwrap();
    assert!(!machine_checks_valid_until(root.path()));
    std::fs::write(apt.join("apt.conf"), "Acquire::Check-Valid-Until true;").unwrap();
    assert!(machine_checks_valid_until(root.path()));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\PC\n\t \\[\\]{};\"#/*:]{0,200}") {
        let _ = (parse(&text), parse_list(&text), parse_sources(&text), conf_value(&text, "a"));
    }
}
