//! The user's guide says what the program does.

use minimg::board::Boards;
use minimg::profile::{self, Catalogue};
use serde_json::Value;

use super::{files_in, message};

fn guide(name: &str) -> String {
    std::fs::read_to_string(format!("{}/docs/{name}.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The blocks of a language in a document.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn examples_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["site", "target/release"] {
        std::fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    for name in ["index.html", "target/release/app"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let path = directory.path().join("x.toml");
    for example in blocks(&guide("profiles"), "toml") {
        std::fs::write(&path, &example).unwrap();
        let read = Catalogue::built_in().get(path.to_str().unwrap());
        assert!(read.is_ok(), "{example}\n{}", message(&read.unwrap_err(), directory.path()));
    }
    for example in blocks(&guide("boards"), "toml") {
        std::fs::write(&path, &example).unwrap();
        let read = Boards::built_in().get(path.to_str().unwrap());
        assert!(read.is_ok(), "{example}\n{}", message(&read.unwrap_err(), directory.path()));
    }
}

#[test]
fn the_shown_error_is_the_real_one() {
    let text = "[image]\nentrypiont = [\"/usr/sbin/nginx\"]\ncmd = \"-g daemon\"\n";
    let message = super::read(text).unwrap_err();
    assert!(guide("profiles").contains(&format!("```\n{message}\n```\n")), "docs/profiles.md lacks:\n{message}");
}

#[test]
fn every_key_profile_and_board_is_there() {
    let (profiles, boards) = (guide("profiles"), guide("boards"));
    let schema = profile::schema();
    let parts = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for key in parts.filter_map(|part| part.get("properties").and_then(Value::as_object)).flat_map(|keys| keys.keys()) {
        let told = [
            format!("`{key}`"),
            format!("{key} = "),
            format!(".{key}."),
            format!(".{key}]"),
            format!("[{key}]"),
            format!("[{key}."),
        ];
        assert!(told.iter().any(|told| profiles.contains(told)), "docs/profiles.md does not tell of `{key}`");
    }
    for name in files_in("profiles") {
        assert!(profiles.contains(&format!("| `{name}` |")), "docs/profiles.md lacks {name}");
    }
    for name in files_in("board-configs") {
        let board = Boards::built_in().get(&name).unwrap();
        let row = boards.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/boards.md lacks {name}"));
        let generic = board.names.deb.as_deref() == Some(name.as_str());
        let told = if generic { board.platform.to_string() } else { board.buildroot_defconfig.unwrap_or_default() };
        assert!(row.contains(&told), "docs/boards.md says {row:?}, and the board {told:?}");
    }
}
