//! What is in the binary, and the directories that add to it.

use std::collections::BTreeMap;

use minimg::Class;
use minimg::board::Boards;
use minimg::profile::Catalogue;

use super::{directory, message};

#[test]
fn every_profile_is_read_for_every_suite_and_board() {
    let (catalogue, boards) = (Catalogue::built_in(), Boards::built_in());
    let boards: Vec<_> = boards.names().map(|name| boards.get(name).unwrap()).collect();
    for name in catalogue.names() {
        let definition = catalogue.get(name).unwrap_or_else(|error| panic!("{error}"));
        for (suite, board) in
            [None, Some("bookworm")].iter().flat_map(|suite| boards.iter().map(move |board| (*suite, board)))
        {
            let profile = definition.profile(suite, Some(board));
            assert_eq!((profile.name.as_str(), profile.backend.as_str()), (name, "deb"));
            assert_eq!(profile.source.distribution, "debian");
            assert_eq!(profile.source.suite, suite.unwrap_or("trixie"));
            assert!(!profile.description.is_empty() && !profile.packages["deb"].is_empty(), "{name}");
            let keeps = profile.keep.programs.len() + profile.keep.packages.len() + profile.keep.rules.len();
            assert!(keeps > 0, "{name} keeps nothing");
            assert_eq!(profile.source.mirror, None, "a shipped profile is for everybody's mirror");
        }
    }
}

#[test]
fn every_profile_with_a_program_shows_that_it_works() {
    let (catalogue, amd64) = (Catalogue::built_in(), Boards::built_in().get("amd64").unwrap());
    for name in catalogue.names().filter(|name| *name != "static") {
        let profile = catalogue.profile(name, None, Some(&amd64)).unwrap();
        assert!(!profile.tests.is_empty(), "{name}");
        assert!(profile.tests.iter().any(|test| test.exit == 0), "{name}: some test must succeed");
    }
}

#[test]
fn rule_sets_of_shipped_profiles_exist() {
    let catalogue = Catalogue::built_in();
    for name in catalogue.names() {
        for rule in catalogue.profile(name, None, None).unwrap().keep.rules {
            assert!(minimg::closure::Rules::built_in().named(&rule).is_some(), "{name} lists {rule}");
        }
    }
}

#[test]
fn owners_and_users_of_shipped_profiles_have_accounts() {
    let catalogue = Catalogue::built_in();
    for name in catalogue.names() {
        let profile = catalogue.profile(name, None, None).unwrap();
        let usual = ["root", "nobody", "nonroot"].map(str::to_owned);
        let users: Vec<_> =
            profile.add.accounts.iter().map(|account| account.name.clone()).chain(usual.clone()).collect();
        let groups: Vec<_> = profile.add.accounts.iter().map(|account| account.group.clone()).chain(usual).collect();
        let files = profile.add.files.iter().map(|file| (&file.owner, &file.group));
        let directories = profile.add.directories.iter().map(|directory| (&directory.owner, &directory.group));
        for (owner, group) in files.chain(directories) {
            assert!(users.contains(owner) && groups.contains(group), "{name}: {owner}:{group}");
        }
        assert!(profile.image.user.is_empty() || users.contains(&profile.image.user), "{name}: {}", profile.image.user);
    }
}

#[test]
fn what_architectures_are_called_agrees_between_boards() {
    let boards = Boards::built_in();
    let mut emulators = BTreeMap::new();
    for board in boards.names().map(|name| boards.get(name).unwrap()) {
        assert!(!board.description.is_empty(), "{}", board.name);
        let deb = board.names.deb.clone().unwrap_or_else(|| panic!("{} has no Debian", board.name));
        let same = (board.platform.architecture.clone(), board.qemu.clone(), board.names.rpm.clone());
        assert_eq!(emulators.entry(deb).or_insert_with(|| same.clone()), &same, "{}", board.name);
    }
    let generic: Vec<_> = emulators.keys().map(String::as_str).collect();
    assert_eq!(generic, ["amd64", "arm64", "armel", "armhf", "i386", "mips64el", "ppc64el", "riscv64", "s390x"]);
}

#[test]
fn platforms_are_those_that_registries_know() {
    let boards = Boards::built_in();
    let platforms: Vec<String> =
        boards.names().map(|name| format!("{name} {}", boards.get(name).unwrap().platform)).collect();
    insta::assert_snapshot!(platforms.join("\n"), @r##"
    amd64 linux/amd64
    arm64 linux/arm64/v8
    armel linux/arm/v5
    armhf linux/arm/v7
    beaglebone-black linux/arm/v7
    beagleplay linux/arm64/v8
    hifive-unmatched linux/riscv64
    i386 linux/386
    mips64el linux/mips64le
    olinuxino-lime2 linux/arm/v7
    pine64 linux/arm64/v8
    ppc64el linux/ppc64le
    raspberry-pi-1 linux/arm/v6
    raspberry-pi-2 linux/arm/v7
    raspberry-pi-3 linux/arm64/v8
    raspberry-pi-4 linux/arm64/v8
    raspberry-pi-5 linux/arm64/v8
    raspberry-pi-zero linux/arm/v6
    raspberry-pi-zero-2-w linux/arm64/v8
    riscv64 linux/riscv64
    rock-5b linux/arm64/v8
    rockpro64 linux/arm64/v8
    s390x linux/s390x
    sheevaplug linux/arm/v5
    visionfive-2 linux/riscv64
    "##);
}

#[test]
fn a_directory_adds_and_hides() {
    let dir = directory(&[
        ("mine.toml", "description = 'mine'\nextends = 'curl'"),
        ("curl.toml", "extends = 'curl'\ndescription = 'curl with jq'\n[packages]\ndeb = ['jq']"),
        ("notes.txt", "not a profile"),
    ]);
    let catalogue = Catalogue::built_in().with_directory(dir.path()).unwrap();
    let names: Vec<_> = catalogue.names().collect();
    assert!(names.contains(&"mine") && names.contains(&"bash") && !names.contains(&"notes"));
    let mine = catalogue.profile("mine", None, None).unwrap();
    assert_eq!(mine.description, "mine");
    assert_eq!(
        mine.packages["deb"],
        ["base-files", "ca-certificates", "curl", "jq"],
        "the user's curl, on the shipped one"
    );
    assert_eq!(mine.image.entrypoint, ["/usr/bin/curl"]);
}

#[test]
fn a_directory_of_boards_adds_and_hides() {
    let dir = directory(&[(
        "amd64.toml",
        "description = 'ours'\n[platform]\narchitecture = 'amd64'\n[names]\ndeb = 'amd64'",
    )]);
    let boards = Boards::built_in().with_directory(dir.path()).unwrap();
    assert_eq!(boards.get("amd64").unwrap().description, "ours");
    assert_eq!(boards.get("arm64").unwrap().platform.to_string(), "linux/arm64/v8");
}

#[test]
fn paths_from_a_profile_start_at_its_directory() {
    let dir = directory(&[
        ("base.toml", "description = 'base'\n[source]\nkeyring = 'keys.gpg'"),
        ("x.toml", "extends = './base.toml'\n[[add.files]]\npath = '/etc/motd'\nfrom = 'motd'\nmode = '0600'"),
        ("motd", "hello\n"),
    ]);
    let path = dir.path().join("x.toml");
    let profile = Catalogue::built_in().profile(path.to_str().unwrap(), None, None).unwrap();
    assert_eq!(profile.source.keyring, Some(dir.path().join("keys.gpg")));
    assert_eq!((profile.add.files[0].content.as_slice(), profile.add.files[0].mode), (b"hello\n".as_slice(), 0o600));
}

#[test]
fn a_wrong_name_gets_the_right_one() {
    let error = Catalogue::built_in().get("ngnix").unwrap_err();
    assert_eq!(error.class(), Class::Profile);
    insta::assert_snapshot!(error.to_string(), @r##"
    cannot find the profile `ngnix`: no such name; did you mean `nginx`? (name your own profile by a path that contains a `/` or ends in `.toml`)
    "##);
    let error = Boards::built_in().get("rasberry-pi-4").unwrap_err();
    insta::assert_snapshot!(error.to_string(), @r##"
    cannot find the board `rasberry-pi-4`: no such name; did you mean `raspberry-pi-4`? (name your own board by a path that contains a `/` or ends in `.toml`)
    "##);
}

#[test]
fn what_cannot_be_read_is_said() {
    let dir = directory(&[]);
    let missing = dir.path().join("x.toml");
    let error = Catalogue::built_in().get(missing.to_str().unwrap()).unwrap_err();
    assert_eq!(error.class(), Class::Profile);
    insta::assert_snapshot!(message(&error, dir.path()), @r##"
    cannot read x.toml: No such file or directory (os error 2)
    "##);
    let directory_itself = dir.path().join("");
    let error = Catalogue::built_in().get(directory_itself.to_str().unwrap()).unwrap_err();
    assert_eq!(error.class(), Class::Profile);
    let large = directory(&[("x.toml", &"#".repeat((1 << 20) + 1))]);
    let error = Catalogue::built_in().get(large.path().join("x.toml").to_str().unwrap()).unwrap_err();
    insta::assert_snapshot!(message(&error, large.path()), @r##"
    cannot read x.toml: it has more than 1048576 bytes
    "##);
}

#[test]
fn a_fifo_in_place_of_a_profile_does_not_block() {
    let dir = directory(&[]);
    let path = dir.path().join("x.toml");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = Catalogue::built_in().get(path.to_str().unwrap()).unwrap_err();
    insta::assert_snapshot!(message(&error, dir.path()), @r##"
    cannot read x.toml: it is not a regular file
    "##);
}
