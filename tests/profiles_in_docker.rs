//! The shipped profiles, built from real Debian packages and doing real work in a real Docker engine.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Stdio};

use crate::common::Sandbox;
use crate::support::docker::DOCKER;
use crate::support::{command, run, tool};

/// Builds a profile into the private engine.
fn load(sandbox: &Sandbox, profile: &str, more: &[&str]) {
    let mut arguments = vec!["build", profile, "--load", "docker", "-q"];
    arguments.extend(more);
    crate::common::succeed(sandbox.minimg(&arguments).env("DOCKER_HOST", DOCKER.host()));
}

/// Every profile's own tests, on both suites; the profiles come from the program, so none can be forgotten.
fn own_tests(suite: &str) {
    let sandbox = Sandbox::shared().live();
    let profiles = sandbox.json(&["list", "profiles"]);
    let names: Vec<&str> = profiles.as_array().unwrap().iter().filter_map(|profile| profile["name"].as_str()).collect();
    assert!(names.len() >= 16, "{names:?}");
    let mut failures = Vec::new();
    for name in names {
        let output =
            sandbox.minimg(&["test", name, "--suite", suite]).env("DOCKER_HOST", DOCKER.host()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let has_tests = out.contains("passed ") && !err.contains("has no tests");
        if !output.status.success() || has_tests == (name == "static") {
            failures.push(format!("{name} on {suite}:\n{out}{err}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_profile_passes_its_tests_on_trixie() {
    own_tests("trixie");
}

#[test]
fn every_profile_passes_its_tests_on_bookworm() {
    own_tests("bookworm");
}

#[test]
fn a_server_is_asked_by_a_program_beside_it() {
    let sandbox = Sandbox::shared().live();
    let profile = sandbox.write("server.toml", crate::profiles_in_sandbox::SERVER);
    let mut test = sandbox.minimg(&["test", profile.to_str().unwrap(), "--engine", "docker"]);
    let said = crate::common::text(crate::common::succeed(test.env("DOCKER_HOST", DOCKER.host())));
    assert!(said.contains("passed a page, to a program beside it"), "{said}");
    assert_eq!(DOCKER.run(&["ps", "-aq", "--filter", "name=minimg"]), "");
}

/// A container that is removed when the test ends.
struct Container(String);

impl Container {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let _ = DOCKER.command(&["rm", "-f", name]).output();
        let mut all = vec!["run", "-d", "--name", name];
        all.extend(arguments);
        DOCKER.run(&all);
        Self(name.to_owned())
    }

    fn network(&self) -> String {
        format!("--network=container:{}", self.0)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = DOCKER.command(&["rm", "-f", &self.0]).output();
    }
}

/// Tries until the server in the container answers.
fn until_it_answers(arguments: &[&str]) -> String {
    let mut said = String::new();
    for _ in 0..50 {
        let output = DOCKER.command(arguments).output().unwrap();
        said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            return said;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no answer to {arguments:?}: {said}");
}

#[test]
fn nginx_serves_a_page_and_redis_keeps_a_value() {
    let sandbox = Sandbox::shared().live();
    for profile in ["nginx", "redis", "curl"] {
        load(&sandbox, profile, &[]);
    }
    let web = Container::start("web", &["--network=none", "nginx"]);
    let page = until_it_answers(&["run", "--rm", &web.network(), "curl", "-fsS", "http://127.0.0.1/"]);
    assert!(page.contains("nginx"), "{page}");
    assert!(DOCKER.run(&["logs", "web"]).contains("GET / HTTP/1.1"), "the log goes to the container's output");
    DOCKER.run(&["stop", "web"]);
    assert_eq!(DOCKER.run(&["inspect", "--format", "{{.State.ExitCode}}", "web"]).trim(), "0", "it stops when asked");

    let cache = Container::start("cache", &["--network=none", "redis"]);
    let cli = |words: &[&str]| {
        let network = cache.network();
        let mut all = vec!["run", "--rm", &network, "--entrypoint", "/usr/bin/redis-cli", "redis"];
        all.extend(words);
        until_it_answers(&all)
    };
    assert_eq!(cli(&["set", "colour", "green"]).trim(), "OK");
    assert_eq!(cli(&["get", "colour"]).trim(), "green");
}

/// Ends a process of the host when the test does.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate is checked against the bundle in the image: one of an unknown authority is refused, one of an authority in the bundle
/// is accepted.
#[test]
fn curl_trusts_the_shipped_authorities_and_nobody_else() {
    let sandbox = Sandbox::shared().live();
    load(&sandbox, "curl", &[]);
    let directory = sandbox.directory.path();
    let openssl = tool("openssl", "openssl");
    let make = |arguments: &[&str]| run(command(&openssl, arguments).current_dir(directory));
    make(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "cert",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut server = command(
        &openssl,
        &["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}"), "-cert", "cert", "-key", "key"],
    );
    let _server = Process(
        server.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
    );
    std::thread::sleep(std::time::Duration::from_millis(300));
    let url = format!("https://localhost:{port}/");
    let refused = DOCKER.command(&["run", "--rm", "--network=host", "curl", "-sS", &url]).output().unwrap();
    assert_eq!(refused.status.code(), Some(60), "{}", String::from_utf8_lossy(&refused.stderr));

    // The same image, with the authority added to the bundle that it ships.
    let shipped = sandbox.path("bundle");
    let container = DOCKER.run(&["create", "curl"]);
    DOCKER.run(&[
        "cp",
        "-L",
        &format!("{}:/etc/ssl/certs/ca-certificates.crt", container.trim()),
        shipped.to_str().unwrap(),
    ]);
    DOCKER.run(&["rm", container.trim()]);
    let mut bundle = std::fs::read_to_string(&shipped).unwrap();
    assert!(bundle.matches("BEGIN CERTIFICATE").count() > 100, "the bundle has the public authorities");
    bundle.push_str(&std::fs::read_to_string(directory.join("cert")).unwrap());
    std::fs::write(&shipped, bundle).unwrap();
    let mount = format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", shipped.display());
    let page = DOCKER.run(&["run", "--rm", "--network=host", "-v", &mount, "curl", "-fsS", &url]);
    assert!(page.contains("s_server"), "{page}");
}

/// A name that only a DNS server knows: the resolver of glibc works in the image.
#[test]
fn names_are_resolved() {
    let sandbox = Sandbox::shared().live();
    load(&sandbox, "curl", &[]);
    let dns = UdpSocket::bind("127.53.53.53:53").expect("port 53 of an own loopback address; the test needs root");
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = web.local_addr().unwrap().port();
    std::thread::spawn(move || answer_names(&dns));
    std::thread::spawn(move || serve_hello(&web));
    let url = format!("http://minimg.test:{port}/");
    let page =
        DOCKER.run(&["run", "--rm", "--network=host", "--dns=127.53.53.53", "curl", "-fsS", "--max-time", "20", &url]);
    assert_eq!(page, "hello");
}

/// Says that every name is 127.0.0.1, and that there are no IPv6 addresses (RFC 1035, section 4).
fn answer_names(dns: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, from)) = dns.recv_from(&mut query) {
        let end = 12 + query[12..length].iter().position(|&b| b == 0).unwrap_or(0) + 5;
        let is_ipv4 = query[end - 4..end - 2] == [0, 1];
        let mut answer = query[..end].to_vec();
        answer[2..4].copy_from_slice(&[0x84, 0]);
        answer[6..12].copy_from_slice(&[0, u8::from(is_ipv4), 0, 0, 0, 0]);
        if is_ipv4 {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        let _ = dns.send_to(&answer, from);
    }
}

fn serve_hello(web: &TcpListener) {
    for mut stream in web.incoming().flatten() {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
}

/// The way the project was asked for: `docker import` and a generated Dockerfile; the same files and configuration as `docker load`.
#[test]
fn both_ways_into_docker_give_the_same() {
    let sandbox = Sandbox::shared().live();
    let build = |way: &str, tag: &str| {
        crate::common::succeed(
            sandbox.minimg(&["build", "nginx", way, "docker", "-t", tag, "-q"]).env("DOCKER_HOST", DOCKER.host()),
        );
        let config = DOCKER.run(&["inspect", "--format", "{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.Env}} {{json .Config.ExposedPorts}} {{.Config.StopSignal}}", tag]);
        let container = DOCKER.run(&["create", tag]);
        let tar = sandbox.path(&tag.replace(':', "-"));
        DOCKER.run(&["export", "-o", tar.to_str().unwrap(), container.trim()]);
        let files = run(command("tar", &["tvf", tar.to_str().unwrap(), "--numeric-owner"]).env("TZ", "UTC"));
        // What the engine itself puts into every container.
        let own = [
            "dev/",
            ".dockerenv",
            "etc/hosts",
            "etc/hostname",
            "etc/resolv.conf",
            "etc/mtab",
            "etc/",
            "proc/",
            "sys/",
            "dev/console",
            "dev/pts/",
            "dev/shm/",
        ];
        let kept = files.lines().filter(|line| {
            !own.iter().any(|name| line.ends_with(&format!(" {name}")) || line.contains(&format!(" {name} ->")))
        });
        (config, kept.map(str::to_owned).collect::<Vec<_>>())
    };
    let (loaded, imported) = (build("--load", "both:load"), build("--import", "both:import"));
    assert_eq!(loaded.0, imported.0);
    assert!(loaded.0.contains("[\"/usr/sbin/nginx\"]") && loaded.0.contains("SIGQUIT"), "{}", loaded.0);
    assert_eq!(loaded.1, imported.1);
    assert!(loaded.1.len() > 50, "{:?}", loaded.1);
}
