//! Runs programs in a root file system: in namespaces of their own, without a network, as root of nothing outside, and without an engine.
//!
//! The root is unpacked into a directory of the store, which goes with the [`Sandbox`]. A program finds what engines give it as well:
//! `/proc`, a `/dev` with the usual devices, a writable `/tmp` where the root has none, and the loopback interface.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use crate::namespace::{Namespace, UNSHARE, Workspace};
use crate::process::{self, Command, Ran};
use crate::tool::{Need, ToolError};
use minimg_base::board::Board;
use minimg_base::error::Result;
use minimg_context::Context;

/// The program that unpacks the root with its owners, in the namespace.
const TAR: Need = Need { programs: &["tar"], package: "tar" };
/// The shell that connects to ports.
const BASH: Need = Need { programs: &["bash"], package: "bash" };

/// Unpacks the tar on standard input into `$0`, which is then a root for everyone to enter.
const UNPACK: &str = r#"tar --extract --numeric-owner --same-permissions --same-owner --xattrs --xattrs-include='*' --directory "$0" &&
    chmod go+rx "$0""#;

/// Makes the root `$0` ready to be entered, and goes on as the command. Where the loopback interface cannot be brought up, programs do
/// without.
const ENTER: &str = r#"
root=$0
ip link set lo up 2>/dev/null
mount --bind "$root" "$root" && cd "$root" || exit 125
mkdir -p proc dev tmp && { mount -t proc proc proc || mount --rbind /proc proc; } && mount -t tmpfs -o mode=755 dev dev || exit 125
for device in null zero full random urandom tty; do
    : >dev/$device && mount --bind /dev/$device dev/$device || exit 125
done
ln -s /proc/self/fd dev/fd && ln -s fd/0 dev/stdin && ln -s fd/1 dev/stdout && ln -s fd/2 dev/stderr
mkdir -m 1777 dev/shm
exec "$@"
"#;

/// Starts a server, which is the first `$1` words, and when it listens on port `$0`, runs the other words as its client; without any it
/// sends standard input there and prints what comes back. A server may listen before it is ready, so what gets nothing asks again.
const SERVE: &str = r#"
port=$0 count=$1 && shift
server=("${@:1:count}") client=("${@:count+1}")
ask() {
    if [ ${#client[@]} -gt 0 ]; then
        "${client[@]}" </proc/self/fd/0
        return
    fi
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    cat </proc/self/fd/0 >&3
    answer=dev/shm/answer
    timeout 2 cat <&3 >$answer
    cat $answer
    [ -s $answer ]
}
"${server[@]}" </dev/null >&2 &
for turn in {1..300}; do
    if ! kill -0 $! 2>/dev/null; then
        wait $!
        echo "the image's program ended with $?" >&2
        exit 126
    fi
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
done
for turn in {1..10}; do
    ask 2>dev/shm/said && exit
    code=$?
    sleep 0.5
done
cat dev/shm/said >&2
exit $code
"#;

/// The exit code of what could not be begun, as engines have it.
pub const NOT_BEGUN: i32 = 125;

/// A root file system in which programs can be run.
pub struct Sandbox<'a> {
    workspace: Workspace,
    namespace: Namespace,
    unshare: OsString,
    context: &'a Context,
    patience: Duration,
}

/// A program to be run in a [`Sandbox`].
#[derive(Debug, Clone)]
pub struct Program<'a> {
    /// Its path or name, which is looked up in the PATH of `env`, and its arguments.
    pub command: &'a [String],
    /// All of its variables.
    pub env: &'a BTreeMap<String, String>,
    /// The absolute path of the directory in which it starts; empty for the root.
    pub working_directory: &'a str,
    /// The numbers of its user and group.
    pub user: (u32, u32),
}

impl<'a> Sandbox<'a> {
    /// Unpacks a root, which is a tar without compression, for programs of the board; each may run for as long as `patience`.
    ///
    /// # Errors
    /// When the machine allows no namespaces or has no emulator for the board, a tool is missing, or the tar cannot be unpacked.
    pub fn new(root: File, board: &Board, patience: Duration, context: &'a Context) -> Result<Self> {
        const WHAT: &str = "programs of the image";
        let settings = &context.settings;
        TAR.find(&settings.path)?;
        let unshare = UNSHARE.find(&settings.path)?.into_os_string();
        let namespace = Namespace::find(WHAT, settings)?.for_board(board, WHAT, settings)?;
        let workspace = Workspace::new(&namespace, context)?;
        let sandbox = Self { workspace, namespace, unshare, context, patience };
        let unpack = sandbox.script(UNPACK, []);
        process::run(&unpack, Some(root), context.store.scratch()?, context.store.scratch()?)
            .map_err(|source| ToolError::Unpack { source })?;
        Ok(sandbox)
    }

    /// Runs a program with `input` on its standard input. What it changes in the root is there for the next one.
    ///
    /// # Errors
    /// When it does not end in time or writes too much. That it fails is no error, nor that it is not in the root.
    pub fn run(&self, program: &Program<'_>, input: Option<File>) -> Result<Ran> {
        self.run_inside(self.words(program), input)
    }

    /// Runs a server until its client is done, which begins when the server listens on the port. Without a client, `input` is sent to the
    /// port, and the standard output is what comes back.
    ///
    /// # Errors
    /// Those of [`Sandbox::run`], and when this machine has no bash.
    pub fn serve(
        &self,
        server: &Program<'_>,
        port: u16,
        client: Option<&Program<'_>>,
        input: Option<File>,
    ) -> Result<Ran> {
        let bash = BASH.find(&self.context.settings.path)?.into_os_string();
        let server = self.words(server);
        let script = [bash, "-c".into(), SERVE.into(), port.to_string().into(), server.len().to_string().into()];
        let client = client.map(|client| self.words(client)).unwrap_or_default();
        self.run_inside(script.into_iter().chain(server).chain(client), input)
    }

    /// The words that run a program in the root, which is the working directory.
    fn words(&self, program: &Program<'_>) -> Vec<OsString> {
        let (user, group) = program.user;
        let directory = if program.working_directory.is_empty() { "/" } else { program.working_directory };
        let as_user = [format!("--setuid={user}"), format!("--setgid={group}"), format!("--wd={directory}")];
        let variables = program.env.iter().map(|(name, value)| OsString::from(format!("{name}={value}")));
        let words = ["env", "-i"].map(OsString::from).into_iter().chain(variables);
        let words = words.chain([self.unshare.clone(), "--root=.".into()]).chain(as_user.map(OsString::from));
        words.chain(["--".into()]).chain(program.command.iter().map(OsString::from)).collect()
    }

    /// Runs words in namespaces of their own, in the root as their working directory.
    fn run_inside(&self, words: impl IntoIterator<Item = OsString>, input: Option<File>) -> Result<Ran> {
        let apart = ["--net", "--ipc", "--uts", "--mount", "sh", "-c", ENTER].map(OsString::from);
        let words = apart.into_iter().chain([self.workspace.path().into()]).chain(words);
        let command = self.command(self.namespace.wrap(&self.unshare, words));
        let ran = process::capture(&command, input, &self.context.store)?;
        Ok(ran.map_err(|source| ToolError::Program { source })?)
    }

    /// A script of the shell outside, for this root.
    fn script(&self, script: &str, arguments: impl IntoIterator<Item = OsString>) -> Command {
        let words = [OsString::from("-c"), script.into(), self.workspace.path().into()];
        self.command(self.namespace.wrap("sh".as_ref(), words.into_iter().chain(arguments)))
    }

    fn command(&self, mut words: Vec<OsString>) -> Command {
        let program = words.remove(0).into();
        Command { program, arguments: words, environment: Vec::new(), directory: None, patience: self.patience }
    }
}
