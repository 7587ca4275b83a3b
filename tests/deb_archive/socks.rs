//! Proxies that speak SOCKS 5 (RFC 1928).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::fixture;
use super::redirects::fetched;
use super::server::Server;

/// A SOCKS 5 proxy that wants no password and leads everything to one server; its address. It refuses
/// requests other than the expected one.
fn socks(server: &Server, expected: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = server.address.replace("http://", "");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            lead(client, &to, expected).unwrap();
        }
    });
    address
}

fn lead(mut client: TcpStream, to: &str, expected: &[u8]) -> std::io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.read_exact(&mut vec![0; greeting[1].into()])?;
    client.write_all(&[5, 0])?;
    let mut request = vec![0; expected.len()];
    client.read_exact(&mut request)?;
    let refused = u8::from(request != expected);
    client.write_all(&[5, refused, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let mut server = TcpStream::connect(to)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    std::thread::spawn(move || std::io::copy(&mut client, &mut server));
    Ok(())
}

#[test]
fn socks_proxies_lead_to_names_and_addresses() {
    for (scheme, url, expected) in [
        ("socks5h", "http://mirror.invalid/a", &b"\x05\x01\x00\x03\x0emirror.invalid\x00\x50"[..]),
        ("socks5", "http://127.1.2.3:9/a", &b"\x05\x01\x00\x01\x7f\x01\x02\x03\x00\x09"[..]),
    ] {
        let (_, mut bench) = fixture();
        let server = Server::start();
        server.put("/a", "found");
        let proxy = format!("{scheme}://{}", socks(&server, expected));
        bench.settings.proxies = [("all_proxy".to_owned(), proxy)].into();
        assert_eq!(fetched(&bench, url, &[]).unwrap(), "found");
        assert_eq!(server.log(), ["/a 200"], "asked as a server, not as a proxy");
    }
}
