//! Where a registry's credentials go, and where they never do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use crate::common::Sandbox;
use crate::support::registry::LOGIN;

/// A path that was asked for, and the `Authorization` header with which it was.
type Asked = (String, Option<String>);

/// A server with what it was asked: the first line of each request, and what said who asks.
struct Server {
    host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts one that answers a path, and whether somebody says who asks, with a status, headers and a body.
    fn start(answer: impl Fn(&str, bool, &str) -> (u16, String, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, log) = (host.clone(), asked.clone());
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
                let heads: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let Some(path) = heads.first().and_then(|line| line.split(' ').nth(1)) else { continue };
                let is_who = |line: &&String| line.to_ascii_lowercase().starts_with("authorization:");
                let who = heads.iter().find(is_who).cloned();
                log.lock().unwrap().push((path.to_owned(), who.clone()));
                let (status, headers, body) = answer(path, who.is_some(), &own);
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = client.write_all(text.as_bytes());
            }
        });
        Self { host, asked }
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        self.asked.lock().unwrap().clone()
    }

    fn image(&self) -> String {
        format!("registry:{}/app", self.host)
    }
}

fn manifest() -> String {
    let blob = |i: usize| serde_json::json!({"digest": format!("sha256:{i:064x}"), "size": 20});
    serde_json::json!({"schemaVersion": 2, "config": blob(0), "layers": [blob(1)]}).to_string()
}

fn log_in(sandbox: &Sandbox, host: &str) {
    std::fs::create_dir_all(sandbox.path(".docker")).unwrap();
    let config = serde_json::json!({"auths": {host: {"auth": LOGIN.1}}});
    sandbox.write(".docker/config.json", &config.to_string());
}

#[test]
fn a_server_that_the_registry_redirects_to_gets_no_credentials() {
    for challenge in ["Bearer realm=\"http://OWN/token\"", "Basic realm=\"x\""] {
        let sandbox = Sandbox::cold();
        let other = Server::start(move |_, _, own| {
            (401, format!("WWW-Authenticate: {}\r\n", challenge.replace("OWN", own)), String::new())
        });
        let target = other.host.clone();
        let registry = Server::start(move |path, who, _| match path {
            _ if !who => (401, "WWW-Authenticate: Basic realm=\"x\"\r\n".into(), String::new()),
            "/v2/app/manifests/latest" => (200, String::new(), manifest()),
            path => (307, format!("Location: http://{target}{path}\r\n"), String::new()),
        });
        log_in(&sandbox, &registry.host);
        let said = sandbox.fail(5, &["shrink", &registry.image(), "--board", "amd64"]);
        let expected = format!("redirects to {}, which answered with status 401", other.host);
        assert!(said.contains(&expected), "{said}");
        let asked = other.asked();
        assert!(
            !asked.is_empty() && asked.iter().all(|(path, who)| path.contains("/blobs/") && who.is_none()),
            "{asked:?}"
        );
    }
}

#[test]
fn a_way_that_leaves_the_registry_and_comes_back_is_not_the_registrys() {
    let sandbox = Sandbox::cold();
    let back = Arc::new(Mutex::new(String::new()));
    let to = back.clone();
    let other = Server::start(move |_, _, _| {
        (302, format!("Location: http://{}/chosen-by-another\r\n", to.lock().unwrap()), String::new())
    });
    let target = other.host.clone();
    let registry = Server::start(move |path, who, _| match path {
        _ if !who => (401, "WWW-Authenticate: Basic realm=\"x\"\r\n".into(), String::new()),
        "/v2/app/manifests/latest" => (200, String::new(), manifest()),
        path => (307, format!("Location: http://{target}{path}\r\n"), String::new()),
    });
    *back.lock().unwrap() = registry.host.clone();
    log_in(&sandbox, &registry.host);
    sandbox.fail(5, &["shrink", &registry.image(), "--board", "amd64"]);
    let asked = registry.asked();
    let chosen: Vec<_> = asked.iter().filter(|(path, _)| path == "/chosen-by-another").collect();
    assert!(!chosen.is_empty() && chosen.iter().all(|(_, who)| who.is_none()), "{asked:?}");
}

#[test]
fn a_realm_is_an_address_of_its_host_alone() {
    let sandbox = Sandbox::cold();
    let thief = Server::start(|_, _, _| (200, String::new(), r#"{"token": "x"}"#.into()));
    let port = thief.host.rsplit(':').next().unwrap().to_owned();
    for (realm, code, words) in [
        (format!("http://localhost:1@127.0.0.1:{port}/t"), 7, "it has a user before its host"),
        (format!("http://127.0.0.1:{port}\\@reg.example/t"), 7, "it is not an address"),
        ("http://reg.example/t".to_owned(), 5, "which is not an https address"),
    ] {
        let shown = realm.clone();
        let registry = Server::start(move |_, _, _| {
            // A quoted text, in which a backslash is written twice.
            let realm = shown.replace('\\', "\\\\");
            (401, format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\n"), String::new())
        });
        log_in(&sandbox, &registry.host);
        let said = sandbox.fail(code, &["shrink", &registry.image(), "--board", "amd64"]);
        assert!(said.contains(words), "{realm}: {said}");
    }
    assert_eq!(thief.asked(), []);
}

#[test]
fn the_helper_that_dockers_configuration_names_is_asked() {
    let sandbox = Sandbox::cold();
    let registry = Server::start(|_, _, _| (401, "WWW-Authenticate: Basic realm=\"x\"\r\n".into(), String::new()));
    std::fs::create_dir_all(sandbox.path(".docker")).unwrap();
    sandbox.write(".docker/config.json", r#"{"credsStore": "fake"}"#);
    let shrink = || {
        let mut command = sandbox.minimg(&["shrink", &registry.image(), "--board", "amd64"]);
        let path = std::env::var("PATH").unwrap();
        let output = command.env("PATH", format!("{}:{path}", sandbox.path("bin").display())).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = shrink();
    assert!(code == Some(5) && said.contains("`docker-credential-fake`, which is not in PATH"), "{said}");
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    let helper = |script: &str| {
        let file = sandbox.write("bin/docker-credential-fake", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    helper(&format!(r#"[ "$1 $(cat)" = "get {}" ] && echo '{{"Username":"me","Secret":"secret"}}'"#, registry.host));
    assert_eq!(shrink().0, Some(5));
    let header = format!("basic {}", LOGIN.1.to_ascii_lowercase());
    let told = |(_, who): &(String, Option<String>)| {
        who.as_ref().is_some_and(|who| who.to_ascii_lowercase().contains(&header))
    };
    assert!(registry.asked().iter().any(told), "{:?}", registry.asked());
    helper("echo the keyring is locked; exit 1");
    let (code, said) = shrink();
    assert!(code == Some(9) && said.contains("the keyring is locked") && said.contains("docker login"), "{said}");
}
