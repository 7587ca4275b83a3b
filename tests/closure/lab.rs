//! A small root with the machine's own loader, in which test cases build programs and libraries, and the loader as an oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use minimg::closure::loader::{CacheSource, Loader, LoaderSettings, Process, Role};
use minimg::closure::{Closure, ldcache};
use minimg::tree::{DirectoryRoot, RootTree};

pub(crate) const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A root in a temporary directory.
pub(crate) struct Lab {
    directory: tempfile::TempDir,
    pub(crate) env: BTreeMap<String, String>,
}

/// Runs a tool; a tool that is not there fails the test by name.
pub(crate) fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    command.output().unwrap_or_else(|error| panic!("this test needs {shown}: {error}"))
}

pub(crate) fn must(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What is compiled once for all cases: an object file without anything in it, and a static program that starts another one with the
/// environment that its arguments spell out, so that `LD_*` does not touch the tools that enter the root.
struct Compiled {
    directory: tempfile::TempDir,
}

impl Compiled {
    fn get() -> &'static Self {
        static COMPILED: OnceLock<Compiled> = OnceLock::new();
        COMPILED.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let at = |name: &str| directory.path().join(name);
            fs::write(at("empty.c"), "void _start(void) {}\n").unwrap();
            must(Command::new("cc").args(["-c", "-fPIC", "-o"]).arg(at("empty.o")).arg(at("empty.c")));
            let launch = "#include <unistd.h>\nint main(int c, char **v) { char *a[] = {v[1], 0}; execve(v[1], a, v + 2); return 126; }\n";
            fs::write(at("launch.c"), launch).unwrap();
            must(Command::new("cc").args(["-static", "-o"]).arg(at("launch")).arg(at("launch.c")));
            Compiled { directory }
        })
    }

    fn empty(&self) -> PathBuf {
        self.directory.path().join("empty.o")
    }

    fn launch(&self) -> PathBuf {
        self.directory.path().join("launch")
    }
}

impl Lab {
    /// A root with nothing in it.
    pub(crate) fn empty() -> Self {
        let lab = Self { directory: tempfile::tempdir().unwrap(), env: BTreeMap::new() };
        lab.directory("/proc");
        lab.directory("/etc");
        lab
    }

    /// A root with nothing but the loader, in a merged or a split /usr.
    pub(crate) fn new() -> Self {
        let lab = Self::empty();
        lab.directory("/usr/lib/x86_64-linux-gnu");
        lab.directory("/usr/lib64");
        lab.link("usr/lib", "/lib");
        lab.link("/usr/lib64", "/lib64");
        lab.copy("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        lab.link("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", LOADER);
        fs::copy(Compiled::get().launch(), lab.host("/launch")).unwrap();
        lab
    }

    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn directory(&self, path: &str) {
        fs::create_dir_all(self.real(path)).unwrap();
    }

    pub(crate) fn link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.real(path)).unwrap();
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let host = self.real(path);
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        fs::write(host, content).unwrap();
    }

    /// Copies a file of this machine to the same path.
    pub(crate) fn copy(&self, path: &str) {
        self.executable(path, fs::read(path).unwrap_or_else(|error| panic!("this test needs {path}: {error}")));
    }

    pub(crate) fn executable(&self, path: &str, content: impl AsRef<[u8]>) {
        use std::os::unix::fs::PermissionsExt;
        self.file(path, content);
        fs::set_permissions(self.real(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Compiles C.
    pub(crate) fn compile(&self, path: &str, source: &str, flags: &[&str]) {
        let out = self.real(path);
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let file = tempfile::Builder::new().suffix(".c").tempfile().unwrap();
        fs::write(file.path(), source).unwrap();
        must(Command::new("cc").args(["-fPIC", "-o"]).arg(out).arg(file.path()).args(flags));
    }

    pub(crate) fn tree(&self) -> minimg::tree::RootTree {
        minimg::tree::read_directory(self.root()).unwrap()
    }

    /// The place of a path on the host with the root's merged-/usr links followed, which are absolute and would leave it.
    fn real(&self, path: &str) -> PathBuf {
        for (link, target) in [("/lib/", "/usr/lib/"), ("/lib64/", "/usr/lib64/")] {
            if let Some(rest) = path.strip_prefix(link)
                && self.host(link.trim_end_matches('/')).is_symlink()
            {
                return self.host(target).join(rest);
            }
        }
        self.host(path)
    }

    /// Links a library that needs these names.
    pub(crate) fn lib(&self, path: &str, needs: &[&str], flags: &[&str]) {
        self.ld(path, needs, &[&["-shared"], flags].concat());
    }

    /// Links a program that needs these names.
    pub(crate) fn program(&self, path: &str, needs: &[&str], flags: &[&str]) {
        self.ld(path, needs, &[&["-pie", "-dynamic-linker", LOADER], flags].concat());
    }

    fn ld(&self, path: &str, needs: &[&str], flags: &[&str]) {
        let out = self.real(path);
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let stubs = tempfile::tempdir().unwrap();
        let mut link = Command::new("ld");
        link.arg("--no-as-needed").args(flags).arg("-o").arg(&out).arg(Compiled::get().empty());
        for (index, name) in needs.iter().enumerate() {
            let stub = stubs.path().join(format!("{index}.so"));
            must(Command::new("ld").args(["-shared", "-soname", name, "-o"]).arg(&stub).arg(Compiled::get().empty()));
            link.arg(stub);
        }
        must(&mut link);
    }

    /// Changes bytes of a file.
    pub(crate) fn patch(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.real(path)).unwrap();
        change(&mut bytes);
        fs::write(self.real(path), bytes).unwrap();
    }

    /// Starts a program in the root, with /proc and only the environment given.
    pub(crate) fn chroot(&self, program: &str, env: &[(&str, &str)]) -> Output {
        let mut command = self.enter();
        command.args(["/launch", program]);
        command.args(self.env.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(env.iter().map(|(name, value)| format!("{name}={value}")));
        run(&mut command)
    }

    /// Starts a program in the root with arguments.
    pub(crate) fn chroot_with(&self, command: &[&str]) -> Output {
        run(self.enter().args(command))
    }

    /// Like [`Lab::chroot`], where /proc is an empty directory.
    pub(crate) fn chroot_without_proc(&self, program: &str, env: &[(&str, &str)]) -> Output {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "chroot"]).arg(self.root()).args(["/launch", program]);
        command.args(env.iter().map(|(name, value)| format!("{name}={value}")));
        run(command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "--pid", "--fork"]).arg(format!("--mount-proc={}", self.host("/proc").display()));
        command.arg("chroot").arg(self.root());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Writes the cache with the real `ldconfig`.
    pub(crate) fn ldconfig(&self) {
        must(Command::new("/sbin/ldconfig").arg("-r").arg(self.root()));
    }

    /// Writes the caches that minimg has for this root, of which `full` is the tree before pruning.
    pub(crate) fn write_caches(&self, full: &RootTree) {
        let caches = ldcache::for_tree(&self.tree(), full).unwrap();
        caches.iter().for_each(|(path, cache)| self.file(&path.to_string(), cache));
    }

    /// A root with what a closure of this one keeps and nothing else, as an image has it.
    pub(crate) fn pruned(&self, closure: &Closure) -> Self {
        let lab = Self { env: self.env.clone(), ..Self::empty() };
        for path in closure.kept.keys().map(ToString::to_string) {
            let (from, to) = (self.host(&path), lab.host(&path));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let kind = from.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                fs::create_dir_all(to).unwrap();
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(from).unwrap(), to).unwrap();
            } else {
                fs::copy(from, to).unwrap();
            }
        }
        lab.write_caches(&self.tree());
        fs::copy(Compiled::get().launch(), lab.host("/launch")).unwrap();
        lab
    }

    /// What the root's own loader loads for a program: `name => path`, `name => missing`, or what it says when it gives up.
    pub(crate) fn oracle(&self, program: &str) -> BTreeSet<String> {
        let output = self.chroot(program, &[("LD_TRACE_LOADED_OBJECTS", "1")]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if let Some((_, error)) = err.split_once("error while loading shared libraries: ") {
            let name = error.split(':').next().unwrap_or_default();
            return BTreeSet::from([format!("gives up at {}", base(name))]);
        }
        assert!(output.status.success() && err.is_empty(), "the loader cannot be asked: {output:?}");
        let mut found = BTreeSet::new();
        for line in out.lines().map(str::trim).filter(|line| !line.contains("linux-vdso")) {
            let line = line.rsplit_once(" (0x").map_or(line, |(line, _)| line);
            match line.split_once(" => ") {
                Some((name, "not found")) => found.insert(format!("{name} => missing")),
                Some((_, path)) if base(path) != base(LOADER) => found.insert(path.to_owned()),
                None if line != "statically linked" && base(line) != base(LOADER) => found.insert(line.to_owned()),
                _ => false,
            };
        }
        found
    }

    /// What the walk finds for a program, in the words of [`Lab::oracle`].
    pub(crate) fn walk(&self, program: &str, cache: CacheSource) -> BTreeSet<String> {
        let root = DirectoryRoot::new(self.root()).unwrap();
        let settings = LoaderSettings { environment: self.env.clone(), cache, ..LoaderSettings::default() };
        let process = Loader::new(&root, settings).start(program.as_bytes()).unwrap().expect("a program");
        listing(&process)
    }

    /// Compares the walk with the loader, and both with what is expected.
    pub(crate) fn agree(&self, program: &str, cache: CacheSource, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        let oracle = self.oracle(program);
        assert_eq!(oracle, expected, "the loader does something else than expected");
        let walk = self.walk(program, cache);
        let given_up = oracle.iter().find_map(|line| line.strip_prefix("gives up at "));
        match given_up {
            Some(name) => {
                let missing = walk.iter().filter_map(|line| line.strip_suffix(" => missing"));
                assert!(
                    missing.map(base).any(|missing| missing == name),
                    "the loader gives up at {name}, the walk finds {walk:?}"
                );
            }
            None => assert_eq!(walk, oracle, "the walk (left) does something else than the loader (right)"),
        }
    }
}

pub(crate) fn listing(process: &Process) -> BTreeSet<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let loaded = process.loaded.iter().filter(|l| !matches!(l.role, Role::Program | Role::Interpreter));
    let missing = process.missing.iter().map(|missing| format!("{} => missing", text(&missing.name)));
    loaded.map(|loaded| text(&loaded.opened)).chain(missing).collect()
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
