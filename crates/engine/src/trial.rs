//! Runs programs of an image in an engine, to see whether the image works.

use std::time::{Duration, Instant};

use super::remains::until_quiet;
use super::{Engine, EngineError, Way, token};
use minimg_base::error::{Error, Result};
use minimg_base::interrupt::{self, Guard, Leftover};
use minimg_oci::export::ExportError;
use minimg_oci::image::Image;
use minimg_sandbox::process::{self, Ran};
use minimg_store::Store;

/// How long the removal may take of what a trial had.
const PATIENCE_TO_REMOVE: Duration = Duration::from_secs(30);

/// An image that an engine has for a while. When this ends, and when the program is interrupted, the image and the container that runs
/// go out of it.
pub struct Trial<'a> {
    engine: &'a Engine,
    store: &'a Store,
    reference: String,
    container: String,
    _guard: Guard,
}

impl Engine {
    /// Puts an image into the engine to run its programs, under a name that is nobody else's: `minimg-test/NAME` with a tag of its own.
    ///
    /// # Errors
    /// Those of [`Engine::import`].
    pub fn trial<'a>(&'a self, name: &str, image: &Image, store: &'a Store) -> Result<Trial<'a>> {
        let token = token();
        let (container, reference) = (format!("minimg-test-{token}"), format!("minimg-test/{name}:{token}"));
        let (engine, names) = (self.clone(), (container.clone(), reference.clone()));
        let take_out = move || until_quiet(|end| engine.take_out(&names.0, &names.1, end));
        let guard = interrupt::register(Leftover::Elsewhere(Box::new(take_out)));
        let trial = Trial { engine: self, store, reference, container, _guard: guard };
        let image = Image { reference: trial.reference.clone(), ..image.clone() };
        self.import(&image, store, Way::Load)?;
        Ok(trial)
    }

    /// Removes a container, and the name of an image with the image if it has no other. Whether there was anything to be removed.
    fn take_out(&self, container: &str, reference: &str, end: Instant) -> bool {
        let mut was_there = false;
        for (kind, name, options) in [("container", container, &["--volumes"][..]), ("image", reference, &[])] {
            if self.ask(&[kind, "inspect", name], end).is_some() {
                was_there = true;
                // A container is refused while it is on its way out by itself.
                self.ask(&[&[kind, "rm", "--force"], options, &[name]].concat(), end);
            }
        }
        was_there
    }
}

impl Trial<'_> {
    /// Runs a program with its arguments in a container of its own, which has no network and is gone afterwards, with `input` on its
    /// standard input.
    ///
    /// # Errors
    /// When the engine's program cannot be run, or the program writes more than 64 MiB or takes half an hour.
    pub fn run(&self, program: &str, arguments: &[String], input: &str) -> Result<Ran> {
        let run = ["run", "--rm", "--name", &self.container, "--interactive", "--network=none"];
        let words = run.into_iter().chain(["--entrypoint", program, &self.reference]);
        let (command, _workspace) =
            self.engine.prepared(words.chain(arguments.iter().map(String::as_str)), self.store)?;
        let input = self
            .engine
            .scratch(self.store, |out| Ok(out.write_all(input.as_bytes()).map_err(ExportError::Write)?))?;
        let ran = process::capture(&command, Some(input), self.store).map_err(Error::from)?;
        Ok(ran.map_err(|source| EngineError::Run { source })?)
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.engine.take_out(&self.container, &self.reference, Instant::now() + PATIENCE_TO_REMOVE);
    }
}
