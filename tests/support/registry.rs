//! A private registry, with or without logins.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use super::daemon::Daemon;
use super::{command, run, tool};

/// The user of registries that want to know who asks, and how basic authentication says so.
pub(crate) const LOGIN: (&str, &str) = ("me:secret", "bWU6c2VjcmV0");

/// Who may use a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doors {
    /// Everybody.
    Open,
    /// Who knows the password.
    Password,
    /// Who has a token, which the password gets.
    Token,
}

/// A private registry on the loopback.
pub(crate) struct Registry {
    daemon: Daemon,
    doors: Doors,
}

impl Registry {
    /// Starts one that is empty.
    pub(crate) fn start(doors: Doors) -> Self {
        let program = tool("docker-registry", "docker-registry");
        let make = |directory: &Path| {
            let auth = match doors {
                Doors::Open => String::new(),
                Doors::Password => {
                    // Of "secret", by crypt(3).
                    let line = "me:$2b$04$Zj7JVzXPyk2EIz9x1gLpeOAzRTtEhwvbxNW8povTRP10jdaxrj5he\n";
                    std::fs::write(directory.join("htpasswd"), line).unwrap();
                    format!("auth: {{htpasswd: {{realm: a test, path: {}/htpasswd}}}}\n", directory.display())
                }
                Doors::Token => tokens(directory),
            };
            let config = format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{auth}",
                directory.display(),
            );
            std::fs::write(directory.join("config.yml"), config).unwrap();
            let mut registry = command(program, &["serve"]);
            registry.arg(directory.join("config.yml"));
            registry
        };
        Self { daemon: Daemon::start("registry", make, |directory| address(directory).is_some()), doors }
    }

    /// Its host with its port.
    pub(crate) fn host(&self) -> String {
        address(self.daemon.directory()).unwrap()
    }

    /// Pushes an image that skopeo can read, with all its platforms.
    pub(crate) fn push(&self, source: &str, name: &str, options: &[&str]) {
        let mut push = command(tool("skopeo", "skopeo"), &["--insecure-policy", "copy", "--all"]);
        push.arg("--dest-tls-verify=false").args(options);
        if self.doors != Doors::Open {
            push.args(["--dest-creds", LOGIN.0]);
        }
        run(push.arg(source).arg(format!("docker://{}/{name}", self.host())));
    }

    /// Puts a manifest of the OCI's kind there, of blobs that it has.
    pub(crate) fn push_manifest(&self, name: &str, tag: &str, manifest: &str) {
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json";
        let put = ["-fsS", "-X", "PUT", "-H", kind, "-d", manifest];
        let address = format!("http://{}/v2/{name}/manifests/{tag}", self.host());
        run(command(tool("curl", "curl"), &put).arg(address));
    }

    /// The files of all blobs that it has.
    pub(crate) fn blobs(&self) -> Vec<PathBuf> {
        let blobs = self.daemon.directory().join("data/docker/registry/v2/blobs/sha256");
        let below = |directory: &Path| {
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        let all = below(&blobs).into_iter().flat_map(|directory| below(&directory));
        all.map(|directory| directory.join("data")).collect()
    }
}

/// Where a registry says in its log that it listens.
fn address(directory: &Path) -> Option<String> {
    let log = std::fs::read_to_string(directory.join("log")).ok()?;
    let (_, rest) = log.split_once("listening on ")?;
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    rest.len().gt(&address.len()).then_some(address)
}

/// Makes a key, and a server that gives tokens signed with it; returns the registry's configuration for that.
fn tokens(directory: &Path) -> String {
    let script = r#"
cd "$1"
exec 2>&1
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -subj /CN=test -days 2
coded() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
now=$(date +%s)
head=$(printf '{"typ":"JWT","alg":"RS256","x5c":["%s"]}' "$(openssl x509 -in certificate.pem -outform DER | openssl base64 -A)" | coded)
claims=$(printf '{"iss":"issuer","sub":"me","aud":"service","exp":%d,"nbf":%d,"iat":%d,"jti":"1",
"access":[{"type":"repository","name":"team/app","actions":["pull","push"]}]}' $((now + 3600)) $((now - 10)) $now | coded)
printf '%s.%s' "$head" "$claims" >signed
printf '%s.%s.%s' "$head" "$claims" "$(openssl dgst -sha256 -sign key.pem signed | coded)" >token
"#;
    run(command("sh", &["-euc", script, "sh"]).arg(directory));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let realm = format!("http://{}/token", listener.local_addr().unwrap());
    let token = std::fs::read_to_string(directory.join("token")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = give(stream, &token);
        }
    });
    let certificate = directory.join("certificate.pem");
    format!(
        "auth: {{token: {{realm: '{realm}', service: service, issuer: issuer, rootcertbundle: {}}}}}\n",
        certificate.display()
    )
}

/// Gives the token to who asks for the right thing with the password.
fn give(mut stream: TcpStream, token: &str) -> std::io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let request = String::from_utf8_lossy(&request).replace("%3A", ":").replace("%2F", "/");
    let asked =
        ["scope=repository:team/app:pull", "service=service", LOGIN.1].iter().all(|part| request.contains(part));
    let (status, body) = match asked {
        true => ("200 OK", format!("{{\"token\": \"{token}\"}}")),
        false => ("401 Unauthorized", String::new()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
