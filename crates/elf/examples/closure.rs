//! Lists what programs need of the root file system in a directory, and why: `closure DIR PROGRAM...`.
//!
//! A program is a path in the root, or a name that is looked up in its PATH.

use std::error::Error;
use std::path::Path;

use minimg_elf::tree::DirectoryRoot;
use minimg_elf::{WalkSettings, walk};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: closure DIR PROGRAM...")?;
    let programs: Vec<String> = arguments.collect();
    let closure = walk(&DirectoryRoot::new(Path::new(&directory))?, &programs, WalkSettings::default())?;
    for (path, reason) in &closure.kept {
        match &reason.via {
            Some(via) => println!("{path}: {}, by way of {via}", reason.why),
            None => println!("{path}: {}", reason.why),
        }
    }
    for finding in &closure.findings {
        eprintln!("{:?}: {}: {}", finding.severity, finding.path, finding.message);
    }
    Ok(())
}
