//! RPM repositories with real packages, made on the spot.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::{command, run, tool};

/// The repositories of this test process: plain, and signed with the key beside it.
pub(crate) struct Repositories(tempfile::TempDir);

/// Made when they are first wanted.
pub(crate) static REPOSITORIES: LazyLock<Repositories> = LazyLock::new(|| {
    for (name, package) in [("rpmbuild", "rpm"), ("createrepo_c", "createrepo-c"), ("dnf", "dnf"), ("gpg", "gpg")] {
        tool(name, package);
    }
    let directory = tempfile::tempdir().unwrap();
    // Ordinary users read it, too.
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpm/repository.py");
    run(command(&script, &[]).arg(directory.path().join("plain")));
    run(command("cp", &["-r", "plain", "signed"]).current_dir(directory.path()));
    let home = directory.path().join("gpg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let in_home = |program: &str, arguments: &[&str]| {
        let mut command = command(program, arguments);
        command.env("GNUPGHOME", &home).current_dir(directory.path());
        run(&mut command)
    };
    let name = "Test <test@example.invalid>";
    in_home("gpg", &["--batch", "-q", "--passphrase", "", "--quick-generate-key", name, "rsa2048", "sign", "never"]);
    std::fs::write(directory.path().join("key.asc"), in_home("gpg", &["--armor", "--export", name])).unwrap();
    let sign = "rpmsign --define '__gpg /usr/bin/gpg' --define '_gpg_name Test' --addsign signed/*.rpm";
    in_home("sh", &["-c", sign]);
    in_home("createrepo_c", &["-q", "--no-database", "--simple-md-filenames", "signed"]);
    let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &home).status();
    Repositories(directory)
});

impl Repositories {
    /// Where one of them is, or the key `key.asc`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
