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
fn an_entry_is_believed_under_its_own_name_alone() {
    let (_directory, store) = store();
    let [one, other] = ["one", "other"].map(Digest::of);
    store.put_entry("layer", &one, b"of one").unwrap();
    for (kind, key) in [("layer", &other), ("record", &one), ("layer1", &one)] {
        let copy = store.entry_path(kind, key);
        let copied = || {
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(store.entry_path("layer", &one), &copy).unwrap();
        };
        copied();
        assert_eq!(store.entry(kind, key).unwrap(), None, "{kind}");
        copied();
        assert_eq!(store.entry_checked_by(kind, key, |_| true).unwrap(), None, "{kind}");
        copied();
        let (good, problems) = store.verify().unwrap();
        let told: Vec<_> = problems.iter().map(|problem| (&problem.path, problem.message.as_str())).collect();
        assert_eq!((good, told), (1, vec![(&copy, "it was written under another name")]), "{kind}");
    }
    assert_eq!(store.entry("layer", &one).unwrap().unwrap(), &b"of one"[..]);
}

#[test]
fn verify_finds_blobs_that_nobody_would_find() {
    let (_directory, store) = store();
    let digest = store.put_blob(b"hello").unwrap();
    let elsewhere = store.path().join("blobs/zz").join(digest.hex());
    fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    fs::copy(store.blob_path(&digest), &elsewhere).unwrap();
    let (good, problems) = store.verify().unwrap();
    assert_eq!((good, problems.len()), (1, 1));
    assert!(!elsewhere.exists());
}

/// Lets a file look as if it was used so long ago.
fn age(path: &std::path::Path, age: Duration) {
    let file = fs::File::open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - age).unwrap();
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn prune_spares_what_was_used_and_what_is_being_written() {
    let (directory, store) = store();
    let digest = store.put_blob(b"hello").unwrap();
    let writer = store.new_blob().unwrap();
    fs::write(store.path().join("tmp/new-left-by-a-killed-process"), b"half").unwrap();
    assert_eq!(store.prune(HOUR).unwrap().freed, UsageOf { count: 1, bytes: 4 });
    assert!(store.has_blob(&digest, None));
    writer.commit().unwrap();
    drop(store);
    let store = Store::existing(directory.path()).unwrap().unwrap();
    assert!(store.prune(Duration::ZERO).unwrap().freed.count >= 1);
    assert_eq!(store.blob(&digest).unwrap(), None);
}

#[test]
fn prune_spares_what_a_living_process_may_use() {
    let (directory, store) = store();
    let [used, unused, noted] = [&b"used"[..], b"unused", b"noted"].map(|bytes| store.put_blob(bytes).unwrap());
    store.put_entry("layer", &used, b"entry").unwrap();
    store.put_entry("layer", &unused, b"entry").unwrap();
    // Used before this process began, not long enough ago that a use now would be noted.
    age(&store.blob_path(&noted), HOUR / 2);
    for path in [store.blob_path(&used), store.blob_path(&unused)] {
        age(&path, HOUR * 3);
    }
    for key in [used, unused] {
        age(&store.entry_path("layer", &key), HOUR * 3);
    }
    assert!(store.has_blob(&used, None));
    store.entry("layer", &used).unwrap().unwrap();
    let other = Store::existing(directory.path()).unwrap().unwrap();
    let pruned = other.prune(Duration::ZERO).unwrap();
    assert_eq!((pruned.freed.count, pruned.in_use.count), (2, 3));
    let left = [used, unused, noted].map(|digest| store.has_blob(&digest, None));
    assert_eq!(left, [true, false, true]);
    assert!(store.entry("layer", &used).unwrap().is_some());
    drop(store);
    assert_eq!(other.prune(Duration::ZERO).unwrap().in_use, UsageOf::default());
    assert_eq!(other.usage().unwrap(), Usage::new());
}

#[test]
fn leases_of_killed_processes_count_for_nothing() {
    let (directory, store) = store();
    store.put_blob(b"hello").unwrap();
    drop(store);
    let lease = directory.path().join("v1/leases/new-left-by-a-killed-process");
    fs::write(&lease, "").unwrap();
    let store = Store::existing(directory.path()).unwrap().unwrap();
    assert_eq!(store.prune(Duration::ZERO).unwrap().freed.count, 1);
    assert!(!lease.exists());
}

#[test]
fn what_is_unused_longest_goes_first() {
    let (directory, store) = store();
    let [old, older, new] = [b"old--", b"older", b"new--"].map(|bytes| store.put_blob(bytes).unwrap());
    age(&store.blob_path(&old), HOUR * 3);
    age(&store.blob_path(&older), HOUR * 4);
    drop(store);
    let store = Store::existing(directory.path()).unwrap().unwrap();
    assert_eq!(store.keep_below(11).unwrap().map(|pruned| pruned.freed), Some(UsageOf { count: 1, bytes: 5 }));
    let there = |digest| store.blob_path(&digest).exists();
    assert_eq!([old, older, new].map(there), [true, false, true]);
    assert_eq!(store.keep_below(0).unwrap(), None, "it was looked after today");
    fs::remove_file(store.path().join("looked")).unwrap();
    let holder = Store::open(directory.path()).unwrap();
    let pruned = store.keep_below(0).unwrap().unwrap();
    assert_eq!((pruned.freed.count, pruned.in_use.count), (1, 1), "the new one may be in use");
    drop(holder);
}

/// What the umask leaves, as of every program: a group can share a store, or nobody can look into it.
#[test]
fn permissions_follow_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, store) = store();
    fs::write(directory.path().join("plain"), "").unwrap();
    let digest = store.put_blob(b"hello").unwrap();
    store.put_entry("layer", &digest, b"entry").unwrap();
    drop(store.lock("x").unwrap());
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let plain = mode(directory.path().join("plain"));
    let files = [store.blob_path(&digest), store.entry_path("layer", &digest), store.path().join("locks/x")].map(mode);
    assert_eq!(files, [plain; 3]);
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
