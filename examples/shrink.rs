//! Makes a root file system smaller: only a program and what it needs stay. `cargo run --example shrink`.

use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use minimg::backend::Context;
use minimg::board::Boards;
use minimg::closure::{WalkSettings, walk};
use minimg::store::Store;
use minimg::tree::DirectoryRoot;
use minimg::{layer, pipeline, shrink};

/// Makes a root file system of this machine's `true`, what it needs, and a manual that no program opens.
fn make_root(root: &Path) -> Result<(), Box<dyn Error>> {
    let machine = Path::new("/");
    let needed = walk(&DirectoryRoot::new(machine)?, &["/bin/true".into()], WalkSettings::default())?;
    for path in needed.kept.keys() {
        let (from, to) = (path.below(machine), path.below(root));
        fs::create_dir_all(to.parent().unwrap_or(root))?;
        match fs::read_link(&from) {
            Ok(target) => symlink(target, to)?,
            Err(_) => fs::copy(from, to).map(drop)?,
        }
    }
    fs::create_dir_all(root.join("usr/share/doc"))?;
    fs::write(root.join("usr/share/doc/manual"), "how to do nothing\n".repeat(10_000))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("root");
    make_root(&root)?;
    let context = Context::new(Store::open(&directory.path().join("store"))?).with_offline(true);

    let asked = shrink::Asked { programs: vec!["/bin/true".into()], ..shrink::Asked::default() };
    let prepared = shrink::prepare(&root.display().to_string(), &asked, &Boards::built_in().host()?, &context)?;
    let built = pipeline::build(&prepared.job("true:small"), &context)?;

    let smaller = layer::flatten(&built.image.layers, &context.store)?;
    for (path, _) in &smaller {
        println!("{path}");
    }
    let after: u64 = built.image.layers.iter().map(|layer| layer.diff_size).sum();
    println!("{} bytes of {}", after, prepared.before.unwrap_or_default());
    Ok(())
}
