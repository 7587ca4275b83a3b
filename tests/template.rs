//! The profile that `minimg init` writes: as it stands, and with all of its examples at once, in both suites.

use crate::common::Sandbox;

#[test]
fn the_template_builds_as_it_stands_and_with_all_of_its_examples() {
    let sandbox = Sandbox::shared().live();
    sandbox.run(&["init", "hello.toml"]);
    let text = std::fs::read_to_string(sandbox.path("hello.toml")).unwrap();
    let prose = |line: &&str| !line.starts_with("# ");
    let all: Vec<_> = text.lines().filter(prose).map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    sandbox.write("all.toml", &all.join("\n"));
    // The example names a suite: without it the other one must do as well.
    let trixie: Vec<_> = all.iter().filter(|line| !line.starts_with("suite = ")).copied().collect();
    sandbox.write("trixie.toml", &trixie.join("\n"));
    for name in ["hello.toml", "all.toml", "trixie.toml"] {
        sandbox.run(&["build", &format!("./{name}"), "-q", "-o", "x.tar"]);
    }
}

#[test]
fn a_profile_gets_no_name_that_its_image_cannot_have() {
    let sandbox = Sandbox::shared().live();
    for name in ["Größe.toml", "a b.toml", "\"x.toml", "-.toml", "UPPER.toml"] {
        let said = sandbox.fail(2, &["init", "--", name]);
        assert!(said.contains("cannot be a profile's name"), "{name}: {said}");
        assert!(!sandbox.path(name).exists());
    }
}
