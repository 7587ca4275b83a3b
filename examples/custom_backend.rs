//! Builds an image with a backend of its own and prints what is in it: `cargo run --example custom_backend`.

use std::error::Error;
use std::sync::Arc;

use minimg::backend::{Archive, Backend, Context, PinnedPackage, Pins, Produced, Request};
use minimg::digest::Digest;
use minimg::store::Store;
use minimg::tree::{Node, RootPath, RootTree};
use minimg::{Builder, layer};

/// Makes a root tree that has one greeting.
struct Greetings;

const GREETING: &str = "hello\n";

impl Backend for Greetings {
    fn name(&self) -> &str {
        "greetings"
    }

    fn description(&self) -> &str {
        "a greeting in a file"
    }

    fn family(&self) -> &str {
        "greetings"
    }

    fn works_without_packages(&self) -> bool {
        true
    }

    /// Names what the tree is made of so exactly that the same pins always give the same tree.
    fn pin(&self, _: &Request, _: &Context) -> minimg::Result<Pins> {
        let greeting = PinnedPackage {
            name: "greeting".into(),
            version: "1.0".into(),
            architecture: "all".into(),
            archive: 0,
            path: "greeting".into(),
            size: GREETING.len() as u64,
            sha256: Digest::of(GREETING),
        };
        let archive = Archive { name: "this program".into(), address: String::new(), date: String::new() };
        Ok(Pins { archives: vec![archive], packages: vec![greeting], epoch: 0, root: None })
    }

    fn produce(&self, _: &Request, _: &Pins, _: &Context) -> minimg::Result<Produced> {
        let mut tree = RootTree::new();
        tree.insert(RootPath::root().join_clamped("srv/hello"), Node::file(0o644, GREETING));
        tree.add_missing_parents();
        Ok(Produced { tree, retain: None })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let context = Context::new(Store::open(directory.path())?).with_offline(true);

    let built = Builder::from_text("hello", "keep.globs.'/srv/**' = 'the greeting'\n")
        .backend(Arc::new(Greetings))
        .board_named("amd64")?
        .build(&context)?;

    for (path, _) in &layer::flatten(&built[0].image.layers, &context.store)? {
        println!("{path}");
    }
    Ok(())
}
