//! Where an export goes: written beside its destination, renamed into place, so that it appears whole or not at all.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::ExportError;
use minimg_base::digest::{Digest, HashingWriter};
use minimg_base::error::Result;
use minimg_base::interrupt::Guard;
use minimg_base::partial::{self, PartialDirectory};

/// How much is gathered before it is written: a multiple of the 512 bytes of a tar's block, see [`Blocks`].
const BUFFER: usize = 128 * 1024;

/// Where an exporter writes to.
pub enum Destination<'a> {
    /// A file or directory, which appears whole.
    Path(&'a Path),
    /// A reader at the other end, such as standard output or an engine.
    Stream(&'a mut dyn Write),
}

/// How much was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The length in bytes; for a directory that of the files that were written.
    pub size: u64,
    /// The digest of a file; a directory has none.
    pub digest: Option<Digest>,
}

/// Writes one file or stream.
pub(super) fn file(destination: Destination<'_>, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Sum> {
    match destination {
        Destination::Stream(out) => stream(out, write).map(|(_, sum)| sum),
        Destination::Path(path) => {
            // The user's link stays a link; what it leads to is replaced.
            let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
            if fs::metadata(path).is_ok_and(|meta| is_stream(&meta)) {
                let out = fs::OpenOptions::new().write(true).open(path).map_err(ExportError::at(path))?;
                return stream(out, write).map(|(_, sum)| sum);
            }
            let (mut file, _guard) = temporary_file(path)?;
            let (_, sum) = stream(file.as_file_mut(), write)?;
            file.persist(path).map_err(|e| ExportError::at(path)(e.error))?;
            Ok(sum)
        }
    }
}

fn stream<W: Write>(out: W, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<(W, Sum)> {
    let mut out = HashingWriter::new(Blocks { out, held: Vec::with_capacity(BUFFER) });
    write(&mut out)?;
    let (mut out, digest, size) = out.finish();
    out.flush().map_err(ExportError::Write)?;
    Ok((out.out, Sum { size, digest: Some(digest) }))
}

/// Gathers what is written, and passes on nothing but whole buffers until it is flushed. A program that reads from a pipe gets what was written at
/// once, and `tar` takes that for an archive's last blocks when it ends within one.
struct Blocks<W> {
    out: W,
    held: Vec<u8>,
}

impl<W: Write> Write for Blocks<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.held.is_empty() && data.len() >= BUFFER {
            let whole = data.len() - data.len() % BUFFER;
            self.out.write_all(&data[..whole])?;
            return Ok(whole);
        }
        let taken = data.len().min(BUFFER - self.held.len());
        self.held.extend_from_slice(&data[..taken]);
        if self.held.len() == BUFFER {
            self.out.write_all(&self.held)?;
            self.held.clear();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.held)?;
        self.held.clear();
        self.out.flush()
    }
}

/// A pipe or device is written to as it is: renaming a file over it would destroy it.
fn is_stream(meta: &fs::Metadata) -> bool {
    let kind = meta.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
}

/// Makes a whole directory with what `fill` puts into it, so many bytes. One that is there already is replaced when all that is in it is among `replaceable`.
pub(super) fn directory(path: &Path, replaceable: &[&str], fill: impl FnOnce(&Path) -> Result<u64>) -> Result<Sum> {
    refuse_foreign(path, replaceable)?;
    let (temporary, _guard) = partial::directory_beside(path, 0o777).map_err(ExportError::at(path))?;
    let size = fill(temporary.path())?;
    exchange(temporary, path).map_err(ExportError::at(path))?;
    Ok(Sum { size, digest: None })
}

/// An unnamed-yet file beside `path`, with the permissions that the user's umask leaves.
pub(super) fn temporary_file(path: &Path) -> Result<(NamedTempFile, Guard), ExportError> {
    if path.is_dir() {
        return Err(ExportError::IsDirectory { path: path.to_owned() });
    }
    partial::file_beside(path, 0o666).map_err(ExportError::at(path))
}

fn refuse_foreign(path: &Path, replaceable: &[&str]) -> Result<(), ExportError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ExportError::at(path)(error)),
    };
    for entry in entries {
        let name = entry.map_err(ExportError::at(path))?.file_name();
        if !replaceable.iter().any(|own| OsStr::new(own) == name) {
            let file = name.to_string_lossy().into_owned();
            return Err(ExportError::ForeignDirectory { path: path.to_owned(), file });
        }
    }
    Ok(())
}

/// Puts the new directory in the place of the old one in one step where the file system can, and removes the old one.
fn exchange(new: PartialDirectory, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, new.path(), CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => return new.close(),
        Err(Errno::NOENT) => {}
        Err(_) => {
            let (old, _guard) = partial::directory_beside(path, 0o700)?;
            fs::rename(path, old.path())?;
        }
    }
    fs::rename(new.path(), path)?;
    // The name is taken, so there is nothing left to remove.
    let _ = new.keep();
    Ok(())
}
