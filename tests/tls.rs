//! `https`: a mirror is trusted by the authorities of the machine, and by nobody else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use crate::common::{Sandbox, succeed, tool};

/// A server that has no file at all; it prints its port.
const SERVER: &str = r#"
import http.server, ssl
class Nothing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(sandbox: &Sandbox, arguments: &str) {
    let mut openssl = tool("openssl", "openssl");
    succeed(openssl.args(arguments.split(' ')).current_dir(sandbox.directory.path()));
}

#[test]
fn a_mirror_is_trusted_by_the_machines_authorities() {
    let sandbox = Sandbox::cold();
    let own = "-newkey rsa:2048 -nodes -days 2";
    openssl(&sandbox, &format!("req -x509 {own} -keyout ca.key -out ca.pem -subj /CN=authority"));
    openssl(&sandbox, "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
    sandbox.write("extensions", "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n");
    let signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out cert.pem";
    openssl(&sandbox, &format!("x509 -req -in request.pem {signed}"));

    let mut python = tool("python3", "python3");
    python.args(["-c", SERVER]).current_dir(sandbox.directory.path()).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut server = Server(python.spawn().unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let mirror = format!("https://localhost:{}/debian", port.trim());

    let arguments = ["build", "busybox-glibc", "--extra-suites", "none", "--mirror", &mirror];
    // The connection is made, and there is no suite at its end.
    let trusted = sandbox.minimg(&arguments).env("SSL_CERT_FILE", sandbox.path("ca.pem")).output().unwrap();
    let said = String::from_utf8_lossy(&trusted.stderr);
    assert!(trusted.status.code() == Some(4) && said.contains(" has no suite trixie"), "{said}");
    let said = sandbox.fail(5, &[&arguments[..], &["-vv"]].concat());
    assert!(said.contains("UnknownIssuer") && said.contains("SSL_CERT_FILE"), "{said}");
    assert!(!said.contains("trying again"), "what will not change is not tried again: {said}");

    // The same through a proxy, which sees nothing but where to.
    let (proxy, log) = tunnel();
    let mut through = sandbox.minimg(&arguments);
    through.env("SSL_CERT_FILE", sandbox.path("ca.pem")).env("https_proxy", &proxy).env_remove("no_proxy");
    let said = String::from_utf8_lossy(&through.output().unwrap().stderr).into_owned();
    assert!(said.contains(" has no suite trixie"), "{said}");
    let expected = format!("CONNECT localhost:{} HTTP/1.1", port.trim());
    let lines = std::mem::take(&mut *log.lock().unwrap());
    assert!(!lines.is_empty() && lines.iter().all(|line| line.trim() == expected), "{lines:?}");

    // From http to https, and from one proxy to the other.
    let plain = redirecting(format!("https://localhost:{}", port.trim()));
    let arguments = ["build", "busybox-glibc", "--extra-suites", "none", "--mirror", "http://mirror.invalid/debian"];
    let mut through = sandbox.minimg(&arguments);
    through.env("SSL_CERT_FILE", sandbox.path("ca.pem")).env_remove("no_proxy");
    let output = through.env("http_proxy", plain).env("https_proxy", &proxy).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(" has no suite trixie"), "{said}");
    let lines = log.lock().unwrap();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.trim() == expected), "{lines:?}");
}

/// A proxy for whole addresses that leads all of the mirror to another server; its address.
fn redirecting(to: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let request = head(&client);
            let path = request.split(' ').nth(1).unwrap().strip_prefix("http://mirror.invalid").unwrap().to_owned();
            let answer = format!("HTTP/1.1 302 x\r\nLocation: {to}{path}\r\nConnection: close\r\n\r\n");
            client.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// The first line of a request, which is read as far as the empty line.
fn head(client: &TcpStream) -> String {
    let mut head = BufReader::new(client.try_clone().unwrap());
    let (mut request, mut line) = (String::new(), String::new());
    head.read_line(&mut request).unwrap();
    while head.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    request
}

/// A proxy that makes tunnels (RFC 9110, section 9.3.6); its address, and the first line of each request.
fn tunnel() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let lines = lines.clone();
            std::thread::spawn(move || pass_on(client, &lines));
        }
    });
    (address, log)
}

fn pass_on(mut client: TcpStream, log: &Mutex<Vec<String>>) {
    let request = head(&client);
    log.lock().unwrap().push(request.clone());
    let mut server = TcpStream::connect(request.split(' ').nth(1).unwrap()).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let _ = std::io::copy(&mut client, &mut server);
}
