//! `minimg init`: starts a new profile.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use minimg::error::{Class, Error};

use super::Session;
use super::output::{print_json, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to write, such as hello.toml
    #[arg(value_name = "FILE", default_value = "profile.toml")]
    file: PathBuf,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = arguments.file.with_extension("toml");
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    minimg::profile::check_name(&name).map_err(|why| Error::new(Class::Usage, why))?;
    let shown = path.display();
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(Class::Usage, format!("{shown} exists; choose another name")),
        _ => Error::new(Class::Machine, format!("failed to write {shown}: {error}")),
    })?;
    file.write_all(minimg::profile::template(&name).as_bytes()).with_context(|| format!("failed to write {shown}"))?;
    if session.global.json {
        print_json(&serde_json::json!({ "path": path }))?;
    } else if !session.global.quiet {
        say!("wrote {}; next: minimg build {}", session.style.name(&shown.to_string()), shown);
    }
    Ok(ExitCode::SUCCESS)
}
