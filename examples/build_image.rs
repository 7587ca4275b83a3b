//! Builds an image from a root file system that is there already, without the network: `cargo run --example build_image`.

use std::error::Error;
use std::fs;

use minimg::Builder;
use minimg::backend::{Context, Settings};
use minimg::export::Output;
use minimg::outputs;
use minimg::store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("root");
    fs::create_dir_all(root.join("srv"))?;
    fs::write(root.join("srv/hello"), "hello\n")?;

    let context = Context::new(Store::open(&directory.path().join("store"))?)
        .with_settings(Settings::of_this_machine(std::env::vars_os()))
        .with_offline(true);
    let text = format!(
        "backend = 'tarball'\nsource.options.tarball.root = '{}'\nkeep.globs.'/srv/**' = 'what it serves'\n",
        root.display()
    );
    let built = Builder::from_text("hello", text).board_named("amd64")?.build(&context)?;

    let images: Vec<_> = built.iter().map(|built| built.image.clone()).collect();
    let output = Output::archive(directory.path().join("hello.tar"));
    let written = outputs::write(&images, &output, &context.store)?;
    outputs::write_records(&built, &output, &context.store)?;
    println!("{} for {}: {} bytes", images[0].reference, images[0].platform, written.size);
    Ok(())
}
