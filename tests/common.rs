//! What the end-to-end tests share: running the real program in a clean environment, on an archive of its own or the machine's live mirror.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::archive;

/// The release before the one that most tests build from.
const OLDER_SUITE: &str = "bookworm";

/// A directory for one test: the store inside it is empty unless the test asks for the shared one. Packages come from the archive that the
/// tests make themselves, unless the test asks for the machine's live mirror.
pub(crate) struct Sandbox {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: PathBuf,
    pub(crate) is_live: bool,
}

impl Sandbox {
    /// An empty store of its own.
    pub(crate) fn cold() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = directory.path().join("store");
        Self { directory, store, is_live: false }
    }

    /// The store that all tests of one run share, so that a package is fetched once.
    pub(crate) fn shared() -> Self {
        let store = std::env::var_os("MINIMG_STORE")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("store"), PathBuf::from);
        Self { store, ..Self::cold() }
    }

    /// The same, with the mirrors of the machine: for what only real and whole distributions can show.
    pub(crate) fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file in the sandbox");
        path
    }

    /// The program, started in the sandbox with nothing of the user's environment but the path and proxies.
    pub(crate) fn minimg(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minimg"));
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        for (name, value) in std::env::vars_os() {
            let shown = name.to_string_lossy().to_lowercase();
            if shown == "path" || shown.ends_with("_proxy") {
                command.env(name, value);
            }
        }
        command.env("MINIMG_STORE", &self.store).env("HOME", self.directory.path());
        if !self.is_live {
            let archive = archive::of_this_machine();
            command.env("MINIMG_MIRROR", &archive.path).env("MINIMG_SECURITY_MIRROR", &archive.path);
            command.env("MINIMG_KEYRING", &archive.keyring);
        }
        command
    }

    /// The same from a copy of the program in the sandbox, for users who cannot enter the directory of the build.
    pub(crate) fn copied_minimg(&self, arguments: &[&str]) -> Command {
        let copy = self.path("minimg");
        if !copy.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_minimg"), &copy).expect("a copy of the program");
        }
        let original = self.minimg(arguments);
        let mut command = Command::new(copy);
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.envs(original.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Runs it and expects success.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        text(succeed(&mut self.minimg(arguments)))
    }

    /// Builds the root of a profile for a board from the machine's live mirror. Where the mirror lacks packages that its own index lists, as
    /// mirrors do for small architectures during a point release, this says so and takes the release before.
    ///
    /// # Errors
    /// What the program said when it failed for another reason, or for both releases.
    pub(crate) fn root_for_board(&self, profile: &Path, board: &str, suite: &str, tar: &str) -> Result<(), String> {
        let profile = profile.to_str().expect("a path in UTF-8");
        let build = |suite: &str| {
            let arguments = ["build", profile, "--board", board, "--suite", suite, "-q", "-o", tar];
            let output = self.minimg(&arguments).output().expect("minimg starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(said) }
        };
        match build(suite) {
            Err(said) if suite != OLDER_SUITE && said.contains(".deb does not exist") => {
                eprintln!("THE MIRROR IS AT FAULT, {OLDER_SUITE} is tested for {board} in place of {suite}: {said}");
                build(OLDER_SUITE)
            }
            built => built,
        }
    }

    /// Runs it and expects failure with this exit code; returns what it said.
    pub(crate) fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.minimg(arguments).output().expect("minimg starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "minimg {arguments:?} said: {said}");
        said
    }

    /// Runs it with `--json` and returns the document.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        serde_json::from_str(&self.run(&all)).expect("one JSON document")
    }
}

/// Runs a command and expects success.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{out}\n{err}", output.status);
    output
}

pub(crate) fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A tool that a test cannot do without: its absence is a failure that says what to install, never a skip.
pub(crate) fn tool(name: &str, package: &str) -> Command {
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(name).is_file());
    let found = found || Path::new("/usr/sbin").join(name).is_file();
    assert!(found, "the test needs {name}: apt-get install {package}");
    Command::new(name)
}
