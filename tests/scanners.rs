//! What scanners find in our images: the real syft and trivy, without a network, say which distribution it is, exactly the packages of
//! which something was kept, and exactly the kept files.
//!
//! `./test` installs the scanners.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::{Sandbox, succeed, text, tool};
use crate::shrink::{alpine, debian};
use crate::support::rpm::REPOSITORIES;

/// What a scanner says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// The distribution and its release.
    distribution: (String, String),
    /// The packages of the distribution: names with versions.
    packages: BTreeSet<String>,
    /// The regular files of packages that it names.
    files: BTreeSet<String>,
    /// Packages that it takes for none of the distribution's.
    others: Vec<String>,
}

/// A scanner that `./test` has installed, where no network can be reached.
fn scanner(name: &str) -> Command {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("scanners").join(name);
    assert!(path.exists(), "this test needs {}: `. tests/needs.sh && need_scanners` installs it", path.display());
    let mut command = tool("unshare", "util-linux");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net").arg(path);
    command
}

fn document(command: &mut Command) -> Value {
    serde_json::from_str(&text(succeed(command))).expect("one JSON document")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn trivy(sandbox: &Sandbox, root: &Path) -> Said {
    let mut command = scanner("trivy");
    command.args(["rootfs", "--quiet", "--format", "json", "--list-all-pkgs", "--offline-scan"]);
    // Scanning for licenses needs no database of vulnerabilities.
    command.args(["--scanners", "license", "--cache-dir"]).arg(sandbox.path("trivy")).arg(root);
    let document = document(command.env("HOME", sandbox.directory.path()));
    let os = &document["Metadata"]["OS"];
    let mut said = Said { distribution: (word(&os["Family"]).into(), word(&os["Name"]).into()), ..Said::default() };
    for result in list(&document["Results"]) {
        for package in list(&result["Packages"]) {
            let epoch = package["Epoch"].as_u64().map(|epoch| format!("{epoch}:")).unwrap_or_default();
            let release = package["Release"].as_str().map(|release| format!("-{release}")).unwrap_or_default();
            let line = format!("{} {epoch}{}{release}", word(&package["Name"]), word(&package["Version"]));
            match word(&result["Class"]) {
                "os-pkgs" => drop(said.packages.insert(line)),
                _ => said.others.push(line),
            }
        }
    }
    said
}

fn syft(sandbox: &Sandbox, root: &Path) -> Said {
    let mut command = scanner("syft");
    command.arg("scan").arg(format!("dir:{}", root.display())).args(["-q", "-o", "syft-json"]);
    let document = document(command.env("HOME", sandbox.directory.path()).env("SYFT_CHECK_FOR_APP_UPDATE", "false"));
    let distribution = &document["distro"];
    let mut said = Said {
        distribution: (word(&distribution["id"]).into(), word(&distribution["versionID"]).into()),
        ..Said::default()
    };
    for package in list(&document["artifacts"]) {
        let line = format!("{} {}", word(&package["name"]), word(&package["version"]));
        if !["deb", "rpm", "apk"].contains(&word(&package["type"])) {
            said.others.push(line);
            continue;
        }
        said.packages.insert(line.clone());
        for file in list(&package["metadata"]["files"]).map(|file| word(&file["path"])) {
            let real = real_path(root, file);
            assert!(real.is_some(), "{line} has no {file}");
            said.files.extend(real.filter(|real| root.join(&real[1..]).is_file()));
        }
    }
    said
}

/// Where a path leads whose directories may be links.
fn real_path(root: &Path, path: &str) -> Option<String> {
    let path = Path::new(path.trim_start_matches('/'));
    let parent = root.join(path.parent()?).canonicalize().ok()?;
    let real = parent.join(path.file_name()?);
    real.symlink_metadata().ok()?;
    Some(format!("/{}", real.strip_prefix(root.canonicalize().ok()?).ok()?.display()))
}

/// What the build record says that is in a root: the packages, and their files but for the database itself.
struct Expected {
    packages: BTreeSet<String>,
    files: BTreeMap<String, BTreeSet<String>>,
}

fn expected(sandbox: &Sandbox, tar: &str, root: &Path) -> Expected {
    let record: Value =
        serde_json::from_slice(&fs::read(sandbox.path(&format!("{tar}.record.json"))).unwrap()).unwrap();
    let packages = list(&record["packages"]);
    let packages =
        packages.map(|package| format!("{} {}", word(&package["name"]), word(&package["version"]))).collect();
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, kept) in record["files"].as_object().unwrap() {
        let is_directory = root.join(&path[1..]).symlink_metadata().unwrap().is_dir();
        if let Some(package) = kept["package"].as_str().filter(|_| !is_directory && !path.starts_with("/var/lib/dpkg/"))
        {
            files.entry(package.to_owned()).or_default().insert(path.clone());
        }
    }
    Expected { packages, files }
}

/// Unpacks a root tar that was just written.
fn unpack(sandbox: &Sandbox, tar: &str) -> PathBuf {
    let root = sandbox.path(&format!("{tar}.d"));
    fs::create_dir(&root).unwrap();
    succeed(tool("tar", "tar").arg("-xf").arg(sandbox.path(tar)).arg("-C").arg(&root));
    root
}

/// Compares what both scanners say with the build record. Returns what syft says of files and what the record does.
fn compare(sandbox: &Sandbox, tar: &str, distribution: (&str, &str)) -> (BTreeSet<String>, Expected, PathBuf) {
    let root = unpack(sandbox, tar);
    let expected = expected(sandbox, tar, &root);
    let (family, release) = distribution;
    let mut all = BTreeSet::new();
    for (name, scan) in [("trivy", trivy as fn(&Sandbox, &Path) -> Said), ("syft", syft)] {
        let said = scan(sandbox, &root);
        assert_eq!(said.packages, expected.packages, "the packages of {tar} according to {name}");
        assert_eq!(said.distribution.0, family, "the distribution of {tar} according to {name}");
        assert!(said.distribution.1.starts_with(release), "{tar} according to {name}: {:?}", said.distribution);
        if name == "trivy" {
            assert_eq!(said.others, Vec::<String>::new(), "{tar}: what the packages have is counted twice");
        }
        all.extend(said.files);
    }
    (all, expected, root)
}

/// The lists that dpkg would have are exactly the kept files; the checksums are of kept files.
fn compare_dpkg(sandbox: &Sandbox, tar: &str, distribution: (&str, &str)) {
    let (named, expected, root) = compare(sandbox, tar, distribution);
    let mut listed = BTreeMap::new();
    for entry in fs::read_dir(root.join("var/lib/dpkg/info")).unwrap().map(|entry| entry.unwrap()) {
        let lines: BTreeSet<String> = fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned).collect();
        let name = entry.file_name().into_string().unwrap();
        listed.insert(name.trim_end_matches(".list").to_owned(), lines);
    }
    assert_eq!(listed, expected.files, "{tar}");
    let kept: BTreeSet<String> = expected.files.into_values().flatten().collect();
    // In the place of a file a profile may have put a link to another one.
    let leads_to_kept = |path: &str| {
        let real = root.join(&path[1..]).canonicalize().unwrap();
        kept.contains(&format!("/{}", real.strip_prefix(root.canonicalize().unwrap()).unwrap().display()))
    };
    let unknown: Vec<&String> = named.difference(&kept).filter(|path| !leads_to_kept(path)).collect();
    assert!(unknown.is_empty(), "{tar}: not in the image: {unknown:?}");
    // dpkg has no checksums of configuration and of what scripts make.
    let is_plain =
        |path: &&String| path.starts_with("/usr/") && root.join(&path[1..]).symlink_metadata().unwrap().is_file();
    let missing: Vec<&String> = kept.iter().filter(is_plain).filter(|path| !named.contains(*path)).collect();
    assert!(missing.is_empty(), "{tar}: not named: {missing:?}");
}

#[test]
fn scanners_know_every_shipped_profile() {
    let sandbox = Sandbox::shared().live();
    let profiles = sandbox.json(&["list", "profiles"]);
    for name in list(&profiles).map(|profile| word(&profile["name"])) {
        let tar = format!("{name}.tar");
        sandbox.run(&["build", name, "--suite", "bookworm", "-q", "-o", &format!("rootfs:{tar}")]);
        compare_dpkg(&sandbox, &tar, ("debian", "12"));
    }
}

#[test]
fn scanners_know_a_debian_root_that_was_shrunk() {
    let sandbox = Sandbox::cold().live();
    debian(&sandbox).copy("/etc/debian_version", "etc/debian_version");
    sandbox.run(&["shrink", "debian", "-p", "/bin/echo", "-q", "-o", "rootfs:small.tar"]);
    compare_dpkg(&sandbox, "small.tar", ("debian", "1"));
    // What is made of the small one says the same.
    sandbox.run(&["shrink", "small.tar", "-p", "/bin/echo", "-q", "-o", "rootfs:smaller.tar"]);
    compare_dpkg(&sandbox, "smaller.tar", ("debian", "1"));
}

#[test]
fn scanners_know_an_alpine_root_that_was_shrunk() {
    let sandbox = Sandbox::cold().live();
    alpine(&sandbox).write("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n").write("etc/alpine-release", "3.20.1\n");
    sandbox.run(&["shrink", "alpine", "-p", "hello", "-q", "-o", "rootfs:small.tar"]);
    let (named, expected, _) = compare(&sandbox, "small.tar", ("alpine", "3.20"));
    let database = "/lib/apk/db/installed".to_owned();
    let kept: BTreeSet<String> = expected.files.into_values().flatten().filter(|path| *path != database).collect();
    assert_eq!(named, kept);
}

#[test]
fn scanners_know_an_rpm_root_that_was_shrunk() {
    let sandbox = Sandbox::cold().live();
    let root = sandbox.path("rocky");
    fs::create_dir(&root).unwrap();
    let packages = fs::read_dir(REPOSITORIES.path("plain")).unwrap().map(|entry| entry.unwrap().path());
    let wanted = packages.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".rpm") && ["filesystem-", "busybox-", "libc6-"].iter().any(|start| name.starts_with(start))
    });
    let mut rpm = tool("rpm", "rpm");
    rpm.arg("--root").arg(&root).args(["--dbpath", "/usr/lib/sysimage/rpm", "-i", "--nodeps", "--noscripts"]);
    succeed(rpm.args(["--ignorearch", "--nosignature", "--nodigest"]).args(wanted));
    fs::write(root.join("etc/os-release"), "NAME=\"Rocky Linux\"\nID=\"rocky\"\nVERSION_ID=\"9.4\"\n").unwrap();
    fs::write(root.join("etc/rocky-release"), "Rocky Linux release 9.4 (Blue Onyx)\n").unwrap();
    std::os::unix::fs::symlink("rocky-release", root.join("etc/redhat-release")).unwrap();
    sandbox.run(&["shrink", "rocky", "-p", "busybox", "-q", "-o", "rootfs:small.tar"]);
    compare(&sandbox, "small.tar", ("rocky", "9.4"));
}
