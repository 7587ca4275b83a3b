use super::*;

fn tree(lines: &[&str]) -> RootTree {
    let mut tree = RootTree::new();
    for line in lines {
        let (path, node) = match line.split_once(" -> ") {
            Some((path, target)) => (path, Node::symlink(target)),
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
