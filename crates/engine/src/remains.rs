//! What an interrupted operation leaves in an engine, and how to remove it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Engine;

/// For how long nothing more must come. A daemon goes on for a moment with what a client asked that is no more.
const SETTLING: Duration = Duration::from_secs(1);
/// The time limit of one command.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all of it may take: an engine that hangs must not hold up a user who presses Ctrl-C.
const ENOUGH: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The image that a builder starts from, under its temporary name, and what the builder makes on it.
#[derive(Clone)]
pub(super) struct Remains {
    engine: Engine,
    name: String,
}

/// An image, in the words of `image inspect`.
struct Known {
    parent: String,
    /// Whether it has a name besides the temporary one.
    is_named: bool,
}

/// Takes things out until nothing more comes: each call says whether there was anything, and is told when it must be done.
pub(super) fn until_quiet(mut take_out: impl FnMut(Instant) -> bool) {
    let end = Instant::now() + ENOUGH;
    let (mut quiet_since, mut looks) = (Instant::now(), 0);
    // A look may take longer than all the time of settling: one of them is not enough.
    while Instant::now() < end && (looks < 2 || quiet_since.elapsed() < SETTLING) {
        looks += 1;
        if take_out(end) {
            (quiet_since, looks) = (Instant::now(), 0);
        }
        std::thread::sleep(PAUSE);
    }
}

impl Remains {
    pub(super) fn new(engine: &Engine, name: &str) -> Self {
        Self { engine: engine.clone(), name: name.to_owned() }
    }

    /// Takes out the name, the images that were made from what it names, and their containers. What has got a name of its own was
    /// finished, and stays with all that it was made from.
    pub(super) fn take_out(&self) {
        let mut root = None;
        until_quiet(|end| {
            root = self.id(end).or(root.take());
            root.as_deref().is_some_and(|root| self.take_out_all_from(root, end))
        });
    }

    /// The id of what has the temporary name.
    fn id(&self, end: Instant) -> Option<String> {
        let id = self.engine.ask(&["image", "inspect", "--format", "{{.Id}}", &self.name], end)?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// Whether there was anything to be taken out.
    fn take_out_all_from(&self, root: &str, end: Instant) -> bool {
        let ask = |arguments: &[&str]| self.engine.ask(arguments, end);
        let images = self.unfinished(root, end);
        let ancestors: Vec<String> = images.iter().map(|id| format!("--filter=ancestor={id}")).collect();
        let containers = [self.engine.kind.containers, &super::words(&ancestors)].concat();
        // Without a filter all would be listed. They go first: an image that a container uses keeps its name.
        let containers = ask(&containers).filter(|_| !images.is_empty()).unwrap_or_default();
        for container in containers.split_whitespace() {
            ask(&["rm", "--force", "--volumes", container]);
        }
        let named = ask(&[self.engine.kind.untag, &[&self.name]].concat()).is_some();
        let removed = images.iter().filter(|id| ask(&["rmi", id]).is_some()).count();
        named || removed > 0
    }

    /// The images that were made from this one, and this one, without those that have a name and what such a one needs; children before
    /// their parents.
    fn unfinished(&self, root: &str, end: Instant) -> Vec<String> {
        let known = self.images(end);
        if !known.contains_key(root) {
            return Vec::new();
        }
        let children = |parent: &str| -> Vec<String> {
            known.iter().filter(|(_, image)| image.parent == parent).map(|(id, _)| id.clone()).collect()
        };
        let mut family = vec![root.to_owned()];
        let mut next = 0;
        while let Some(parent) = family.get(next) {
            let more = children(parent);
            family.extend(more);
            next += 1;
        }
        let mut needed = BTreeSet::new();
        for id in family.iter().rev() {
            let image = known.get(id);
            if needed.contains(id) || image.is_some_and(|image| image.is_named) {
                needed.insert(id.clone());
                needed.extend(image.map(|image| image.parent.clone()));
            }
        }
        family.into_iter().rev().filter(|id| !needed.contains(id)).collect()
    }

    /// All images of the engine by their ids.
    fn images(&self, end: Instant) -> BTreeMap<String, Known> {
        let ids = self.engine.ask(&["image", "ls", "--all", "--quiet", "--no-trunc"], end).unwrap_or_default();
        let ids: BTreeSet<&str> = ids.split_whitespace().collect();
        let inspect = ["image", "inspect", "--format", "{{.Id}} {{.Parent}} {{.RepoTags}}"];
        let told = self.engine.ask(&inspect.into_iter().chain(ids).collect::<Vec<_>>(), end).unwrap_or_default();
        let read = |line: &str| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            let (id, parent, names) = (words.next()?, words.next()?, words.next()?);
            let mut names = names.trim_matches(['[', ']']).split_whitespace();
            Some((id, Known { parent, is_named: names.any(|name| name != self.name) }))
        };
        told.lines().filter_map(read).collect()
    }
}

impl Engine {
    /// What a command of the engine prints; nothing if it fails, or is not done at the end. It runs without the guards of [`minimg_sandbox::process`], since this is called
    /// when everything that is guarded is being removed.
    pub(super) fn ask(&self, arguments: &[&str], end: Instant) -> Option<String> {
        let arguments = self.arguments.iter().cloned().chain(arguments.iter().map(Into::into));
        let handle =
            duct::cmd(&self.program, arguments).stdin_null().stderr_null().stdout_capture().unchecked().start().ok()?;
        match handle.wait_timeout(PATIENCE.min(end.saturating_duration_since(Instant::now()))) {
            Ok(Some(output)) if output.status.success() => String::from_utf8(output.stdout.clone()).ok(),
            Ok(Some(_)) => None,
            // It is killed on the way out of this program, if not by this.
            _ => handle.kill().ok().and(None),
        }
    }
}
