//! Resolving and fetching from a small signed archive on a server that may misbehave.

mod forms;
mod guess;
mod packages;
mod redirects;
mod repository;
pub(crate) mod server;
mod socks;

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::signing::{key, public, sign, sign_detached};
use minimg::backend::{Context, Pins, Request, Settings, Source};
use minimg::board::{ArchNames, Board, Platform};
use minimg::digest::Digest;
use minimg::fetch::{Fetcher, RemoteFile};
use minimg::report::{Event, Reporter};
use minimg::store::Store;
use minimg::{Class, Error};
use minimg_apt as archive;
use repository::Repository;
use server::{Manner, Server};

/// A machine with a store, and the server that it asks.
struct Bench {
    directory: tempfile::TempDir,
    server: Server,
    settings: Settings,
    source: Source,
    offline: bool,
}

impl Bench {
    fn new(repository: &Repository) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keyring = directory.path().join("keyring.gpg");
        std::fs::write(&keyring, public(&repository.key)).unwrap();
        let server = Server::start();
        server.put_all(repository.files());
        let source = Source {
            distribution: "debian".into(),
            suite: "trixie".into(),
            mirror: Some(server.address.clone()),
            extra_suites: Some(vec![]),
            keyring: Some(keyring),
            ..Source::default()
        };
        let settings = Settings { machine: Some(directory.path().join("machine")), ..Settings::default() };
        Self { directory, server, settings, source, offline: false }
    }

    fn store(&self) -> Store {
        Store::open(&self.directory.path().join("store")).unwrap()
    }

    fn context(&self) -> Context {
        Context::new(self.store()).with_settings(self.settings.clone()).with_offline(self.offline)
    }

    fn with_context<R>(&self, work: impl FnOnce(&Context) -> R) -> R {
        work(&self.context())
    }

    fn resolve(&self) -> Result<Pins, Error> {
        self.with_context(|context| archive::resolve(&self.request(), context))
    }

    fn request(&self) -> Request {
        Request { board: board(), source: self.source.clone(), packages: vec!["a".into()] }
    }

    /// What those are warned of who resolve.
    fn warnings(&self) -> Vec<String> {
        let told = Arc::new(Warnings::default());
        let context = self.context().with_reporter(told.clone());
        let request = Request { board: board(), source: self.source.clone(), packages: vec!["a".into()] };
        archive::resolve(&request, &context).unwrap();
        std::mem::take(&mut *told.0.lock().unwrap())
    }

    /// What was handed over, as `name bytes`, sorted.
    fn fetch(&self, pins: &Pins) -> Result<Vec<String>, Error> {
        let got = Mutex::new(Vec::new());
        self.with_context(|context| {
            archive::fetch_packages(pins, context, |i, package, mut file| {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                assert_eq!(Digest::of(&bytes), package.sha256);
                assert_eq!(pins.packages[i], *package);
                got.lock().unwrap().push(format!("{} {}", package.name, bytes.len()));
                Ok(())
            })
        })?;
        let mut got = got.into_inner().unwrap();
        got.sort();
        Ok(got)
    }

    /// The class and text of the error that resolving, or else fetching, ends with.
    fn failure(&self) -> (Class, String) {
        let error = self.resolve().and_then(|pins| self.fetch(&pins)).unwrap_err();
        (error.class(), error.to_string())
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Reporter for Warnings {
    fn event(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

fn board() -> Board {
    Board {
        name: "amd64".into(),
        description: String::new(),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
        names: ArchNames { deb: Some("amd64".into()), ..ArchNames::default() },
        cpu_level: None,
        qemu: None,
        buildroot_defconfig: None,
        size_budget: None,
    }
}

#[track_caller]
fn assert_failure((class, text): (Class, String), expected: Class, part: &str) {
    assert!(class == expected && text.contains(part), "{class:?}: {text}");
}

#[test]
fn resolves_and_fetches_in_every_form() {
    for (forms, by_hash) in [
        (vec!["", ".gz"], true),
        (vec![".xz"], true),
        (vec![".zst"], false),
        (vec![""], false),
        (vec!["", ".gz", ".xz", ".zst"], true),
    ] {
        let repository = Repository { forms: forms.clone(), by_hash, ..Repository::new() };
        let bench = Bench::new(&repository);
        // So that the index is not had early by its usual name.
        if by_hash {
            bench.server.remove("/Packages.gz");
        }
        let pins = bench.resolve().unwrap();
        let names: Vec<_> = pins.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.path)).collect();
        assert_eq!(names, ["a 1 pool/a_1.deb", "b 2 pool/b_2.deb"], "{forms:?}");
        assert_eq!(
            (pins.archives[0].name.as_str(), pins.archives[0].date.as_str()),
            ("Test trixie", "2026-09-12T07:55:41Z")
        );
        assert_eq!(pins.epoch, 1_789_199_741);
        assert_eq!(bench.fetch(&pins).unwrap(), ["a 300000", "b 70000"]);
        assert_eq!(bench.server.log().iter().any(|line| line.contains("by-hash")), by_hash);
    }
}

#[test]
fn a_second_run_asks_only_whether_the_index_changed() {
    let bench = Bench::new(&Repository::new());
    let pins = bench.resolve().unwrap();
    bench.fetch(&pins).unwrap();
    bench.server.log();
    assert_eq!(bench.resolve().unwrap(), pins);
    bench.fetch(&pins).unwrap();
    assert_eq!(bench.server.log(), ["/dists/trixie/InRelease if changed 304"]);
    bench.server.behave("InRelease", Manner::Plain);
    assert_eq!(bench.resolve().unwrap(), pins);
    assert_eq!(bench.server.log(), ["/dists/trixie/InRelease if changed 200"]);
}

#[test]
fn a_file_mirror_needs_no_network() {
    let repository = Repository::new();
    let mut bench = Bench::new(&repository);
    let mirror = bench.directory.path().join("my mirror");
    for (path, content) in repository.files() {
        let path = mirror.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    bench.offline = true;
    bench.source.mirror = Some(mirror.to_str().unwrap().to_owned());
    let pins = bench.resolve().unwrap();
    assert_eq!(bench.fetch(&pins).unwrap(), ["a 300000", "b 70000"]);
    assert_eq!(bench.server.log(), [""; 0]);
}

#[test]
fn offline_uses_the_store_alone() {
    let mut bench = Bench::new(&Repository::new());
    bench.offline = true;
    assert_failure(bench.failure(), Class::Network, "trixie InRelease is not in the store");
    bench.offline = false;
    let pins = bench.resolve().unwrap();
    bench.offline = true;
    assert_eq!(bench.resolve().unwrap(), pins);
    assert_failure(bench.failure(), Class::Network, "is not in the store and");
    bench.offline = false;
    bench.fetch(&pins).unwrap();
    bench.server.log();
    bench.offline = true;
    assert_eq!(bench.fetch(&pins).unwrap(), ["a 300000", "b 70000"]);
    assert_eq!(bench.server.log(), [""; 0]);
}

#[test]
fn only_what_a_trusted_key_signed_is_used() {
    let repository = Repository::new();
    let text = repository.release();
    let tampered = |signed: &[u8]| String::from_utf8(signed.to_vec()).unwrap().replace("Origin: Test", "Origin: Evil");
    let signed = sign(&repository.key, &text);
    for (content, part) in [
        (sign(&key(), &text), "is signed by the unknown key"),
        (tampered(&signed).into_bytes(), "the signature is wrong"),
        (text.clone().into_bytes(), "is not accepted"),
        (Vec::new(), "is not accepted"),
        (signed[..signed.len() / 2].to_vec(), "is not accepted"),
    ] {
        let bench = Bench::new(&repository);
        bench.server.put("/dists/trixie/InRelease", content);
        assert_failure(bench.failure(), Class::Verification, part);
        let others = bench.server.log().into_iter().filter(|line| !line.contains("/Packages.gz"));
        assert_eq!(others.count(), 1, "nothing else was asked for");
        assert!(bench.store().usage().unwrap().is_empty(), "nothing was kept");
    }
    // What stands before or behind the signed part does not count.
    let bench = Bench::new(&repository);
    let around = [b"Codename: evil\n\n".as_slice(), &signed, b"\nDate: never\n"].concat();
    bench.server.put("/dists/trixie/InRelease", around);
    match bench.resolve() {
        Ok(pins) => assert_eq!(pins.archives[0].name, "Test trixie"),
        Err(error) => assert_eq!(error.class(), Class::Verification),
    }
}

#[test]
fn detached_signatures() {
    let repository = Repository::new();
    let text = repository.release();
    for (signature, part) in [
        (Some(sign_detached(&repository.key, &text)), ""),
        (Some(sign_detached(&key(), &text)), "is signed by the unknown key"),
        (Some(sign_detached(&repository.key, "other")), "the signature is wrong"),
        (None, "it is not signed"),
    ] {
        let bench = Bench::new(&repository);
        bench.server.remove("InRelease");
        bench.server.put("/dists/trixie/Release", text.clone());
        if let Some(signature) = signature {
            bench.server.put("/dists/trixie/Release.gpg", signature);
        }
        match part {
            "" => assert_eq!(bench.resolve().unwrap().packages.len(), 2),
            part => assert_failure(bench.failure(), Class::Verification, part),
        }
    }
}

#[test]
fn a_pin_that_holds_nothing_is_told() {
    let mut bench = Bench::new(&Repository::new());
    for (name, warning) in
        [("a", None), ("bb", Some("the pin of bb has no effect: there is no package of that name; did you mean b?"))]
    {
        bench.source.pins = [(name.to_owned(), "trixie".to_owned())].into();
        assert_eq!(bench.warnings(), warning.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn plain_addresses_are_asked_of_a_proxy_whole() {
    let repository = Repository::new();
    let mut bench = Bench::new(&repository);
    // The server knows whole addresses alone, and the mirror's name leads nowhere.
    let proxy = Server::start();
    proxy.put_all(
        repository.files().into_iter().map(|(path, file)| (format!("http://mirror.invalid{path}"), file)).collect(),
    );
    bench.source.mirror = Some("http://mirror.invalid".into());
    bench.settings.proxies = [("http_proxy".to_owned(), proxy.address.clone())].into();
    let pins = bench.resolve().unwrap();
    assert_eq!(bench.fetch(&pins).unwrap().len(), 2);
    let log = proxy.log();
    assert!(log.iter().all(|line| line.starts_with("http://mirror.invalid/") && line.ends_with(" 200")), "{log:?}");
    proxy.behave("InRelease", Manner::Status { status: 503, times: 9 });
    let (class, text) = bench.failure();
    assert!(class == Class::Network && text.contains(", through the proxy 127.0.0.1:"), "{class:?}: {text}");
}

#[test]
fn a_suite_that_the_mirror_lacks_is_named_with_what_was_meant() {
    let mut bench = Bench::new(&Repository::new());
    for (suite, near) in [("trixy", "; did you mean trixie? choose the suite"), ("noble", "; choose the suite")] {
        bench.source.suite = suite.into();
        let (class, text) = bench.failure();
        let said = format!("{} has no suite {suite}: ", bench.server.address);
        assert!(class == Class::Unsatisfiable && text.contains(&said) && text.contains(near), "{class:?}: {text}");
    }
}

#[test]
fn expired_replayed_and_wrong_suites_are_refused() {
    let mut repository = Repository { valid_until: Some("Sun, 13 Sep 2020 00:00:00 UTC".into()), ..Repository::new() };
    let mut bench = Bench::new(&repository);
    assert_failure(bench.failure(), Class::Verification, "expired on 2020-09-13T00:00:00Z");
    bench.source.allow_expired = true;
    bench.resolve().unwrap();
    bench.source.allow_expired = false;
    assert_failure(bench.failure(), Class::Verification, "expired on");
    let conf = bench.settings.machine.as_ref().unwrap().join("etc/apt");
    std::fs::create_dir_all(&conf).unwrap();
    std::fs::write(conf.join("apt.conf"), "Acquire::Check-Valid-Until \"false\";").unwrap();
    bench.resolve().unwrap();

    (repository.valid_until, repository.date) = (None, "Sun, 13 Sep 2026 00:00:00 UTC".into());
    bench.server.put_all(repository.files());
    bench.resolve().unwrap();
    repository.date = "Sat, 12 Sep 2026 00:00:00 UTC".into();
    bench.server.put_all(repository.files());
    // What apt's setting allows is expired files, not replayed ones.
    assert_failure(bench.failure(), Class::Verification, "older than the one of 2026-09-13T00:00:00Z");
    bench.source.allow_expired = true;
    bench.resolve().unwrap();
    bench.source.allow_expired = false;

    let other = Repository { codename: "bookworm".into(), key: repository.key.clone(), ..Repository::new() };
    bench.server.put("/dists/trixie/InRelease", sign(&other.key, &other.release()));
    assert_failure(bench.failure(), Class::Verification, "is the index of bookworm instead of trixie");
}

#[test]
fn indexes_that_are_not_what_was_promised_are_refused() {
    let bench = || Bench::new(&Repository::new());
    let changed = bench();
    changed.server.change("Packages.gz", |content| *content.last_mut().unwrap() ^= 1);
    changed.server.change("by-hash", |content| *content.last_mut().unwrap() ^= 1);
    assert_failure(changed.failure(), Class::Verification, "has the digest");
    let garbage = bench();
    garbage.server.change("binary-amd64", |content| content.fill(b'x'));
    assert_failure(garbage.failure(), Class::Verification, "has the digest");
    let short = bench();
    short.server.change("binary-amd64", |content| content.truncate(20));
    assert_failure(short.failure(), Class::Verification, "has 20 bytes instead of");
    let endless = bench();
    endless.server.behave("binary-amd64", Manner::Endless);
    assert_failure(endless.failure(), Class::Malformed, "sends more than");
    let missing = bench();
    missing.server.remove("binary-amd64");
    assert_failure(missing.failure(), Class::Network, "does not exist");
    for bench in [changed, garbage, short, endless, missing] {
        assert_eq!(bench.store().usage().unwrap().get("deb-index"), None);
    }
}

#[test]
fn a_form_that_is_behind_is_passed_over() {
    let repository = Repository { forms: vec![".gz", ".xz"], by_hash: false, ..Repository::new() };
    let bench = Bench::new(&repository);
    bench.server.change("Packages.gz", |content| content.truncate(20));
    bench.resolve().unwrap();
    assert!(bench.server.log().iter().any(|line| line == "/dists/trixie/main/binary-amd64/Packages.xz 200"));
}

#[test]
fn usual_suites_may_be_missing_but_not_wrong() {
    let repository = Repository::new();
    let mut bench = Bench::new(&repository);
    bench.source.extra_suites = None;
    assert_eq!(bench.resolve().unwrap().archives.len(), 1);
    let mut updates =
        Repository { codename: "trixie-updates".into(), key: repository.key.clone(), ..Repository::new() };
    updates.packages.remove(0);
    updates.packages[0].version = "3";
    bench.server.put_all(updates.files());
    let pins = bench.resolve().unwrap();
    assert_eq!((pins.archives.len(), pins.packages[1].version.as_str(), pins.packages[1].archive), (2, "3", 1));
    updates.packages[0].version = "4";
    bench.server.put_all(updates.files());
    bench.server.change("trixie-updates/main", |content| content.truncate(20));
    assert_failure(bench.failure(), Class::Verification, "or leave out trixie-updates");
}

#[test]
fn a_missing_by_hash_file_is_had_by_its_path() {
    let bench = Bench::new(&Repository { forms: vec![".xz"], ..Repository::new() });
    bench.server.remove("by-hash");
    bench.resolve().unwrap();
    let log = bench.server.log();
    assert!(log.iter().any(|line| line.contains("by-hash") && line.ends_with("404")), "{log:?}");
    assert!(log.iter().any(|line| line == "/dists/trixie/main/binary-amd64/Packages.xz 200"), "{log:?}");
}

#[test]
fn the_index_of_a_new_suite_is_asked_for_at_once_and_used_only_if_it_is_the_promised_one() {
    let index = "/dists/trixie/main/binary-amd64/Packages.gz 200";
    let bench = Bench::new(&Repository::new());
    let pins = bench.resolve().unwrap();
    let mut log = bench.server.log();
    log.sort();
    assert_eq!(log, ["/dists/trixie/InRelease 200", index]);

    let bench = Bench::new(&Repository::new());
    let mut evil = Repository::new();
    evil.packages[0].version = "666";
    for (path, content) in evil.files() {
        if path.ends_with("/Packages.gz") {
            bench.server.put(&path, content);
        }
    }
    assert_eq!(bench.resolve().unwrap().packages, pins.packages);
    let log = bench.server.log();
    assert!(log.iter().any(|line| line == index) && log.iter().any(|line| line.contains("by-hash")), "{log:?}");
}

#[test]
fn an_index_that_was_fetched_early_must_have_the_promised_size() {
    let repository = Repository::new();
    let (path, release) = ("/dists/trixie/main/binary-amd64/Packages.gz", repository.release());
    let index = repository.files()[path].clone();
    for wrong in [index.len() + 1, index.len() - 1, 0] {
        let bench = Bench::new(&repository);
        let lying = release.replace(&format!(" {} main", index.len()), &format!(" {wrong} main"));
        assert_ne!(lying, release);
        bench.server.put("/dists/trixie/InRelease", sign(&repository.key, &lying));
        // Its digest is the promised one, and there is no other form.
        bench.server.remove("Packages");
        bench.server.remove("by-hash");
        bench.server.put(path, index.clone());
        assert_failure(bench.failure(), Class::Verification, &format!("bytes instead of {wrong}"));
    }
}

#[test]
fn decompression_bombs_are_stopped() {
    let zeros = "\n".repeat(50_000_000);
    for form in [".gz", ".xz", ".zst"] {
        let bomb = Repository { forms: vec![form], claimed: Some(1000), extra: zeros.clone(), ..Repository::new() };
        assert_failure(Bench::new(&bomb).failure(), Class::Malformed, "it is longer than the limit of 1000 bytes");
    }
}

#[test]
fn hostile_stanzas_are_refused_though_they_are_signed() {
    for (extra, part) in [
        ("Package: c\nVersion: 1\nArchitecture: amd64\nFilename: ../../etc/passwd\n", "is not a path below an archive"),
        ("Package: c/d\nVersion: 1\nArchitecture: amd64\nFilename: c.deb\n", "is not a name"),
        ("nonsense\n", "is not a name"),
    ] {
        let repository = Repository { extra: format!("\n{extra}"), ..Repository::new() };
        assert_failure(Bench::new(&repository).failure(), Class::Malformed, part);
    }
}

fn fixture() -> (Repository, Bench) {
    let repository = Repository::new();
    let bench = Bench::new(&repository);
    (repository, bench)
}

#[test]
fn damage_in_the_store_is_mended() {
    let bench = Bench::new(&Repository::new());
    let pins = bench.resolve().unwrap();
    bench.fetch(&pins).unwrap();
    let damage = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
    };
    let blob = bench.store().blob_path(&pins.packages[0].sha256);
    damage(&blob, 500);
    assert_eq!(bench.fetch(&pins).unwrap(), ["a 300000", "b 70000"]);
    let indexes = bench.store().path().join("entries/deb-index");
    let index = std::fs::read_dir(indexes).unwrap().next().unwrap().unwrap().path();
    // In the head, in a record, and in the table of names.
    for at in [72, 142, std::fs::metadata(&index).unwrap().len() as usize - 3] {
        bench.server.log();
        damage(&index, at);
        assert_eq!(bench.resolve().unwrap(), pins, "damage at {at}");
        assert!(bench.server.log().iter().any(|line| line.contains("by-hash")), "damage at {at} was noticed");
    }
}

#[test]
fn processes_at_once_fetch_once() {
    const VARIABLE: &str = "MINIMG_TEST_FETCH";
    if let Some(text) = std::env::var_os(VARIABLE) {
        // This is the child: fetch into the store that the parent names.
        let text = text.into_string().unwrap();
        let words: Vec<_> = text.split('\n').collect();
        let context = Context::new(Store::open(Path::new(words[0])).unwrap());
        let wanted = RemoteFile {
            name: "a".into(),
            url: words[1].into(),
            size: words[2].parse().unwrap(),
            sha256: words[3].parse().unwrap(),
        };
        Fetcher::new(context).blob(&wanted).unwrap();
        return;
    }
    let (repository, bench) = fixture();
    let content = &repository.packages[0].content;
    let (path, url) = (bench.directory.path().join("store"), format!("{}/pool/a_1.deb", bench.server.address));
    let text = format!("{}\n{url}\n{}\n{}", path.display(), content.len(), Digest::of(content));
    let child = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "deb_archive::processes_at_once_fetch_once"])
            .env(VARIABLE, &text)
            .stdout(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| child()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(bench.server.log(), ["/pool/a_1.deb 200"]);
}

#[test]
fn a_failing_consumer_ends_it() {
    let bench = Bench::new(&Repository::new());
    let pins = bench.resolve().unwrap();
    let result = bench.with_context(|context| {
        archive::fetch_packages(&pins, context, |_, package, _| {
            Err(Error::new(Class::Malformed, format!("{} is bad", package.name)))
        })
    });
    assert!(result.unwrap_err().to_string().ends_with("is bad"));
}
