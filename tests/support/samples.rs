//! Trees and images to try exporters and engines with.

use std::path::Path;

use minimg::board::Platform;
use minimg::image::{Compression, Config, Healthcheck, Image, Layer};
use minimg::layer;
use minimg::report::Silent;
use minimg::store::Store;
use minimg::tree::{Content, Kind, Node, RootPath, RootTree};

use super::{command, run};

/// 2023-11-14T22:13:20Z, the date of all samples.
pub(crate) const EPOCH: i64 = 1_700_000_000;

/// A path of a tree.
pub(crate) fn path(name: impl AsRef<[u8]>) -> RootPath {
    RootPath::new(name).unwrap()
}

/// A tree with everything that formats and engines get wrong: owners, set-id modes, hard links, capabilities, long and odd names,
/// links that dangle, empty directories.
pub(crate) fn odd_tree() -> RootTree {
    let mut tree = RootTree::new();
    let mut add = |name: &[u8], node: Node| {
        tree.insert(path(name), node.at(EPOCH - 5));
    };
    add(b"etc/shadow", Node::file(0o640, "root:*:1::::::\n").owned_by(0, 42));
    add(b"odd/setuid", Node::file(0o4755, "set\n").owned_by(1000, 1000));
    add(b"odd/setgid", Node::file(0o2755, "set\n").owned_by(0, 8));
    add(b"odd/none", Node::file(0o000, "nobody reads this\n"));
    add(b"odd/empty", Node::file(0o644, ""));
    add(b"odd/hard-b", Node::file(0o755, "three names\n").owned_by(7, 8));
    add(b"odd/hard-a", Node::new(Kind::Hardlink(path("odd/hard-b")), 0o600));
    add(b"odd/hard-c", Node::new(Kind::Hardlink(path("odd/hard-b")), 0o600));
    let mut capable = Node::file(0o755, "cap\n");
    // VFS_CAP_REVISION_2, effective, cap_net_bind_service (linux/capability.h).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capable.meta.xattrs.insert("security.capability".into(), capability.to_vec());
    add(b"odd/capable", capable);
    add(b"odd/not \xff utf-8 \\ \"x\"", Node::file(0o644, "bytes\n"));
    add("odd/über".as_bytes(), Node::file(0o644, "text\n"));
    add(format!("odd/{}", "n".repeat(200)).as_bytes(), Node::file(0o644, "long\n"));
    add(format!("odd/{0}/{0}/{0}/file", "d".repeat(90)).as_bytes(), Node::file(0o644, "deep\n"));
    add(b"odd/link", Node::symlink("../nowhere"));
    add(b"odd/long-link", Node::symlink(format!("/{}", "t".repeat(150))));
    add(b"odd/large-owner", Node::file(0o644, "uid\n").owned_by(3_000_000, 4_000_000));
    add(b"odd/empty-directory", Node::directory(0o750).owned_by(33, 33));
    add(b"odd/pipe", Node::new(Kind::Fifo, 0o622));
    add(b"tmp", Node::directory(0o1777));
    tree.add_missing_parents();
    tree
}

/// The odd tree with some of this machine's own programs and the libraries that they need, so that it runs.
pub(crate) fn runnable_tree() -> RootTree {
    let mut tree = odd_tree();
    for program in ["/bin/sh", "/usr/bin/stat", "/usr/bin/id", "/usr/bin/env", "/usr/bin/sleep"] {
        add_program(&mut tree, program);
    }
    tree.insert(path("etc/passwd"), Node::file(0o644, "root:x:0:0:root:/:/bin/sh\n").at(EPOCH));
    tree.add_missing_parents();
    tree
}

/// Adds one of this machine's own programs with the libraries that it needs.
pub(crate) fn add_program(tree: &mut RootTree, program: &str) {
    add_host_file(tree, program);
    for word in run(&mut command("ldd", &[program])).split_whitespace().filter(|word| word.starts_with('/')) {
        add_host_file(tree, word);
    }
}

fn add_host_file(tree: &mut RootTree, name: &str) {
    let content = std::fs::read(Path::new(name)).unwrap();
    tree.insert(path(name), Node::new(Kind::File(Content::memory(content)), 0o755).at(EPOCH));
}

/// The tree as a layer.
pub(crate) fn layer_of(tree: &RootTree, compression: Compression, store: &Store) -> Layer {
    let options = layer::Options { epoch: EPOCH, compression, created_by: "a test", jobs: 2, reporter: &Silent };
    layer::write(tree, &options, store).unwrap()
}

/// The machine that the tests run on.
pub(crate) fn this_machine() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    Platform { os: "linux".into(), architecture: architecture.into(), variant: None }
}

/// An image of one layer whose configuration says all that can be said.
pub(crate) fn image_of(tree: &RootTree, compression: Compression, store: &Store) -> Image {
    Image {
        reference: "minimg-sample:1.0".into(),
        platform: this_machine(),
        config: full_config(),
        layers: vec![layer_of(tree, compression, store)],
        created: EPOCH,
        annotations: [("org.opencontainers.image.title".to_owned(), "a sample".to_owned())].into(),
    }
}

/// A configuration that says all that can be said, with everything that a shell or a Dockerfile would take apart.
pub(crate) fn full_config() -> Config {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Config {
        entrypoint: words(&["/bin/sh", "-c", "test \"$#\" = 2 && exec stat -c '%A %u:%g %h %s' \"$@\"", "a $0 \"x\""]),
        cmd: words(&["/odd/setuid", "/odd/hard-a"]),
        env: [("GREETING", "a $HOME \"q\" 'p' \\ b"), ("EMPTY", "")].map(|(n, v)| (n.into(), v.into())).into(),
        user: "1000:8".into(),
        workdir: "/tmp".into(),
        ports: ["80".to_owned(), "53/udp".to_owned()].into(),
        volumes: ["/var/lib/data".to_owned()].into(),
        labels: [("org.example.a", "1 $x \"y\" \\"), ("b c", "d")].map(|(n, v)| (n.into(), v.into())).into(),
        stop_signal: Some("SIGQUIT".into()),
        healthcheck: Some(Healthcheck {
            command: words(&["/usr/bin/stat", "/odd/a b"]),
            interval: Some(30_000_000_000),
            timeout: Some(1_500_000_000),
            start_period: None,
            retries: Some(3),
        }),
    }
}
