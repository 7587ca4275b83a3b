use super::*;

fn tree(lines: &[&str]) -> RootTree {
    let mut tree = RootTree::new();
    for line in lines {
        let (path, node) = match line.split_once(" -> ") {
            Some((path, target)) => (path, Node::symlink(target)),
            None if line.contains(" = ") => {
                let (path, target) = line.split_once(" = ").unwrap();
                (path, Node::new(crate::tree::Kind::Hardlink(RootPath::new(target).unwrap()), 0o644))
            }
            None if line.ends_with('/') => (*line, Node::directory(0o755)),
            None => (*line, Node::file(0o644, line.to_string())),
        };
        tree.insert(RootPath::new(path).unwrap(), node);
    }
    tree.add_missing_parents();
    tree
}

fn overlay(lower: &[&str], upper: &[&str]) -> Result<Vec<String>, String> {
    let mut lower = tree(lower);
    apply_layer(&mut lower, tree(upper)).map_err(|error| error.to_string())?;
    Ok(lower.iter().map(|(path, _)| path.to_string()).collect())
}

#[test]
fn layers_are_put_over_one_another() {
    let cases: [(&[&str], &[&str], &[&str]); 7] = [
        (&["a", "b"], &["b", "c"], &["/a", "/b", "/c"]),
        (&["d/a", "d/b"], &["d/.wh.a"], &["/d", "/d/b"]),
        (&["d/a/x", "d/b"], &["d/.wh.a", "d/c"], &["/d", "/d/b", "/d/c"]),
        (&["d/a", "d/b"], &["d/.wh..wh..opq", "d/c"], &["/d", "/d/c"]),
        (&["d/x/y"], &["d"], &["/d"]),
        (&["d"], &["d/x"], &["/d", "/d/x"]),
        (&["usr/bin/", "bin -> usr/bin"], &["bin/x"], &["/bin", "/usr", "/usr/bin", "/usr/bin/x"]),
    ];
    for (lower, upper, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|&path| path.to_owned()).collect();
        assert_eq!(overlay(lower, upper), Ok(expected), "{lower:?} + {upper:?}");
    }
}

#[test]
fn a_whiteout_cannot_leave_the_root() {
    assert_eq!(overlay(&["a"], &["d/.wh..", "d/.wh..."]), Ok(vec!["/a".into(), "/d".into()]));
}

#[test]
fn other_names_of_a_file_outlive_it() {
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&["a", "b = a", "c = a"], &[".wh.a"], &["/b a", "/c a"]),
        (&["a", "b = a", "c = a"], &["a -> x"], &["/b a", "/c a"]),
        (&["d/a", "b = d/a"], &["d/.wh..wh..opq", "d/n"], &["/b d/a", "/d/n d/n"]),
        (&["d/a", "d/b = d/a", "c = d/a"], &[".wh.d"], &["/c d/a"]),
        (&["a", "b = a"], &["b"], &["/a a", "/b b"]),
        (&["usr/lib/", "lib -> usr/lib"], &["lib/x", "lib/y = lib/x"], &["/usr/lib/x lib/x", "/usr/lib/y lib/x"]),
    ];
    for (lower, upper, expected) in cases {
        let mut lower = tree(lower);
        apply_layer(&mut lower, tree(upper)).unwrap();
        let content = |(path, _): (&RootPath, &Node)| match lower.content_node(path)?.1.kind {
            Kind::File(ref content) => Some(format!("{path} {}", String::from_utf8_lossy(&content.map().unwrap()))),
            _ => None,
        };
        assert_eq!(lower.iter().filter_map(content).collect::<Vec<_>>(), expected, "{upper:?}");
        let dangling = |(path, node): &(&RootPath, &Node)| {
            matches!(node.kind, Kind::Hardlink(_)) && lower.content_node(path).is_none()
        };
        assert_eq!(lower.iter().filter(dangling).count(), 0, "{upper:?}");
    }
}

#[test]
fn a_whiteout_reaches_through_links_to_directories() {
    let found = overlay(&["usr/bin/a", "usr/bin/b", "bin -> usr/bin"], &["bin/.wh.a"]);
    assert_eq!(found, Ok(vec!["/bin".into(), "/usr".into(), "/usr/bin".into(), "/usr/bin/b".into()]));
}
