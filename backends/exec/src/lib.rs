//! Outside backends: any program, found as `minimg-backend-NAME` or named in the configuration.
//!
//! It is asked three things, each by one start of the program with the verb as its argument: `describe`, `resolve`, `produce`. The
//! [`protocol`] is described for those who write one in `backends/README.md`.
//!
//! ```
//! use std::os::unix::fs::PermissionsExt;
//!
//! use minimg_backend::{Backend, Settings};
//! use minimg_exec::Exec;
//!
//! let directory = tempfile::tempdir()?;
//! let program = directory.path().join("minimg-backend-hello");
//! std::fs::write(&program, "#!/bin/sh\necho '{\"protocol\": 1, \"description\": \"a greeting\"}'\n")?;
//! std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
//!
//! let settings = Settings { path: directory.path().into(), ..Settings::default() };
//! let backend = Exec::find("hello", &settings)?.expect("the program is there");
//! assert_eq!(backend.description(), "a greeting");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod program;
pub mod protocol;

use std::collections::BTreeSet;

pub use error::ExecError;
pub use program::PREFIX;

use program::Program;
use protocol::{Description, Question, Resolved};

use minimg_backend::{Backend, Context, Part, Pins, Produced, Request, Settings, driven, fixed};
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, Result};
use minimg_base::report::{Event, Phase};
use minimg_base::suggest;
use minimg_oci::rootfs;
use minimg_ownership as ownership;
use minimg_sandbox::process;

/// The families that profiles have packages of.
const FAMILIES: [&str; 4] = ["deb", "rpm", "apk", "buildroot"];

/// An outside backend.
#[derive(Debug, Clone)]
pub struct Exec {
    program: Program,
    description: Description,
}

/// Whether there is an outside backend of this name; it is not asked anything.
pub fn is_there(name: &str, settings: &Settings) -> bool {
    matches!(Program::find(name, settings), Ok(Some(_)) | Err(_))
}

/// The names of the outside backends of this machine, sorted: those on PATH, and those that the configuration names a program for.
pub fn names(settings: &Settings) -> BTreeSet<String> {
    let on_path = process::directories(&settings.path).filter_map(|directory| directory.read_dir().ok()).flatten();
    let on_path = on_path.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_prefix(PREFIX)?.to_owned()));
    let configured = settings.backends.iter().filter(|(_, table)| table.contains_key("program"));
    on_path.chain(configured.map(|(name, _)| name.clone())).filter(|name| is_there(name, settings)).collect()
}

impl Exec {
    /// The outside backend of this name; `None` if there is none.
    ///
    /// # Errors
    /// When its program cannot be run, takes too long, or does not describe itself as the protocol wants.
    pub fn find(name: &str, settings: &Settings) -> Result<Option<Self>> {
        let Some(program) = Program::find(name, settings)? else { return Ok(None) };
        let description = program.describe(settings)?;
        if let Some(family) = description.family.clone().filter(|family| !FAMILIES.contains(&family.as_str())) {
            let help = suggest::help(&family, FAMILIES).unwrap_or_default();
            return Err(ExecError::Family { program: program.shown(), family, help }.into());
        }
        Ok(Some(Self { program, description }))
    }

    fn question(&self, question: &Question<'_>) -> Result<String> {
        serde_json::to_string(question).map_err(|error| Error::new(Class::Machine, error))
    }
}

impl Backend for Exec {
    fn name(&self) -> &str {
        &self.program.name
    }

    fn description(&self) -> &str {
        &self.description.description
    }

    fn family(&self) -> &str {
        self.description.family.as_deref().unwrap_or(&self.program.name)
    }

    fn works_without_packages(&self) -> bool {
        self.description.family.is_none()
    }

    fn survey(&self, settings: &Settings) -> Vec<Part> {
        let own =
            Part { name: "program".into(), found: Some(self.program.shown()), needed: true, remedy: String::new() };
        let needs = self.description.needs.iter().map(|name| {
            let found = process::find(name, &settings.path).map(|path| path.display().to_string());
            Part {
                name: name.clone(),
                found,
                needed: true,
                remedy: format!("install {name}, or what {} says", self.name()),
            }
        });
        [own].into_iter().chain(needs).collect()
    }

    fn pin(&self, request: &Request, context: &Context) -> Result<Pins> {
        let name = self.name();
        let missing = |need: &&String| process::find(need, &context.settings.path).is_none();
        if let Some(need) = self.description.needs.iter().find(missing) {
            return Err(ExecError::Needs { program: self.program.shown(), need: need.clone() }.into());
        }
        let question = Question::new(name, request, context.offline, context.settings.jobs);
        let asked = self.question(&question)?;
        let resolved: Resolved = self.program.ask("resolve", &asked, context)?;
        let unreadable = |source| minimg_store::StoreError::Io { path: self.program.file.clone(), source };
        let file = std::fs::File::open(&self.program.file).map_err(unreadable)?;
        let (program, _) = Digest::of_reader(file).map_err(unreadable)?;
        let key = resolved.identity(&program, &asked);
        // The program's key says when the tree is another one: no age does.
        driven::remembered(name, &key, std::time::Duration::MAX, context, || {
            context.reporter.event(Event::Phase(Phase::Produce));
            let question =
                self.question(&Question::new(name, request, context.offline, context.settings.jobs).with(&resolved))?;
            let tar = self.program.call("produce", &question, process::LARGEST_OUTPUT, context)?;
            let mut tree = rootfs::read(tar, Some(&request.board.platform), &context.store)?.tree;
            if tree.is_empty() {
                let (program, message) = (self.program.shown(), "the root file system is empty".to_owned());
                return Err(ExecError::Answer { program, verb: "produce", message }.into());
            }
            ownership::assign(&mut tree)?;
            fixed::fix(tree, &resolved.origin, context)
        })
    }

    fn produce(&self, _: &Request, pins: &Pins, context: &Context) -> Result<Produced> {
        fixed::produce(pins, context)
    }
}
