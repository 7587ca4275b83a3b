//! Documentation that the program writes about itself: schemas, completions, manual pages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Command, ValueEnum};
use clap_complete::Shell;
use minimg::error::Class;

use super::output::print_json;

#[derive(Debug, clap::Args)]
pub(super) struct SchemaArguments {
    /// What to print the schema of
    #[arg(value_enum, default_value = "profile")]
    of: SchemaOf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// Profiles
    Profile,
    /// Boards
    Board,
}

pub(super) fn schema(arguments: &SchemaArguments) -> anyhow::Result<ExitCode> {
    match arguments.of {
        SchemaOf::Profile => print_json(&minimg::profile::schema())?,
        SchemaOf::Board => print_json(&minimg::board::schema())?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, clap::Args)]
pub(super) struct CompletionArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(arguments: &CompletionArguments, command: &mut Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "minimg", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// The directory, created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn man(arguments: &ManArguments, command: Command) -> anyhow::Result<ExitCode> {
    let directory = &arguments.directory;
    let failed = || format!("failed to write the manual pages into {}", directory.display());
    std::fs::create_dir_all(directory).with_context(failed)?;
    let command = command.after_long_help(format!("{}\n{}", super::EXAMPLES, exit_codes()));
    clap_mangen::generate_to(command, directory).with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// The exit codes and their meanings, as the manual lists them.
fn exit_codes() -> String {
    let line = |class: &Class| format!("  {:>2}  {}\n", class.code(), class.meaning());
    let codes: String = Class::ALL.iter().map(line).collect();
    format!("Exit codes:\n   0  success\n{codes}")
}
