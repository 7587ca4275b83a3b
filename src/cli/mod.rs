//! The command line, with one file per verb. Only this module prints, and reads the environment and the home directory.

mod build;
mod cache;
mod check;
mod closure;
mod deliver;
mod delivery;
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

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand};
use minimg::backend::Context;
use minimg::error::{Class, Error};
use minimg::store::Store;

use progress::Progress;
use settings::UserSettings;
use style::Style;

/// Build minimal container images: only the files your programs need, each with a reason.
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
  minimg build busybox-glibc                     write a tiny glibc image to ./busybox-glibc.tar
  minimg build nginx --board arm64 -o nginx.oci  write an OCI layout for another machine
  minimg build python3 --load docker             load the image into Docker
  minimg shrink docker:team/app -o app.tar       keep only what the image's program needs
  minimg why curl /usr/lib/x86_64-linux-gnu/libssl.so.3
";

/// The options of every verb.
#[derive(Debug, Args)]
struct Global {
    /// Print errors only
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// Print more; give it twice for details
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet", help_heading = "Global options")]
    verbose: u8,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// When to use color
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    color: clap::ColorChoice,
    /// Work without network access, from the store alone
    #[arg(long, global = true, env = "MINIMG_OFFLINE", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Global options")]
    offline: bool,
    /// The directory of the store [default: minimg in the user's cache directory]
    #[arg(long, global = true, value_name = "DIR", env = "MINIMG_STORE", value_parser = any_path(), help_heading = "Global options")]
    store: Option<PathBuf>,
    /// The configuration file [default: minimg/config.toml in the user's configuration directory]
    #[arg(long, global = true, value_name = "FILE", env = "MINIMG_CONFIG", value_parser = any_path(), help_heading = "Global options")]
    config: Option<PathBuf>,
    /// A directory with additional profiles, which override built-in ones; can be repeated
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    profiles: Vec<PathBuf>,
    /// A directory with additional boards, which override built-in ones; can be repeated
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    boards: Vec<PathBuf>,
    /// A directory with additional rule sets, which override built-in ones; can be repeated
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    rules: Vec<PathBuf>,
    /// How many downloads and unpacking jobs to run in parallel [default: one per core]
    #[arg(long, short, global = true, value_name = "N", help_heading = "Global options")]
    jobs: Option<usize>,
}

/// Reads paths, the empty one of an empty variable too, which counts as one that is not set.
fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image
    Build(Box<build::Arguments>),
    /// Make an existing image or root file system smaller
    Shrink(shrink::Arguments),
    /// Pin a profile's packages in a lock file next to it
    Lock(lock::Arguments),
    /// List profiles, boards, backends, formats or rule sets
    List(list::Arguments),
    /// Show a profile or board
    Show(show::Arguments),
    /// Create a new, commented profile
    Init(init::Arguments),
    /// Explain why a file is in an image
    Why(explain::WhyArguments),
    /// Explain why a file is not in an image, and how to keep it
    WhyNot(explain::WhyNotArguments),
    /// Run a profile's tests in a container engine
    Test(test::Arguments),
    /// Check that all programs in a root file system find what they need
    Check(check::Arguments),
    /// Print a program's libraries as a tree
    Tree(closure::TreeArguments),
    /// Print the files that programs need from a root file system
    Closure(closure::Arguments),
    /// Report which backends and engines work on this machine, and how to install what is missing
    Doctor(doctor::Arguments),
    /// Show, verify or prune the store
    Cache(cache::Arguments),
    /// Print the JSON Schema of profiles or boards, for editors
    Schema(documentation::SchemaArguments),
    /// Print a shell completion script
    Completions(documentation::CompletionArguments),
    /// Write the manual pages to a directory
    Man(documentation::ManArguments),
}

/// What a verb needs in addition to its own arguments.
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
            // Without a verb, show all of them. clap's own setting for this takes an environment variable for an argument.
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
    signals::watch_panics();
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
        Verb::Build(arguments) => build::run(&session, *arguments),
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

/// An error as a JSON document, for `--json`.
fn print_error_document(message: &str, class: Class) {
    let document = serde_json::json!({ "error": { "message": message, "class": class.name(), "code": class.code() } });
    let _ = writeln!(io::stdout(), "{document}");
}

/// The error and its causes, without those that the one before already contains.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// Whether the reader of our output left early, as `head` does.
fn broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(broken)
}

/// An error of the command line, found after it was parsed.
fn usage(message: impl Into<String>) -> anyhow::Error {
    Error::new(Class::Usage, message.into()).into()
}
