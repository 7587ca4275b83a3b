use super::*;
use crate::profile::{Account, AddedDirectory, AddedFile, Additions, Catalogue};

/// A profile with nothing but these additions.
fn profile(add: Additions) -> Profile {
    Profile { add, ..Catalogue::built_in().profile("static", None, None).unwrap() }
}

fn account(name: &str, uid: u32, gid: u32) -> Account {
    Account {
        name: name.into(),
        uid,
        group: String::new(),
        gid,
        home: format!("/var/lib/{name}"),
        shell: "/usr/sbin/nologin".into(),
        gecos: String::new(),
    }
}

fn merged_root() -> RootTree {
    let mut tree = RootTree::new();
    tree.insert(RootPath::new("bin").unwrap(), Node::symlink("usr/bin"));
    tree.insert(RootPath::new("usr/bin").unwrap(), Node::directory(0o755));
    tree.insert(
        RootPath::new("etc/passwd").unwrap(),
        Node::file(0o644, "root:*:0:0:root:/root:/bin/sh\nwww-data:*:33:33:www:/var/www:/bin/sh"),
    );
    tree.insert(RootPath::new("etc/group").unwrap(), Node::file(0o644, "root:*:0:\nwww-data:*:33:\n"));
    tree
}

#[test]
fn the_base_of_an_empty_tree() {
    let mut tree = RootTree::new();
    complete(&mut tree, &profile(Additions { base: true, ..Additions::default() }), 7).unwrap();
    insta::assert_snapshot!(tree.dump().unwrap(), @r"
    d 0755 0:0 /dev/
    d 0755 0:0 /etc/
    f 0644 0:0 /etc/group 44 6ddc0fbb51f5
    f 0644 0:0 /etc/hosts 105 e22b92c214a5
    f 0444 0:0 /etc/machine-id 0 e3b0c44298fc
    f 0644 0:0 /etc/nsswitch.conf 107 cf15488437b4
    f 0644 0:0 /etc/passwd 151 773457384fba
    d 0755 0:0 /home/
    d 0700 65532:65532 /home/nonroot/
    d 0555 0:0 /proc/
    d 0700 0:0 /root/
    d 0755 0:0 /run/
    d 0555 0:0 /sys/
    d 1777 0:0 /tmp/
    d 0755 0:0 /usr/
    d 0755 0:0 /usr/bin/
    d 0755 0:0 /var/
    d 1777 0:0 /var/tmp/
    ");
}

#[test]
fn additions_land_where_links_lead_and_belong_to_accounts() {
    let mut tree = merged_root();
    let additions = Additions {
        accounts: vec![account("web", 101, 102)],
        files: vec![AddedFile {
            path: "/bin/hello".into(),
            content: b"#!/bin/sh\n".to_vec(),
            mode: 0o755,
            owner: "web".into(),
            group: "www-data".into(),
        }],
        directories: vec![AddedDirectory { path: "/srv".into(), mode: 0o750, owner: "33".into(), group: "web".into() }],
        links: [("/bin/hi".to_owned(), "hello".to_owned())].into(),
        ..Additions::default()
    };
    complete(&mut tree, &profile(additions), 7).unwrap();
    insta::assert_snapshot!(tree.dump().unwrap(), @r"
    l 0777 0:0 /bin -> usr/bin
    d 0755 0:0 /etc/
    f 0644 0:0 /etc/group 53 8c33819092ee
    f 0644 0:0 /etc/passwd 176 8801f29a9860
    d 0755 0:0 /home/
    d 0700 65532:65532 /home/nonroot/
    d 0700 0:0 /root/
    d 0750 33:102 /srv/
    d 0755 0:0 /usr/
    d 0755 0:0 /usr/bin/
    f 0755 101:33 /usr/bin/hello 10 a8076d3d28d2
    l 0777 0:0 /usr/bin/hi -> hello
    d 0755 0:0 /var/
    d 0755 0:0 /var/lib/
    d 0700 101:102 /var/lib/web/
    ");
}

#[test]
fn a_profile_may_choose_the_number_of_an_account_that_a_script_made() {
    let mut tree = merged_root();
    tree.insert(
        RootPath::new("etc/passwd").unwrap(),
        Node::file(0o644, "cache:*:101:102::/var/lib/cache:/bin/false\nother:*:103:102::/:/x\n"),
    );
    tree.insert(RootPath::new("etc/group").unwrap(), Node::file(0o644, "cache:*:102:\n"));
    tree.insert(RootPath::new("var/lib/cache").unwrap(), Node::directory(0o750).owned_by(101, 102));
    complete(&mut tree, &profile(Additions { accounts: vec![account("cache", 999, 998)], ..Additions::default() }), 7)
        .unwrap();
    let text = |path: &str| match &tree.get(&RootPath::new(path).unwrap()).unwrap().kind {
        Kind::File(content) => String::from_utf8(content.map().unwrap().to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(
        text("etc/passwd").contains("cache:*:999:998:") && !text("etc/passwd").contains(":101:"),
        "{}",
        text("etc/passwd")
    );
    assert!(
        text("etc/group").contains("cache:*:998:") && !text("etc/group").contains(":102:"),
        "{}",
        text("etc/group")
    );
    assert!(tree.dump().unwrap().contains("d 0750 999:998 /var/lib/cache/"));
}

#[test]
fn contradictions_are_named() {
    let fail = |additions: Additions| complete(&mut merged_root(), &profile(additions), 0).unwrap_err().to_string();
    let clash = fail(Additions { accounts: vec![account("www-data", 34, 33)], ..Additions::default() });
    assert!(clash.contains("www-data") && clash.contains("33") && clash.contains("34"), "{clash}");
    let directory = AddedDirectory { path: "/srv".into(), mode: 0o755, owner: "nosuch".into(), group: "0".into() };
    let unknown = fail(Additions { directories: vec![directory], ..Additions::default() });
    assert!(unknown.contains("nosuch") && unknown.contains("/srv"), "{unknown}");
    let outside = fail(Additions { links: [("../x".to_owned(), "y".to_owned())].into(), ..Additions::default() });
    assert!(outside.contains(".."), "{outside}");
    let none = fail(Additions { applets: Some("/usr/bin/busybox".into()), ..Additions::default() });
    assert!(none.contains("/usr/bin/busybox"), "{none}");
}

#[test]
fn applets_win_over_what_packages_bring_but_not_over_what_the_profile_names() {
    let names: Vec<u8> = ["awk", "cat", "cp", "cut", "gzip", "ls", "sh", "tr"].join("\0").into_bytes();
    let binary = [b"\x7fELF\0", &names[..], b"\0\0"].concat();
    let mut tree = merged_root();
    tree.insert(RootPath::new("usr/bin/busybox").unwrap(), Node::file(0o755, binary));
    tree.insert(RootPath::new("usr/bin/awk").unwrap(), Node::symlink("/etc/alternatives/awk"));
    tree.insert(RootPath::new("usr/bin/gzip").unwrap(), Node::file(0o755, "the real one"));
    let mut profile = profile(Additions { applets: Some("/usr/bin/busybox".into()), ..Additions::default() });
    profile.keep.programs = vec!["gzip".into()];
    complete(&mut tree, &profile, 7).unwrap();
    let text = tree.dump().unwrap();
    assert!(text.contains("/usr/bin/awk -> busybox") && text.contains("/usr/bin/ls -> busybox"), "{text}");
    assert!(text.contains("f 0755 0:0 /usr/bin/gzip"), "{text}");
}

#[test]
fn checksums_are_those_of_kept_files() {
    let mut tree = merged_root();
    let list =
        "00000000000000000000000000000000  bin/sh\n11111111111111111111111111111111  usr/share/man/sh.1\nnonsense\n";
    tree.insert(RootPath::new("usr/bin/sh").unwrap(), Node::file(0o755, "sh"));
    tree.insert(RootPath::new("var/lib/dpkg/status.d/x.md5sums").unwrap(), Node::file(0o644, list));
    tree.add_missing_parents();
    trim_metadata(&mut tree).unwrap();
    let (_, node) = tree.iter().find(|(path, _)| path.file_name() == b"x.md5sums").unwrap();
    let Kind::File(content) = &node.kind else { panic!("{node:?}") };
    assert_eq!(content.map().unwrap(), &b"00000000000000000000000000000000  bin/sh\n"[..]);
}

#[test]
fn what_tells_the_distribution_stays_with_packages() {
    for (files, expected) in [
        (
            &[("etc/os-release", "->../usr/lib/os-release"), ("usr/lib/os-release", "D"), ("etc/debian_version", "12")]
                [..],
            "/etc/debian_version /etc/os-release /usr/lib/os-release",
        ),
        (
            &[
                ("etc/system-release", "->redhat-release"),
                ("etc/redhat-release", "->fedora-release"),
                ("etc/fedora-release", "->../usr/lib/fedora-release"),
                ("usr/lib/fedora-release", "F"),
                ("etc/system-release-cpe", "->../usr/lib/system-release-cpe"),
                ("usr/lib/system-release-cpe", "F"),
            ],
            "/etc/fedora-release /etc/redhat-release /etc/system-release /etc/system-release-cpe /usr/lib/fedora-release /usr/lib/system-release-cpe",
        ),
        (&[("etc/alpine-release", "3"), ("usr/lib/other/x-release", "x")], "/etc/alpine-release"),
        (
            &[
                ("etc/lsb-release", "U"),
                ("etc/dpkg/origins/default", "->ubuntu"),
                ("etc/dpkg/origins/ubuntu", "U"),
                ("etc/dpkg/origins/debian", "D"),
                ("etc/dangling-release", "->none"),
            ],
            "/etc/dpkg/origins/default /etc/dpkg/origins/ubuntu /etc/lsb-release",
        ),
    ] {
        let mut tree = merged_root();
        for (path, content) in files {
            let node = match content.strip_prefix("->") {
                Some(target) => Node::symlink(target),
                None => Node::file(0o644, (*content).to_owned()),
            };
            tree.insert(RootPath::new(path).unwrap(), node);
        }
        let package = tree.add_package(minimg_tree::Package {
            name: "x".into(),
            version: "1".into(),
            architecture: "all".into(),
        });
        let mut program = Node::file(0o755, "x");
        program.package = Some(package);
        tree.insert(RootPath::new("usr/bin/x").unwrap(), program);
        tree.add_missing_parents();
        let kept = |paths: &[&str]| {
            let reason = || minimg_elf::Reason { why: minimg_elf::Why::Program("x".into()), via: None };
            let kept = paths.iter().map(|path| (RootPath::new(path).unwrap(), reason())).collect();
            let mut closure = minimg_elf::Closure { kept, ..minimg_elf::Closure::default() };
            keep_package_metadata(&tree, &mut closure);
            let all: Vec<String> = closure.kept.keys().map(ToString::to_string).collect();
            all.join(" ")
        };
        assert_eq!(kept(&["usr/bin/x"]), format!("{expected} /usr/bin/x"));
        assert_eq!(kept(&[]), "");
    }
}

#[test]
fn what_the_profile_adds_takes_no_place_that_others_need() {
    let file = |path: &str| AddedFile {
        path: path.into(),
        content: b"x".to_vec(),
        mode: 0o644,
        owner: "root".into(),
        group: "root".into(),
    };
    let directory =
        |path: &str| AddedDirectory { path: path.into(), mode: 0o755, owner: "root".into(), group: "root".into() };
    let link = |path: &str| [(path.to_owned(), "elsewhere".to_owned())].into();
    let none = Additions::default;
    for (add, wrong) in [
        (Additions { directories: vec![directory("/etc/passwd")], ..none() }, Some("a directory at /etc/passwd")),
        (Additions { directories: vec![directory("/bin")], ..none() }, Some("a directory at /bin")),
        (Additions { links: link("/bin"), ..none() }, Some("a link at /bin, but that is a link of the merged /usr")),
        (Additions { links: link("/etc"), ..none() }, Some("a link at /etc, but there is a directory with files")),
        (Additions { files: vec![file("/etc")], ..none() }, Some("a file at /etc")),
        (Additions { files: vec![file("/bin")], ..none() }, Some("a file at /bin")),
        (
            Additions { files: vec![file("/x")], directories: vec![directory("/x/y"), directory("/x")], ..none() },
            Some("a file at /x, but"),
        ),
        (Additions { files: vec![file("/etc/passwd")], directories: vec![directory("/etc")], ..none() }, None),
        (Additions { links: link("/etc/passwd"), ..none() }, None),
        (Additions { links: link("/bin/sh"), ..none() }, None),
        (Additions { links: link("/usr/bin"), ..none() }, None),
    ] {
        let result =
            complete(&mut merged_root(), &profile(add.clone()), 7).map(drop).map_err(|error| error.to_string());
        match (result, wrong) {
            (Ok(()), None) => {}
            (Err(error), Some(wrong)) => assert!(error.contains(wrong), "{error}"),
            (result, _) => panic!("{add:?}: {result:?}"),
        }
    }
}

#[test]
fn the_workdir_is_a_directory_or_not_there() {
    for (workdir, fits) in [
        ("", true),
        ("/", true),
        ("/etc", true),
        ("/bin", true),
        ("/new/place", true),
        ("/etc/passwd", false),
        ("/etc/passwd/below", false),
    ] {
        let mut profile = profile(Additions::default());
        profile.image.workdir = workdir.into();
        assert_eq!(complete(&mut merged_root(), &profile, 7).is_ok(), fits, "{workdir}");
    }
}
