//! Container engines: puts images into Docker or Podman.
//!
//! There are two ways. [`Way::Load`] loads an archive, which keeps the layers and gives an id equal to the digest of the
//! configuration. [`Way::Dockerfile`] imports the bare files and lets a generated Dockerfile add the configuration; the engine stamps
//! its own time on that, so the id differs from run to run. Both give the same files and the same configuration.
//!
//! ```
//! use minimg_engine::Engine;
//!
//! let error = Engine::find("dokcer", "/usr/bin".as_ref()).map(drop).unwrap_err();
//! assert_eq!(error.to_string(), "there is no engine `dokcer`; there are docker and podman");
//! let error = Engine::find("podman", "".as_ref()).map(drop).unwrap_err();
//! assert!(error.to_string().starts_with("cannot find podman in PATH, which is empty; install it"));
//! ```

mod error;
mod kind;
mod remains;
mod trial;

use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use minimg_base::digest::Digest;
use minimg_base::error::{Error, Result};
use minimg_base::interrupt::{self, Leftover};
use minimg_context::{Part, Settings};
use minimg_oci::export::{self, Destination};
use minimg_oci::image::{Compression, Image};
use minimg_sandbox::namespace::Workspace;
use minimg_sandbox::process::{self, Command, ProcessError};
use minimg_store::{Store, StoreError};

pub use error::EngineError;
pub use kind::names;
use kind::{KINDS, Kind};
use remains::Remains;
pub use trial::Trial;

/// After this long an engine is taken to hang.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// After this long an engine that is asked for its version is taken not to be there.
const PATIENCE_TO_ANSWER: Duration = Duration::from_secs(10);

/// How an image gets into an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As an archive: layers are kept, and the id is the digest of the configuration.
    Load,
    /// As bare files, to which a generated Dockerfile adds the configuration.
    Dockerfile,
}

/// An engine on this machine.
#[derive(Clone)]
pub struct Engine {
    kind: &'static Kind,
    program: PathBuf,
    arguments: Vec<OsString>,
    patience: Duration,
}

/// An image in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The name that the engine knows it by.
    pub reference: String,
    /// The engine's id of it: `sha256:` and 64 hex digits.
    pub id: String,
}

impl Engine {
    /// Looks for an engine's program in the directories of `path`, which has the form of the environment's PATH.
    ///
    /// # Errors
    /// When no engine has that name, or its program is nowhere.
    pub fn find(name: &str, path: &OsStr) -> Result<Self, EngineError> {
        let unknown = || EngineError::Unknown { name: name.to_owned() };
        let kind = KINDS.iter().find(|kind| kind.name == name).ok_or_else(unknown)?;
        let program = process::find(name, path);
        let searched = || match path.to_string_lossy() {
            path if path.is_empty() => "PATH, which is empty".to_owned(),
            path => path.into_owned(),
        };
        match program {
            Some(program) => Ok(Self { kind, program, arguments: Vec::new(), patience: PATIENCE }),
            None => Err(EngineError::Missing { name: kind.name, package: kind.package, searched: searched() }),
        }
    }

    /// What an engine needs on this machine, and whether it exists: its program, and a daemon that answers it.
    pub fn survey(name: &str, settings: &Settings) -> Vec<Part> {
        let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else { return Vec::new() };
        let part = |name: &str, found: Option<String>, remedy: String| Part {
            name: name.to_owned(),
            found,
            needed: true,
            remedy,
        };
        let engine = Self::find(name, &settings.path).ok();
        let program = engine.as_ref().map(|engine| engine.program.display().to_string());
        let mut parts = vec![part("program", program, format!("apt-get install {}", kind.package))];
        if let Some(engine) = engine {
            let (found, remedy) = match engine.with_patience(PATIENCE_TO_ANSWER).version() {
                Ok(version) => (Some(version), String::new()),
                Err(said) => (None, said),
            };
            parts.push(part("answer", found, remedy));
        }
        parts
    }

    /// The version of what does the engine's work, which need not be its program.
    fn version(&self) -> Result<String, String> {
        let failed = |error: std::io::Error| error.to_string();
        let command = self.at_work(self.kind.version.iter().map(OsString::from));
        let file = || tempfile::tempfile().map_err(failed);
        let said = process::run(&command, None, file()?, file()?).map_err(|error| error.to_string())?;
        Ok(said.trim().to_owned())
    }

    /// The same engine with arguments that stand before every command, such as `--host` or `--root`.
    #[must_use]
    pub fn with_arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// The same engine, of which no command may take longer than this; half an hour unless this is called.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The engine's name.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Puts the image into the engine under its reference.
    ///
    /// # Errors
    /// When the engine cannot be reached, fails, takes too long, or has something else under the name afterwards.
    pub fn import(&self, image: &Image, store: &Store, way: Way) -> Result<Imported> {
        match way {
            Way::Load => self.load(image, store),
            Way::Dockerfile => self.build(image, store),
        }
    }

    /// The id of an image that the engine has, by its name or id: the digest of its configuration.
    ///
    /// # Errors
    /// When the engine cannot be reached, or has no such image.
    pub fn id(&self, reference: &str, store: &Store) -> Result<Digest> {
        let unread = |source| EngineError::Unread { name: self.name(), reference: reference.to_owned(), source };
        let inspect = ["image", "inspect", "--format", "{{.Id}}", reference];
        let found = self.execute(&inspect, None, store.scratch()?, store)?.map_err(unread)?.trim().to_owned();
        let id = format!("sha256:{}", found.trim_start_matches("sha256:"));
        Ok(id.parse().map_err(|_| EngineError::NoId { name: self.name(), reference: reference.to_owned(), found })?)
    }

    /// An image that the engine has, as an archive in a file without a name that is at its beginning.
    ///
    /// # Errors
    /// When the engine cannot be reached, has no such image, or the disk is full.
    pub fn save(&self, reference: &str, store: &Store) -> Result<std::fs::File> {
        let failed = |source| EngineError::Scratch { name: self.name(), source };
        let unread = |source| EngineError::Unread { name: self.name(), reference: reference.to_owned(), source };
        let mut archive = store.scratch()?;
        let output = archive.try_clone().map_err(failed)?;
        self.execute(&["save", reference], None, output, store)?.map_err(unread)?;
        archive.rewind().map_err(failed)?;
        Ok(archive)
    }

    fn load(&self, image: &Image, store: &Store) -> Result<Imported> {
        let images = std::slice::from_ref(image);
        let archive = self.scratch(store, |out| {
            export::write(images, self.kind.archive, Destination::Stream(out), store).map(drop)
        })?;
        self.run(&["load"], Some(archive), store)?;
        let expected = export::identity(image)?.config.to_string();
        let found = self.inspect(&image.reference, "{{.Id}}", store)?;
        let found = format!("sha256:{}", found.trim_start_matches("sha256:"));
        self.compare(&image.reference, expected, found)
    }

    fn build(&self, image: &Image, store: &Store) -> Result<Imported> {
        // Builders take names, not ids; this one is of this import alone, so that concurrent ones do not meet.
        let bare = format!("{}minimg-import:{}", self.kind.host, token());
        let dockerfile = export::dockerfile(image, &format!("FROM {bare}\n"))?;
        let rootfs = self.scratch(store, |out| export::write_rootfs(image, Compression::None, store, out))?;
        let options = (self.kind.import)(&image.platform);
        let import = [&["import"], &words(&options)[..], &["-", &bare]].concat();
        let remains = Remains::new(self, &bare);
        let take_out = remains.clone();
        let _guard = interrupt::register(Leftover::Elsewhere(Box::new(move || take_out.take_out())));
        let built = || -> Result<String> {
            self.run(&import, Some(rootfs), store)?;
            let id = self.build_from(image, &dockerfile, store)?;
            let found = self.inspect(&id, "{{.Os}}/{{.Architecture}}", store)?;
            let expected = format!("{}/{}", image.platform.os, image.platform.architecture);
            self.compare(&image.reference, expected, found)?;
            // Only now: the name may be that of an image that would be lost for a wrong one.
            self.tag(&id, &image.reference, store)?;
            // The name was only for the builder; the image stays as what the new one was made from.
            self.run(&[self.kind.untag, &[&bare]].concat(), None, store)?;
            Ok(id)
        };
        let id = built().inspect_err(|_| remains.take_out())?;
        Ok(Imported { reference: image.reference.clone(), id })
    }

    /// Gives an image that the engine has, by its name or id, another name.
    ///
    /// # Errors
    /// When the engine cannot be reached, or has no such image.
    pub fn tag(&self, image: &str, name: &str, store: &Store) -> Result<()> {
        self.run(&["tag", image, name], None, store).map(drop)
    }

    /// The id of what a Dockerfile makes, which has no name yet.
    fn build_from(&self, image: &Image, dockerfile: &str, store: &Store) -> Result<String> {
        let dockerfile =
            self.scratch(store, |out| Ok(out.write_all(dockerfile.as_bytes()).map_err(export::ExportError::Write)?))?;
        let options = (self.kind.build)(image);
        let build = [&["build"], &words(&options)[..], &["--no-cache", "--force-rm", "--quiet", "-"]].concat();
        let id = self.run(&build, Some(dockerfile), store)?;
        Ok(format!("sha256:{}", id.trim().trim_start_matches("sha256:")))
    }

    fn compare(&self, reference: &str, expected: String, found: String) -> Result<Imported> {
        if expected == found {
            return Ok(Imported { reference: reference.to_owned(), id: found });
        }
        Err(EngineError::Differs { name: self.name(), reference: reference.to_owned(), expected, found }.into())
    }

    fn inspect(&self, reference: &str, format: &str, store: &Store) -> Result<String> {
        let found = self.run(&["image", "inspect", "--format", format, reference], None, store)?;
        Ok(found.trim().to_owned())
    }

    /// Runs a command of the engine and returns what it printed.
    fn run(&self, arguments: &[&str], input: Option<std::fs::File>, store: &Store) -> Result<String> {
        let printed = self.execute(arguments, input, store.scratch()?, store)?;
        Ok(printed.map_err(|source| EngineError::Failed { name: self.name(), source })?)
    }

    /// Runs a command of the engine, whose output goes to a file, and returns what that begins with.
    fn execute(
        &self,
        arguments: &[&str],
        input: Option<std::fs::File>,
        output: std::fs::File,
        store: &Store,
    ) -> Result<Result<String, ProcessError>> {
        let (command, _workspace) = self.prepared(arguments.iter().copied(), store)?;
        Ok(process::run(&command, input, output, store.scratch()?))
    }

    /// A command of the engine, and where it works.
    fn prepared<'a>(&self, words: impl Iterator<Item = &'a str>, store: &Store) -> Result<(Command, Workspace)> {
        let mut command = self.at_work(words.map(OsString::from));
        let workspace = Workspace::plain(store)?;
        // Podman, which has no daemon, would leave what it works with where nobody looks for it when it is killed.
        if has_run_directory() {
            command.environment.push(("TMPDIR".into(), Some(workspace.path().into())));
        }
        Ok((command, workspace))
    }

    fn at_work(&self, arguments: impl Iterator<Item = OsString>) -> Command {
        Command {
            program: self.program.clone(),
            arguments: self.arguments.iter().cloned().chain(arguments).collect(),
            // The classic builder knows the engine's own images by name and needs no plugin.
            environment: vec![("DOCKER_BUILDKIT".into(), Some("0".into()))],
            directory: None,
            patience: self.patience,
        }
    }

    /// Writes what the engine will read to a file of the store's disk that has no name.
    fn scratch(&self, store: &Store, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<std::fs::File> {
        let failed = |source| EngineError::Scratch { name: self.name(), source };
        let mut file = store.scratch().map_err(|error: StoreError| Error::from(error))?;
        let mut out = BufWriter::new(&mut file);
        write(&mut out)?;
        out.flush().map_err(failed)?;
        drop(out);
        file.rewind().map_err(failed)?;
        Ok(file)
    }
}

/// Whether this user has a place for what is to be known until the machine is started again. Who has none gets one of Podman's below TMPDIR,
/// and Podman notes that for good.
fn has_run_directory() -> bool {
    let user = rustix::process::geteuid();
    user.is_root() || Path::new(&format!("/run/user/{}", user.as_raw())).is_dir()
}

/// What no other import or trial has in its names.
fn token() -> String {
    format!("{:016x}", fastrand::u64(..))
}

fn words(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}
