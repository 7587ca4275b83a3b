use proptest::prelude::*;

use super::*;

fn tree(files: &[(&str, &str)]) -> RootTree {
    let mut tree = RootTree::new();
    for (path, content) in files {
        let node = match content.strip_prefix("-> ") {
            Some(target) => Node::symlink(target),
            None => Node::file(0o644, content.to_string()),
        };
        tree.insert(RootPath::new(path).unwrap(), node);
    }
    tree.add_missing_parents();
    tree
}

/// One line for each path that has an owner.
fn owners(mut tree: RootTree) -> Vec<String> {
    assign(&mut tree).unwrap();
    let line = |(path, node): (&RootPath, &Node)| {
        let Package { name, version, architecture } = tree.package_of(node)?;
        Some(format!("{path} {name} {version} {architecture}"))
    };
    tree.iter().filter_map(line).collect()
}

#[test]
fn dpkg_knows_its_files_through_links_architectures_and_diversions() {
    let status = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1:2-3\n\n\
                  Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
                  Package: half\nStatus: install reinstreq half-installed\n\n\
                  Package: b\nStatus: install ok unpacked\nArchitecture: all\nVersion: 2\n";
    let found = owners(tree(&[
        ("var/lib/dpkg/status", status),
        ("var/lib/dpkg/info/a:amd64.list", "/.\n/lib\n/lib/liba.so\n/usr\n/bin/tool\n/not/there\n/../evil\n"),
        ("var/lib/dpkg/info/a:amd64.md5sums", "d41d8cd98f00b204e9800998ecf8427e  lib/liba.so\n"),
        ("var/lib/dpkg/info/b.list", "/bin/tool\n/usr/bin/link\n"),
        ("var/lib/dpkg/info/gone.list", "/etc/gone\n"),
        ("var/lib/dpkg/diversions", "/bin/tool\n/bin/tool.real\nb\n"),
        ("lib", "-> usr/lib"),
        ("bin", "-> usr/bin"),
        ("etc/gone", ""),
        ("usr/lib/liba.so", ""),
        ("usr/bin/tool", ""),
        ("usr/bin/tool.real", ""),
        ("usr/bin/link", "-> tool"),
    ]));
    assert_eq!(
        found,
        [
            "/usr/bin/link b 2 all",
            "/usr/bin/tool b 2 all",
            "/usr/bin/tool.real a 1:2-3 amd64",
            "/usr/lib/liba.so a 1:2-3 amd64",
            "/var/lib/dpkg/status.d/a a 1:2-3 amd64",
            "/var/lib/dpkg/status.d/a.md5sums a 1:2-3 amd64",
            "/var/lib/dpkg/status.d/b b 2 all",
        ]
    );
}

#[test]
fn separate_status_files_name_files_by_their_checksums() {
    let found = owners(tree(&[
        ("var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\nArchitecture: amd64\n"),
        ("var/lib/dpkg/status.d/a.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/a b\n"),
        ("usr/bin/a b", ""),
        ("usr/bin/c", ""),
    ]));
    assert_eq!(
        found,
        ["/usr/bin/a b a 1 amd64", "/var/lib/dpkg/status.d/a a 1 amd64", "/var/lib/dpkg/status.d/a.md5sums a 1 amd64"]
    );
}

#[test]
fn dpkgs_entries_have_what_is_kept_and_no_more() {
    let status = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nConffiles:\n /etc/a 0123\n /etc/b 4567 obsolete\nHomepage: x\n\n\
                  Package: b\nStatus: install ok installed\nArchitecture: all\nVersion: 2\nConffiles:\n /etc/c 89ab\nDescription: b\n Conffiles:\n";
    let mut full = tree(&[
        ("var/lib/dpkg/status", status),
        ("var/lib/dpkg/info/a.list", "/.\n/etc\n/etc/a\n/etc/b\n/bin\n/bin/tool\n/bin/link\n"),
        ("var/lib/dpkg/info/a.md5sums", "d41d  bin/tool\nd41e  usr/share/none\n"),
        ("var/lib/dpkg/info/b.list", "/usr/bin/two words\n/etc/c\n"),
        ("bin", "-> usr/bin"),
        ("usr/bin/tool", ""),
        ("usr/bin/link", "-> tool"),
        ("usr/bin/two words", ""),
        ("etc/a", ""),
        ("etc/b", ""),
        ("etc/c", ""),
    ]);
    assign(&mut full).unwrap();
    let left = ["/etc/b", "/etc/c", "/usr/share", "/var/lib/dpkg/status", "/var/lib/dpkg/info"];
    let mut kept = full.subset(|path, _| {
        !left.iter().any(|left| path.to_string().starts_with(left)) || {
            path.to_string().starts_with("/var/lib/dpkg/status.d")
        }
    });
    dpkg::trim(&mut kept).unwrap();
    kept.add_missing_parents();
    let text = |tree: &RootTree, path: &str| {
        let bytes = content(tree, &fixed_path(path)).unwrap().unwrap_or_default();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    for (path, expected) in [
        ("var/lib/dpkg/info/a.list", "/etc/a\n/usr/bin/link\n/usr/bin/tool\n"),
        ("var/lib/dpkg/info/b.list", "/usr/bin/two words\n"),
        ("var/lib/dpkg/status.d/a.md5sums", "d41d  bin/tool\n"),
        (
            "var/lib/dpkg/status.d/a",
            "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nConffiles:\n /etc/a 0123\nHomepage: x\n",
        ),
        (
            "var/lib/dpkg/status.d/b",
            "Package: b\nStatus: install ok installed\nArchitecture: all\nVersion: 2\nDescription: b\n Conffiles:\n",
        ),
    ] {
        assert_eq!(text(&kept, path), expected, "{path}");
    }
    // An image made of that one knows as much, and says the same.
    let mut again = RootTree::new();
    kept.iter().for_each(|(path, node)| drop(again.insert(path.clone(), Node { package: None, ..node.clone() })));
    assign(&mut again).unwrap();
    let owner = again.get(&fixed_path("usr/bin/link")).and_then(|node| again.package_of(node));
    assert_eq!(owner.map(|package| &*package.name), Some("a"));
    let before = kept.dump().unwrap();
    dpkg::trim(&mut again).unwrap();
    assert_eq!(again.dump().unwrap(), before);
}

#[test]
fn apk_knows_its_files() {
    let installed = "C:Q1abc\nP:musl\nV:1.2.5-r9\nA:x86_64\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1xyz\n\n\
                     P:busybox\nV:1.37-r1\nA:x86_64\nF:bin\nR:busybox\nR:../evil\nF:etc\n\n\nP:broken\nF:etc\nR:x\n";
    for place in apk::PLACES {
        let found = owners(tree(&[
            (place, installed),
            ("bin/busybox", ""),
            ("bin/sh", "-> busybox"),
            ("lib/ld-musl-x86_64.so.1", ""),
            ("etc/x", ""),
        ]));
        assert_eq!(found, ["/bin/busybox busybox 1.37-r1 x86_64", "/lib/ld-musl-x86_64.so.1 musl 1.2.5-r9 x86_64"]);
    }
}

#[test]
fn a_pruned_apk_database_lists_only_what_is_there() {
    let installed = "P:a\nV:1\nA:x\nF:bin\nM:0:0:755\nR:kept\na:0:0:755\nR:dropped\na:0:0:700\nF:gone\nM:0:0:700\nR:x\n\n\
                     P:b\nV:1\nA:x\nF:bin\nR:other\n\n";
    let mut kept = tree(&[(apk::PLACES[0], installed), ("bin/kept", "")]);
    apk::trim(&mut kept).unwrap();
    let trimmed = content(&kept, &fixed_path(apk::PLACES[0])).unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&trimmed), "P:a\nV:1\nA:x\nF:bin\nM:0:0:755\nR:kept\na:0:0:755\n\n");
}

#[test]
fn portage_knows_its_files() {
    let contents = "dir /usr\nobj /usr/bin/a tool d41d8cd98f00b204e9800998ecf8427e 17\n\
                    sym /usr/bin/b -> a tool 17\nobj /lib64/x d41d8cd98f00b204e9800998ecf8427e 1\nobj short\nfif /run/p\n";
    let entry = "var/db/pkg/sys-apps/a-b-1.2_p3-r4";
    let found = owners(tree(&[
        (&format!("{entry}/CONTENTS"), contents),
        (&format!("{entry}/CHOST"), "x86_64-pc-linux-gnu\n"),
        ("var/db/pkg/sys-apps/no-version/CONTENTS", contents),
        ("usr/bin/a tool", ""),
        ("usr/bin/b", "-> a tool"),
        ("lib64", "-> usr/lib64"),
        ("usr/lib64/x", ""),
    ]));
    let owner = "sys-apps/a-b 1.2_p3-r4 x86_64";
    let paths = ["/usr/bin/a tool", "/usr/bin/b", "/usr/lib64/x"];
    let own = ["CHOST", "CONTENTS"].map(|name| format!("/{entry}/{name} {owner}"));
    assert_eq!(found, paths.map(|path| format!("{path} {owner}")).into_iter().chain(own).collect::<Vec<_>>());
    let mut kept = tree(&[(&format!("{entry}/CONTENTS"), contents), ("usr/bin/b", "-> a tool")]);
    portage::trim(&mut kept).unwrap();
    let trimmed = content(&kept, &fixed_path(&format!("{entry}/CONTENTS"))).unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&trimmed), "sym /usr/bin/b -> a tool 17\n");
}

#[test]
fn names_and_versions_of_portage() {
    for (full, expected) in [
        ("bash-5.2_p37", Some(("bash", "5.2_p37"))),
        ("gcc-14.2.1_p20241221-r7", Some(("gcc", "14.2.1_p20241221-r7"))),
        ("font-adobe-75dpi-1.0.4", Some(("font-adobe-75dpi", "1.0.4"))),
        ("openssl", None),
        ("a-r1", None),
        ("-1", None),
        ("", None),
    ] {
        assert_eq!(portage::split(full), expected, "{full}");
    }
}

#[test]
fn a_malformed_status_is_refused_with_its_place() {
    for status in ["Package: ../x\nVersion: 1\nArchitecture: all\n", "Package: x\nVersion: 1\nArchitecture: a\0b\n"] {
        let error = assign(&mut tree(&[("var/lib/dpkg/status", status)])).unwrap_err();
        assert!(
            error.to_string().starts_with("the package database /var/lib/dpkg/status of the root tree is"),
            "{error}"
        );
        assert_eq!(Error::from(error).class(), Class::Malformed);
    }
}

#[test]
fn a_database_too_large_is_refused() {
    struct Zeros;
    impl minimg_tree::ContentSource for Zeros {
        fn map(&self, _: u64) -> io::Result<Bytes> {
            panic!("it must not be read")
        }
    }
    let mut tree = RootTree::new();
    let content = minimg_tree::Content::lazy(std::sync::Arc::new(Zeros), 0, LARGEST + 1);
    tree.insert(fixed_path(apk::PLACES[0]), Node::new(Kind::File(content), 0o644));
    tree.add_missing_parents();
    let error = assign(&mut tree).unwrap_err();
    assert!(matches!(error, OwnershipError::TooLarge { .. }), "{error}");
}

/// A header of rpm's with these texts and numbers by tag.
fn rpm_header(texts: &[(u32, &[u8])], numbers: &[(u32, &[u32])]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    let mut entry = |tag: u32, kind: u32, at: usize, count: usize| {
        index.extend([tag, kind, at as u32, count as u32].into_iter().flat_map(u32::to_be_bytes));
    };
    for (tag, values) in numbers {
        entry(*tag, 4, data.len(), values.len());
        data.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    }
    for (tag, text) in texts {
        entry(*tag, 8, data.len(), text.split(|byte| *byte == 0).count() - 1);
        data.extend_from_slice(text);
    }
    let counts = [(index.len() / 16) as u32, data.len() as u32];
    [counts.into_iter().flat_map(u32::to_be_bytes).collect(), index, data].concat()
}

fn sqlite(statements: &str, blob: &[u8]) -> Vec<u8> {
    let mut database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute_batch(statements).unwrap();
    if !blob.is_empty() {
        database.execute("INSERT INTO Packages VALUES (1, ?)", [blob]).unwrap();
    }
    database.serialize("main").unwrap().to_vec()
}

/// Few bytes that stand for more than any machine has.
#[test]
fn a_database_that_grows_when_it_is_read_is_refused() {
    const TABLE: &str = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)";
    let view = "CREATE VIEW Packages AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
        SELECT x AS hnum, zeroblob(1000000) AS blob FROM c";
    let generated = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB AS (zeroblob(900000000)));
        INSERT INTO Packages(hnum) VALUES (1)";
    let named: &[(u32, &[u8])] = &[(1000, b"n\0"), (1001, b"1\0"), (1117, &b"a\0".repeat(300_000))];
    let places: &[(u32, &[u32])] = &[(1116, &[0; 300_000])];
    let header = |directory: usize| {
        let directory = [&b"/".repeat(directory)[..], b"\0"].concat();
        rpm_header(&[named, &[(1118, &directory)]].concat(), places)
    };
    let slots: Vec<u8> =
        (0..254).flat_map(|_| [&b"Slot"[..], &[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat()).collect();
    let small = header(1);
    let ndb = [b"RpmP\0\0\0\0\0\0\0\0\x01\0\0\0", &[0; 16][..], &slots, b"BlbS\x01\0\0\0\0\0\0\0"].concat();
    let ndb = [&ndb[..], &(small.len() as u32).to_le_bytes(), &small].concat();
    let apk = format!("P:p\nV:1\nA:x\nF:{}\n{}", "d".repeat(4000), "R:a\n".repeat(200_000));
    let status = "Package: p\nVersion: 1\nArchitecture: x\n\n".repeat(2_000);
    let list = "/aaaaaaaaaaaaaaaa\n".repeat(10_000);
    let cases: [&[(&str, &[u8])]; 8] = [
        &[("lib/apk/db/installed", apk.as_bytes())],
        &[("var/lib/dpkg/status", status.as_bytes()), ("var/lib/dpkg/info/p.list", list.as_bytes())],
        &[("var/lib/rpm/rpmdb.sqlite", &sqlite(view, b""))],
        &[("var/lib/rpm/rpmdb.sqlite", &sqlite(generated, b""))],
        &[("var/lib/rpm/rpmdb.sqlite", &sqlite(TABLE, &header(4000)))],
        &[("var/lib/rpm/rpmdb.sqlite", &sqlite(TABLE, &header(5000)))],
        &[("var/lib/rpm/Packages.db", &ndb)],
        &[("var/lib/rpm/Packages.db", &ndb[..100])],
    ];
    for files in cases {
        let mut tree = RootTree::new();
        for (path, content) in files {
            tree.insert(fixed_path(path), Node::file(0o644, content.to_vec()));
        }
        tree.add_missing_parents();
        let error = assign(&mut tree).unwrap_err();
        assert!(matches!(error, OwnershipError::Malformed { .. }), "{}: {error}", files[0].0);
    }
    assert_eq!(rpm::of_sqlite(&sqlite(TABLE, &small).into()).map(|blobs| blobs.len()), Ok(1));
}

proptest! {
    /// Whatever the databases hold, no file gets two owners, directories get none, and nothing is lost or moved.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0..5_usize) {
        let places = [
            "var/lib/dpkg/status.d/a", "var/lib/dpkg/info/a.list", "lib/apk/db/installed", "var/db/pkg/c/a-1/CONTENTS",
            "var/lib/dpkg/diversions",
        ];
        let mut tree = tree(&[("usr/bin/a", ""), ("var/lib/dpkg/status", "Package: a\nVersion: 1\nArchitecture: all\n")]);
        tree.insert(fixed_path(places[which]), Node::file(0o644, bytes));
        tree.add_missing_parents();
        let before: Vec<RootPath> = tree.iter().map(|(path, _)| path.clone()).collect();
        if assign(&mut tree).is_ok() {
            prop_assert!(before.iter().all(|path| tree.contains(path)));
            prop_assert!(tree.iter().all(|(_, node)| node.package.is_none() || !matches!(node.kind, Kind::Directory)));
        }
    }

    /// What is written as a database is read as it was written.
    #[test]
    fn written_databases_are_read_back(names in proptest::collection::btree_set("[a-z][a-z0-9 ]{0,6}[a-z0-9]", 1..9)) {
        let paths: Vec<String> = names.iter().map(|name| format!("/usr/lib/{name}")).collect();
        let expected: Vec<Box<[u8]>> = paths.iter().map(|path| path.as_bytes().into()).collect();
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        let contents: String = paths.iter().map(|path| format!("obj {path} {sum} 7\n")).collect();
        prop_assert_eq!(portage::parse(contents.as_bytes()), expected.clone());
        let list: String = paths.iter().map(|path| format!("{path}\n")).collect();
        prop_assert_eq!(dpkg::listing(list.as_bytes()).map(Into::into).collect::<Vec<Box<[u8]>>>(), expected.clone());
        let sums: String = paths.iter().map(|path| format!("{sum}  {path}\n")).collect();
        prop_assert_eq!(dpkg::sums(sums.as_bytes()).map(Into::into).collect::<Vec<Box<[u8]>>>(), expected.clone());
        let files: String = names.iter().map(|name| format!("R:{name}\n")).collect();
        let installed = apk::parse(format!("P:p\nV:1\nA:x\nF:/usr/lib\n{files}").as_bytes()).unwrap();
        prop_assert_eq!(&installed[0].paths, &expected);
    }
}
