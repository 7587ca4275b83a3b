//! No text makes the reader panic, hang or answer without a place in the text.

use minimg::profile::Catalogue;
use proptest::prelude::*;

use super::{directory, read};

/// Reads bytes as a profile. Whatever is wrong with them, the message must be one that a terminal can show.
fn must_not_panic(bytes: &[u8]) -> Result<(), TestCaseError> {
    let directory = directory(&[]);
    let path = directory.path().join("x.toml");
    std::fs::write(&path, bytes).unwrap();
    match Catalogue::built_in().get(path.to_str().unwrap()) {
        Ok(definition) => drop(definition.profile(Some("bookworm"), None).explain()),
        Err(error) => {
            let message = error.to_string();
            prop_assert!(!message.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{message:?}");
        }
    }
    Ok(())
}

/// A shipped profile with all that can be written in it.
fn sample() -> impl Strategy<Value = String> {
    let names: Vec<String> = Catalogue::built_in().names().map(str::to_owned).collect();
    let text =
        |name: String| std::fs::read_to_string(format!("{}/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let template = minimg::profile::template("x");
    prop_oneof![proptest::sample::select(names).prop_map(text), Just(template.replace("\n#", "\n"))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        must_not_panic(&bytes)?;
    }

    #[test]
    fn any_text(text in "[ -~\n\u{0}-\u{ff}\"'=\\[\\]{}#.]{0,200}") {
        must_not_panic(text.as_bytes())?;
    }

    #[test]
    fn cut_short(text in sample(), part in 0.0..1.0) {
        let length = (text.len() as f64 * part) as usize;
        must_not_panic(&text.as_bytes()[..length])?;
    }

    #[test]
    fn changed(text in sample(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        must_not_panic(&bytes)?;
    }

    #[test]
    fn lines_in_any_order(text in sample(), order in proptest::collection::vec(any::<prop::sample::Index>(), 1..40)) {
        let lines: Vec<&str> = text.lines().collect();
        let shuffled: Vec<&str> = order.iter().map(|at| lines[at.index(lines.len())]).collect();
        must_not_panic(shuffled.join("\n").as_bytes())?;
    }
}

#[test]
fn large_and_deep_texts_are_refused_or_read_with_a_short_message() {
    let million = 1_000_000;
    for (what, text) in [
        ("nested arrays", format!("x = {}", "[".repeat(million))),
        ("nested tables", format!("x = {}", "{a=".repeat(million / 3))),
        ("a long dotted key", format!("{} = 1", "a.".repeat(million / 2))),
        ("a long header", format!("[{}a]", "a.".repeat(million / 2))),
        ("many elements", format!("[packages]\ndeb = [{}]", "'a',".repeat(million / 4))),
        ("many unknown keys", (0..100_000).map(|n| format!("k{n}=1\n")).collect()),
        ("a long unknown key", format!("{} = 1", "a".repeat(million))),
        ("a long string", format!("description = '{}'", "a".repeat(million))),
        ("many files", "[[add.files]]\npath='/x'\n".repeat(40_000)),
        ("many links", format!("[add.links]\n{}", (0..50_000).map(|n| format!("'/{n}'='x'\n")).collect::<String>())),
        ("a long glob", format!("[keep.globs]\n'/{}' = 'x'", "{a,".repeat(300_000))),
        ("one long line of errors", format!("x = [{}", "1 1 ".repeat(200_000))),
    ] {
        let message = read(&text).map(|_| String::new()).unwrap_or_else(|message| message);
        assert!(message.len() < 20_000, "{what}: a message of {} bytes", message.len());
    }
}
