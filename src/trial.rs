//! Runs the programs of an image that was built, to see whether it works: in an engine, or without one in a sandbox.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use minimg_backend::Context;
use minimg_base::board::Board;
use minimg_base::error::{Class, Error, Result};
use minimg_engine as engine;
use minimg_oci::image::{Config, Image};
use minimg_oci::layer;
use minimg_sandbox::process::Ran;
use minimg_sandbox::root::{Program, Sandbox};
use minimg_tree::search::path_of;
use minimg_tree::{Kind, Node, RootPath, RootTree, accounts};

/// A program that runs longer is taken to hang.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A place in which programs of an image can be run.
pub trait Trial {
    /// Runs a program with its arguments, without a network, with `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be run at all, does not end, or writes too much. That it fails is no error.
    fn run(&self, program: &str, arguments: &[String], input: &str) -> Result<Ran>;

    /// Starts the image as its configuration says, and once it listens on the port, runs a command beside it with `input`. An empty
    /// command sends `input` to the port, and the output is what comes back.
    ///
    /// # Errors
    /// Those of [`Trial::run`].
    fn serve(&self, port: u16, command: &[String], input: &str) -> Result<Ran>;
}

impl Trial for engine::Trial<'_> {
    fn run(&self, program: &str, arguments: &[String], input: &str) -> Result<Ran> {
        self.run(program, arguments, input)
    }

    fn serve(&self, port: u16, command: &[String], input: &str) -> Result<Ran> {
        self.serve(port, command, input)
    }
}

/// An image in a sandbox, as its configuration says.
pub struct InSandbox<'a> {
    sandbox: Sandbox<'a>,
    context: &'a Context,
    config: Config,
    env: BTreeMap<String, String>,
    user: (u32, u32),
}

impl<'a> InSandbox<'a> {
    /// Unpacks an image for programs of the board.
    ///
    /// # Errors
    /// When a layer cannot be read, the image's user is not in it, or [`Sandbox::new`] fails.
    pub fn new(image: &Image, board: &Board, context: &'a Context) -> Result<Self> {
        let tree = layer::flatten(&image.layers, &context.store)?;
        let user = user_of(&image.config.user, &tree)?;
        let mut root = context.store.scratch()?;
        layer::write_tar_to(&tree, image.created, &mut root)?;
        root.seek(SeekFrom::Start(0)).map_err(|error| Error::new(Class::Machine, error))?;
        let mut env = image.config.env.clone();
        env.insert("PATH".to_owned(), path_of(&image.config.env).to_owned());
        let sandbox = Sandbox::new(root, board, PATIENCE, context)?;
        Ok(Self { sandbox, context, config: image.config.clone(), env, user })
    }
}

impl InSandbox<'_> {
    /// A command as the image's configuration would run it.
    fn program<'p>(&'p self, command: &'p [String]) -> Program<'p> {
        Program { command, env: &self.env, working_directory: &self.config.workdir, user: self.user }
    }

    fn stdin(&self, input: &str) -> Result<File> {
        let mut stdin = self.context.store.scratch()?;
        stdin
            .write_all(input.as_bytes())
            .and_then(|()| stdin.seek(SeekFrom::Start(0)))
            .map_err(|error| Error::new(Class::Machine, error))?;
        Ok(stdin)
    }
}

impl Trial for InSandbox<'_> {
    fn run(&self, program: &str, arguments: &[String], input: &str) -> Result<Ran> {
        let command: Vec<String> =
            std::iter::once(program).chain(arguments.iter().map(String::as_str)).map(str::to_owned).collect();
        self.sandbox.run(&self.program(&command), Some(self.stdin(input)?))
    }

    fn serve(&self, port: u16, command: &[String], input: &str) -> Result<Ran> {
        let start = [self.config.entrypoint.as_slice(), &self.config.cmd].concat();
        let client = Some(self.program(command)).filter(|client| !client.command.is_empty());
        self.sandbox.serve(&self.program(&start), port, client.as_ref(), Some(self.stdin(input)?))
    }
}

/// The numbers of an image's user, written `user`, `uid`, or either with `:group`, as engines look them up in the image.
fn user_of(text: &str, tree: &RootTree) -> Result<(u32, u32)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let missing = |name: &str, path: &str| {
        Error::new(
            Class::Incomplete,
            format!("the image runs as {text}, but its /{path} has no {name}; add it under [add]"),
        )
    };
    let passwd = text_of(tree, "etc/passwd")?;
    let account = accounts(&passwd).find(|account| account.name == user || user.parse() == Ok(account.id));
    let (uid, own_group) = match (user, account) {
        ("", _) => (0, 0),
        (_, Some(account)) => (account.id, account.fields.get(3).and_then(|id| id.parse().ok()).unwrap_or(0)),
        (number, None) => (number.parse().map_err(|_| missing(number, "etc/passwd"))?, 0),
    };
    let gid = match group {
        None => own_group,
        Some(group) => {
            let groups = text_of(tree, "etc/group")?;
            let found = accounts(&groups).find(|account| account.name == group).map(|account| account.id);
            found.or_else(|| group.parse().ok()).ok_or_else(|| missing(group, "etc/group"))?
        }
    };
    Ok((uid, gid))
}

/// A file of the image as text; empty when there is none.
fn text_of(tree: &RootTree, path: &str) -> Result<String> {
    let Some(Node { kind: Kind::File(content), .. }) = tree.get(&RootPath::root().join_clamped(path)) else {
        return Ok(String::new());
    };
    let bytes = content.map().map_err(|error| Error::new(Class::Machine, error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_in_the_image() {
        let mut tree = RootTree::new();
        tree.insert(RootPath::new("etc/passwd").unwrap(), Node::file(0o644, "root:x:0:0::/:\nweb:x:33:34::/:\n"));
        tree.insert(RootPath::new("etc/group").unwrap(), Node::file(0o644, "root:x:0:\nlog:x:4:\n"));
        for (text, expected) in [
            ("", Some((0, 0))),
            ("web", Some((33, 34))),
            ("33", Some((33, 34))),
            ("33:log", Some((33, 4))),
            ("web:7", Some((33, 7))),
            ("1000", Some((1000, 0))),
            ("1000:1001", Some((1000, 1001))),
            ("nobody", None),
            ("web:none", None),
        ] {
            assert_eq!(user_of(text, &tree).ok(), expected, "{text}");
        }
    }
}
