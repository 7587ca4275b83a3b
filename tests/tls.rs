//! `https`: a mirror is trusted by the authorities of the machine, and by nobody else.

mod common;

use std::process::{Child, Stdio};

use common::{Sandbox, succeed, tool};

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
    let mut out = std::io::BufReader::new(server.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut port).unwrap();
    let mirror = format!("https://localhost:{}/debian", port.trim());

    let arguments = ["build", "busybox-glibc", "--extra-suites", "none", "--mirror", &mirror];
    // The connection is made, and there is no suite at its end.
    let trusted = sandbox.minimg(&arguments).env("SSL_CERT_FILE", sandbox.path("ca.pem")).output().unwrap();
    let said = String::from_utf8_lossy(&trusted.stderr);
    assert!(trusted.status.code() == Some(4) && said.contains(" has no suite trixie"), "{said}");
    let begun = std::time::Instant::now();
    let said = sandbox.fail(5, &arguments);
    assert!(said.contains("UnknownIssuer") && said.contains("SSL_CERT_FILE"), "{said}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "what will not change is not tried again");
}
