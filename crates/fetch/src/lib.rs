//! Fetches files over `http`, `https` and `file`.
//!
//! What has a digest goes into the store, and is looked for there first. A connection that is cut is taken up again where it ended; a server
//! that fails, or sends less than 16 KiB in a minute, is asked again after a pause that doubles; one that sends more than was promised is cut off.
//!
//! ```
//! use std::io::Read;
//!
//! use minimg_base::digest::Digest;
//! use minimg_context::Context;
//! use minimg_fetch::{Fetcher, RemoteFile};
//! use minimg_store::Store;
//!
//! let directory = tempfile::tempdir()?;
//! let file = directory.path().join("hello.txt");
//! std::fs::write(&file, "hello\n")?;
//!
//! let fetcher = Fetcher::new(Context::new(Store::open(&directory.path().join("store"))?));
//! let wanted = RemoteFile {
//!     name: "hello".into(),
//!     url: format!("file://{}", file.display()),
//!     size: 6,
//!     sha256: Digest::of("hello\n"),
//! };
//! let mut text = String::new();
//! fetcher.blob(&wanted)?.read_to_string(&mut text)?;
//! assert_eq!(text, "hello\n");
//!
//! // It is in the store now, and its source is no longer needed.
//! std::fs::remove_file(&file)?;
//! assert!(fetcher.has(&wanted) && fetcher.blob(&wanted).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agent;
mod blobs;
mod download;
mod error;
mod local;
mod pace;
mod proxy;
mod redirect;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use download::Download;
pub use error::FetchError;

use minimg_base::digest::Digest;
use minimg_context::Context;
use proxy::Proxies;

/// A file to fetch, with what is known of it beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name in messages: that of a package or an index.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// How long and how often to try a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The number of attempts without any byte arriving.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each further failure.
    pub first_pause: Duration,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long to wait for an answer, and for more bytes of it.
    pub stall: Duration,
    /// The least bytes that must come in the time of `within`, and after a failure before it is forgotten.
    pub least: u64,
    /// How long a server is waited for until it is judged by what came.
    pub within: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(300),
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            least: 16 << 10,
            within: Duration::from_secs(60),
        }
    }
}

/// What a server said of a document's version, to ask later whether it changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validators {
    /// The `ETag`.
    pub etag: Option<String>,
    /// The `Last-Modified` date as the server wrote it.
    pub modified: Option<String>,
}

/// The answer to a request for a document that may be known already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// It has not changed.
    Unchanged,
    /// It is new or has changed.
    New {
        /// The document.
        bytes: Vec<u8>,
        /// What to ask with the next time.
        validators: Validators,
    },
}

/// Fetches. Connections are kept and names looked up once as long as it lives; threads may share it.
pub struct Fetcher {
    context: Context,
    patience: Patience,
    agent: ureq::Agent,
    proxies: Arc<Proxies>,
    headers: Vec<(&'static str, String)>,
    /// Bytes a second of the fastest document so far; 0 when there was none.
    rate: AtomicU64,
    /// Set when the result is no longer needed.
    stop: Option<Arc<AtomicBool>>,
}

/// Shorter documents do not tell how fast the network is.
const TELLING: usize = 50_000;

impl Fetcher {
    /// A fetcher with the default patience.
    pub fn new(context: Context) -> Self {
        Self::with_patience(context, Patience::default())
    }

    /// A fetcher with the given patience.
    pub fn with_patience(context: Context, patience: Patience) -> Self {
        let proxies = Arc::new(Proxies::new(&context.settings.proxies));
        let agent = agent::new(&patience, context.settings.authorities, &proxies);
        Self { context, patience, agent, proxies, headers: Vec::new(), rate: AtomicU64::new(0), stop: None }
    }

    /// Sends these headers with each request. Who asks (`authorization`) is told to the server that was asked first alone, not to others that
    /// it redirects to, and an `https` address is never left for an `http` one.
    pub fn with_headers(self, headers: Vec<(&'static str, String)>) -> Self {
        Self { headers, ..self }
    }

    /// One that shares this one's connections, for what may turn out not to be wanted: it tries everything twice at most, and ends with an
    /// error as soon as `stop` is set.
    pub fn speculative(&self, stop: Arc<AtomicBool>) -> Self {
        Self {
            context: self.context.clone(),
            patience: Patience { attempts: 2, ..self.patience },
            agent: self.agent.clone(),
            proxies: self.proxies.clone(),
            headers: self.headers.clone(),
            rate: AtomicU64::new(0),
            stop: Some(stop),
        }
    }

    fn is_stopped(&self) -> bool {
        let is_unwanted = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        is_unwanted || self.context.cancellation.is_cancelled()
    }

    /// Begins to fetch something of at most `limit` bytes; where `size` is known, exactly that many must come.
    ///
    /// # Errors
    /// If it does not exist, cannot be fetched, or the network is needed but not allowed.
    pub fn open(&self, name: &str, url: &str, size: Option<u64>, limit: u64) -> Result<Download<'_>, FetchError> {
        Ok(Download::open(self, name, url, size, limit, None)?.0)
    }

    /// Fetches a document whose digest is not known beforehand, unless it is still the one that `known` stands for.
    ///
    /// # Errors
    /// Like [`Fetcher::open`], and when the document is longer than `limit`.
    pub fn document(
        &self,
        name: &str,
        url: &str,
        limit: u64,
        known: Option<&Validators>,
    ) -> Result<Document, FetchError> {
        let (mut download, validators) = Download::open(self, name, url, None, limit, known)?;
        let Some(validators) = validators else { return Ok(Document::Unchanged) };
        let (start, mut bytes) = (Instant::now(), Vec::new());
        download.read_to_end(&mut bytes).map_err(|error| download.own(error))?;
        if bytes.len() >= TELLING {
            let rate = bytes.len() as f64 / start.elapsed().as_secs_f64();
            self.rate.fetch_max(rate as u64, Ordering::Relaxed);
        }
        Ok(Document::New { bytes, validators })
    }

    /// How fast documents came, where that could be measured: a lower bound of what the network can do, in bytes a second.
    pub fn bytes_per_second(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }
}
