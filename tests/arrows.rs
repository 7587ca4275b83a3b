//! The arrows between the modules of each crate run one way: no top-level module uses, by way of others, one that uses it.
//!
//! The compiler keeps the arrows between crates straight; inside a crate nobody does, so the `use` lines and the paths that begin with
//! `crate::` are read here. The root of a crate is not a module of this graph: what it only re-exports counts as the module that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module by module, those that it uses, each with the file that says so.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn no_modules_of_a_crate_form_a_circle() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates = vec![workspace.to_owned()];
    for folder in ["crates", "backends"] {
        let entries = fs::read_dir(workspace.join(folder)).expect("the folder of crates");
        crates.extend(
            entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("src/lib.rs").is_file()),
        );
    }
    crates.sort();
    let circles: Vec<String> = crates.iter().flat_map(|directory| circles_of(directory)).collect();
    assert!(circles.is_empty(), "modules that need one another:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_and_named() {
    let mut graph = Graph::new();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")] {
        graph.entry(from.into()).or_default().insert(to.into(), format!("src/{from}.rs"));
    }
    assert_eq!(circle(&graph).expect("a circle"), ["a", "b", "c", "a"]);
    graph.remove("c");
    assert_eq!(circle(&graph), None);
}

#[test]
fn uses_are_read_as_the_compiler_does() {
    let text = "use super::{b::{C, D}, self as e};\nuse crate::f;\npub(crate) use self::g::H;\nfn x() { crate::i::j(); }\n\
                // crate::comment\n#[cfg(test)]\nmod tests {\n    use crate::only_in_tests;\n}\n";
    let paths = paths(text, &["a", "z"].map(str::to_owned));
    let expected = ["a", "a::b::C", "a::b::D", "a::z::g::H", "f", "i"];
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), expected);
}

/// The circles of one crate, one after another: each is reported once, with the files that make it.
fn circles_of(directory: &Path) -> Vec<String> {
    let mut graph = graph(&directory.join("src"));
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    while let Some(circle) = circle(&graph) {
        let steps =
            circle.windows(2).map(|pair| format!("{} uses {} ({})", pair[0], pair[1], graph[&pair[0]][&pair[1]]));
        found.push(format!("  {name}: {}", steps.collect::<Vec<_>>().join(", ")));
        // The last arrow is taken away, so that other circles are found too.
        if let [.., from, to] = circle.as_slice() {
            graph.get_mut(from).map(|uses| uses.remove(to));
        }
    }
    found
}

/// A way from a module back to itself.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(graph: &Graph, at: &str, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let is_closed = way.iter().any(|module| module == at);
        way.push(at.to_owned());
        if is_closed {
            return true;
        }
        let uses = graph.get(at).into_iter().flat_map(BTreeMap::keys).filter(|to| *to != at);
        for to in uses {
            if !done.contains(to) && visit(graph, to, way, done) {
                return true;
            }
        }
        way.pop();
        done.insert(at.to_owned());
        false
    }
    let mut done = BTreeSet::new();
    for start in graph.keys() {
        let mut way = Vec::new();
        if !done.contains(start) && visit(graph, start, &mut way, &mut done) {
            let first = way.iter().position(|module| Some(module) == way.last())?;
            return Some(way.split_off(first));
        }
    }
    None
}

/// Which top-level modules of the crate in `source` use which.
fn graph(source: &Path) -> Graph {
    let root = fs::read_to_string(source.join("lib.rs")).expect("the root of a crate");
    let exported = exports(&root);
    let mut graph = Graph::new();
    for file in files(source) {
        let relative = file.strip_prefix(source).expect("a file below it").with_extension("");
        let mut module: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        module.pop_if(|last| last == "mod");
        let is_root = matches!(module.as_slice(), [one] if one == "lib" || one == "main");
        if is_root || module.last().is_some_and(|last| last == "tests" || last.ends_with("_tests")) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        for path in paths(&text, &module) {
            let first = path.split("::").next().unwrap_or_default();
            let used = exported.get(first).map_or(first, String::as_str);
            if used != module[0] && is_module(source, used) {
                let shown = Path::new("src").join(file.strip_prefix(source).expect("a file below it"));
                let uses = graph.entry(module[0].clone()).or_default();
                uses.entry(used.to_owned()).or_insert_with(|| shown.display().to_string());
            }
        }
    }
    graph
}

fn is_module(source: &Path, name: &str) -> bool {
    source.join(format!("{name}.rs")).is_file() || source.join(name).join("mod.rs").is_file()
}

/// What the root of a crate re-exports: the name, and the module that has it.
fn exports(root: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in paths(root, &[]) {
        let parts: Vec<&str> = path.split("::").collect();
        if let [module, .., name] = parts.as_slice() {
            found.insert((*name).to_owned(), (*module).to_owned());
        }
    }
    found
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The paths inside its crate that the file of `module` uses, without the crate's own name. What modules of tests use does not count.
fn paths(text: &str, module: &[String]) -> BTreeSet<String> {
    let text = without_tests_and_comments(text);
    let mut found = BTreeSet::new();
    for statement in text.split(';') {
        let Some(at) = start_of_use(statement) else { continue };
        let tree: String = statement[at..].split_whitespace().collect::<Vec<_>>().join(" ");
        found.extend(expand(&tree).iter().filter_map(|path| absolute(path, module)));
    }
    for (at, prefix) in text.match_indices("crate::") {
        let rest = &text[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 && !text[..at].ends_with('$') {
            found.insert(rest[..end].to_owned());
        }
    }
    found
}

/// Where the path of a `use` begins, if the statement ends with one.
fn start_of_use(statement: &str) -> Option<usize> {
    let at = statement.rfind("use ")?;
    let before = statement[..at].lines().next_back().unwrap_or_default().trim();
    let is_use = before.is_empty() || before.starts_with("pub") || before.ends_with(']');
    let start = at + "use ".len();
    // A string may hold the word, and anything after it.
    let is_tree = statement[start..].chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_:{},*".contains(c));
    (is_use && is_tree).then_some(start)
}

/// `a::{b, c::{d}}` as `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.trim().to_owned()];
    };
    let close = tree.rfind('}').unwrap_or(tree.len());
    let (mut depth, mut start, inside) = (0, 0, &tree[open + 1..close]);
    let mut parts = Vec::new();
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    let inner = parts.into_iter().filter(|part| !part.trim().is_empty()).flat_map(expand);
    inner.map(|path| format!("{}{path}", &tree[..open])).collect()
}

/// A path as it is from the crate's root; `None` for one of another crate.
fn absolute(path: &str, module: &[String]) -> Option<String> {
    let path = path.strip_suffix("::self").unwrap_or(path);
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut base = module.to_vec();
    let at_root = module.is_empty();
    match parts.first().copied()? {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while parts.first() == Some(&"super") {
                base.pop();
                parts.remove(0);
            }
            parts.insert(0, "super");
        }
        // In the root of a crate its modules are named as they are.
        _ if at_root => parts.insert(0, ""),
        _ => return None,
    }
    base.extend(parts[1..].iter().map(|part| (*part).to_owned()));
    (!base.is_empty()).then(|| base.join("::"))
}

fn without_tests_and_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("mod tests {") {
            let end = format!("{}}}", " ".repeat(indent));
            lines.by_ref().find(|line| *line == end);
        } else if !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
