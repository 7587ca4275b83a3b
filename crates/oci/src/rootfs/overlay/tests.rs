use super::*;
use minimg_tree::archive::{Limits, Scratch, read_entries};

pub(in crate::rootfs) fn tree(lines: &[&str]) -> RootTree {
    let mut tree = RootTree::new();
    for line in lines {
        let (path, node) = match line.split_once(" -> ") {
            Some((path, target)) => (path, Node::symlink(target)),
            None if line.contains(" = ") => {
                let (path, target) = line.split_once(" = ").unwrap();
                (path, Node::new(Kind::Hardlink(RootPath::new(target).unwrap()), 0o644))
            }
            None if line.ends_with('/') => (*line, Node::directory(0o755)),
            None => (*line, Node::file(0o644, line.to_string())),
        };
        tree.insert(RootPath::new(path).unwrap(), node);
    }
    tree.add_missing_parents();
    tree
}

/// A layer with no other entries than these.
fn layer(lines: &[&str]) -> RootTree {
    let mut layer = tree(lines);
    let named =
        |path: &RootPath| lines.iter().any(|line| RootPath::new(line.split(' ').next().unwrap()).unwrap() == *path);
    let implied: Vec<RootPath> = layer.iter().map(|(path, _)| path.clone()).filter(|path| !named(path)).collect();
    implied.iter().for_each(|path| drop(layer.remove(path)));
    layer
}

fn overlay(lower: &[&str], upper: &[&str]) -> Result<Vec<String>, String> {
    let mut lower = tree(lower);
    apply_layer(&mut lower, layer(upper)).map_err(|error| error.to_string())?;
    Ok(lower.iter().map(|(path, _)| path.to_string()).collect())
}

#[test]
fn layers_are_put_over_one_another() {
    let cases: [(&[&str], &[&str], &[&str]); 13] = [
        (&["a", "b"], &["b", "c"], &["/a", "/b", "/c"]),
        (&["d/a", "d/b"], &["d/.wh.a"], &["/d", "/d/b"]),
        (&["d/a/x", "d/b"], &["d/.wh.a", "d/c"], &["/d", "/d/b", "/d/c"]),
        (&["d/a", "d/b"], &["d/.wh..wh..opq", "d/c"], &["/d", "/d/c"]),
        (&["d/x/y"], &["d"], &["/d"]),
        (&["d"], &["d/x"], &["/d", "/d/x"]),
        // What is below a link is in a directory that takes its place.
        (&["usr/bin/a", "bin -> usr/bin"], &["bin/x"], &["/bin", "/bin/x", "/usr", "/usr/bin", "/usr/bin/a"]),
        (&["usr/d/x", "bin -> usr"], &["bin/d/y"], &["/bin", "/bin/d", "/bin/d/y", "/usr", "/usr/d", "/usr/d/x"]),
        (&["usr/bin/a", "bin -> usr/bin"], &["bin/.wh.a"], &["/bin", "/usr", "/usr/bin", "/usr/bin/a"]),
        // What engines write for `rm link && mkdir link`.
        (&["data/x", "link -> data"], &["link/", "link/y"], &["/data", "/data/x", "/link", "/link/y"]),
        (&["data/x", "link -> data"], &["link/", "link/.wh..wh..opq"], &["/data", "/data/x", "/link"]),
        (&["data/x", "link -> data"], &["link/", "link/.wh.x"], &["/data", "/data/x", "/link"]),
        (&["a", "d -> a"], &["d/x"], &["/a", "/d", "/d/x"]),
    ];
    for (lower, upper, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|&path| path.to_owned()).collect();
        assert_eq!(overlay(lower, upper), Ok(expected), "{lower:?} + {upper:?}");
    }
}

#[test]
fn a_directory_that_a_layer_does_not_name_stays_as_it_is() {
    let mut lower = tree(&["tmp/", "etc/"]);
    lower.get_mut(&RootPath::new("tmp").unwrap()).unwrap().meta.mode = 0o1777;
    lower.get_mut(&RootPath::new("etc").unwrap()).unwrap().meta.mode = 0o700;
    apply_layer(&mut lower, layer(&["tmp/x", "etc/", "etc/x"])).unwrap();
    let mode = |path| lower.get(&RootPath::new(path).unwrap()).unwrap().meta.mode;
    assert_eq!((mode("tmp"), mode("etc")), (0o1777, 0o755));
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
        (&["usr/lib/", "lib -> usr/lib"], &["lib/x", "lib/y = lib/x"], &["/lib/x lib/x", "/lib/y lib/x"]),
    ];
    for (lower, upper, expected) in cases {
        let mut lower = tree(lower);
        apply_layer(&mut lower, layer(upper)).unwrap();
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

/// Reads a layer out of a tar in which each line is an entry, in this order.
fn read(lines: &[&str]) -> Changes {
    let mut archive = tar::Builder::new(Vec::new());
    for line in lines {
        let mut header = tar::Header::new_ustar();
        let (path, target) = line.split_once(" -> ").or(line.split_once(" = ")).unwrap_or((line, ""));
        header.set_entry_type(match line {
            line if line.contains(" -> ") => tar::EntryType::Symlink,
            line if line.contains(" = ") => tar::EntryType::Link,
            line if line.ends_with('/') => tar::EntryType::Directory,
            _ => tar::EntryType::Regular,
        });
        header.set_path(path).unwrap();
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        let content = if target.is_empty() && !path.ends_with('/') { path } else { "" };
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    let scratch = Scratch::new(std::env::temp_dir(), 1 << 20);
    let bytes = archive.into_inner().unwrap();
    let read = read_entries(&bytes[..], Limits::PACKAGE, &scratch, |path| is_whiteout(&path)).unwrap();
    Changes { files: read.tree, whiteouts: read.marks }
}

#[test]
fn whiteouts_are_no_entries_of_files() {
    let lower = &["t/a/f", "t/a/g", "t/z"];
    let cases: [(&[&str], &[&str]); 11] = [
        (&["t/a/.wh.f", "t/a -> b"], &["/t", "/t/a", "/t/z"]),
        (&["t/a -> b", "t/a/.wh.f"], &["/t", "/t/a", "/t/z"]),
        (&["t/a/.wh.f", "t/a"], &["/t", "/t/a", "/t/z"]),
        (&["t/.wh.a", "t/a/.wh.f"], &["/t", "/t/z"]),
        (&["t/a/.wh.f", "t/.wh.a"], &["/t", "/t/z"]),
        (&["t/.wh..wh..opq", "t/a/.wh.f"], &["/t", "/t/a"]),
        (&["t/.wh.a", "t/a/.wh.f", "t/a/n"], &["/t", "/t/a", "/t/a/n", "/t/z"]),
        (&["n/o/.wh.f"], &["/n", "/n/o", "/t", "/t/a", "/t/a/f", "/t/a/g", "/t/z"]),
        (&[".wh..wh.aufs", ".wh..wh.orph/", ".wh..wh.plnk/", "t/.wh.a"], &["/t", "/t/z"]),
        (
            &[".wh..wh.plnk/", ".wh..wh.plnk/1.2", "t/x = .wh..wh.plnk/1.2", "t/y = .wh..wh.plnk/1.2", "t/.wh.a"],
            &["/t", "/t/x", "/t/y", "/t/z"],
        ),
        (&[".wh..wh..opq", "n"], &["/n"]),
    ];
    for (upper, expected) in cases {
        let mut overlay = Overlay::new(tree(lower));
        overlay.apply(read(upper)).unwrap();
        let tree = overlay.into_tree();
        assert_eq!(tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), expected, "{upper:?}");
        for (path, node) in &tree {
            assert!(!matches!(node.kind, Kind::Hardlink(_)) || tree.content_node(path).is_some(), "{upper:?}: {path}");
        }
    }
}

#[test]
fn a_file_below_a_whiteout_is_refused() {
    assert!(overlay(&["a"], &["d/.wh.x/y"]).is_err());
}
