//! The shipped profiles' own tests without an engine: in namespaces, as root and as an ordinary user, on this machine and emulated.

use crate::common::{Sandbox, succeed};
use crate::support::users;

#[test]
fn every_profile_passes_its_tests_without_an_engine() {
    let sandbox = Sandbox::shared().live();
    let profiles = sandbox.json(&["list", "profiles"]);
    let names: Vec<&str> = profiles.as_array().unwrap().iter().filter_map(|profile| profile["name"].as_str()).collect();
    let mut failures = Vec::new();
    for name in names.iter().filter(|name| **name != "static") {
        let output = sandbox.minimg(&["test", name, "--engine", "sandbox"]).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() || !out.contains("passed ") {
            failures.push(format!("{name}:\n{out}{err}"));
        }
    }
    assert!(names.len() >= 16 && failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_emulated_machine_and_an_ordinary_user_will_do() {
    let sandbox = Sandbox::shared().live();
    let foreign = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    succeed(&mut sandbox.minimg(&["test", "busybox-glibc", "--board", foreign, "--engine", "sandbox"]));

    let sandbox = Sandbox::cold().live();
    let command = sandbox.copied_minimg(&["test", "busybox-glibc", "--engine", "sandbox"]);
    users::WITH_IDS.own(sandbox.directory.path());
    succeed(&mut users::WITH_IDS.run_as(&command));
}

/// What a test sees of where it runs.
#[test]
fn a_program_has_the_image_and_nothing_else() {
    let sandbox = Sandbox::shared().live();
    let profile = sandbox.write(
        "room.toml",
        r#"
extends = "busybox-glibc"
[image]
user = "web"
workdir = "/srv"
env = { GREETING = "hello" }
[[add.accounts]]
name = "web"
uid = 1234
group = "data"
gid = 77
[[add.directories]]
path = "/srv"
[[tests]]
name = "accounts have names"
command = ["id", "-un"]
stdout = "web"
[[tests]]
name = "user, directory and variables"
command = ["sh", "-c", "id -u; id -g; pwd; echo $GREETING $HOME.; cat"]
stdin = "typed"
stdout = "1234\n77\n/srv\nhello .\ntyped"
[[tests]]
name = "devices and processes"
command = ["sh", "-c", "echo x >/dev/null && head -c 3 /dev/zero | wc -c && cat /proc/1/comm && ls /dev/shm | wc -l"]
stdout = "3\n"
[[tests]]
name = "no network but itself"
command = ["sh", "-c", "ifconfig -a | grep -c Link.encap; ifconfig lo | grep -c 127.0.0.1"]
stdout = "1\n1\n"
[[tests]]
name = "nothing of the machine outside"
command = ["sh", "-c", "ls -d /root/.cargo /usr/bin/apt-get /home/*"]
exit = 1
[[tests]]
name = "a program that is not there"
command = ["/nowhere"]
exit = 127
"#,
    );
    succeed(&mut sandbox.minimg(&["test", profile.to_str().unwrap(), "--engine", "sandbox"]));
}

/// Asks a server, with and without a program beside it.
pub(crate) const SERVER: &str = r#"
extends = "busybox-glibc"
image.entrypoint = ["httpd", "-f", "-p", "8080", "-h", "/srv"]
image.cmd = []
[[add.files]]
path = "/srv/page"
content = "hello\n"
[[tests]]
name = "a page, to a program beside it"
port = 8080
command = ["wget", "-q", "-O", "-", "http://127.0.0.1:8080/page"]
stdout = "hello"
"#;

#[test]
fn servers_are_asked_when_they_listen() {
    let sandbox = Sandbox::shared().live();
    let asked =
        "[[tests]]\nname = 'a page'\nport = 8080\nstdin = \"GET /page HTTP/1.0\\r\\n\\r\\n\"\nstdout = 'hello'\n";
    let profile = sandbox.write("server.toml", &format!("{SERVER}{asked}"));
    let test = ["test", profile.to_str().unwrap(), "--engine", "sandbox"];
    let said = sandbox.run(&test);
    assert!(said.contains("passed a page, to a program beside it\n") && said.contains("passed a page\n"), "{said}");

    for (change, expected) in [
        (("/page HTTP", "/none HTTP"), "404 Not Found"),
        (("/page\"]", "/none\"]"), "exited with 1"),
        (("\"httpd\", \"-f\"", "\"httpd\", \"-z\""), "the image's program ended with 1"),
    ] {
        sandbox.write("server.toml", &format!("{SERVER}{asked}").replace(change.0, change.1));
        let output = sandbox.minimg(&test).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(!output.status.success() && said.contains(expected), "{change:?}: {said}");
    }
}
