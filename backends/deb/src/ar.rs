//! The outer archive of a package: `ar`, as deb(5) restricts it.

use std::io::{self, BufRead, Read};

use minimg_package::Problem;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// A member: its name, and how many bytes it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The name without the padding and the slash that some writers end it with.
    pub(super) name: String,
    /// The length in bytes.
    pub(super) size: u64,
}

impl Header {
    /// The body of this member, which `reader` gives next: a package that ends within it is an `UnexpectedEof`.
    pub(super) fn body<R>(&self, reader: R) -> Body<R> {
        Body { inner: reader, left: self.size }
    }
}

/// The body of a member.
pub(super) struct Body<R> {
    inner: R,
    left: u64,
}

impl<R: BufRead> BufRead for Body<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let buffer = self.inner.fill_buf()?;
        if buffer.is_empty() {
            let message = format!("the package ends {} bytes before the member does", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        Ok(&buffer[..most])
    }

    fn consume(&mut self, amount: usize) {
        self.left -= amount as u64;
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// What is wrong with the outer archive.
pub(super) fn container(message: impl Into<String>) -> Problem {
    Problem::Container { format: "a Debian package", message: message.into() }
}

/// Reads the magic.
pub(super) fn read_magic(reader: &mut impl BufRead) -> Result<(), Problem> {
    let mut magic = [0; MAGIC.len()];
    match reader.read_exact(&mut magic) {
        Ok(()) if &magic == MAGIC => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ => Err(container("it does not begin as an ar archive")),
    }
}

/// Reads the next header, `None` at the end of the archive. The reader must be at an even offset.
pub(super) fn read_header(reader: &mut impl BufRead) -> Result<Option<Header>, Problem> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => container("it is truncated within a header"),
        _ => Problem::Io(error),
    })?;
    if &header[58..] != b"`\n" {
        return Err(container("a header lacks its end mark"));
    }
    let field = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim_end);
    let name = field(0..16).map(|name| name.strip_suffix('/').unwrap_or(name)).filter(|name| !name.is_empty());
    let size = field(48..58).filter(|size| size.bytes().all(|b| b.is_ascii_digit())).and_then(|size| size.parse().ok());
    match (name, size) {
        (Some(name), Some(size)) => Ok(Some(Header { name: name.to_owned(), size })),
        _ => Err(container("a header has an invalid name or size")),
    }
}
