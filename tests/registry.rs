//! Images out of a registry: a real one with images of both kinds, one that asks for a password, and one that asks for a token.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::Sandbox;
use crate::support::registry::{Doors, LOGIN, Registry};

/// An image for each of two machines, with what `minimg` alone can make; the layout is `both`, its parts `amd64` and `arm64`.
fn images(sandbox: &Sandbox) {
    fs::create_dir_all(sandbox.path("root/usr/bin")).unwrap();
    fs::write(sandbox.path("root/usr/bin/hello"), "hello").unwrap();
    fs::write(sandbox.path("root/usr/bin/other"), "other").unwrap();
    sandbox.write(
        "p.toml",
        "backend = 'tarball'\n[source.options.tarball]\nroot = 'root'\n[keep]\nglobs = {'/usr/bin/*' = 'all'}\n[image]\ncmd = ['/usr/bin/hello']\nuser = '7'\n",
    );
    sandbox.run(&["build", "./p.toml", "--board", "amd64", "--board", "arm64", "-o", "oci:both", "-t", "x:1"]);
    for board in ["amd64", "arm64"] {
        sandbox.run(&["build", "./p.toml", "--board", board, "-o", &format!("oci:{board}"), "-t", "x:1"]);
    }
}

/// The only manifest of a layout: its digest and bytes.
fn manifest(layout: &Path) -> (String, Vec<u8>) {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let bytes = fs::read(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))).unwrap();
    (digest, bytes)
}

/// The root of the smaller image, as a tar.
fn shrunk(sandbox: &Sandbox, image: &str, more: &[&str]) -> Vec<u8> {
    sandbox.run(&[&["shrink", image, "-o", "rootfs:small.tar"][..], more].concat());
    fs::read(sandbox.path("small.tar")).unwrap()
}

#[test]
fn images_of_both_kinds_come_from_a_real_registry_by_tag_and_by_digest() {
    let sandbox = Sandbox::cold();
    images(&sandbox);
    let registry = Registry::start(Doors::Open);
    let layout = |name: &str| format!("oci:{}", sandbox.path(name).display());
    registry.push(&layout("amd64"), "team/app:oci", &[]);
    registry.push(&layout("amd64"), "team/app:docker", &["--format", "v2s2"]);
    registry.push(&layout("both"), "team/app:both", &[]);
    let name = |rest: &str| format!("registry:{}/team/app{rest}", registry.host());
    let expected = ["amd64", "arm64"].map(|board| shrunk(&sandbox, board, &["--board", board]));
    for tag in [":oci", ":docker", ":both"] {
        assert_eq!(shrunk(&sandbox, &name(tag), &["--board", "amd64"]), expected[0], "{tag}");
    }
    assert_eq!(shrunk(&sandbox, &name(":both"), &["--board", "arm64"]), expected[1]);
    let said = sandbox.fail(4, &["shrink", &name(":oci"), "--board", "arm64"]);
    assert!(said.contains("is an image for linux/amd64, and the board is linux/arm64"), "{said}");
    let digest = manifest(&sandbox.path("amd64")).0;
    assert_eq!(shrunk(&sandbox, &name(&format!("@{digest}")), &["--board", "amd64"]), expected[0]);

    // What was had once needs no network; what was not does.
    assert_eq!(shrunk(&sandbox, &name(":docker"), &["--board", "amd64", "--offline"]), expected[0]);
    let said = sandbox.fail(5, &["shrink", &name(":none"), "--offline"]);
    assert!(said.contains("cannot be fetched with --offline"), "{said}");
    let said = sandbox.fail(4, &["shrink", &name(":none")]);
    assert!(said.contains("has no image team/app of the version none"), "{said}");
    let said = sandbox.fail(3, &["shrink", "registry:app"]);
    assert!(said.contains("write registry:HOST/NAME:TAG"), "{said}");
}

#[test]
fn a_registry_that_asks_for_a_password_gets_that_of_dockers_configuration() {
    let sandbox = Sandbox::cold();
    images(&sandbox);
    let registry = Registry::start(Doors::Password);
    registry.push(&format!("oci:{}", sandbox.path("amd64").display()), "app:1", &[]);
    let name = format!("registry:{}/app:1", registry.host());
    let said = sandbox.fail(5, &["shrink", &name, "--board", "amd64"]);
    assert!(said.contains("does not let") && said.contains(&format!("docker login {}", registry.host())), "{said}");
    fs::create_dir(sandbox.path(".docker")).unwrap();
    let login = |secret: &str| {
        let config = serde_json::json!({"auths": {&registry.host(): {"auth": secret}}});
        sandbox.write(".docker/config.json", &config.to_string());
    };
    login("dXNlcjp3cm9uZw==");
    let said = sandbox.fail(5, &["shrink", &name, "--board", "amd64"]);
    assert!(said.contains("does not let") && !said.contains("dXNl"), "{said}");
    login(LOGIN.1);
    let expected = shrunk(&sandbox, "amd64", &["--board", "amd64"]);
    assert_eq!(shrunk(&sandbox, &name, &["--board", "amd64"]), expected);
    sandbox.write(".docker/config.json", "{\"auths\": 1}");
    let said = sandbox.fail(1, &["shrink", &name, "--board", "amd64"]);
    assert!(said.contains("cannot read the credentials in") && said.contains("config.json"), "{said}");
}

/// A registry that gives an image only to those with a token, and says where to get one. Its tokens end fast: each blob wants another one
/// when it is asked for first. With `spoil` its blobs are damaged.
fn token_registry(layout: &Path, spoil: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (layout, own, refused) = (layout.to_owned(), address.clone(), Arc::new(Mutex::new(BTreeSet::new())));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (layout, own, refused) = (layout.clone(), own.clone(), refused.clone());
            std::thread::spawn(move || _ = answer(stream, &layout, &own, spoil, &refused));
        }
    });
    address
}

fn answer(
    stream: TcpStream,
    layout: &Path,
    own: &str,
    spoil: bool,
    refused: &Mutex<BTreeSet<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let (mut out, mut heads) = (stream, Vec::new());
    for line in lines.by_ref() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        heads.push(line);
    }
    let path = heads[0].split(' ').nth(1).unwrap();
    let has = |header: &str| heads.iter().any(|line| line.eq_ignore_ascii_case(header));
    let (status, more, body) = if path == "/token?a=b&scope=repository%3Aapp%3Apull&service=s%20t" {
        match has(&format!("authorization: Basic {}", LOGIN.1)) {
            true => ("200 OK", String::new(), br#"{"token": "let-me-in"}"#.to_vec()),
            false => ("401 Unauthorized", String::new(), Vec::new()),
        }
    } else if !has("authorization: Bearer let-me-in")
        || path.contains("/blobs/") && refused.lock().unwrap().insert(path.to_owned())
    {
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token?a=b\",service=\"s t\"\r\n");
        ("401 Unauthorized", challenge, Vec::new())
    } else if path == "/v2/app/manifests/latest" {
        ("200 OK", String::new(), manifest(layout).1)
    } else {
        let digest = path.strip_prefix("/v2/app/blobs/sha256:").unwrap();
        let mut blob = fs::read(layout.join("blobs/sha256").join(digest))?;
        if spoil {
            blob[10] ^= 1;
        }
        ("200 OK", String::new(), blob)
    };
    write!(out, "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    out.write_all(&body)
}

#[test]
fn a_registry_that_asks_for_a_token_gets_one_and_what_it_sends_is_checked() {
    let sandbox = Sandbox::cold();
    images(&sandbox);
    let name = |spoil| format!("registry:{}/app", token_registry(&sandbox.path("amd64"), spoil));
    let said = sandbox.fail(5, &["shrink", &name(false), "--board", "amd64"]);
    assert!(said.contains("does not let"), "{said}");
    let login = |name: &str| {
        fs::create_dir_all(sandbox.path(".docker")).unwrap();
        let host = name.trim_start_matches("registry:").trim_end_matches("/app");
        let config = serde_json::json!({"auths": {format!("http://{host}/v1/"): {"auth": LOGIN.1}}});
        sandbox.write(".docker/config.json", &config.to_string());
    };
    let spoilt = name(true);
    login(&spoilt);
    // The layout was made in the same store: without it everything must come from the registry.
    fs::remove_dir_all(&sandbox.store).unwrap();
    let said = sandbox.fail(6, &["shrink", &spoilt, "--board", "amd64"]);
    assert!(said.contains(", and was not kept"), "{said}");
    let good = name(false);
    login(&good);
    let found = shrunk(&sandbox, &good, &["--board", "amd64"]);
    assert_eq!(found, shrunk(&sandbox, "amd64", &["--board", "amd64"]));
}

#[test]
fn a_registry_that_takes_no_token_is_not_asked_for_one_for_each_layer() {
    let sandbox = Sandbox::cold();
    // More layers than come at once, of which the registry gives none.
    let blob = |i: usize| serde_json::json!({"digest": format!("sha256:{i:064x}"), "size": 20});
    let layers: Vec<_> = (1..=60).map(blob).collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "config": blob(0), "layers": layers}).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let tokens = Arc::new(Mutex::new(0));
    let (given, name) = (tokens.clone(), format!("registry:{own}/app"));
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
            let line = request.next().unwrap();
            request.find(String::is_empty);
            let (status, body) = match line.split(' ').nth(1).unwrap() {
                "/v2/app/manifests/latest" => ("200 OK", manifest.as_str()),
                path if path.starts_with("/token") => {
                    *given.lock().unwrap() += 1;
                    ("200 OK", r#"{"token": "let-me-in"}"#)
                }
                _ => ("401 Unauthorized", ""),
            };
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\"\r\nConnection: close");
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\n{challenge}\r\nContent-Length: {length}\r\n\r\n{body}");
            client.write_all(answer.as_bytes()).unwrap();
        }
    });
    let said = sandbox.fail(5, &["shrink", &name, "--board", "amd64"]);
    assert!(said.contains("does not let"), "{said}");
    // Eight are asked for at once, and any of them may be the first to be refused.
    let tokens = *tokens.lock().unwrap();
    assert!((1..=9).contains(&tokens), "{tokens} tokens");
}
