//! Where the bodies of archives stay until they are needed: in memory while they are small in total, else in one scratch file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{ContentSource, map_region, read_region};

/// Room for bodies, shared by all archives of a build: some memory, then a file without a name in one directory.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    memory: AtomicU64,
    file: OnceLock<File>,
    end: AtomicU64,
}

impl Scratch {
    /// Room of which `memory` bytes are in memory.
    pub fn new(directory: impl Into<PathBuf>, memory: u64) -> Arc<Self> {
        Arc::new(Self {
            directory: directory.into(),
            memory: AtomicU64::new(memory),
            file: OnceLock::new(),
            end: AtomicU64::new(0),
        })
    }

    fn take_memory(&self, bytes: u64) -> bool {
        self.memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    /// A region of the file that nobody else writes to.
    fn reserve(&self, size: u64) -> io::Result<u64> {
        let most = i64::MAX as u64;
        let end = |end: u64| end.checked_add(size).filter(|&end| end <= most);
        self.end.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "the files of the archive are larger than any disk")
        })
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = tempfile::tempfile_in(&self.directory)?;
        Ok(self.file.get_or_init(|| file))
    }
}

/// Takes in the bodies of one archive, one after another.
pub struct Spill {
    scratch: Arc<Scratch>,
    bodies: Vec<Option<Body>>,
    in_memory: u64,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Body {
    Memory(Bytes),
    Region { offset: u64, size: u64 },
}

/// The length of the writes to the scratch file.
const CHUNK: usize = 128 * 1024;

impl Spill {
    /// Nothing yet.
    pub fn new(scratch: &Arc<Scratch>) -> Self {
        Self { scratch: scratch.clone(), bodies: Vec::new(), in_memory: 0, buffer: Vec::new() }
    }

    /// Keeps `size` bytes of `reader` under `key`, replacing what was there.
    ///
    /// # Errors
    /// When the reader ends early or fails, or the scratch file cannot be written.
    pub fn add(&mut self, key: usize, reader: &mut impl Read, size: u64) -> io::Result<()> {
        let body = if self.scratch.take_memory(size) {
            self.in_memory += size;
            // Not more than the memory that was just taken: what the archive claims cannot make this large.
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(CHUNK));
            reader.take(size).read_to_end(&mut bytes)?;
            expect_size(bytes.len() as u64, size)?;
            Body::Memory(bytes.into())
        } else {
            let offset = self.scratch.reserve(size)?;
            self.write_region(reader, offset, size)?;
            Body::Region { offset, size }
        };
        if self.bodies.len() <= key {
            self.bodies.resize(key + 1, None);
        }
        self.bodies[key] = Some(body);
        Ok(())
    }

    /// The bodies, to be read.
    pub fn finish(mut self) -> Spilled {
        let (bodies, in_memory) = (std::mem::take(&mut self.bodies), std::mem::take(&mut self.in_memory));
        Spilled { scratch: self.scratch.clone(), bodies, in_memory }
    }

    fn write_region(&mut self, reader: &mut impl Read, mut offset: u64, mut left: u64) -> io::Result<()> {
        let file = self.scratch.file()?;
        self.buffer.resize(CHUNK, 0);
        while left > 0 {
            let chunk = &mut self.buffer[..left.min(CHUNK as u64) as usize];
            reader.read_exact(chunk)?;
            file.write_all_at(chunk, offset)?;
            offset += chunk.len() as u64;
            left -= chunk.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.scratch.memory.fetch_add(self.in_memory, Ordering::Relaxed);
    }
}

fn expect_size(found: u64, expected: u64) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within a file"))
}

/// The bodies of one archive. Dropping it frees their memory.
pub struct Spilled {
    scratch: Arc<Scratch>,
    bodies: Vec<Option<Body>>,
    in_memory: u64,
}

impl Spilled {
    /// Whether there is a body under this key.
    pub fn contains(&self, key: u64) -> bool {
        self.body(key).is_ok()
    }

    fn body(&self, key: u64) -> io::Result<&Body> {
        let body = usize::try_from(key).ok().and_then(|at| self.bodies.get(at)).and_then(Option::as_ref);
        body.ok_or_else(|| io::Error::other(format!("the archive has no file {key}")))
    }
}

impl ContentSource for Spilled {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        match self.body(key)? {
            Body::Memory(bytes) => Ok(bytes.clone()),
            Body::Region { offset, size } => map_region(self.scratch.file()?, *offset, *size),
        }
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        match self.body(key)? {
            Body::Memory(bytes) => out.write_all(bytes),
            Body::Region { offset, size } => copy_region(self.scratch.file()?, *offset, *size, out),
        }
    }

    fn read_at(&self, key: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body(key)? {
            Body::Memory(bytes) => {
                usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default().read(buffer)
            }
            Body::Region { offset: start, size } => read_region(self.scratch.file()?, (*start, *size), offset, buffer),
        }
    }
}

/// Streams a region of a file without mapping it.
///
/// # Errors
/// When the file ends before the region does, or it or `out` fails.
pub fn copy_region(file: &File, mut offset: u64, mut left: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; left.min(CHUNK as u64) as usize];
    while left > 0 {
        let chunk = &mut buffer[..left.min(CHUNK as u64) as usize];
        file.read_exact_at(chunk, offset)?;
        out.write_all(chunk)?;
        offset += chunk.len() as u64;
        left -= chunk.len() as u64;
    }
    Ok(())
}

impl Drop for Spilled {
    fn drop(&mut self) {
        self.scratch.memory.fetch_add(self.in_memory, Ordering::Relaxed);
    }
}
