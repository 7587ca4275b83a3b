//! Reading tar streams: ustar, GNU long names, PAX extended headers with `SCHILY.xattr.*`, base-256 numbers, sparse files.
//!
//! Every entry that comes out has a path that cannot leave its root. Whether the entries fit together is the matter of
//! [`super::Collector`]. References: POSIX.1-2001 `pax`, and "Basic Tar Format" of the GNU tar manual.

use std::io::{self, Read};

use super::compression::Limits;
use super::error::TarError;
use super::number::{number, signed};
use super::pax::{MAX_EXTENSION, Pax};
use super::sparse::{self, BodyMap, Map, MapError, Next, Told};
use crate::{Meta, RootPath};

const BLOCK: u64 = 512;
/// The most entries that one archive may have: some ten times what the largest distribution packages have.
pub const MAX_ENTRIES: u64 = 4_000_000;
/// What all sparse files of an archive may have of zeros that are not stored, for each byte that is there, and up to which sum any number
/// of them: the rule for compressed archives, which such a file is another kind of.
const HOLES: Limits = Limits::PACKAGE;

/// One entry. Its body, [`Entry::size`] bytes, is read from the [`Reader`] before the next entry is asked for; that of a sparse file is whole.
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
    /// Whether the stream may end where an entry may begin.
    may_lack_end: bool,
    /// Which parts of the current body are stored, when it is that of a sparse file.
    map: Option<Map>,
    /// How many bytes of all sparse files are not stored.
    holes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from an uncompressed stream.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            body: 0,
            padding: 0,
            offset: 0,
            entries: 0,
            globals: Pax::default(),
            finished: false,
            may_lack_end: false,
            map: None,
            holes: 0,
        }
    }

    /// Lets the stream end after any entry, without an end mark, as engines do: for one of which a digest proves that all of it is there.
    #[must_use]
    pub fn with_proven_end(mut self) -> Self {
        self.may_lack_end = true;
        self
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
                    if self.globals.sparse.is_some() {
                        return Err(TarError::Pax { offset: self.offset });
                    }
                    pax.read(&records, self.offset)?;
                }
                _ => {
                    size = pax.size.unwrap_or(size);
                    let of_sparse = pax.sparse.as_mut().and_then(|records| records.name.take());
                    let name = of_sparse.or(pax.path.take()).or(long_name).unwrap_or_else(|| full_name(&header));
                    let link = pax.link.take().or(long_link).unwrap_or_else(|| text(&header[157..257]).to_vec());
                    return self.entry(&header, offset, pax, name, link, size).map(Some);
                }
            }
        }
    }

    /// How many bytes of the sparse files so far are not stored.
    pub fn holes(&self) -> u64 {
        self.holes
    }

    /// Reads to the end of the stream after the end mark, so that a decoder checks its last checksum, and returns the stream.
    ///
    /// # Errors
    /// When what follows cannot be decoded.
    pub fn finish(mut self) -> Result<R, TarError> {
        self.drain()?;
        Ok(self.inner)
    }

    /// Like [`Reader::finish`], for who cannot give it away.
    ///
    /// # Errors
    /// When what follows cannot be decoded.
    pub fn drain(&mut self) -> Result<(), TarError> {
        io::copy(&mut self.inner, &mut io::sink()).map_err(TarError::Io)?;
        Ok(())
    }

    fn entry(
        &mut self,
        header: &[u8; 512],
        offset: u64,
        mut pax: Pax,
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
            b'0' | 0 | b'7' | b'S' => EntryKind::File,
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
        let stored = if kind == EntryKind::File { size } else { 0 };
        self.expect_body(stored)?;
        self.map = match pax.sparse.take().filter(|_| kind == EntryKind::File) {
            _ if header[156] == b'S' => Some(self.map_of_header(header, offset)?),
            Some(records) => Some(self.map_of_records(records, offset)?),
            None => None,
        };
        let size = self.map.as_ref().map_or(stored, Map::size);
        self.count_holes(size - self.body)?;
        Ok(Entry { path, kind, meta: Meta { mode, uid, gid, mtime, xattrs: pax.xattrs }, size })
    }

    /// The map of a sparse file in GNU's own format, whose blocks come before the body.
    fn map_of_header(&mut self, header: &[u8; 512], offset: u64) -> Result<Map, TarError> {
        let wrong = |error| wrong_map(error, offset);
        let mut parts = Vec::new();
        let mut is_continued = sparse::parts_of_header(header, &mut parts).map_err(wrong)?;
        while is_continued {
            let mut block = [0; BLOCK as usize];
            self.read_exactly(&mut block)?;
            is_continued = sparse::parts_of_block(&block, &mut parts).map_err(wrong)?;
        }
        Map::new(&parts, sparse::real_size(header).map_err(wrong)?, self.body).map_err(wrong)
    }

    /// The map that PAX records have, or that the body begins with.
    fn map_of_records(&mut self, records: sparse::Records, offset: u64) -> Result<Map, TarError> {
        let wrong = |error| wrong_map(error, offset);
        let (parts, size) = match records.told().ok_or(TarError::Sparse { offset })? {
            Told::Map { parts, size } => (parts, size),
            Told::InBody { size } => {
                let mut map = BodyMap::default();
                loop {
                    let mut block = [0; BLOCK as usize];
                    self.body = self.body.checked_sub(BLOCK).ok_or(wrong(MapError::Malformed))?;
                    self.read_exactly(&mut block)?;
                    if let Some(parts) = map.read(&block).map_err(wrong)? {
                        break (parts, size);
                    }
                }
            }
        };
        Map::new(&parts, size, self.body).map_err(wrong)
    }

    fn count_holes(&mut self, bytes: u64) -> Result<(), TarError> {
        self.holes = self.holes.saturating_add(bytes);
        let there = self.offset.saturating_add(self.body);
        let is_bomb = self.holes > HOLES.ratio_from && self.holes / HOLES.ratio > there;
        if is_bomb || self.holes > HOLES.output {
            return Err(TarError::Holes { holes: self.holes, there });
        }
        Ok(())
    }

    /// The next header and its offset, `None` at the end mark.
    fn next_header(&mut self) -> Result<Option<([u8; 512], u64)>, TarError> {
        if self.finished {
            return Ok(None);
        }
        self.skip(self.body)?;
        self.skip_padding()?;
        (self.body, self.padding, self.map) = (0, 0, None);
        let offset = self.offset;
        let Some(header) = self.read_header()?.filter(|header| header.iter().any(|&byte| byte != 0)) else {
            self.finished = true;
            return Ok(None);
        };
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

    /// Skips to the next block, which need not be there when nothing needs to follow.
    fn skip_padding(&mut self) -> Result<(), TarError> {
        match self.skip(self.padding) {
            Err(TarError::Truncated { .. }) if self.may_lack_end => Ok(()),
            skipped => skipped,
        }
    }

    /// The next block; `None` when the stream has ended, and may have.
    fn read_header(&mut self) -> Result<Option<[u8; BLOCK as usize]>, TarError> {
        let mut header = [0; BLOCK as usize];
        let (first, rest) = header.split_at_mut(1);
        match self.read_exactly(first) {
            Err(TarError::Truncated { .. }) if self.may_lack_end => return Ok(None),
            read => read?,
        }
        self.read_exactly(rest)?;
        Ok(Some(header))
    }

    fn read_exactly(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        match self.inner.read_exact(buffer) {
            Ok(()) => self.offset += buffer.len() as u64,
            Err(error) if is_plain_eof(&error) => return Err(TarError::Truncated { offset: self.offset }),
            Err(error) => return Err(TarError::Io(error)),
        }
        Ok(())
    }

    fn read_stored(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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

/// Gives the body of the current entry; a stream that ends within it is an `UnexpectedEof`.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(map) = &mut self.map else { return self.read_stored(buffer) };
        let most = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
        let read = match map.next() {
            None => 0,
            Some(Next::Zeros(bytes)) => {
                let most = most(bytes);
                buffer[..most].fill(0);
                most
            }
            Some(Next::Stored(bytes)) => {
                let most = most(bytes);
                self.read_stored(&mut buffer[..most])?
            }
        };
        if let Some(map) = &mut self.map {
            map.advance(read as u64);
        }
        Ok(read)
    }
}

fn wrong_map(error: MapError, offset: u64) -> TarError {
    match error {
        MapError::Malformed => TarError::Sparse { offset },
        MapError::TooMany => TarError::TooLarge { what: "parts of a sparse file", limit: sparse::MOST_PARTS as u64 },
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
