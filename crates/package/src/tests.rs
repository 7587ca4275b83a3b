//! Any format gets lists, lazy contents and packs.

use std::collections::BTreeMap;
use std::sync::Arc;

use minimg_backend::{Context, Pins};
use minimg_base::error::{Class, Error};
use minimg_store::Store;
use minimg_tree::{Content, Kind, Node, RootPath, RootTree};

use crate::plain::{Plain, package, pinned};
use crate::{Fetch, Loaded, Unpacker, load, packs};

fn pins(packages: Vec<minimg_backend::PinnedPackage>) -> Pins {
    Pins { archives: Vec::new(), packages, epoch: 0, root: None }
}

fn nothing_to_fetch() -> Fetch {
    Arc::new(|_, _, _| Err(Error::new(Class::Network, "a package was fetched")))
}

fn loaded(store: &Store, pins: &Pins) -> minimg_base::error::Result<Vec<Loaded<Plain>>> {
    load(pins, Unpacker::new(store), &Context::new(store.clone()), &nothing_to_fetch())
}

fn content(loaded: &Loaded<Plain>, key: usize) -> Content {
    let source: Arc<dyn minimg_tree::ContentSource> = loaded.files.clone();
    let member = &loaded.listing.members[key];
    match member.kind.to_node(|size| loaded.listing.content(key as u64, size, &source)) {
        Kind::File(content) => content,
        other => panic!("{} is {other:?}", member.path),
    }
}

#[test]
fn what_was_kept_is_there_without_the_package() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let context = Context::new(store.clone());
    let (pin, bytes) = package("p", &[("bin/a", b"program", 7), ("share/b", b"data", 4), ("COPYING", b"terms", 5)]);
    store.put_blob(&bytes).unwrap();
    let pins = pins(vec![pin.clone()]);

    let packages = loaded(&store, &pins).unwrap();
    assert_eq!(packages[0].listing.facts, ["p", "1", "all"].map(str::to_owned));
    let program = content(&packages[0], 0);
    assert_eq!(program.map().unwrap(), "program");
    let mut kept = RootTree::new();
    let file = Node { kind: Kind::File(program), ..Node::file(0o755, bytes::Bytes::new()) };
    kept.insert(RootPath::new("bin/a").unwrap(), file);
    packs(packages, &context).retain(&kept).unwrap();

    std::fs::remove_file(store.blob_path(&pin.sha256)).unwrap();
    let packages = loaded(&store, &pins).unwrap();
    let contents: BTreeMap<usize, Option<String>> = (0..3)
        .map(|key| (key, content(&packages[0], key).map().ok().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())))
        .collect();
    // The second one was not kept, and the third belongs to the listing.
    let expected = [(0, Some("program")), (1, None), (2, Some("terms"))];
    assert_eq!(contents, expected.map(|(key, text)| (key, text.map(str::to_owned))).into());
}

#[test]
fn a_package_that_is_another_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (_, bytes) = package("other", &[]);
    store.put_blob(&bytes).unwrap();
    let error = loaded(&store, &pins(vec![pinned("p", &bytes)])).err().unwrap();
    assert_eq!(error.class(), Class::Verification);
    assert!(error.to_string().contains("p 1 all: it says that it is other 1 all"), "{error}");
}
