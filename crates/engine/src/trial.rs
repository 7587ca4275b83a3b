//! Runs programs of an image in an engine, to see whether the image works.

use std::io::{Read, Write};
use std::net::TcpStream;
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

/// How long a server may take until it answers.
const PATIENCE_TO_SERVE: Duration = Duration::from_secs(30);
/// How long a server may be silent once it was asked.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// No answer that a test looks into is longer.
const LONGEST_ANSWER: u64 = 64 << 20;

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
        self.capture(&command, input)
    }

    /// Starts the image as its configuration says, in a container that is gone afterwards, and asks it until it answers: runs a command in
    /// it with `input`, or with an empty one sends `input` to the TCP port. The output is what comes back, or what the server wrote if
    /// nothing does.
    ///
    /// # Errors
    /// Those of [`Trial::run`], and when the image cannot be started.
    pub fn serve(&self, port: u16, command: &[String], input: &str) -> Result<Ran> {
        let publish = format!("--publish=127.0.0.1::{port}");
        let network = if command.is_empty() { &publish } else { "--network=none" };
        self.engine.run(&["run", "--detach", "--name", &self.container, network, &self.reference], None, self.store)?;
        let asked = self.ask_until_it_answers(port, command, input);
        self.engine
            .ask(&["container", "rm", "--force", "--volumes", &self.container], Instant::now() + PATIENCE_TO_REMOVE);
        asked
    }

    fn ask_until_it_answers(&self, port: u16, command: &[String], input: &str) -> Result<Ran> {
        let begun = Instant::now();
        loop {
            let ran = match command.is_empty() {
                true => self.send(port, input)?,
                false => self.run_beside(command, input)?,
            };
            if ran.code == 0 || begun.elapsed() > PATIENCE_TO_SERVE {
                return Ok(ran);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn run_beside(&self, command: &[String], input: &str) -> Result<Ran> {
        let words = ["exec", "--interactive", &self.container].into_iter().chain(command.iter().map(String::as_str));
        let (command, _workspace) = self.engine.prepared(words, self.store)?;
        self.capture(&command, input)
    }

    /// What the server says to `input`; a failure with what it wrote when it says nothing.
    fn send(&self, port: u16, input: &str) -> Result<Ran> {
        let port = port.to_string();
        let asked = ["port", &self.container, &port];
        let (command, _workspace) = self.engine.prepared(asked.into_iter(), self.store)?;
        let published = self.capture(&command, "")?;
        let answer = published.stdout.lines().next().map(|address| converse(address, input)).unwrap_or_default();
        if !answer.is_empty() {
            return Ok(Ran { code: 0, stdout: String::from_utf8_lossy(&answer).into_owned(), stderr: String::new() });
        }
        let (command, _workspace) = self.engine.prepared(["logs", &self.container].into_iter(), self.store)?;
        Ok(Ran { code: 1, ..self.capture(&command, "")? })
    }

    fn capture(&self, command: &process::Command, input: &str) -> Result<Ran> {
        let input = self
            .engine
            .scratch(self.store, |out| Ok(out.write_all(input.as_bytes()).map_err(ExportError::Write)?))?;
        let ran = process::capture(command, Some(input), self.store).map_err(Error::from)?;
        Ok(ran.map_err(|source| EngineError::Run { source })?)
    }
}

/// Sends `input` and takes what comes back until the other side ends or is silent; nothing when it does not listen.
fn converse(address: &str, input: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut talk = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.write_all(input.as_bytes())?;
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer).map(drop)
    };
    // Silence ends what was said; that nobody listens yet is seen by its being nothing.
    let _ = talk();
    answer
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.engine.take_out(&self.container, &self.reference, Instant::now() + PATIENCE_TO_REMOVE);
    }
}
