//! A user's own rule sets: they add to the built-in ones or hide them, and their triggers may be globs.

use std::fs;
use std::path::Path;

use minimg::closure::rules::RuleSetError;
use minimg::closure::{Closure, ClosureOptions, Keep, Policy, Rules, closure_of};
use minimg::profile::Catalogue;
use minimg::tree::{Node, RootPath, RootTree};

fn tree() -> RootTree {
    let mut tree = RootTree::new();
    for path in ["opt/acme/2/bin/acme", "usr/lib/libacme-2.so.1", "srv/plugins/a.so", "srv/data", "bin/sh"] {
        tree.insert(RootPath::new(path).unwrap(), Node::file(0o755, "no ELF file"));
    }
    tree.add_missing_parents();
    tree
}

fn rules(directory: &Path, files: &[(&str, &str)]) -> Result<Rules, RuleSetError> {
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
    Rules::built_in().with_directory(directory)
}

fn closure(programs: &[&str], named: &[&str], rules: &Rules) -> Closure {
    let text = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let mut keep = Keep { programs: text(programs), rules: text(named), rule_sets: rules.clone(), ..Keep::default() };
    keep.closure.triggers = Policy::Report;
    closure_of(&tree(), &keep, ClosureOptions::default()).unwrap()
}

fn kept(closure: &Closure) -> Vec<String> {
    closure.kept.keys().map(ToString::to_string).collect()
}

#[test]
fn they_are_named_and_hide_built_in_ones() {
    let own = tempfile::tempdir().unwrap();
    let files = [
        ("acme.toml", "name = 'acme'\ndescription = 'data'\nkeep = ['/srv/data']\nrequires = ['shells']"),
        ("shells.toml", "name = 'shells'\ndescription = 'another'\nkeep = ['/srv/plugins/*']"),
        ("notes.txt", "no rule set"),
    ];
    let rules = rules(own.path(), &files).unwrap();
    assert_eq!(rules.all().count(), Rules::built_in().all().count() + 1);
    assert_eq!(kept(&closure(&[], &["acme"], &rules)), ["/srv/data", "/srv/plugins/a.so"]);
    assert_eq!(kept(&closure(&[], &["shells"], &Rules::built_in())), ["/bin/sh"]);
}

#[test]
fn triggers_may_be_globs() {
    let own = tempfile::tempdir().unwrap();
    let head = "description = 'of acme'\n";
    let data = "name = 'data'\nkeep = ['/srv/data']\n[[trigger]]\npath = '/opt/acme/*/bin/acme'\ncertain = true";
    let plugins = "name = 'plugins'\nkeep = ['/srv/plugins/*']\n[[trigger]]\nlibrary = 'libacme-[0-9].so.?'";
    let (data, plugins) = (format!("{head}{data}"), format!("{head}{plugins}"));
    let files = [("data.toml", data.as_str()), ("plugins.toml", plugins.as_str())];
    let rules = rules(own.path(), &files).unwrap();
    let acme = closure(&["/opt/acme/2/bin/acme"], &[], &rules);
    assert_eq!(kept(&acme), ["/opt/acme/2/bin/acme", "/srv/data"]);
    let library = closure(&["/usr/lib/libacme-2.so.1"], &[], &rules);
    assert_eq!(kept(&library), ["/usr/lib/libacme-2.so.1"]);
    let finding = &library.findings[0];
    assert!(finding.message.contains("the rule set plugins (of acme)"), "{finding:?}");
    assert_eq!(finding.path, "/usr/lib/libacme-2.so.1");
}

#[test]
fn a_broken_file_is_told_with_its_path_and_a_remedy() {
    let own = tempfile::tempdir().unwrap();
    let error = rules(own.path(), &[("acme.toml", "name = 'acme'\nkeeps = []")]).unwrap_err().to_string();
    let path = own.path().join("acme.toml").display().to_string();
    let is_told = [&*path, "unknown field `keeps`", "correct the line"].iter().all(|part| error.contains(part));
    assert!(is_told, "{error}");
    let none = Rules::built_in().with_directory(&own.path().join("none")).unwrap_err().to_string();
    assert!(none.contains("/none: ") && none.contains("regular .toml files"), "{none}");
}

#[test]
fn profiles_may_name_them_and_their_content_belongs_to_the_recipe() {
    let own = tempfile::tempdir().unwrap();
    let rules = rules(own.path(), &[("acme.toml", "name = 'acme'\ndescription = 'x'\nkeep = ['/srv/data']")]).unwrap();
    let path = own.path().join("p/small.toml");
    fs::create_dir(own.path().join("p")).unwrap();
    fs::write(&path, "description = 'small'\n[keep]\nrules = ['acme']\n").unwrap();
    let path = path.display().to_string();
    let refused = Catalogue::built_in().get(&path).unwrap_err().to_string();
    assert!(refused.contains("acme"), "{refused}");
    let profile = Catalogue::built_in().with_rules(rules).profile(&path, None, None).unwrap();
    assert_eq!(profile.keep.rules, ["acme"]);
    let written = serde_json::to_value(&profile.keep).unwrap();
    assert_eq!(written["rule_sets"][0]["keep"][0], "/srv/data");
    let without = Catalogue::built_in().profile("static", None, None).unwrap();
    assert!(serde_json::to_value(&without.keep).unwrap().get("rule_sets").is_none());
}
