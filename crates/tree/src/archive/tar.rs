//! Reading tar streams: ustar, GNU long names, PAX extended headers with `SCHILY.xattr.*`, base-256 numbers.
//!
//! Every entry that comes out has a path that cannot leave its root. Whether the entries fit together is the matter of
//! [`super::Collector`]. References: POSIX.1-2001 `pax`, and "Basic Tar Format" of the GNU tar manual.

use std::io::{self, Read};

use super::error::TarError;
use super::number::{number, signed};
use super::pax::{MAX_EXTENSION, Pax};
use crate::{Meta, RootPath};

const BLOCK: u64 = 512;
/// The most entries that one archive may have: some ten times what the largest distribution packages have.
pub const MAX_ENTRIES: u64 = 4_000_000;

/// One entry. Its body, [`Entry::size`] bytes, is read from the [`Reader`] before the next entry is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is; the root itself (`./`) is the empty path.
    pub path: RootPath,
    /// The type of file.
    pub kind: EntryKind,
    /// Mode, owner, time and attributes.
    pub meta: Meta,
    /// The length of the body; 0 for all but files.
    pub size: u64,
}

/// The types of file that a tar entry can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Another name of a file that came before.
    Hardlink(RootPath),
    /// A symbolic link and its target as it is stored.
    Symlink(Box<[u8]>),
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Reads the entries of a tar stream one after another; reading from it gives the body of the current entry.
pub struct Reader<R> {
    inner: R,
    /// Bytes of the current body that were not read yet.
    body: u64,
    /// Zero bytes after the body up to the next block.
    padding: u64,
    offset: u64,
    entries: u64,
    globals: Pax,
    finished: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from an uncompressed stream.
    pub fn new(inner: R) -> Self {
        Self { inner, body: 0, padding: 0, offset: 0, entries: 0, globals: Pax::default(), finished: false }
    }

    /// The next entry, `None` at the end mark. What was not read of the current body is skipped.
    ///
    /// # Errors
    /// When the stream is malformed, ends without its end mark, or cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let (mut pax, mut long_name, mut long_link) = (self.globals.clone(), None, None);
        loop {
            let Some((header, offset)) = self.next_header()? else { return Ok(None) };
            let kind = header[156];
            let mut size = number(&header[124..136]).ok_or(TarError::Field { offset, field: "size" })?;
            match kind {
                b'L' => long_name = Some(self.read_text(size)?),
                b'K' => long_link = Some(self.read_text(size)?),
                b'x' | b'X' => pax.read(&self.read_extension(size)?, self.offset)?,
                b'g' => {
                    let records = self.read_extension(size)?;
                    self.globals.read(&records, self.offset)?;
                    pax.read(&records, self.offset)?;
                }
                b'S' => return Err(TarError::Sparse { offset }),
                _ => {
                    size = pax.size.unwrap_or(size);
                    let name = pax.path.take().or(long_name).unwrap_or_else(|| full_name(&header));
                    let link = pax.link.take().or(long_link).unwrap_or_else(|| text(&header[157..257]).to_vec());
                    return self.entry(&header, offset, pax, name, link, size).map(Some);
                }
            }
        }
    }

    /// Reads to the end of the stream after the end mark, so that a decoder checks its last checksum, and returns the stream.
    ///
    /// # Errors
    /// When what follows cannot be decoded.
    pub fn finish(mut self) -> Result<R, TarError> {
        io::copy(&mut self.inner, &mut io::sink()).map_err(TarError::Io)?;
        Ok(self.inner)
    }

    fn entry(
        &mut self,
        header: &[u8; 512],
        offset: u64,
        pax: Pax,
        name: Vec<u8>,
        link: Vec<u8>,
        size: u64,
    ) -> Result<Entry, TarError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(TarError::TooLarge { what: "entries", limit: MAX_ENTRIES });
        }
        let path = RootPath::new(&name)?;
        let field =
            |range: std::ops::Range<usize>, field| number(&header[range]).ok_or(TarError::Field { offset, field });
        let small = |value: u64, field| u32::try_from(value).map_err(|_| TarError::Field { offset, field });
        let device = || -> Result<(u32, u32), TarError> {
            let (major, minor) = (field(329..337, "device number")?, field(337..345, "device number")?);
            Ok((small(major, "device number")?, small(minor, "device number")?))
        };
        let kind = match header[156] {
            // Writers before POSIX marked directories by a slash alone.
            b'0' | 0 if name.ends_with(b"/") => EntryKind::Directory,
            b'0' | 0 | b'7' => EntryKind::File,
            b'1' => EntryKind::Hardlink(RootPath::new(&link)?),
            b'2' => EntryKind::Symlink(link_target(&path, link)?),
            b'3' => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => {
                return Err(TarError::Type { path: String::from_utf8_lossy(&name).into_owned(), kind: other as char });
            }
        };
        let mode = (field(100..108, "mode")? & 0o7777) as u32;
        let uid = pax.uid.map_or_else(|| small(field(108..116, "owner")?, "owner"), Ok)?;
        let gid = pax.gid.map_or_else(|| small(field(116..124, "group")?, "group"), Ok)?;
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => signed(&header[136..148]).ok_or(TarError::Field { offset, field: "time" })?,
        };
        // Some writers give directories and links a size; only files have a body.
        let size = if kind == EntryKind::File { size } else { 0 };
        self.expect_body(size)?;
        Ok(Entry { path, kind, meta: Meta { mode, uid, gid, mtime, xattrs: pax.xattrs }, size })
    }

    /// The next header and its offset, `None` at the end mark.
    fn next_header(&mut self) -> Result<Option<([u8; 512], u64)>, TarError> {
        if self.finished {
            return Ok(None);
        }
        self.skip(self.body)?;
        self.skip(self.padding)?;
        (self.body, self.padding) = (0, 0);
        let offset = self.offset;
        let mut header = [0; BLOCK as usize];
        self.read_exactly(&mut header)?;
        if header.iter().all(|&b| b == 0) {
            self.finished = true;
            return Ok(None);
        }
        // The checksum counts its own field as spaces; historic writers summed signed bytes.
        let counted = || header.iter().enumerate().map(|(at, &b)| if (148..156).contains(&at) { b' ' } else { b });
        let unsigned: u64 = counted().map(u64::from).sum();
        let signed_sum: i64 = counted().map(|b| i64::from(b as i8)).sum();
        let promised = number(&header[148..156]).ok_or(TarError::Checksum { offset })?;
        if promised != unsigned && i64::try_from(promised) != Ok(signed_sum) {
            return Err(TarError::Checksum { offset });
        }
        Ok(Some((header, offset)))
    }

    fn expect_body(&mut self, size: u64) -> Result<(), TarError> {
        let too_large = TarError::TooLarge { what: "a file size", limit: i64::MAX as u64 };
        if size > i64::MAX as u64 - BLOCK {
            return Err(too_large);
        }
        (self.body, self.padding) = (size, size.next_multiple_of(BLOCK) - size);
        Ok(())
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(TarError::TooLarge { what: "an extended header", limit: MAX_EXTENSION });
        }
        self.expect_body(size)?;
        let mut bytes = vec![0; size as usize];
        self.read_exactly(&mut bytes)?;
        self.body = 0;
        Ok(bytes)
    }

    /// A GNU long name or link, which ends at its first NUL.
    fn read_text(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let bytes = self.read_extension(size)?;
        Ok(text(&bytes).to_vec())
    }

    fn skip(&mut self, size: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut (&mut self.inner).take(size), &mut io::sink()).map_err(TarError::Io)?;
        self.offset += skipped;
        if skipped < size {
            return Err(TarError::Truncated { offset: self.offset });
        }
        Ok(())
    }

    fn read_exactly(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        match self.inner.read_exact(buffer) {
            Ok(()) => self.offset += buffer.len() as u64,
            Err(error) if is_plain_eof(&error) => return Err(TarError::Truncated { offset: self.offset }),
            Err(error) => return Err(TarError::Io(error)),
        }
        Ok(())
    }
}

/// Gives the body of the current entry; a stream that ends within it is an `UnexpectedEof`.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.body.min(buffer.len() as u64) as usize;
        if most == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within a file"));
        }
        self.body -= read as u64;
        self.offset += read as u64;
        Ok(read)
    }
}

/// An end of file that `read_exact` noticed itself, not one that a decoder complains of.
fn is_plain_eof(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none()
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// Name and prefix of a ustar header; GNU's own format has other fields in place of the prefix.
fn full_name(header: &[u8; 512]) -> Vec<u8> {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    if &header[257..263] != b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn link_target(path: &RootPath, target: Vec<u8>) -> Result<Box<[u8]>, TarError> {
    if target.is_empty() || target.len() > crate::PATH_MAX || target.contains(&0) {
        return Err(TarError::LinkTarget { path: path.clone() });
    }
    Ok(target.into())
}
