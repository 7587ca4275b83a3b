use proptest::prelude::*;

use super::*;
use crate::rootfs::apply_layer;

fn path(name: &str) -> RootPath {
    RootPath::new(name).unwrap()
}

/// What is at a path: `d/`, `link -> target`, `name = file`, `pipe|`, or `file:content`; ` !` after it for another mode.
fn insert(tree: &mut RootTree, line: &str) {
    let (line, is_other) = line.strip_suffix(" !").map_or((line, false), |line| (line, true));
    let (name, mut node) = if let Some((name, target)) = line.split_once(" -> ") {
        (name, Node::symlink(target))
    } else if let Some((name, file)) = line.split_once(" = ") {
        (name, Node::new(Kind::Hardlink(path(file)), 0o644))
    } else if let Some(name) = line.strip_suffix('/') {
        (name, Node::directory(0o755))
    } else if let Some(name) = line.strip_suffix('|') {
        (name, Node::new(Kind::Fifo, 0o644))
    } else {
        let (name, content) = line.split_once(':').unwrap_or((line, ""));
        (name, Node::file(0o644, content.to_owned()))
    };
    node.meta.mode ^= u32::from(is_other);
    tree.insert(path(name), node);
}

fn tree(lines: &[&str]) -> RootTree {
    let mut tree = RootTree::new();
    lines.iter().for_each(|line| insert(&mut tree, line));
    tree
}

/// A line for each path, as [`insert`] reads them, but with all that a layer says of it.
fn printed(tree: &RootTree) -> Vec<String> {
    let first_name = |file: &RootPath| {
        let is_name = |(path, node): &(&RootPath, &Node)| file_of(path, node) == Some(file);
        tree.iter().find(is_name).map(|(path, _)| path.to_string())
    };
    let line = |(path, node): (&RootPath, &Node)| {
        let what = match &node.kind {
            Kind::Directory => "/".to_owned(),
            Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
            Kind::File(_) | Kind::Hardlink(_) => {
                let (file, holder) = tree.content_node(path).unwrap();
                let Kind::File(content) = &holder.kind else { panic!("{path} is not a file") };
                let content = String::from_utf8(content.map().unwrap().to_vec()).unwrap();
                format!(":{content} = {}", first_name(file).unwrap())
            }
            other => format!(" {other:?}"),
        };
        format!("{path}{what} {:?}", node.meta)
    };
    tree.iter().map(line).collect()
}

fn applied(lower: &RootTree, layer: &RootTree) -> Vec<String> {
    let mut tree = lower.clone();
    tree.add_missing_parents();
    apply_layer(&mut tree, layer.clone()).unwrap();
    printed(&tree)
}

/// The tree as a layer leaves it, with the directories that its paths imply.
fn whole(tree: &RootTree) -> RootTree {
    let mut tree = tree.clone();
    tree.add_missing_parents();
    tree
}

#[test]
fn a_layer_has_what_changed_and_nothing_else() {
    let cases: [(&[&str], &[&str], &[&str]); 24] = [
        (&["a:1", "d/", "d/x"], &["a:1", "d/", "d/x"], &[]),
        (&["a:1"], &["a:1", "b:2"], &["/b"]),
        (&["a:1"], &["a:2"], &["/a"]),
        (&["a:1"], &["a:1 !"], &["/a"]),
        (&["a:1", "b"], &["b"], &["/.wh.a"]),
        (&["d/a", "d/b"], &["d/b"], &["/d", "/d/.wh.a"]),
        (&["d/e/a", "d/e/b", "d/x"], &["d/x"], &["/d", "/d/.wh.e"]),
        (&["d/e/a", "d/x"], &["d/e/a:1", "d/x"], &["/d", "/d/e", "/d/e/a"]),
        (&["d/", "d/x"], &["d/ !", "d/x"], &["/d"]),
        // What takes the place of another kind hides it, and all that was below it.
        (&["d/a", "d/b"], &["d:1"], &["/d"]),
        (&["d:1"], &["d/a"], &["/d", "/d/a"]),
        (&["d/a"], &["d -> e", "e/"], &["/d", "/e"]),
        (&["d -> e", "e/a"], &["d/a", "e/a"], &["/d", "/d/a"]),
        (&["d -> e"], &["d -> f"], &["/d"]),
        (&["p|"], &["p"], &["/p"]),
        // Names of one file.
        (&["a:1", "b = a"], &["a:1", "b = a"], &[]),
        (&["a:1", "b = a"], &["b:1", "a = b"], &[]),
        (&["a:1", "b = a"], &["a:2", "b = a"], &["/a", "/b"]),
        (&["a:1"], &["a:1", "b = a"], &["/a", "/b"]),
        (&["a:1", "b = a"], &["b:1"], &["/.wh.a"]),
        (&["a:1", "b = a", "c = a"], &["b:1", "c = b"], &["/.wh.a"]),
        (&["a:1", "b = a"], &["a:1", "b:1"], &["/b"]),
        (&["a:1", "b:1"], &["a:1", "b = a"], &["/a", "/b"]),
        (&["d/a:1", "e/b = d/a", "f"], &["d/a:2", "e/b = d/a", "f"], &["/d", "/d/a", "/e", "/e/b"]),
    ];
    for (lower, upper, expected) in cases {
        let (lower, upper) = (tree(lower), tree(upper));
        let layer = diff(&lower, &upper).unwrap();
        let paths: Vec<String> = layer.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, expected, "{:?} to {:?}", printed(&whole(&lower)), printed(&whole(&upper)));
        assert_eq!(applied(&lower, &layer), printed(&whole(&upper)), "{paths:?}");
    }
}

#[test]
fn what_no_layer_can_have_is_refused() {
    for (lower, upper, expected) in [
        (&[][..], &["d/.wh.a"][..], "/d/.wh.a cannot be in a layer"),
        (&[".wh..opq"], &[], "/.wh..opq cannot be in a layer"),
        (&["a"], &["b = a"], "/b is a hard link to /a"),
    ] {
        let error = diff(&tree(lower), &tree(upper)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// A source whose content cannot be had.
struct Broken;

impl minimg_tree::ContentSource for Broken {
    fn map(&self, _: u64) -> io::Result<bytes::Bytes> {
        Err(io::Error::other("gone"))
    }
}

#[test]
fn content_is_read_only_where_nothing_else_differs() {
    let (source, other) = (Arc::new(Broken), Arc::new(Broken));
    let tree = |source: &Arc<Broken>, key, size, mode| {
        let mut tree = RootTree::new();
        tree.insert(path("a"), Node::new(Kind::File(Content::lazy(source.clone(), key, size)), mode));
        tree
    };
    let lower = tree(&source, 0, 9, 0o644);
    for (upper, expected) in [
        (tree(&source, 0, 9, 0o644), Some(0)),
        (tree(&other, 0, 8, 0o644), Some(1)),
        (tree(&other, 0, 9, 0o600), Some(1)),
        (tree(&other, 0, 9, 0o644), None),
        (tree(&source, 1, 9, 0o644), None),
    ] {
        let layer = diff(&lower, &upper).map_err(|error| error.to_string());
        match expected {
            Some(paths) => assert_eq!(layer.unwrap().len(), paths),
            None => assert_eq!(layer.unwrap_err(), "cannot read the content of /a: gone"),
        }
    }
}

/// Lines of which each takes the place of what they contradict before.
fn built(lines: &[String]) -> RootTree {
    let mut tree = RootTree::new();
    for line in lines {
        let name = path(&line.split(['/', ':', ' ', '|', '.']).next().unwrap().replace('_', "/"));
        for above in name.ancestors() {
            if tree.get(&above).is_some_and(|node| !matches!(node.kind, Kind::Directory)) {
                tree.remove(&above);
            }
        }
        let below: Vec<RootPath> = tree.below(&name).map(|(path, _)| path.clone()).collect();
        below.iter().for_each(|path| drop(tree.remove(path)));
        match line.ends_with('.') {
            true => drop(tree.remove(&name)),
            false => insert(&mut tree, &line.replace('_', "/")),
        }
    }
    let dangling = tree.iter().filter(|(path, _)| tree.content_node(path).is_none()).map(|(path, _)| path.clone());
    dangling.collect::<Vec<_>>().iter().for_each(|path| drop(tree.remove(path)));
    tree
}

/// A line for [`built`]; `_` stands for the slashes within a path, and `.` at the end removes.
fn line() -> impl Strategy<Value = String> {
    let name = "[ab](_[ab]){0,2}";
    let rest = prop_oneof![
        4 => ":[12]( !)?",
        2 => "/( !)?",
        1 => " -> [ab]",
        3 => " = [ab](_[ab]){0,2}",
        1 => Just("|".to_owned()),
        2 => Just(".".to_owned()),
    ];
    (name, rest).prop_map(|(name, rest)| name + &rest)
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(line(), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_diff_over_the_lower_tree_gives_the_upper_one(common in lines(), lower in lines(), upper in lines()) {
        let lower = built(&[&common[..], &lower].concat());
        let upper = built(&[&common[..], &upper].concat());
        let layer = diff(&lower, &upper).unwrap();
        prop_assert_eq!(applied(&lower, &layer), printed(&whole(&upper)));
        let nothing = diff(&upper, &upper).unwrap();
        prop_assert!(nothing.is_empty());
    }
}
