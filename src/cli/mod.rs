//! The command line: one file for each verb. Only here is anything printed, and only here are the environment and the home directory read.

mod build;
mod cache;
mod check;
mod closure;
mod deliver;
mod doctor;
mod documentation;
mod explain;
mod init;
mod list;
mod lock;
mod output;
mod progress;
mod root;
mod select;
mod settings;
mod show;
mod shrink;
mod signals;
mod style;
mod summary;
mod test;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};
use minimg::backend::Context;
use minimg::error::{Class, Error};
use minimg::store::Store;

use progress::Progress;
use settings::UserSettings;
use style::Style;

/// Minimal container images: only the files that your programs need, with a reason for each.
#[derive(Debug, Parser)]
#[command(name = "minimg", version, propagate_version = true, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  minimg build busybox-glibc                     a tiny glibc image in ./busybox-glibc.tar
  minimg build nginx --board arm64 -o nginx.oci  an OCI layout for another machine
  minimg build python3 --load docker             straight into Docker
  minimg shrink docker:team/app -o app.tar       what an image's program needs, and nothing else of it
  minimg why curl /usr/lib/x86_64-linux-gnu/libssl.so.3
";

/// What every verb accepts.
#[derive(Debug, Args)]
struct Global {
    /// Say nothing but errors
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    quiet: bool,
    /// Say more; twice for details
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet", help_heading = "Everywhere")]
    verbose: u8,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Everywhere")]
    color: clap::ColorChoice,
    /// Use nothing but the store: no network
    #[arg(long, global = true, env = "MINIMG_OFFLINE", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Everywhere")]
    offline: bool,
    /// Where the cache is [default: the user's cache directory]
    #[arg(long, global = true, value_name = "DIR", env = "MINIMG_STORE", help_heading = "Everywhere")]
    store: Option<PathBuf>,
    /// The configuration file [default: minimg/config.toml in the user's configuration directory]
    #[arg(long, global = true, value_name = "FILE", env = "MINIMG_CONFIG", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// A directory with more profiles, or others of the same names; may be given several times
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    profiles: Vec<PathBuf>,
    /// A directory with more boards, or others of the same names; may be given several times
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    boards: Vec<PathBuf>,
    /// Downloads and unpackings that run at once [default: one for each core]
    #[arg(long, short, global = true, value_name = "N", help_heading = "Everywhere")]
    jobs: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image
    Build(build::Arguments),
    /// Make an existing image or root file system smaller
    Shrink(shrink::Arguments),
    /// Pin the packages of a profile in a file beside it
    Lock(lock::Arguments),
    /// List profiles, boards, backends, formats or rules
    List(list::Arguments),
    /// Show what a profile or board says
    Show(show::Arguments),
    /// Start a new profile, with comments that explain it
    Init(init::Arguments),
    /// Say why a file is in an image
    Why(explain::WhyArguments),
    /// Say why a file is not in an image, and what would keep it
    WhyNot(explain::WhyNotArguments),
    /// Run the tests of a profile in a real engine
    Test(test::Arguments),
    /// Prove that everything in a root file system finds what it needs
    Check(check::Arguments),
    /// Print the libraries of a program as a tree
    Tree(closure::TreeArguments),
    /// Print the files that programs need from a root file system
    Closure(closure::Arguments),
    /// Say which backends and engines can work on this machine, and how to install what is missing
    Doctor(doctor::Arguments),
    /// Show, verify or prune the store
    Cache(cache::Arguments),
    /// Print the JSON Schema of profiles or boards, for editors
    Schema(documentation::SchemaArguments),
    /// Print the completion script of a shell
    Completions(documentation::CompletionArguments),
    /// Write the manual pages into a directory
    Man(documentation::ManArguments),
}

/// What a verb needs besides its own arguments.
struct Session {
    global: Global,
    user: UserSettings,
    style: Style,
}

impl Session {
    /// What the library's steps may use.
    fn context(&self, store: &Store, progress: &Arc<Progress>) -> Context {
        Context::new(store.clone())
            .with_settings(self.user.library.clone())
            .with_reporter(progress.clone())
            .with_offline(self.global.offline)
    }
}

/// Runs the program and says how it ended.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Whoever names no verb wants to know which there are. clap's own setting for this takes a variable for an argument.
            if error.kind() == clap::error::ErrorKind::MissingSubcommand && std::env::args_os().len() <= 1 {
                eprint!("{}", Cli::command().render_help());
            } else {
                let _ = error.print();
            }
            if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
                print_error_document(&error.render().to_string(), Class::Usage);
            }
            return ExitCode::from(if error.use_stderr() { Class::Usage.code() } else { 0 });
        }
    };
    signals::watch();
    let style = Style::new(cli.global.color);
    let json = cli.global.json;
    match run(cli, style) {
        Ok(code) => code,
        Err(error) => fail(&error, style, json),
    }
}

fn run(cli: Cli, style: Style) -> anyhow::Result<ExitCode> {
    let user = UserSettings::read(&cli.global)?;
    let session = Session { global: cli.global, user, style };
    match cli.verb {
        Verb::Build(arguments) => build::run(&session, arguments),
        Verb::Shrink(arguments) => shrink::run(&session, &arguments),
        Verb::Lock(arguments) => lock::run(&session, arguments),
        Verb::List(arguments) => list::run(&session, &arguments),
        Verb::Show(arguments) => show::run(&session, &arguments),
        Verb::Init(arguments) => init::run(&session, &arguments),
        Verb::Why(arguments) => explain::why(&session, &arguments),
        Verb::WhyNot(arguments) => explain::why_not(&session, &arguments),
        Verb::Test(arguments) => test::run(&session, arguments),
        Verb::Check(arguments) => check::run(&session, &arguments),
        Verb::Tree(arguments) => closure::tree(&session, &arguments),
        Verb::Closure(arguments) => closure::run(&session, &arguments),
        Verb::Doctor(arguments) => doctor::run(&session, &arguments),
        Verb::Cache(arguments) => cache::run(&session, arguments),
        Verb::Schema(arguments) => documentation::schema(&arguments),
        Verb::Completions(arguments) => documentation::completions(&arguments, &mut Cli::command()),
        Verb::Man(arguments) => documentation::man(&arguments, Cli::command()),
    }
}

/// Prints an error with all its causes and returns its exit code.
fn fail(error: &anyhow::Error, style: Style, json: bool) -> ExitCode {
    if broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let class = error.chain().find_map(|cause| cause.downcast_ref::<Error>()).map_or(Class::Machine, Error::class);
    let message = message(error);
    if json {
        print_error_document(&message, class);
    }
    let _ = writeln!(io::stderr(), "{} {message}", style.error("error:"));
    ExitCode::from(class.code())
}

/// An error for whoever asked for `--json`.
fn print_error_document(message: &str, class: Class) {
    let document = serde_json::json!({ "error": { "message": message, "class": class.name(), "code": class.code() } });
    let _ = writeln!(io::stdout(), "{document}");
}

/// The error and its causes; a cause that the one before already told is left out.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// Whether somebody like `head` read enough and left.
fn broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(broken)
}

/// An error of the command line, found after it was parsed.
fn usage(message: impl Into<String>) -> anyhow::Error {
    Error::new(Class::Usage, message.into()).into()
}
