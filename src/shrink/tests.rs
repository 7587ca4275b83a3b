use super::*;
use minimg_oci::image::Healthcheck;
use minimg_tree::Package;

/// A tree with these files by content, links by target after `->`, and directories that end with a slash; `!` says that a package owns it.
fn tree(entries: &[(&str, &str)]) -> RootTree {
    let mut tree = RootTree::new();
    let package = tree.add_package(Package { name: "system".into(), version: "1".into(), architecture: "all".into() });
    for (name, content) in entries {
        let (name, owner) = match name.strip_prefix('!') {
            Some(name) => (name, Some(package)),
            None => (*name, None),
        };
        let mut node = match content.strip_prefix("->") {
            Some(target) => Node::symlink(target),
            None if name.ends_with('/') => Node::directory(0o755),
            None if name.contains("bin/") => Node::file(0o755, (*content).to_owned()),
            None => Node::file(0o644, (*content).to_owned()),
        };
        node.package = owner;
        tree.insert(RootPath::root().join_clamped(name), node);
    }
    tree.add_missing_parents();
    tree
}

/// The globs that stay of an image that starts `cmd`, each on a line.
fn globs(entries: &[(&str, &str)], config: &Config) -> String {
    let keep = keep(&Asked::default(), config, &tree(entries)).unwrap();
    keep.keep.iter().map(|pattern| format!("{} ({})\n", pattern.glob, pattern.reason)).collect()
}

fn starts(cmd: &[&str]) -> Config {
    Config { cmd: cmd.iter().map(|word| (*word).to_owned()).collect(), ..Config::default() }
}

#[test]
fn the_words_of_a_command_are_programs_and_files_wherever_they_stand() {
    let check =
        Healthcheck { command: vec!["/bin/sh".into(), "-c".into(), "probe||exit 1".into()], ..Healthcheck::default() };
    let config = Config {
        entrypoint: vec!["/bin/sh".into(), "-c".into(), "exec \"./run\" --config=/srv/a.toml;x".into()],
        cmd: vec!["-Dlog=log.xml".into(), "-cp".into(), "/app/a.jar:/app/b.jar".into()],
        workdir: "/app".into(),
        healthcheck: Some(check),
        ..Config::default()
    };
    let keep = keep(&Asked::default(), &config, &tree(&[])).unwrap();
    assert_eq!(keep.programs, ["/bin/sh"]);
    let words = ["/bin/sh", "exec", "/app/run", "/srv/a.toml", "x", "/app/log.xml", "/app/a.jar", "/app/b.jar"];
    assert_eq!(keep.optional_programs, [&words[..], &["/bin/sh", "probe", "exit", "1"]].concat());
}

#[test]
fn the_programs_are_those_that_were_asked_for_and_the_one_that_the_image_starts() {
    let nothing = keep(&Asked::default(), &Config::default(), &tree(&[]));
    assert!(nothing.is_none());
    let asked = Asked { programs: vec!["b".into()], ..Asked::default() };
    let keep = keep(&asked, &starts(&["a", "c"]), &tree(&[])).unwrap();
    assert_eq!(
        (keep.programs, keep.optional_programs),
        (["b", "a"].map(String::from).to_vec(), ["a", "c"].map(String::from).to_vec())
    );
}

#[test]
fn what_is_the_images_own_stays_whole_and_what_is_a_packages_or_everybodys_does_not() {
    let entries = [
        ("app", "->srv/app"),
        ("srv/app/data/one", "1"),
        ("data/seed", "s"),
        ("!usr/share/site/index.html", "i"),
        ("usr/share/site/added.html", "a"),
        ("opt/tool/share/x", "x"),
        ("usr/bin/thing", "t"),
        ("etc/passwd", "u:x:5:5::/home/u:/bin/sh\n"),
        ("home/u/.local/lib/m.py", "m"),
        ("opt/venv/bin/python", "->/usr/local/bin/python"),
        ("opt/venv/lib/m.py", "m"),
        ("usr/local/bin/python", "p"),
        ("usr/local/share/other", "o"),
        ("etc/one.conf", "1"),
    ];
    let config = Config {
        workdir: "/app".into(),
        volumes: ["/data".into(), "/missing".into()].into(),
        user: "5".into(),
        env: [("SITE", "/usr/share/site"), ("LIST", "/opt/tool:/usr/bin"), ("CONF", "/etc/one.conf"), ("NAME", "etc")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..starts(&["/opt/venv/bin/python"])
    };
    insta::assert_snapshot!(globs(&entries, &config), @r"
    /app (the image's working directory)
    /app/** (the image's working directory)
    /data (a volume of the image)
    /data/** (a volume of the image)
    /etc/one.conf (the image's variable CONF names it)
    /home/u (the home directory of the image's user)
    /home/u/** (the home directory of the image's user)
    /opt/tool (the image's variable LIST names it)
    /opt/tool/** (the image's variable LIST names it)
    /opt/venv (the program /opt/venv/bin/python was installed with it)
    /opt/venv/** (the program /opt/venv/bin/python was installed with it)
    /opt/venv/bin/python (the image's command names it)
    /usr/bin (the image's variable LIST names it)
    /usr/share/site (the image's variable SITE names it)
    /usr/share/site/added.html (the image's variable SITE names it)
    ");
}

#[test]
fn what_a_program_names_stays_with_what_its_configuration_names() {
    let program = "\0/etc/web/web.conf\0/var/log/web/error.log\0--x=/usr/share/web/%s\0/usr/share/locale\0/usr/lib/x86_64-linux-gnu\0\
                   /proc/self/exe\0/usr/local/go/src/main.go\0http://web.example/etc/hidden\0/etc/ssl/cert.pem\0/no/such\0\
                   /usr/share/zoneinfo/\0";
    let entries = [
        ("!usr/sbin/web", program),
        ("!etc/web/web.conf", "include /etc/web/sites/*.conf;\n"),
        ("!etc/web/sites/a.conf", "root /site;  # see /usr/share/doc/web."),
        ("site/index.html", "/etc/web/not-read"),
        ("!var/log/web/old.log", "o"),
        ("!usr/share/web/page", "p"),
        ("!usr/share/locale/de/web.mo", "d"),
        ("!usr/share/doc/web/README", "r"),
        ("!usr/lib/x86_64-linux-gnu/libother.so", "l"),
        ("!usr/local/go/src/main.go", "g"),
        ("!etc/hidden", "h"),
        ("!etc/ssl/cert.pem", "c"),
        ("!etc/ssl/other.pem", "c"),
        ("!usr/share/zoneinfo/UTC", "z"),
    ];
    insta::assert_snapshot!(globs(&entries, &starts(&["web"])), @r"
    /etc/ssl/cert.pem (/usr/sbin/web names /etc/ssl/cert.pem)
    /etc/web/** (/usr/sbin/web names /etc/web/web.conf)
    /etc/web/sites (/etc/web/web.conf names /etc/web/sites)
    /etc/web/sites/** (/etc/web/web.conf names /etc/web/sites)
    /etc/web/web.conf (/usr/sbin/web names /etc/web/web.conf)
    /site (/etc/web/sites/a.conf names /site)
    /site/** (/etc/web/sites/a.conf names /site)
    /usr/share/web (/usr/sbin/web names /usr/share/web)
    /usr/share/web/** (/usr/sbin/web names /usr/share/web)
    /usr/share/zoneinfo (/usr/sbin/web names /usr/share/zoneinfo)
    /usr/share/zoneinfo/** (/usr/sbin/web names /usr/share/zoneinfo)
    /var/log/web (/usr/sbin/web names /var/log/web/error.log)
    ");
}

#[test]
fn what_a_script_runs_is_looked_at_as_if_the_image_started_it() {
    let entries = [
        ("start.sh", "#!/bin/sh\nset -e\nexec web --daemon\n"),
        ("!usr/sbin/web", "\0/etc/web/web.conf\0"),
        ("!etc/web/web.conf", "w"),
        ("usr/local/bin/tool", "#!/opt/venv/bin/python\n"),
        ("opt/venv/bin/python", "p"),
        ("opt/venv/lib/m.py", "m"),
    ];
    insta::assert_snapshot!(globs(&entries, &starts(&["/start.sh"])), @r"
    /etc/web/** (/usr/sbin/web names /etc/web/web.conf)
    /etc/web/web.conf (/usr/sbin/web names /etc/web/web.conf)
    /start.sh (the image's command names it)
    ");
    insta::assert_snapshot!(globs(&entries, &starts(&["tool"])), @r"
    /opt/venv (the program /opt/venv/bin/python was installed with it)
    /opt/venv/** (the program /opt/venv/bin/python was installed with it)
    /opt/venv/bin/python (/usr/local/bin/tool names /opt/venv/bin/python)
    ");
}

#[test]
fn a_script_of_perl_keeps_perls_modules() {
    let entries = [
        ("usr/bin/tool", "#!/usr/bin/env perl\nuse JSON;\n"),
        ("usr/bin/plain", "#!/bin/sh\necho # perl\n"),
        ("usr/bin/script", "#!/bin/sh\nexec tool\n"),
    ];
    for (program, expected) in [("tool", &["perl"][..]), ("script", &["perl"]), ("plain", &[])] {
        let keep = keep(&Asked::default(), &starts(&[program]), &tree(&entries)).unwrap();
        assert_eq!(keep.rules, expected, "{program}");
    }
}
