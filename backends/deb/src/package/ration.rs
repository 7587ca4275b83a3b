//! Limits for decoding packages whose signature is not known yet.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minimg_tree::archive::TooLarge;

/// How many bytes may still come out of all decoders that share this.
#[derive(Debug)]
pub(super) struct Ration(AtomicU64);

impl Ration {
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(bytes)))
    }

    /// From now on nothing is too much.
    pub(super) fn lift(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// # Errors
    /// When fewer bytes than these are left.
    pub(super) fn expect(&self, bytes: u64) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            left if left < bytes => Err(io::Error::other(TooLarge::Output(left))),
            _ => Ok(()),
        }
    }

    /// Takes so many bytes, or all that are left.
    ///
    /// # Errors
    /// When fewer are left; none are from then on.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        let rest = |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(bytes) });
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) {
            Ok(left) if left < bytes => Err(io::Error::other(TooLarge::Output(left))),
            _ => Ok(()),
        }
    }
}

/// Takes all that is read of the ration.
pub(super) struct Rationed<R> {
    pub(super) inner: R,
    pub(super) ration: Arc<Ration>,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.ration.take(read as u64)?;
        Ok(read)
    }
}
