//! What rules do in place of maintainer scripts.

use std::process::Command;

use minimg::tree::{Kind, RootPath, RootTree};

use super::support::{Deb, World, shown};

fn text(tree: &RootTree, path: &str) -> String {
    match &tree.get(&RootPath::new(path).unwrap()).unwrap_or_else(|| panic!("{path} is missing")).kind {
        Kind::File(content) => String::from_utf8_lossy(&content.map().unwrap()).into_owned(),
        Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        other => format!("{other:?}"),
    }
}

fn owner(tree: &RootTree, path: &str) -> String {
    let node = tree.get(&RootPath::new(path).unwrap()).unwrap_or_else(|| panic!("{path} is missing"));
    let package = tree.package_of(node).map_or("-", |package| &package.name);
    format!("{:o} {}:{} {package}", node.meta.mode, node.meta.uid, node.meta.gid)
}

#[test]
fn every_tree_has_accounts_and_an_identity() {
    let tree = World::of(vec![Deb::new("tool").file("./usr/bin/tool", "x")]).tree();
    assert!(text(&tree, "etc/passwd").starts_with("root:x:0:0:root:/root:/bin/bash\n"));
    assert!(text(&tree, "etc/passwd").contains("www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"));
    assert!(text(&tree, "etc/shadow").starts_with("root:*:"));
    assert_eq!(owner(&tree, "etc/shadow"), "640 0:42 -");
    assert_eq!(text(&tree, "etc/machine-id"), "");
    assert_eq!(text(&tree, "etc/os-release"), "-> ../usr/lib/os-release");
    assert!(text(&tree, "usr/lib/os-release").contains("VERSION_ID=\"12\"\n"));
    assert!(text(&tree, "etc/nsswitch.conf").contains("files dns"));
}

#[test]
fn scripts_accounts_and_owners() {
    let script = r#"#!/bin/sh
set -e
USER="redis"
if [ "$1" = configure ]; then
    if ! getent passwd $USER >/dev/null; then
        adduser --system --quiet --home /var/lib/redis \
            --group $USER || true
    fi
    adduser $quiet redis late
    chown -R $USER:$USER /var/lib/redis "$DPKG_ROOT/etc/redis"
    dpkg-statoverride --update --add redis redis 640 /etc/redis/redis.conf
    install -d -o redis -g adm -m 2750 /var/log/redis
    if [ -n "$2" ]; then chmod 777 /etc/redis; fi
    chmod $MODE /etc/redis
fi"#;
    let world = World::of(vec![
        Deb::new("redis")
            .with_control("postinst", script)
            .directory("./etc/redis/")
            .file("./etc/redis/redis.conf", "port"),
        Deb::new("z").with_control("postinst", "addgroup --system late"),
        Deb::new("users").file("./usr/lib/sysusers.d/web.conf", "# web\nu web - \"Web\" /srv /bin/false\n"),
    ]);
    let tree = world.tree();
    let (passwd, group) = (text(&tree, "etc/passwd"), text(&tree, "etc/group"));
    assert!(passwd.contains("redis:x:101:101::/var/lib/redis:/usr/sbin/nologin\n"), "{passwd}");
    assert!(passwd.contains("web:x:999:999:Web:/srv:/bin/false\n"), "{passwd}");
    assert!(group.contains("late:x:102:redis\n"), "{group}");
    assert_eq!(owner(&tree, "var/lib/redis"), "755 101:101 redis");
    assert_eq!(owner(&tree, "etc/redis"), "755 101:101 redis");
    assert_eq!(owner(&tree, "etc/redis/redis.conf"), "640 101:101 redis");
    assert_eq!(owner(&tree, "var/log/redis"), "2750 101:4 redis");
}

#[test]
fn what_is_left_undone_is_told_with_its_place_and_the_way_on() {
    let world = World::of(vec![
        // Rules of their own do what these are for.
        Deb::new("base-files").with_control("postinst", "install_directory() { mkdir /$1; chown $2 /$1; }"),
        Deb::new("ca-certificates").with_control("postinst", "chmod $(stat -c %a /usr/local) /usr/local/share"),
        Deb::new("tools").with_control("postinst", "chmod $MODE $DIR"),
        Deb::new("users").file("./usr/lib/sysusers.d/web.conf", "u web /etc/passwd - -\n"),
    ]);
    let details = world.details();
    assert_eq!(
        &details[..2],
        [
            "tools: left undone of its postinst: `chmod $MODE $DIR`",
            "users: left undone of its /usr/lib/sysusers.d/web.conf: `u web /etc/passwd - -`",
        ]
    );
    assert!(details.len() == 3 && details[2].contains("[add]") && details[2].contains("debootstrap"), "{details:?}");
    assert_eq!(World::of(vec![Deb::new("plain")]).details(), [""; 0]);
}

#[test]
fn alternatives_become_links() {
    let register = |path: &str, priority: u32| {
        format!("update-alternatives --install /bin/ed ed {path} {priority} --slave /usr/share/man/ed.1 ed.1 {path}.1")
    };
    let tree = World::of(vec![
        Deb::new("low").with_control("postinst", register("/bin/low", 10)).file("./bin/low", "l"),
        Deb::new("high").with_control("postinst", register("/usr/bin/high", 20)).file("./usr/bin/high", "h"),
        Deb::new("none").with_control("postinst", register("/usr/bin/none", 90)),
    ])
    .tree();
    assert_eq!(text(&tree, "usr/bin/ed"), "-> /etc/alternatives/ed");
    assert_eq!(text(&tree, "etc/alternatives/ed"), "-> /usr/bin/high");
    assert_eq!(owner(&tree, "usr/bin/ed"), "777 0:0 high");
    assert!(
        !tree.contains(&RootPath::new("etc/alternatives/ed.1").unwrap()),
        "a slave whose file is missing is left out"
    );
}

#[test]
fn diverted_files_move_aside() {
    let tree = World::of(vec![
        Deb::new("first").file("./usr/bin/x", "original"),
        Deb::new("second")
            .with_control("preinst", "dpkg-divert --package second --add --rename --divert /usr/bin/x.real /usr/bin/x")
            .file("./usr/bin/x", "wrapper"),
    ])
    .tree();
    assert_eq!((text(&tree, "usr/bin/x"), text(&tree, "usr/bin/x.real")), ("wrapper".into(), "original".into()));
    assert_eq!(owner(&tree, "usr/bin/x.real"), "644 0:0 first");
}

#[test]
fn base_packages_set_up_the_root() {
    let tree = World::of(vec![
        Deb::new("base-files")
            .file("./usr/share/base-files/profile", "PATH")
            .directory("./var/run/")
            .file("./usr/lib/os-release", "ID=own"),
        Deb::new("tzdata").file("./usr/share/zoneinfo/Etc/UTC", "TZif"),
        Deb::new("conf")
            .file("./usr/share/conf/c", "c")
            .with_control("postinst", "ucf --three-way /usr/share/conf/c /etc/c.conf"),
    ])
    .tree();
    assert_eq!(text(&tree, "etc/profile"), "PATH");
    assert_eq!(text(&tree, "usr/lib/os-release"), "ID=own");
    assert_eq!(text(&tree, "etc/localtime"), "-> /usr/share/zoneinfo/Etc/UTC");
    assert_eq!(text(&tree, "var/run"), "-> /run");
    assert_eq!(text(&tree, "etc/c.conf"), "c");
    assert_eq!(owner(&tree, "etc/c.conf"), "644 0:0 conf");
    assert_eq!(owner(&tree, "run/lock"), "1777 0:0 base-files");
}

/// Certificates with subjects that are written in every way, made by the real tool.
fn certificates(directory: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let subjects = [
        "/CN=Plain CA",
        "/C=DE/O=  Zwei   Worte  /CN=ÄÖ ü CA",
        "/C=FR/O=A+OU=B/CN=Multi",
        "/CN=plain ca",
        "/emailAddress=Root@Example.ORG/CN=x",
    ];
    let make = |(number, subject): (usize, &&str)| {
        let path = directory.join(format!("{number}.crt"));
        let openssl = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-utf8",
                "-multivalue-rdn",
            ])
            .args(["-days", "2", "-subj", subject, "-keyout", "/dev/null", "-out"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
        (format!("Test (CA), {number}.crt"), std::fs::read(&path).unwrap())
    };
    subjects.iter().enumerate().map(make).collect()
}

#[test]
fn certificates_are_bundled_as_the_real_tool_does() {
    let directory = tempfile::tempdir().unwrap();
    let (share, result) = (directory.path().join("share/mozilla"), directory.path().join("certs"));
    std::fs::create_dir_all(&share).unwrap();
    std::fs::create_dir_all(&result).unwrap();
    let mut package = Deb::new("ca-certificates");
    let mut configuration = String::new();
    for (name, pem) in certificates(directory.path()) {
        std::fs::write(share.join(&name), &pem).unwrap();
        package = package.file(&format!("./usr/share/ca-certificates/mozilla/{name}"), &pem);
        configuration += &format!("mozilla/{name}\n");
    }
    let conf = directory.path().join("conf");
    std::fs::write(&conf, &configuration).unwrap();
    let tool = Command::new("update-ca-certificates")
        .arg("--certsconf")
        .arg(&conf)
        .arg("--certsdir")
        .arg(directory.path().join("share"))
        .arg("--localcertsdir")
        .arg(directory.path().join("none"))
        .arg("--hooksdir")
        .arg(directory.path().join("none"))
        .arg("--etccertsdir")
        .arg(&result)
        .output()
        .unwrap();
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    let mut expected: Vec<String> = Vec::new();
    for entry in result.read_dir().unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let target = std::fs::read_link(entry.path()).map(|t| t.to_string_lossy().into_owned()).unwrap_or_default();
        let target = target.replace(&*directory.path().join("share").to_string_lossy(), "/usr/share/ca-certificates");
        expected.push(format!("/etc/ssl/certs/{name} {target}"));
    }
    expected.sort();

    let tree = World::of(vec![package]).tree();
    let certs = RootPath::new("etc/ssl/certs").unwrap();
    let ours: Vec<String> = tree
        .below(&certs)
        .map(|(path, node)| match &node.kind {
            Kind::Symlink(target) => format!("{path} {}", String::from_utf8_lossy(target)),
            _ => format!("{path} "),
        })
        .collect();
    assert_eq!(ours, expected);
    let bundle = std::fs::read_to_string(result.join("ca-certificates.crt")).unwrap();
    assert_eq!(text(&tree, "etc/ssl/certs/ca-certificates.crt"), bundle);
    assert_eq!(text(&tree, "etc/ca-certificates.conf"), configuration);
    assert!(
        shown(&tree, "etc/ssl").contains("0.1") || ours.iter().any(|line| line.contains(".1 ")),
        "two subjects are equal"
    );
}

#[test]
fn capabilities_of_scripts_become_attributes() {
    let script =
        "P=/bin/ping\nif setcap cap_net_raw+ep $P; then :; fi\nsetcap cap_chown+p /none\nsetcap -r /usr/bin/other\n";
    let tree = World::of(vec![
        Deb::new("ping").with_control("postinst", script).file("./bin/ping", "p").file("./usr/bin/other", "o"),
    ])
    .tree();
    let attributes = |path: &str| tree.get(&RootPath::new(path).unwrap()).unwrap().meta.xattrs.clone();
    let expected = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    assert_eq!(attributes("usr/bin/ping").get("security.capability"), Some(&expected));
    assert!(attributes("usr/bin/other").is_empty());
}
