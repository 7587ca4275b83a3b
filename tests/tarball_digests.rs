//! Root tarballs whose digests somebody signed, as Gentoo signs those of its stages.

use std::path::PathBuf;
use std::process::Command;

use crate::deb_archive::server::Server;
use crate::support::signing::{key, public, sign};
use minimg::backend::{Context, Request, Source};
use minimg::backends::tarball;
use minimg::board::Boards;
use minimg::error::{Class, Error};
use minimg::store::Store;
use sequoia_openpgp::Cert;
use tempfile::TempDir;

/// The name of the tarball.
const STAGE: &str = "stage3-amd64-openrc-20250101T000000Z.tar.xz";

/// A directory with a stage, what hashes it, and the key that may.
struct Bench {
    directory: TempDir,
    store: Store,
    key: Cert,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bench = Self { store: Store::open(&directory.path().join("store")).unwrap(), directory, key: key() };
        bench.write("machine", b"gentoo\n");
        bench.shell(&format!("mkdir -p root/etc && mv machine root/etc && tar -C root -cJf {STAGE} ."));
        bench.write("keys.pgp", &public(&bench.key));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn shell(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-euc", script]).current_dir(self.directory.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The list of these kinds of hashes, which coreutils computes.
    fn list(&self, kinds: &[&str]) -> String {
        let section = |kind: &&str| {
            let program = if *kind == "BLAKE2B" { "b2sum".to_owned() } else { format!("{}sum", kind.to_lowercase()) };
            let other = "0".repeat(128);
            format!("# {kind} HASH\n{}{other}  {STAGE}.CONTENTS.gz\n", self.shell(&format!("{program} {STAGE}")))
        };
        kinds.iter().map(section).collect()
    }

    fn take(&self, options: &str, offline: bool) -> Result<(), Error> {
        let context = Context::new(self.store.clone()).with_offline(offline);
        let table: toml::Table = options.parse().unwrap();
        let options = [(tarball::NAME.to_owned(), toml::Value::Table(table))].into();
        let source = Source { options, directory: self.directory.path().to_owned(), ..Source::default() };
        let board = Boards::built_in().get("amd64").unwrap();
        tarball::take(&Request { board, source, packages: Vec::new() }, &context).map(|_| ())
    }

    /// Takes the stage in with a list.
    fn with_list(&self, list: &[u8]) -> Result<(), Error> {
        self.write("list", list);
        self.take(&format!("root = '{STAGE}'\ndigests = 'list'\nkeyring = 'keys.pgp'"), true)
    }
}

#[test]
fn a_stage_is_what_its_signed_list_says() {
    let bench = Bench::new();
    let list = bench.list(&["BLAKE2B", "SHA512"]);
    let signed = sign(&bench.key, &list);
    for kinds in [&["BLAKE2B", "SHA512"][..], &["SHA256"], &["BLAKE2B"], &["SHA1", "SHA512"]] {
        bench.with_list(&sign(&bench.key, &bench.list(kinds))).unwrap();
    }
    let changed = String::from_utf8(signed.clone()).unwrap().replacen("CONTENTS", "contents", 1);
    let hash = list.lines().nth(1).unwrap().split(' ').next().unwrap();
    let one_wrong = list.replace(hash, &"0".repeat(128));
    for (list, expected) in [
        (sign(&key(), &list), "list cannot be trusted: it is signed by the unknown key"),
        (list.clone().into_bytes(), "list cannot be trusted"),
        (changed.into_bytes(), "list cannot be trusted"),
        (sign(&bench.key, &one_wrong), "does not have the BLAKE2B that list gives"),
        (sign(&bench.key, &bench.list(&["SHA1"])), "list has no SHA512, BLAKE2B or SHA256 of stage3"),
        (sign(&bench.key, "# SHA512 HASH\n00  other.tar.xz\n"), "list has no SHA512, BLAKE2B or SHA256 of stage3"),
        // What is outside of the signed part does not count.
        ([one_wrong.as_bytes(), &sign(&bench.key, "# SHA512 HASH\n")].concat(), "list has no SHA512"),
    ] {
        let error = bench.with_list(&list).unwrap_err();
        assert!(
            error.class() == Class::Verification && error.to_string().contains(expected),
            "{error}; not {expected}"
        );
    }
    bench.shell(&format!("echo >>{STAGE}"));
    let error = bench.with_list(&signed).unwrap_err();
    assert!(error.class() == Class::Verification && error.to_string().contains("that list gives"), "{error}");
    for (options, expected) in [
        (format!("root = '{STAGE}'\ndigests = 'list'"), "name them with `keyring"),
        ("root = 'root'\ndigests = 'list'\nkeyring = 'keys.pgp'".into(), "cannot be checked by `digests`"),
    ] {
        let error = bench.take(&options, true).unwrap_err();
        assert!(error.class() == Class::Profile && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_stage_is_fetched_with_its_list_and_known_afterwards() {
    let (bench, server) = (Bench::new(), Server::start());
    let stage = std::fs::read(bench.path(STAGE)).unwrap();
    let name = format!("{STAGE}.DIGESTS");
    server.put(&format!("/{name}"), sign(&bench.key, &bench.list(&["SHA512", "BLAKE2B"])));
    server.put(&format!("/{STAGE}"), [&stage[..], b"x"].concat());
    let options =
        format!("root = '{0}/{STAGE}'\ndigests = '{0}/{STAGE}.DIGESTS'\nkeyring = 'keys.pgp'", server.address,);
    assert_eq!(bench.take(&options, true).unwrap_err().class(), Class::Network);
    assert_eq!(bench.take(&options, false).unwrap_err().class(), Class::Verification);
    server.put(&format!("/{STAGE}"), stage);
    bench.take(&options, false).unwrap();
    assert!(!server.log().is_empty());
    bench.take(&options, true).unwrap();
    assert_eq!(server.log(), Vec::<String>::new(), "nothing is asked for offline");
    bench.take(&options, false).unwrap();
    let again = server.log();
    assert!(again.len() == 1 && again[0].contains(&name), "only the list is asked for again: {again:?}");
    // What is known is not trusted with other keys.
    bench.write("keys.pgp", &public(&key()));
    assert_eq!(bench.take(&options, true).unwrap_err().class(), Class::Verification);
}
