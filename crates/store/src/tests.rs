use std::fs;
use std::io::Write;
use std::time::Duration;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

#[test]
fn blobs_are_found_by_their_digest() {
    let (_directory, store) = store();
    let digest = store.put_blob(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(store.blob(&digest).unwrap().unwrap(), &b"hello"[..]);
    assert!(store.open_blob(&digest).unwrap().is_some());
    assert_eq!(store.blob(&Digest::of(b"other")).unwrap(), None);
}

#[test]
fn a_blob_that_is_not_the_promised_one_is_not_kept() {
    let (_directory, store) = store();
    let mut writer = store.new_blob().unwrap();
    writer.write_all(b"not this").unwrap();
    let error = writer.commit_as(&Digest::of(b"this"), "a package").unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    assert_eq!(store.usage().unwrap(), Usage::new());
}

#[test]
fn an_unfinished_blob_leaves_nothing() {
    let (_directory, store) = store();
    let mut writer = store.new_blob().unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn damage_is_noticed_dropped_and_made_good() {
    let (_directory, store) = store();
    let digest = store.put_blob(b"hello").unwrap();
    store.put_entry("index", &digest, b"entry").unwrap();
    for path in [store.blob_path(&digest), store.entry_path("index", &digest)] {
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(store.blob(&digest).unwrap(), None);
    assert_eq!(store.entry("index", &digest).unwrap(), None);
    assert_eq!(store.usage().unwrap(), Usage::new(), "both were dropped");
    store.put_blob(b"hello").unwrap();
    assert!(store.blob(&digest).unwrap().is_some());
}

#[test]
fn verify_finds_damage_and_truncation() {
    let (_directory, store) = store();
    let good = store.put_blob(b"good").unwrap();
    let bad = store.put_blob(b"bad").unwrap();
    store.put_entry("listing", &good, b"entry").unwrap();
    store.put_entry("listing", &bad, b"entry").unwrap();
    fs::write(store.blob_path(&bad), b"ba").unwrap();
    fs::write(store.entry_path("listing", &bad), b"short").unwrap();
    let (sound, problems) = store.verify().unwrap();
    assert_eq!((sound, problems.len()), (2, 2));
    assert_eq!(store.verify().unwrap(), (2, vec![]));
}

#[test]
fn prune_spares_what_was_used_and_what_is_being_written() {
    let (_directory, store) = store();
    let digest = store.put_blob(b"hello").unwrap();
    let writer = store.new_blob().unwrap();
    fs::write(store.path().join("tmp/new-left-by-a-killed-process"), b"half").unwrap();
    assert_eq!(store.prune(Duration::from_secs(3600)).unwrap(), UsageOf { count: 1, bytes: 4 });
    assert!(store.has_blob(&digest, None));
    writer.commit().unwrap();
    assert!(store.prune(Duration::ZERO).unwrap().count >= 1);
    assert_eq!(store.blob(&digest).unwrap(), None);
}

#[test]
fn locks_exclude() {
    let (_directory, store) = store();
    let guard = store.lock("resolve").unwrap();
    let path = store.path().join("locks/resolve");
    assert!(fs::File::open(&path).unwrap().try_lock().is_err());
    drop(guard);
    assert!(fs::File::open(&path).unwrap().try_lock().is_ok());
}
