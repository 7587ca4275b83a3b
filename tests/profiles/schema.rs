//! The JSON Schemas that editors use agree with the reader.

use minimg::board::{self, Boards};
use minimg::profile;
use serde_json::Value;

use super::read;

fn json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn shipped(directory: &str) -> impl Iterator<Item = (String, String)> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    std::fs::read_dir(directory).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.display().to_string(), std::fs::read_to_string(path).unwrap())
    })
}

#[test]
fn what_is_shipped_fits() {
    for (schema, directory) in [(profile::schema(), "profiles"), (board::schema(), "board-configs")] {
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for (name, text) in shipped(directory) {
            let errors: Vec<_> = validator.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
    }
    let validator = jsonschema::draft202012::new(&profile::schema()).unwrap();
    assert!(validator.is_valid(&json(&profile::template("x"))));
}

#[test]
fn the_schemas_are_schemas() {
    for schema in [profile::schema(), board::schema()] {
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        assert!(!schema.to_string().contains("null"), "TOML has no null");
    }
}

#[test]
fn every_key_is_described() {
    fn visit(path: &str, schema: &Value) {
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            assert!(property.get("description").is_some(), "{path}.{name}");
        }
    }
    for schema in [profile::schema(), board::schema()] {
        visit("", &schema);
        schema["$defs"].as_object().unwrap().iter().for_each(|(name, part)| visit(name, part));
    }
}

#[test]
fn what_is_wrong_fails_in_both() {
    let validator = jsonschema::draft202012::new(&profile::schema()).unwrap();
    for text in [
        "unknown = 1",
        "description = 1",
        "tests = 1",
        "backend = ['deb']",
        "[image]\nentrypoint = 'x'",
        "[image]\ncmd = [1]",
        "[image]\nworkdir = 'relative'",
        "[image]\nports = ['x']",
        "[image]\nstop-signal = 'sig term'",
        "[image]\nenv = { 'A=B' = 'x' }",
        "[image]\nhealthcheck = { interval = '3s' }",
        "[image]\nhealthcheck = { command = ['x'], interval = 'soon' }",
        "[image]\nhealthcheck = { command = ['x'], retries = -1 }",
        "[closure]\nsuggested = 'never'",
        "[closure]\nhwcaps = 'yes'",
        "[keep.globs]\n'relative' = 'x'",
        "[keep.globs]\n'/x' = 1",
        "[add.links]\n'relative' = 'x'",
        "[[add.files]]\npath = '/x'",
        "[[add.files]]\npath = '/x'\ncontent = ''\nfrom = 'beside'",
        "[[add.files]]\npath = '/x'\ncontent = ''\nmode = '0999'",
        "[[add.files]]\npath = '/x'\ncontent = ''\nmode = 420",
        "[[add.accounts]]\nname = 'x'",
        "[[add.accounts]]\nname = 'x'\nuid = -1",
        "[[add.accounts]]\nname = 'x'\nuid = 4294967295",
        "[[add.accounts]]\nname = 'a b'\nuid = 1",
        "[[tests]]\nname = 'x'\ncommand = []",
        "[[tests]]\nname = 'x'\ncommand = ['x']\nexit = 256",
        "[packages]\ndeb = 'x'",
        "[packages]\nslackware = ['x']",
        "[packages]\ndeb = ['a b']",
        "[source]\nmirror = 'ftp://x'",
        "[suite.bookworm]\nextends = 'x'",
        "[suite]\nbookworm = 1",
    ] {
        assert!(!validator.is_valid(&json(text)), "the schema takes: {text}");
        assert!(read(text).is_err(), "the reader takes: {text}");
    }
}

#[test]
fn wrong_boards_fail_in_both() {
    let validator = jsonschema::draft202012::new(&board::schema()).unwrap();
    let right = "description = 'x'\n[platform]\narchitecture = 'arm'\n[names]\n";
    for (text, fits) in [
        (right.to_owned(), true),
        (String::new(), false),
        (format!("unknown = 1\n{right}"), false),
        (format!("size-budget = -1\n{right}"), false),
        (format!("size-budget = '1 MB'\n{right}"), false),
        (right.replace("architecture", "os = 'windows'\narchitecture"), false),
        (right.replace("'arm'", "1"), false),
    ] {
        let directory = super::directory(&[("x.toml", &text)]);
        let read = Boards::built_in().get(directory.path().join("x.toml").to_str().unwrap());
        assert_eq!((validator.is_valid(&json(&text)), read.is_ok()), (fits, fits), "{text}");
    }
}
