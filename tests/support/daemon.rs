//! Daemons that live as long as the test process and not a moment longer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A shell keeps the daemon. Its standard input is a pipe from the test process, so it notices when that ends in whatever way, even by
/// `kill -9`: it then ends the daemon by its process id, unmounts what is left and removes the directory.
const KEEPER: &str = r#"
directory=$1; shift
"$@" </dev/null &
daemon=$!
cat
kill $daemon 2>/dev/null
wait $daemon
while read -r _ _ _ _ mount _; do
    case $mount in "$directory"/*) umount -l "$mount" ;; esac
done </proc/self/mountinfo
rm -rf "$directory"
"#;

/// How long a daemon may take to be ready.
const PATIENCE: Duration = Duration::from_secs(90);

/// A daemon and the directory that is all its own.
pub(crate) struct Daemon {
    keeper: Child,
    directory: PathBuf,
}

impl Daemon {
    /// Starts what `command` makes for a fresh directory, and waits until `ready` says so.
    ///
    /// # Panics
    /// When it does not get ready; the message has the end of its log.
    pub(crate) fn start(name: &str, command: impl FnOnce(&Path) -> Command, ready: impl Fn(&Path) -> bool) -> Self {
        let directory = tempfile::Builder::new().prefix(&format!("minimg-{name}-")).tempdir().unwrap().keep();
        let log = directory.join("log");
        let command = command(&directory);
        let out = File::create(&log).unwrap();
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&directory).arg(command.get_program()).args(command.get_args());
        keeper.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(out);
        let daemon = Self { keeper: keeper.spawn().unwrap(), directory };
        let begun = Instant::now();
        while !ready(&daemon.directory) {
            if begun.elapsed() > PATIENCE {
                panic!("{name} did not get ready:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        daemon
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
