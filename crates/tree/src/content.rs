//! The content of a file: its size, and where to read its bytes when they are needed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// A holder of files' bytes: a package that unpacks itself on first use, a directory, an archive spilled to disk.
///
/// Keys are the source's own. Both ways of reading give the same bytes, every time.
pub trait ContentSource: Send + Sync {
    /// The whole content for random access. Sources map a file where they can, so that only the pages that are touched cost memory.
    ///
    /// # Errors
    /// When the bytes cannot be had; the error names the file or package.
    fn map(&self, key: u64) -> io::Result<Bytes>;

    /// Streams the whole content to `out` in bounded memory.
    ///
    /// # Errors
    /// As for [`ContentSource::map`], and those of `out`.
    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.map(key)?)
    }

    /// Reads what begins at an offset, as much as fits into the buffer or comes at once; nothing at the end. Sources that have a file read
    /// from that, so that content which is read once does not stay in memory as a map does.
    ///
    /// # Errors
    /// As for [`ContentSource::map`].
    fn read_at(&self, key: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.map(key)?;
        let mut rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        rest.read(buffer)
    }
}

/// The content of one regular file. Cloning is cheap; nothing is read before it is asked for.
#[derive(Clone)]
pub struct Content {
    size: u64,
    data: Data,
}

#[derive(Clone)]
enum Data {
    Memory(Bytes),
    Lazy { source: Arc<dyn ContentSource>, key: u64 },
}

impl Content {
    /// Content that is made by the program itself, or small.
    pub fn memory(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { size: bytes.len() as u64, data: Data::Memory(bytes) }
    }

    /// `size` bytes that `source` knows by `key`.
    pub fn lazy(source: Arc<dyn ContentSource>, key: u64, size: u64) -> Self {
        Self { size, data: Data::Lazy { source, key } }
    }

    /// The length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The source and key of content that is not in memory: by them a source recognises its own files in a tree.
    pub fn origin(&self) -> Option<(&Arc<dyn ContentSource>, u64)> {
        match &self.data {
            Data::Memory(_) => None,
            Data::Lazy { source, key } => Some((source, *key)),
        }
    }

    /// The bytes for random access; see [`ContentSource::map`].
    ///
    /// # Errors
    /// When the source fails, or gives another length than it promised.
    pub fn map(&self) -> io::Result<Bytes> {
        let bytes = match &self.data {
            Data::Memory(bytes) => bytes.clone(),
            Data::Lazy { source, key } => source.map(*key)?,
        };
        self.check_size(bytes.len() as u64)?;
        Ok(bytes)
    }

    /// Streams the bytes to `out`; see [`ContentSource::copy`].
    ///
    /// # Errors
    /// When the source or `out` fails, or the source gives another length than it promised.
    pub fn copy(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.data {
            Data::Memory(bytes) => out.write_all(bytes),
            Data::Lazy { source, key } => {
                let mut counted = Counted { out, size: 0 };
                source.copy(*key, &mut counted)?;
                let size = counted.size;
                self.check_size(size)
            }
        }
    }

    /// The bytes one after another, in bounded memory; see [`ContentSource::read_at`].
    pub fn reader(&self) -> ContentReader<'_> {
        ContentReader { content: self, at: 0 }
    }

    fn check_size(&self, size: u64) -> io::Result<()> {
        if size == self.size {
            return Ok(());
        }
        Err(io::Error::other(format!("the content has {size} bytes instead of {}", self.size)))
    }
}

/// Reads a content from its beginning.
pub struct ContentReader<'c> {
    content: &'c Content,
    at: u64,
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content.size.saturating_sub(self.at);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..most];
        let read = match &self.content.data {
            Data::Memory(bytes) => bytes.get(self.at as usize..).unwrap_or_default().read(buffer)?,
            Data::Lazy { source, key } => source.read_at(*key, self.at, buffer)?,
        };
        if read == 0 && most > 0 {
            return Err(io::Error::other(format!(
                "the content has {} bytes instead of {}",
                self.at, self.content.size
            )));
        }
        self.at += read as u64;
        Ok(read)
    }
}

struct Counted<'a> {
    out: &'a mut dyn Write,
    size: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.out.write(data)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.size)
    }
}

/// Regions of one file of the host: an archive spilled to disk, or a cached pack of members.
///
/// The file must not be changed by others while the value lives; the store and temporary files keep to that.
pub struct FileRegions {
    path: PathBuf,
    file: File,
    regions: Vec<(u64, u64)>,
}

impl FileRegions {
    /// The regions, as (offset, length), of `file`; a key is the position in the list.
    pub fn new(path: &Path, file: File, regions: Vec<(u64, u64)>) -> Self {
        Self { path: path.to_owned(), file, regions }
    }

    fn region(&self, key: u64) -> io::Result<(u64, u64)> {
        usize::try_from(key)
            .ok()
            .and_then(|at| self.regions.get(at).copied())
            .ok_or_else(|| io::Error::other(format!("{} has no region {key}", self.path.display())))
    }
}

impl ContentSource for FileRegions {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        let (offset, length) = self.region(key)?;
        map_region(&self.file, offset, length)
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        let (mut offset, mut left) = self.region(key)?;
        let mut buffer = vec![0; left.min(128 * 1024) as usize];
        while left > 0 {
            let chunk = left.min(buffer.len() as u64) as usize;
            self.file.read_exact_at(&mut buffer[..chunk], offset)?;
            out.write_all(&buffer[..chunk])?;
            offset += chunk as u64;
            left -= chunk as u64;
        }
        Ok(())
    }

    fn read_at(&self, key: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_region(&self.file, self.region(key)?, offset, buffer)
    }
}

/// Reads what begins at an offset in a region of a file, given as (offset, length).
pub(crate) fn read_region(
    file: &File,
    (start, length): (u64, u64),
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let left = length.saturating_sub(offset);
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    file.read_at(&mut buffer[..most], start.saturating_add(offset))
}

/// Files of a directory of the host, opened when they are read. The key is the position in the list.
pub struct HostFiles(
    /// Where each file is.
    pub Vec<PathBuf>,
);

impl HostFiles {
    fn open(&self, key: u64) -> io::Result<(File, u64)> {
        let path = usize::try_from(key).ok().and_then(|at| self.0.get(at));
        let path = path.ok_or_else(|| io::Error::other(format!("there is no file {key}")))?;
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        let size = file.metadata().map_err(named)?.len();
        Ok((file, size))
    }
}

impl ContentSource for HostFiles {
    fn map(&self, key: u64) -> io::Result<Bytes> {
        let (file, size) = self.open(key)?;
        map_region(&file, 0, size)
    }

    fn copy(&self, key: u64, out: &mut dyn Write) -> io::Result<()> {
        io::copy(&mut self.open(key)?.0, out).map(drop)
    }

    fn read_at(&self, key: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.open(key)?.0.read_at(buffer, offset)
    }
}

/// Below this a read is cheaper than the page faults of a map.
const SMALLEST_MAP: u64 = 16 * 1024;

/// Maps a region of a file read-only, or reads it when it is small.
///
/// # Errors
/// When the file cannot be read, or ends before the region does.
pub fn map_region(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let size = file.metadata()?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than expected"));
    }
    map_checked(file, offset, length)
}

/// Maps a whole file that is open and has `length` bytes, or reads it when it is small.
///
/// # Errors
/// When it cannot be read or mapped.
pub(super) fn map_open_file(file: &File, length: u64) -> io::Result<Bytes> {
    map_checked(file, 0, length)
}

/// The region must lie in the file.
#[allow(unsafe_code, reason = "a file cannot be mapped without; why it is sound stands where it is done")]
fn map_checked(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    if length < SMALLEST_MAP {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, offset)?;
        return Ok(bytes.into());
    }
    // SAFETY: the map is private to this process and read-only. What could break it is another process that truncates or rewrites
    // the file meanwhile. Store entries and temporary files are never changed after they got their name; for a directory that the
    // user names, changing it during the build is outside what we promise, as it is for every program that maps its input.
    let map = unsafe { memmap2::MmapOptions::new().offset(offset).len(length as usize).map(file)? };
    Ok(Bytes::from_owner(map))
}

/// Maps a whole file of the host.
///
/// # Errors
/// When it cannot be opened or mapped; the error names it.
pub fn map_file(path: &Path) -> io::Result<Bytes> {
    HostFiles(vec![path.to_owned()]).map(0)
}

/// Reads a whole file of which no more than `limit` bytes are acceptable.
///
/// # Errors
/// When it cannot be read or is longer.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(named)?;
    let size = file.seek(SeekFrom::End(0)).unwrap_or(0);
    file.rewind().ok();
    let mut bytes = Vec::with_capacity(size.min(limit) as usize);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(named)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("{}: larger than the limit of {limit} bytes", path.display())));
    }
    Ok(bytes)
}
