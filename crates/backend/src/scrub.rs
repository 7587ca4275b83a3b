//! What an installer leaves in a root tree that is of no use in an image: caches, logs, lists, backups, and what belongs to the machine
//! that it ran on. Without them, two runs of a tool give the same tree.

use minimg_tree::{Kind, Node, RootPath, RootTree};

/// Directories that stay, without what is in them.
const EMPTIED: [&str; 15] = [
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/lib/sysimage/libdnf5",
    "var/cache/apt",
    "var/cache/debconf",
    "var/cache/dnf",
    "var/cache/ldconfig",
    "var/cache/libdnf5",
    "var/cache/yum",
    "var/lib/apt/lists",
    "var/lib/dnf",
    "var/log",
    "var/tmp",
];

/// Files that belong to a machine or are copies of others.
const REMOVED: [&str; 19] = [
    "etc/.pwd.lock",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/group-",
    "etc/gshadow-",
    "etc/hostname",
    "etc/hosts",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/systemd/random-seed",
];

/// Takes out what is of no use in an image, empties the machine's id, and sets what is newer than `epoch` (in seconds since 1970) to it:
/// what a run of a tool wrote has the time of that run.
pub fn scrub(tree: &mut RootTree, epoch: i64) {
    let below = EMPTIED.iter().flat_map(|directory| {
        let directory = RootPath::root().join_clamped(*directory);
        tree.below(&directory).map(|(path, _)| path.clone()).filter(|path| *path != directory).collect::<Vec<_>>()
    });
    let mut gone: Vec<RootPath> = below.collect();
    gone.extend(REMOVED.iter().map(|path| RootPath::root().join_clamped(*path)));
    for path in gone {
        tree.remove(&path);
    }
    let machine_id = RootPath::root().join_clamped("etc/machine-id");
    if let Some(Node { kind: kind @ Kind::File(_), .. }) = tree.get_mut(&machine_id) {
        *kind = Node::file(0o444, "").kind;
    }
    for node in tree.nodes_mut() {
        node.meta.mtime = node.meta.mtime.min(epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_behind_goes() {
        let mut tree = RootTree::new();
        for (path, node) in [
            ("etc/machine-id", Node::file(0o444, "0123")),
            ("etc/passwd", Node::file(0o644, "new").at(99)),
            ("etc/passwd-", Node::file(0o644, "old")),
            ("var/log/apt/history.log", Node::file(0o644, "when")),
            ("var/lib/dpkg/status", Node::file(0o644, "").at(3)),
            ("run/lock", Node::directory(0o1777)),
        ] {
            tree.insert(RootPath::new(path).unwrap(), node);
        }
        tree.add_missing_parents();
        scrub(&mut tree, 7);
        let left: Vec<String> = tree
            .iter()
            .map(|(path, node)| format!("{path} {}", node.meta.mtime))
            .filter(|line| !line.ends_with(" 0"))
            .collect();
        assert_eq!(left, ["/etc/passwd 7", "/var/lib/dpkg/status 3"]);
        let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(
            paths,
            [
                "/etc",
                "/etc/machine-id",
                "/etc/passwd",
                "/run",
                "/var",
                "/var/lib",
                "/var/lib/dpkg",
                "/var/lib/dpkg/status",
                "/var/log"
            ]
        );
        let id = tree.get(&RootPath::new("etc/machine-id").unwrap()).unwrap();
        assert!(matches!(&id.kind, Kind::File(content) if content.size() == 0));
    }
}
