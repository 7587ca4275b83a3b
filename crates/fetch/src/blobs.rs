//! Fetches many files with known digests into the store in parallel.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::agent::CONNECTIONS;
use super::{Download, FetchError, Fetcher, RemoteFile};
use minimg_base::error::{Error, Result};
use minimg_base::report::{Event, Reused};
use minimg_store::StoreError;

/// How many fetched files may wait for the consumer; each is an open file.
const QUEUE: usize = 32;

/// How many consumers run at once: more decoders than this only cost memory.
const CONSUMERS: usize = 2;

const COPY_BUFFER: usize = 64 * 1024;

impl Fetcher {
    /// The wanted file out of the store, where it is put first if need be. It was checked against its digest, and is at its beginning.
    ///
    /// # Errors
    /// When it cannot be had, or is not what it should be.
    pub fn blob(&self, wanted: &RemoteFile) -> Result<File, FetchError> {
        if let Some(file) = self.stored(wanted)? {
            return Ok(file);
        }
        // Another process may be fetching the same: then its file is taken. Names are cut short to keep the directory of locks small.
        let _guard = self.context.store.lock(&format!("blob-{}", &wanted.sha256.hex()[..3]))?;
        if let Some(file) = self.stored(wanted)? {
            return Ok(file);
        }
        let mut download = self.open(&wanted.name, &wanted.url, Some(wanted.size), wanted.size)?;
        self.store_download(&mut download, wanted)?;
        let path = self.context.store.blob_path(&wanted.sha256);
        File::open(&path).map_err(|source| StoreError::Io { path, source }.into())
    }

    /// Whether the store has the file, as far as a look at the names in it tells.
    pub fn has(&self, wanted: &RemoteFile) -> bool {
        self.context.store.has_blob(&wanted.sha256, Some(wanted.size))
    }

    fn stored(&self, wanted: &RemoteFile) -> Result<Option<File>, FetchError> {
        if !self.context.store.has_blob(&wanted.sha256, None) {
            return Ok(None);
        }
        let Some(file) = self.context.store.open_blob(&wanted.sha256)? else {
            let why = format!("the stored copy of {} was damaged", wanted.name);
            self.context.reporter.event(Event::Missed { what: "package", why: &why });
            return Ok(None);
        };
        self.context.reporter.event(Event::Reused { what: Reused::Package, bytes: wanted.size });
        Ok(Some(file))
    }

    fn store_download(&self, download: &mut Download<'_>, wanted: &RemoteFile) -> Result<(), FetchError> {
        let mut blob = self.context.store.new_blob()?;
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let count = download.read(&mut buffer).map_err(|error| download.own(error))?;
            let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else { break };
            let path = || self.context.store.path().to_owned();
            blob.write_all(data).map_err(|source| StoreError::Io { path: path(), source })?;
        }
        match blob.commit_as(&wanted.sha256, &wanted.name) {
            Ok(_) => Ok(()),
            Err(StoreError::Mismatch { expected, found, .. }) => {
                Err(FetchError::Digest { url: wanted.url.clone(), expected, found })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that every wanted file is in the store, the largest first, and hands each to `consume` with its place in `wanted` as soon
    /// as it is there. Up to eight come at once, and `consume` runs on up to two threads. The first failure ends it.
    ///
    /// # Errors
    /// The first failure of fetching or of `consume`.
    pub fn blobs(&self, wanted: &[RemoteFile], consume: impl Fn(usize, File) -> Result<()> + Sync) -> Result<()> {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(wanted[i].size), i));
        let missing = wanted.iter().filter(|w| !self.context.store.has_blob(&w.sha256, None)).count();
        let most = match self.context.settings.jobs {
            0 => usize::MAX,
            jobs => jobs,
        };
        let fetchers = missing.clamp(CONSUMERS, CONNECTIONS).min(wanted.len()).min(most);
        let consumers = CONSUMERS.min(wanted.len()).min(most);
        let (next, run) = (AtomicUsize::new(0), Run::default());
        let (sender, receiver) = sync_channel::<(usize, File)>(QUEUE);
        let receiver = Mutex::new(receiver);
        std::thread::scope(|scope| {
            for _ in 0..fetchers {
                let sender = sender.clone();
                let (order, next, run) = (&order, &next, &run);
                scope.spawn(move || {
                    while let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if run.stopped() {
                            break;
                        }
                        match self.blob(&wanted[i]) {
                            Ok(file) => _ = sender.send((i, file)),
                            Err(error) => run.fail(error.into()),
                        }
                    }
                });
            }
            drop(sender);
            for _ in 0..consumers {
                scope.spawn(|| {
                    // What comes after a failure is taken and dropped, so that nobody waits for room in the queue.
                    while let Some((i, file)) = receive(&receiver) {
                        if !run.stopped()
                            && let Err(error) = consume(i, file)
                        {
                            run.fail(error);
                        }
                    }
                });
            }
        });
        run.finish()
    }
}

fn receive(receiver: &Mutex<Receiver<(usize, File)>>) -> Option<(usize, File)> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// The first failure of several threads.
#[derive(Default)]
struct Run {
    stop: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Run {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, error: Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }

    fn finish(self) -> Result<()> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
