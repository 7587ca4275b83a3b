//! Checks a root file system and prints what would fail in it: `cargo run --example check_root`.

use std::error::Error;
use std::fs;

use minimg::closure::check::{CheckSettings, check_counted};
use minimg::tree::DirectoryRoot;

fn main() -> Result<(), Box<dyn Error>> {
    // A program without its libraries, and a script without its interpreter.
    let root = tempfile::tempdir()?;
    fs::create_dir_all(root.path().join("usr/bin"))?;
    fs::copy("/bin/true", root.path().join("usr/bin/true"))?;
    let script = root.path().join("usr/bin/report");
    fs::write(&script, "#!/usr/bin/python3\nprint('report')\n")?;
    fs::set_permissions(&script, fs::metadata("/bin/true")?.permissions())?;

    let checked = check_counted(&DirectoryRoot::new(root.path())?, &CheckSettings::default())?;
    for finding in &checked.findings {
        println!("{:?}: {}: {}", finding.severity, finding.path, finding.message);
    }
    println!("{} program, {} script", checked.programs, checked.scripts);
    Ok(())
}
