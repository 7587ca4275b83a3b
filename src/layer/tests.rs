use super::*;
use crate::report::Silent;
use crate::tree::{Node, RootPath};

fn path(name: &str) -> RootPath {
    RootPath::new(name).expect("a good path")
}

fn options(compression: Compression) -> Options<'static> {
    Options { epoch: 1_700_000_000, compression, created_by: "test", jobs: 2, reporter: &Silent }
}

#[test]
fn what_is_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut tree = RootTree::new();
    tree.insert(path("etc/passwd"), Node::file(0o644, "root:x:0:0::/:").owned_by(1, 2).at(5));
    tree.add_missing_parents();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let layer = write(&tree, &options(compression), &store).unwrap();
        assert_eq!(read(&layer, &store).unwrap().dump().unwrap(), tree.dump().unwrap(), "{compression:?}");
    }
}
