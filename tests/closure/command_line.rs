//! The verbs over roots and images that are not made from a profile.

use crate::common::{Sandbox, succeed, tool};

use super::lab::Lab;

/// A root with a program that misses a library.
fn incomplete() -> Lab {
    let lab = Lab::new();
    lab.lib("/lib/liba.so.1", &["libgone.so.1"], &["-soname", "liba.so.1"]);
    lab.program("/usr/bin/p", &["liba.so.1"], &[]);
    lab
}

fn tar_of(lab: &Lab, sandbox: &Sandbox, name: &str, filter: &str) -> String {
    let path = sandbox.path(name);
    succeed(tool("tar", "tar").arg(filter).arg("-cf").arg(&path).arg("-C").arg(lab.root()).arg("."));
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_takes_directories_and_archives_however_compressed() {
    let (lab, sandbox) = (incomplete(), Sandbox::cold());
    let mut inputs = vec![lab.root().to_str().unwrap().to_owned()];
    for (name, filter) in
        [("a.tar", "--no-auto-compress"), ("a.tar.gz", "-z"), ("a.tar.zst", "--zstd"), ("a.tar.xz", "-J")]
    {
        inputs.push(tar_of(&lab, &sandbox, name, filter));
    }
    for input in inputs {
        let output = sandbox.minimg(&["check", &input, "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(8), "{input}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["complete"], false, "{input}: {document}");
        let message = document["findings"][0]["message"].as_str().unwrap();
        assert!(message.contains("libgone.so.1 is missing, needed by /usr/bin/p -> /usr/lib/liba.so.1"), "{message}");
        let tree = sandbox.json(&["tree", "--root", &input, "p"]);
        assert_eq!(tree["needs"][0]["needs"][0]["path"], serde_json::Value::Null, "{input}: {tree}");
        sandbox.fail(8, &["closure", "--root", &input, "p"]);
    }
}

#[test]
fn what_is_not_there_is_named_with_what_may_be_meant() {
    let (lab, sandbox) = (Lab::new(), Sandbox::cold());
    lab.program("/usr/bin/program", &[], &[]);
    lab.executable("/usr/bin/script", "#!/usr/bin/program\n");
    let root = lab.root().to_str().unwrap();
    for verb in ["tree", "closure"] {
        let said = sandbox.fail(8, &[verb, "--root", root, "progam"]);
        assert!(said.contains("did you mean program?"), "{said}");
    }
    assert!(sandbox.fail(2, &["tree", "--root", root, "script"]).contains("not an ELF program"));
    assert!(sandbox.fail(2, &["check", "nothing.tar.zst"]).contains("no such file"));
}

/// What cannot be read is never called complete in silence.
#[test]
fn what_may_not_be_read_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let (lab, sandbox) = (Lab::new(), Sandbox::cold());
    lab.program("/usr/bin/p", &[], &[]);
    lab.program("/usr/bin/secret", &[], &[]);
    lab.directory("/secrets");
    for (path, mode) in [("/", 0o755), ("/usr/bin/secret", 0o711), ("/secrets", 0o700)] {
        std::fs::set_permissions(lab.host(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = sandbox.minimg(&["check", lab.root().to_str().unwrap(), "--json"]);
    if rustix::process::geteuid().is_root() {
        // Root reads everything; the program itself lies where only root may go, so it is copied to where all may.
        std::fs::set_permissions(sandbox.directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_minimg"), sandbox.path("minimg")).unwrap();
        command = tool("setpriv", "util-linux");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(sandbox.path("minimg"));
        command.args(["check", lab.root().to_str().unwrap(), "--json"]).env("MINIMG_STORE", sandbox.path("own-store"));
    }
    let output = command.output().unwrap();
    let document: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(document["unreadable"], 2, "{document}");
    assert_eq!(document["complete"], false, "a program that cannot be read is not proven");
    let findings: Vec<String> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| format!("{} {}", finding["severity"].as_str().unwrap(), finding["path"].as_str().unwrap()))
        .collect();
    assert_eq!(findings, ["error /usr/bin/secret", "warning /secrets"]);
}

/// An image without its record, and one whose profile is nowhere to be found.
#[test]
fn why_not_says_what_to_do() {
    let (lab, sandbox) = (Lab::new(), Sandbox::cold());
    lab.program("/usr/bin/p", &[], &[]);
    let image = tar_of(&lab, &sandbox, "image.tar", "--no-auto-compress");
    for verb in ["why", "why-not"] {
        let said = sandbox.fail(2, &[verb, &image, "/usr/bin/p"]);
        assert!(said.contains("image.tar.record.json") && said.contains("name the profile"), "{said}");
    }
    let record = serde_json::json!({
        "version": 1, "profile": "our-app", "board": "arm64",
        "platform": { "os": "linux", "architecture": "arm64" },
        "recipe": format!("sha256:{}", "0".repeat(64)), "packages": [], "findings": [],
        "files": { "/usr/bin/p": { "step": "program", "of": "p" } },
    });
    std::fs::write(format!("{image}.record.json"), record.to_string()).unwrap();
    assert_eq!(sandbox.json(&["why-not", &image, "/usr/bin/p"])["fate"], "kept");
    let said = sandbox.fail(2, &["why-not", &image, "/usr/bin/q"]);
    assert!(said.contains("our-app.toml /usr/bin/q --board arm64"), "{said}");
}
