//! The profiles and boards that are in the binary.

use std::collections::BTreeSet;
use std::path::Path;

use minimg::board::Boards;
use minimg::profile::Catalogue;

fn files_in(directory: &str) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_file_is_in_the_table() {
    let profiles: BTreeSet<String> = Catalogue::built_in().names().map(str::to_owned).collect();
    assert_eq!(profiles, files_in("profiles"));
    let boards: BTreeSet<String> = Boards::built_in().names().map(str::to_owned).collect();
    assert_eq!(boards, files_in("board-configs"));
}

#[test]
fn every_profile_and_board_is_read() {
    let (catalogue, boards) = (Catalogue::built_in(), Boards::built_in());
    for profile in catalogue.names() {
        for suite in [None, Some("bookworm")] {
            for board in boards.names() {
                let board = boards.get(board).unwrap_or_else(|error| panic!("failed to {error}"));
                let profile =
                    catalogue.profile(profile, suite, Some(&board)).unwrap_or_else(|error| panic!("failed to {error}"));
                assert!(!profile.description.is_empty(), "{}", profile.name);
                assert!(!profile.packages["deb"].is_empty(), "{}", profile.name);
                assert_eq!(profile.source.suite, suite.unwrap_or("trixie"));
            }
        }
    }
}
