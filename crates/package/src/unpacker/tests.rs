use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::*;
use crate::plain::{self, Plain, pinned};
use minimg_tree::ContentSource;

fn failure(message: &'static str) -> Result<File> {
    Err(Error::new(Class::Verification, message))
}

fn told(finished: &mut Finished<Plain>, package: &PinnedPackage) -> Option<String> {
    finished.take(package)?.err().map(|error| error.to_string())
}

#[test]
fn what_comes_of_a_wrong_guess_changes_nothing_even_when_it_comes_late() {
    let directory = tempfile::tempdir().unwrap();
    let unpacker = unpacker(&Store::open(directory.path()).unwrap());
    let (begun, (go, wait)) = (channel(), channel::<()>());
    // The same bytes as the right one, under a name that the index which was read early had for them.
    let (wrong, right) = (pinned("wrong", b"x"), pinned("right", b"x"));
    unpacker.push(&wrong, move || {
        begun.0.send(()).unwrap();
        wait.recv().unwrap();
        failure("a wrong guess")
    });
    unpacker.grow(1);
    begun.1.recv().unwrap();
    unpacker.settle(std::slice::from_ref(&right));
    assert!(!unpacker.has(&right));
    unpacker.push(&right, || failure("the right one"));
    go.send(()).unwrap();
    let mut finished = unpacker.finish(false).unwrap();
    assert_eq!(told(&mut finished, &wrong), None);
    assert_eq!(told(&mut finished, &right).unwrap(), "the right one");
}

/// A package with one file of `body`, said to have `size` bytes.
fn holding(name: &str, body: &[u8], size: u64) -> (PinnedPackage, Vec<u8>) {
    plain::package(name, &[("a", body, size)])
}

fn unpacker(store: &Store) -> Unpacker<Plain> {
    Unpacker::new(store)
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_guess_that_is_too_large_waits_until_it_is_wanted() {
    let body = vec![b'x'; 3 << 20];
    let size = body.len() as u64;
    // The file is too long for what is left; it is not, but all of the package is; that is not, but its listing is; and what a file is
    // said to have is more than any can have.
    let whole = holding("large", &body, size).1.len() as u64;
    let claims = [(size, 1 << 20), (size, whole - 1), (size, whole + 1), (i64::MAX as u64 - 1024, GUESSED)];
    for (claim, left) in claims {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let unpacker = unpacker(&store);
        unpacker.shared.ration.take(GUESSED - left).unwrap();
        let (large, bytes) = holding("large", &body, claim);
        assert!(unpacker.push_open(&large, file_of(&bytes)));
        unpacker.grow(1);
        wait_until(|| !unpacker.has(&large));
        let (right, bytes) = holding("right", &body, body.len() as u64);
        unpacker.settle(std::slice::from_ref(&right));
        assert!(unpacker.push_open(&right, file_of(&bytes)));
        let mut finished = unpacker.finish(false).unwrap();
        let (_, spilled) = finished.take(&right).unwrap().unwrap();
        assert_eq!(spilled.map(0).unwrap(), body, "{claim}");
        assert!(finished.take(&large).is_none());
    }
}

#[test]
fn a_guess_that_fails_while_it_comes_to_be_wanted_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let unpacker = unpacker(&Store::open(directory.path()).unwrap());
    let (begun, (go, wait)) = (channel(), channel::<()>());
    let (wanted, bytes) = holding("wanted", b"x", 1);
    let calls = AtomicU64::new(0);
    unpacker.push(&wanted, move || match calls.fetch_add(1, Ordering::Relaxed) {
        0 => {
            begun.0.send(()).unwrap();
            wait.recv().unwrap();
            failure("too much for a guess")
        }
        _ => Ok(file_of(&bytes)),
    });
    unpacker.grow(1);
    begun.1.recv().unwrap();
    unpacker.settle(std::slice::from_ref(&wanted));
    go.send(()).unwrap();
    assert_eq!(unpacker.finish(false).unwrap().take(&wanted).unwrap().unwrap().0.members.len(), 1);
}

#[test]
fn guesses_are_stored_when_they_are_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let unpacker = unpacker(&store);
    let packages = ["wanted", "wrong"].map(|name| holding(name, b"x", 1));
    for (package, bytes) in &packages {
        assert!(unpacker.push_open(package, file_of(bytes)));
    }
    unpacker.grow(1);
    wait_until(|| lock(&unpacker.shared.state).done.len() == 2);
    let [(wanted, _), (wrong, _)] = &packages;
    let is_stored = |package: &PinnedPackage| store.entry(listing::ENTRY, &package.sha256).unwrap().is_some();
    assert!(!is_stored(wanted) && !is_stored(wrong));
    unpacker.settle(std::slice::from_ref(wanted));
    assert!(unpacker.finish(false).unwrap().take(wanted).unwrap().is_ok());
    assert!(is_stored(wanted) && !is_stored(wrong));
}

#[test]
fn only_so_many_files_wait_open() {
    let directory = tempfile::tempdir().unwrap();
    let unpacker = unpacker(&Store::open(directory.path()).unwrap());
    let open = || tempfile::tempfile().unwrap();
    let taken = (0..200).filter(|i| unpacker.push_open(&pinned(&format!("p{i}"), b"x"), open())).count();
    assert_eq!(taken, MOST_OPEN);
    assert!(!unpacker.has(&pinned("p199", b"x")));
    unpacker.push(&pinned("p199", b"x"), || failure("later"));
    assert!(unpacker.has(&pinned("p199", b"x")));
}
