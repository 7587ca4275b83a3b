//! Fetching packages from a server that may misbehave.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use minimg::Class;
use minimg::digest::Digest;
use minimg::fetch::{FetchError, Fetcher, Patience, RemoteFile};

use super::repository::Repository;
use super::server::Manner;
use super::{Bench, assert_failure, fixture};

#[test]
fn packages_that_are_not_what_was_promised_are_refused() {
    let changed = Bench::new(&Repository::new());
    changed.server.change("/pool/a", |content| content[1000] ^= 1);
    assert_failure(changed.failure(), Class::Verification, "has the digest");
    let longer = Bench::new(&Repository::new());
    longer.server.change("/pool/b", |content| content.push(0));
    assert_failure(longer.failure(), Class::Verification, "has 70001 bytes instead of 70000");
    let endless = Bench::new(&Repository::new());
    endless.server.behave("/pool/b", Manner::Endless);
    assert_failure(endless.failure(), Class::Malformed, "sends more than the limit of 70000 bytes");
    let missing = Bench::new(&Repository::new());
    missing.server.remove("/pool/b");
    assert_failure(missing.failure(), Class::Network, "/pool/b_2.deb does not exist");
}

#[test]
fn unverifiable_packages_are_refused() {
    let mut repository = Repository::new();
    repository.packages.clear();
    repository.extra = "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: a.deb\nSize: 3\n".into();
    assert_failure(Bench::new(&repository).failure(), Class::Verification, "a 1 cannot be verified");
}

#[test]
fn connections_that_are_cut_are_taken_up_again() {
    for (manner, expected) in [
        (
            Manner::Cut { after: 100_000, times: 2, ranges: true },
            vec!["/pool/a_1.deb 200", "/pool/a_1.deb from 100000 206", "/pool/a_1.deb from 200000 206"],
        ),
        (
            Manner::Cut { after: 100_000, times: 1, ranges: false },
            vec!["/pool/a_1.deb 200", "/pool/a_1.deb from 100000 200"],
        ),
        (Manner::Stall { after: 100_000 }, vec!["/pool/a_1.deb 200", "/pool/a_1.deb from 100000 206"]),
        (Manner::Status { status: 503, times: 2 }, vec!["/pool/a_1.deb 503", "/pool/a_1.deb 503", "/pool/a_1.deb 200"]),
        (Manner::Redirect("/elsewhere".into()), vec!["/pool/a_1.deb 302", "/elsewhere 200"]),
    ] {
        let (repository, bench) = fixture();
        bench.server.put("/elsewhere", repository.packages[0].content.clone());
        bench.server.behave("/pool/a", manner);
        impatient(&bench, &repository).unwrap();
        assert_eq!(bench.server.log(), expected);
    }
}

#[test]
fn patience_ends() {
    for (manner, part) in [
        (Manner::Cut { after: 0, times: 99, ranges: true }, "tried 3 times, 0 bytes received"),
        // A byte before each failure is no progress, and a byte now and then no download.
        (Manner::Cut { after: 1, times: 99, ranges: true }, "tried 3 times, 3 bytes received"),
        (Manner::Cut { after: 9, times: 99, ranges: false }, "tried 3 times"),
        (Manner::Trickle, "the server is too slow"),
        (Manner::Status { status: 503, times: 99 }, "status 503 (tried 3 times"),
        (Manner::Status { status: 403, times: 99 }, "answered with status 403"),
        (Manner::Redirect("/pool/a_1.deb".into()), "redirects without end"),
    ] {
        let (repository, bench) = fixture();
        bench.server.behave("/pool/a", manner);
        let error = impatient(&bench, &repository).unwrap_err();
        assert!(error.class() == Class::Network && error.to_string().contains(part), "{error}");
        assert!(bench.store().usage().unwrap().is_empty(), "nothing was kept");
    }
}

/// Fetches the package `a` with little patience.
fn impatient(bench: &Bench, repository: &Repository) -> Result<(), FetchError> {
    let content = &repository.packages[0].content;
    let url = format!("{}/pool/a_1.deb", bench.server.address);
    let wanted = RemoteFile { name: "a".into(), url, size: content.len() as u64, sha256: Digest::of(content) };
    bench.with_context(|context| {
        let mut bytes = Vec::new();
        Fetcher::with_patience(context.clone(), impatience()).blob(&wanted)?.read_to_end(&mut bytes).unwrap();
        assert!(bytes == *content);
        Ok(())
    })
}

/// Three short tries.
fn impatience() -> Patience {
    Patience {
        attempts: 3,
        first_pause: Duration::from_millis(10),
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(500),
        within: Duration::from_millis(700),
        ..Patience::default()
    }
}

#[test]
fn what_answers_without_tls_is_asked_again_and_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/a", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        }
    });
    let (_, bench) = fixture();
    let error = bench.with_context(|context| {
        Fetcher::with_patience(context.clone(), impatience()).open("a", &url, None, 9).err().unwrap()
    });
    let text = error.to_string();
    assert!(text.contains("no connection of TLS") && text.contains("tried 3 times"), "{text}");
    assert!(text.contains("as a login page") && !text.contains("SSL_CERT_FILE"), "{text}");
}
