//! Checks the root file system in a directory and prints what does not resolve: `check_directory DIR`.
//!
//! The exit code is 1 when something would fail.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use minimg_elf::Severity;
use minimg_elf::check::{CheckSettings, check_counted};
use minimg_elf::tree::DirectoryRoot;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: check_directory DIR")?;
    let checked = check_counted(&DirectoryRoot::new(&directory)?, &CheckSettings::default())?;
    for finding in &checked.findings {
        println!("{:?}: {}: {}", finding.severity, finding.path, finding.message);
    }
    println!("{} programs, {} libraries, {} scripts", checked.programs, checked.libraries, checked.scripts);
    let fails = checked.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
