//! The program: parses the command line, runs the verb, and returns the exit code.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
