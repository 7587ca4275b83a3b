//! Locks that somebody edited.

use crate::common::Sandbox;

/// The digest alone does not make a package the one that the lock names, not even where the store has it already.
#[test]
fn a_lock_with_another_version_of_the_same_file_is_refused() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["lock", "busybox-glibc"]);
    sandbox.run(&["build", "busybox-glibc", "--locked", "-q", "-o", "a.tar"]);
    let lock = std::fs::read_to_string(sandbox.path("busybox-glibc.lock")).unwrap();
    let at = lock.find("name = \"busybox\"").unwrap();
    let version = lock[at..].lines().find_map(|line| line.strip_prefix("version = ")).unwrap().to_owned();
    sandbox.write("busybox-glibc.lock", &lock.replacen(&version, "\"9:9\"", 1));
    let said = sandbox.fail(6, &["build", "busybox-glibc", "--locked", "-o", "b.tar"]);
    assert!(said.contains("busybox") && said.contains("9:9") && said.contains(version.trim_matches('"')), "{said}");
    assert!(!sandbox.path("b.tar").exists());
}

#[test]
fn a_stale_lock_says_what_is_different() {
    let sandbox = Sandbox::shared();
    let profile = |packages: &str| {
        sandbox.write("mine.toml", &format!("extends = \"busybox-glibc\"\n[packages]\ndeb = [{packages}]\n"));
    };
    profile("");
    sandbox.run(&["lock", "./mine.toml"]);
    profile("\"netbase\"");
    let said = sandbox.fail(10, &["build", "./mine.toml", "--locked", "-o", "b.tar"]);
    assert!(said.contains("the profile also asks for netbase"), "{said}");
}

#[test]
fn a_lock_that_lost_a_package_or_has_a_wrong_date_is_refused() {
    let sandbox = Sandbox::shared();
    sandbox.run(&["lock", "busybox-glibc"]);
    let lock = std::fs::read_to_string(sandbox.path("busybox-glibc.lock")).unwrap();
    let stanzas: Vec<&str> = lock.split("[[target.pins.packages]]").collect();
    let without = |package: &str| {
        let kept = stanzas.iter().filter(|stanza| !stanza.contains(&format!("name = \"{package}\"\n")));
        kept.copied().collect::<Vec<_>>().join("[[target.pins.packages]]")
    };
    let date = lock.lines().find(|line| line.starts_with("date = ")).unwrap();
    for (text, message) in [
        (without("busybox"), "packages for"),
        (without("libc6"), "packages for"),
        (lock.replacen(date, "date = \"garbage\"", 1), "\"garbage\" of the archive"),
    ] {
        assert_ne!(text, lock);
        sandbox.write("busybox-glibc.lock", &text);
        let said = sandbox.fail(3, &["build", "busybox-glibc", "--locked", "-o", "a.tar"]);
        assert!(said.contains(message) && said.contains("write it again with `minimg lock`"), "{said}");
    }
    sandbox.write("busybox-glibc.lock", &lock);
    sandbox.run(&["build", "busybox-glibc", "--locked", "-q", "-o", "a.tar"]);
}
