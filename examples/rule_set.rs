//! Adds a rule set and prints what it keeps, and why: `cargo run --example rule_set`.

use std::error::Error;
use std::fs;

use minimg::closure::{ClosureOptions, closure_of};
use minimg::profile::{Keep, Pattern, Rules};
use minimg::tree::{Node, RootPath, RootTree};

/// What no walk over the plugin can see: it opens its phrases by a name that it puts together while it runs.
const RULE_SET: &str = r#"
name = "greeter"
description = "the phrases of the greeter plugin"
keep = ["/usr/share/greeter/**"]

[[trigger]]
path = "/usr/lib/greeter/*.plugin"
certain = true
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("greeter.toml"), RULE_SET)?;
    let rule_sets = Rules::built_in().with_directory(directory.path())?;

    let mut tree = RootTree::new();
    for path in ["usr/lib/greeter/polite.plugin", "usr/share/greeter/phrases", "usr/share/doc/greeter/manual"] {
        tree.insert(RootPath::new(path)?, Node::file(0o644, path));
    }
    tree.add_missing_parents();

    let plugin = Pattern { glob: "/usr/lib/greeter/*".into(), reason: "the plugin".into() };
    let keep = Keep { keep: vec![plugin], rule_sets, ..Keep::default() };
    let closure = closure_of(&tree, &keep, ClosureOptions::default())?;
    for (path, reason) in &closure.kept {
        println!("{path}: {}", reason.why);
    }
    Ok(())
}
