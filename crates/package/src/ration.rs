//! A limit on what is decoded of packages whose signature is not known yet.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minimg_tree::archive::TooLarge;

/// How many bytes may still come out of all decoders that share this.
#[derive(Debug)]
pub struct Ration(AtomicU64);

/// What is left where nothing is too much.
const UNLIMITED: u64 = u64::MAX;

impl Ration {
    /// So many bytes.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(bytes)))
    }

    /// For packages that are known to be wanted: nothing is too much.
    pub fn unlimited() -> Arc<Self> {
        Self::new(UNLIMITED)
    }

    /// From now on nothing is too much.
    pub(crate) fn lift(&self) {
        self.0.store(UNLIMITED, Ordering::Relaxed);
    }

    /// # Errors
    /// When fewer bytes than these are left.
    pub(crate) fn expect(&self, bytes: u64) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            left if left < bytes => Err(io::Error::other(TooLarge::Output(left))),
            _ => Ok(()),
        }
    }

    /// Takes so many bytes, or all that are left.
    ///
    /// # Errors
    /// When fewer are left; none are from then on.
    pub(crate) fn take(&self, bytes: u64) -> io::Result<()> {
        let rest = |left: u64| Some(if left == UNLIMITED { left } else { left.saturating_sub(bytes) });
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) {
            Ok(left) if left < bytes => Err(io::Error::other(TooLarge::Output(left))),
            _ => Ok(()),
        }
    }

    /// A reader of which all that is read is taken from this.
    pub fn limit<'a>(self: &Arc<Self>, inner: Box<dyn Read + Send + 'a>) -> Box<dyn Read + Send + 'a> {
        Box::new(Rationed { inner, ration: self.clone() })
    }
}

struct Rationed<R> {
    inner: R,
    ration: Arc<Ration>,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.ration.take(read as u64)?;
        Ok(read)
    }
}
