//! The packages that `packaging/build` makes: they can be installed, and what they install works.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{succeed, text, tool};

/// What every package has, besides a completion for zsh, whose place the distributions do not agree on.
const FILES: [&str; 5] = [
    "usr/share/man/man1/minimg.1.gz",
    "usr/share/man/man1/minimg-build.1.gz",
    "usr/share/man/man1/minimg-why-not.1.gz",
    "usr/share/bash-completion/completions/minimg",
    "usr/share/fish/vendor_completions.d/minimg.fish",
];

/// Makes one package of the program that is tested, and returns its path.
fn package(format: &str, directory: &Path) -> PathBuf {
    tool("strip", "binutils");
    let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build"));
    build.args(["--fast", "--program", env!("CARGO_BIN_EXE_minimg"), "--output"]).arg(directory).arg(format);
    // A time in the future, so that rpm does not clamp the time of a file that kept its own, and the test notices it.
    build.env("SOURCE_DATE_EPOCH", "2000000000").env("MINIMG_STORE", directory);
    PathBuf::from(text(succeed(&mut build)).trim())
}

/// A command that changes the root directory and owners, which an ordinary user may do in a namespace.
fn as_root(program: &str, of: &str) -> Command {
    let mut command = tool(program, of);
    if !rustix::process::geteuid().is_root() {
        command = tool("unshare", "util-linux");
        command.args(["--map-root-user", "--", program]);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    command.env("PATH", std::env::join_paths(std::env::split_paths(&path).chain(sbin)).expect("a PATH"));
    command
}

/// What is installed runs, and its manual pages and completions are whole.
fn assert_works(root: &Path, zsh: &str) {
    let program = root.join("usr/bin/minimg");
    let version = text(succeed(Command::new(&program).arg("--version").env("HOME", root)));
    assert_eq!(version.trim(), concat!("minimg ", env!("CARGO_PKG_VERSION")));
    for file in FILES.iter().chain([&zsh]) {
        let path = root.join(file);
        assert!(path.is_file(), "{file} is missing");
        let content = match path.extension().is_some_and(|extension| extension == "gz") {
            true => text(succeed(tool("gzip", "gzip").arg("-dc").arg(&path))),
            false => std::fs::read_to_string(&path).unwrap(),
        };
        assert!(content.contains("minimg") && content.len() > 500, "{file} is cut short: {content:?}");
        assert!(
            path.extension().is_none_or(|extension| extension != "gz") || content.contains("\n.TH minimg"),
            "{file}"
        );
    }
}

/// The same program and time give the same bytes, whoever builds the package and where.
fn assert_reproducible(format: &str, package: &Path) {
    let other = tempfile::tempdir().unwrap();
    let again = self::package(format, other.path());
    assert!(std::fs::read(package).unwrap() == std::fs::read(again).unwrap(), "two {format} packages differ");
}

#[test]
fn the_deb_can_be_installed_and_works() {
    tool("dpkg-shlibdeps", "dpkg-dev");
    let directory = tempfile::tempdir().unwrap();
    let package = package("deb", directory.path());
    let root = directory.path().join("root");
    for part in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(part)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let mut install = as_root("dpkg", "dpkg");
    install.arg(format!("--root={}", root.display())).args(["--force-not-root", "--force-depends", "-i"]);
    succeed(install.arg(&package));
    assert_works(&root, "usr/share/zsh/vendor-completions/_minimg");
    let fields = text(succeed(tool("dpkg-deb", "dpkg").arg("-f").arg(&package).args(["Version", "Depends"])));
    assert!(fields.contains(env!("CARGO_PKG_VERSION")) && fields.contains("libc6 (>="), "{fields}");
    assert_reproducible("deb", &package);
}

#[test]
fn the_rpm_can_be_installed_and_works() {
    tool("rpmbuild", "rpm");
    let directory = tempfile::tempdir().unwrap();
    let package = package("rpm", directory.path());
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let rpm = |arguments: &[&str]| {
        let mut rpm = as_root("rpm", "rpm");
        rpm.arg("--root").arg(&root).args(arguments);
        rpm
    };
    // Debian's rpm warns of installing into a Debian system, which this is not.
    succeed(rpm(&["--force-debian", "-i", "--nodeps"]).arg(&package));
    assert_works(&root, "usr/share/zsh/site-functions/_minimg");
    assert_eq!(
        text(succeed(&mut rpm(&["--verify", "--nodeps", "minimg"]))),
        "",
        "the files are not those of the package"
    );
    assert_reproducible("rpm", &package);
}
