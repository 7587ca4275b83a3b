//! Archives and layouts with several images: one is named, or the board decides, or all of them are named in an error.

use std::path::Path;

use minimg::backend::{Context, Request, Source, fixed};
use minimg::backends::tarball;
use minimg::board::Boards;
use minimg::error::{Class, Error};
use minimg::export::{self, Destination};
use minimg::image::{Compression, Image};
use minimg::store::Store;
use minimg::tree::{Node, RootTree};

use crate::common::Sandbox;
use crate::support::driven::text;
use crate::support::samples::{image_of, path};

/// An image with one file, which says what it is.
fn image(name: &str, architecture: &str, store: &Store) -> Image {
    let mut tree = RootTree::new();
    tree.insert(path("etc/which"), Node::file(0o644, format!("{name} {architecture}")));
    tree.add_missing_parents();
    let mut image = image_of(&tree, Compression::Gzip, store);
    image.platform.architecture = architecture.into();
    Image { reference: name.into(), ..image }
}

/// What the image says that a root option and a board lead to.
fn take(root: &str, board: &str, directory: &Path, store: &Store) -> Result<String, Error> {
    let mut source = Source { directory: directory.to_owned(), ..Source::default() };
    tarball::set_root(&mut source, &directory.join(root).display().to_string());
    let request = Request { board: Boards::built_in().get(board).unwrap(), source, packages: Vec::new() };
    let context = Context::new(store.clone()).with_offline(true);
    let taken = tarball::take(&request, &context)?;
    Ok(text(&fixed::produce(&taken.pins, &context)?.tree, "etc/which"))
}

#[test]
fn the_name_or_the_board_says_which_is_meant() {
    let sandbox = Sandbox::cold();
    let (store, directory) = (Store::open(&sandbox.store).unwrap(), sandbox.directory.path());
    let of_names = [image("team/a:1", "amd64", &store), image("team/b:2", "amd64", &store)];
    let of_machines = [image("a:1", "amd64", &store), image("b:1", "arm64", &store)];
    for format in ["docker-archive", "oci-archive", "archive", "oci"] {
        let (names, machines) = (format!("names.{format}"), format!("machines.{format}"));
        export::write(&of_names, format, Destination::Path(&directory.join(&names)), &store).unwrap();
        export::write(&of_machines, format, Destination::Path(&directory.join(&machines)), &store).unwrap();
        let take = |root: &str, board: &str| take(root, board, directory, &store);
        let error = take(&names, "amd64").unwrap_err();
        assert!(error.class() == Class::Unsatisfiable, "{format}: {error}");
        let said = error.to_string();
        assert!(
            said.contains("team/a:1 (linux/amd64), ") && said.contains("team/b:2 (linux/amd64)"),
            "{format}: {said}"
        );
        for (name, expected) in [("team/a:1", "team/a:1 amd64"), ("docker.io/team/b:2", "team/b:2 amd64")] {
            assert_eq!(take(&format!("{names}:{name}"), "amd64").unwrap(), expected, "{format}");
        }
        assert_eq!(take(&format!("{names}:team/c"), "amd64").unwrap_err().class(), Class::Unsatisfiable);
        assert_eq!(take(&machines, "amd64").unwrap(), "a:1 amd64", "{format}");
        assert_eq!(take(&machines, "arm64").unwrap(), "b:1 arm64", "{format}");

        let said = sandbox.fail(4, &["check", &names]);
        assert!(said.contains("several images that fit"), "{format}: {said}");
        sandbox.run(&["check", &format!("{names}:team/b:2")]);
        sandbox.run(&["check", &machines]);
        let said = sandbox.fail(4, &["shrink", &names, "-p", "x", "--board", "amd64"]);
        assert!(said.contains("team/b:2") && said.contains("archive.tar:NAME"), "{format}: {said}");
        let said = sandbox.fail(4, &["closure", "--root", &machines, "x"]);
        assert!(said.contains("several images") && said.contains("--board"), "{format}: {said}");
        sandbox.fail(8, &["closure", "--root", &machines, "--board", "arm64", "x"]);
        sandbox.fail(8, &["tree", "--root", &format!("{machines}:b:1"), "x"]);
    }
}
