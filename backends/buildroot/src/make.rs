//! Running Buildroot's make.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::BuildrootError;
use super::sources::Sources;
use minimg_backend::Context;
use minimg_base::error::{Error, Result};
use minimg_base::report::Event;
use minimg_sandbox::namespace::Namespace;
use minimg_sandbox::process::{self, Command};
use minimg_sandbox::tool;

/// How long a question such as `show-info` may take.
const PATIENCE_TO_ANSWER: Duration = Duration::from_secs(15 * 60);
/// The longest answer that is read.
const LONGEST_ANSWER: u64 = 64 << 20;

/// A tree of Buildroot's and where it builds.
pub(super) struct Make<'a> {
    pub(super) program: PathBuf,
    pub(super) sources: Sources<'a>,
    pub(super) out: PathBuf,
    /// How many things it compiles at once; else what the configuration says.
    pub(super) jobs: Option<NonZero<u32>>,
    /// What ends all that make starts when this program ends.
    pub(super) namespace: Namespace,
    /// Where programs are looked for.
    pub(super) path: OsString,
    /// What the names of its logs begin with.
    pub(super) log: String,
}

/// What was being done when a build failed.
#[derive(Debug, Default)]
struct Progress {
    step: Option<String>,
    lost_fakeroot: bool,
}

impl Make<'_> {
    /// Configures: a target such as `x_defconfig`, whose words go to the log. Never `savedefconfig`, which would write over the defconfig.
    pub(super) fn configure(&self, target: &str, context: &Context) -> Result<()> {
        let arguments = [self.of_tree(), vec![target.into()]].concat();
        let command = self.command(arguments, PATIENCE_TO_ANSWER);
        tool::run(&command, &format!("{}-configure.log", self.log), None, context, &mut |_| {})
    }

    /// The line of JSON that a target prints: `show-info`. `-s` and `--no-print-directory` keep make's own words out of it.
    pub(super) fn ask(&self, target: &str, context: &Context) -> Result<String> {
        let command = self.command([self.of_tree(), vec![target.into()]].concat(), PATIENCE_TO_ANSWER);
        let mut output = context.store.scratch()?;
        tool::run(&command, &format!("{}-ask.log", self.log), Some(&output), context, &mut |_| {})?;
        let text = process::text(&mut output, LONGEST_ANSWER);
        // Makefiles of an external tree may say something of their own first.
        let answer = text.lines().find(|line| line.starts_with('{'));
        Ok(answer.map_or_else(String::new, str::to_owned))
    }

    /// Builds a target in the directory that was configured, and says what is being done.
    pub(super) fn build(&self, target: &str, patience: Duration, context: &Context) -> Result<()> {
        let mut arguments = vec!["--no-print-directory".into(), "-C".into(), self.out.clone().into(), target.into()];
        // On the command line it wins over the configuration, which stays the same.
        arguments.extend(self.jobs.map(|jobs| format!("BR2_JLEVEL={jobs}").into()));
        let command = self.command(arguments, patience);
        let mut progress = Progress::default();
        let mut tell = |line: &str| {
            if let Some(step) = step(line) {
                context.reporter.event(Event::Activity(&step));
                progress.step = Some(step);
            }
            progress.lost_fakeroot |= line.contains("cannot be preloaded");
        };
        let ended = tool::run(&command, &format!("{}-{target}.log", self.log), None, context, &mut tell);
        let Progress { step, lost_fakeroot } = progress;
        match (ended, step) {
            (Err(error), Some(step)) => {
                Err(Error::new(error.class(), BuildrootError::Step { step, failure: error.to_string() }))
            }
            (Err(error), None) => Err(error),
            (Ok(()), _) if lost_fakeroot => Err(BuildrootError::Fakeroot.into()),
            (Ok(()), _) => Ok(()),
        }
    }

    /// The words that address the tree. The output directory is absolute: a relative one would start at the tree.
    fn of_tree(&self) -> Vec<OsString> {
        let mut external = OsString::from("BR2_EXTERNAL=");
        for (at, path) in self.sources.external.iter().enumerate() {
            if at > 0 {
                external.push(":");
            }
            external.push(path);
        }
        let mut out = OsString::from("O=");
        out.push(&self.out);
        vec!["-s".into(), "--no-print-directory".into(), "-C".into(), self.sources.tree.into(), out, external]
    }

    fn command(&self, arguments: Vec<OsString>, patience: Duration) -> Command {
        let mut environment = tool::environment(&self.out);
        // Buildroot does not begin where a part of this is empty, has a blank, or is not absolute.
        environment.push(("PATH".into(), Some(search_path(&self.path))));
        // Some configure scripts refuse to run as root otherwise, which one is in a container.
        environment.push(("FORCE_UNSAFE_CONFIGURE".into(), Some("1".into())));
        // An ordinary user's namespace has but one id, and refuses the changes of owners that fakeroot only has to remember. Older
        // releases do not say so to fakeroot themselves.
        environment.push(("FAKEROOTDONTTRYCHOWN".into(), Some("1".into())));
        // What a make or shell around us set is not for this one.
        let foreign =
            ["O", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BR2_DEFCONFIG", "BR2_EXTERNAL", "PERL_MM_OPT", "CONFIG_SITE"];
        environment.extend(foreign.map(|name| (name.into(), None)));
        let wrapped = self.namespace.wrap(self.program.as_os_str(), arguments);
        let (program, arguments) =
            wrapped.split_first().map_or_else(Default::default, |(p, a)| (p.clone(), a.to_vec()));
        Command { program: program.into(), arguments, environment, directory: None, patience }
    }
}

/// The parts of a search path that Buildroot takes.
fn search_path(path: &std::ffi::OsStr) -> OsString {
    let takes = |part: &PathBuf| part.is_absolute() && !part.to_string_lossy().contains(char::is_whitespace);
    std::env::join_paths(process::directories(path).filter(takes)).unwrap_or_else(|_| path.to_owned())
}

/// The package, version and step of a line `>>> package version Step`, which has colors around it.
fn step(line: &str) -> Option<String> {
    let plain = without_colors(line);
    Some(plain.trim().strip_prefix(">>> ")?.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The text without the sequences that change colors: an escape, `[`, and all up to a letter.
fn without_colors(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        if c != '\x1b' {
            plain.push(c);
        } else if characters.next() == Some('[') {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else if let Some('B') = characters.clone().next() {
            // tput's way back to the usual character set: `ESC ( B`.
            characters.next();
        }
    }
    plain
}

/// A whole file of a build, as text.
pub(super) fn text(path: &Path) -> Result<String, BuildrootError> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?.take(LONGEST_ANSWER).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    read().map_err(|source| BuildrootError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_through_colors() {
        for line in [
            ">>> busybox 1.37.0 Building",
            "\x1b[7m>>> busybox 1.37.0 Building\x1b[27m",
            "\x1b[7m>>> busybox 1.37.0 Building\x1b(B\x1b[m",
        ] {
            assert_eq!(step(line).as_deref(), Some("busybox 1.37.0 Building"), "{line:?}");
        }
        assert_eq!(step(">>>   Finalizing target directory").as_deref(), Some("Finalizing target directory"));
        assert_eq!(step(">>> skeleton  Configuring").as_deref(), Some("skeleton Configuring"));
        assert_eq!(step("gcc -c x.c"), None);
    }

    #[test]
    fn the_search_path_is_one_that_buildroot_takes() {
        let all = ":/usr/bin:.:/mnt/c/Program Files:bin::/bin:";
        assert_eq!(search_path(std::ffi::OsStr::new(all)), "/usr/bin:/bin");
    }
}
