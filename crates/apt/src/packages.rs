//! Reads `Packages` files as they arrive, in bounded memory, into the compact [`index`](super::index).

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use super::index::{Builder, MultiArch, Package};
use super::relation::is_name_byte;

/// How much is read at once.
const CHUNK: usize = 128 * 1024;

/// The longest stanza that is accepted; real ones are below 100 kB.
const STANZA_LIMIT: usize = 4 << 20;

/// An error of reading a `Packages` file.
#[derive(Debug)]
pub(super) enum PackagesError {
    /// It cannot be read or decoded.
    Io(io::Error),
    /// It is malformed, or too large.
    Malformed(String),
}

/// Told of each package before it is added to those that were read.
pub(super) type Watch<'w> = &'w mut dyn FnMut(&Package<'_>, &Builder);

/// Reads the stanzas of a text of at most `limit` bytes; the limit may be lowered meanwhile.
pub(super) fn read(text: impl Read, limit: &AtomicU64) -> Result<Builder, PackagesError> {
    read_watched(text, limit, &mut |_, _| ())
}

/// Like [`read`], and shows each package.
pub(super) fn read_watched(mut text: impl Read, limit: &AtomicU64, watch: Watch<'_>) -> Result<Builder, PackagesError> {
    let malformed = |message: String| PackagesError::Malformed(message);
    let mut builder = Builder::new();
    let mut buffer: Vec<u8> = Vec::with_capacity(2 * CHUNK);
    let mut total = 0_u64;
    let mut line_ends = LineEnds::Unseen;
    loop {
        let held = buffer.len();
        buffer.resize(held + CHUNK, 0);
        let count = text.read(buffer.get_mut(held..).unwrap_or_default()).map_err(PackagesError::Io)?;
        buffer.truncate(held + count);
        total += count as u64;
        line_ends.normalize(&mut buffer, held);
        let limit = limit.load(Ordering::Relaxed);
        if total > limit {
            return Err(malformed(format!("it is longer than the limit of {limit} bytes")));
        }
        // The end of a stanza may have been cut between its two line ends.
        let mut done = 0;
        let mut search = held.saturating_sub(1);
        while let Some(end) =
            buffer.get(search..).and_then(|rest| memchr::memmem::find(rest, b"\n\n")).map(|at| search + at)
        {
            push(&mut builder, buffer.get(done..end).unwrap_or_default(), watch).map_err(malformed)?;
            (done, search) = (end + 2, end + 2);
        }
        buffer.drain(..done);
        if buffer.len() > STANZA_LIMIT {
            return Err(malformed(format!("a stanza is longer than {STANZA_LIMIT} bytes")));
        }
        if count == 0 {
            push(&mut builder, &buffer, watch).map_err(malformed)?;
            return Ok(builder);
        }
    }
}

/// How the lines of a text end, which its first line tells.
enum LineEnds {
    Unseen,
    Unix,
    Dos,
}

impl LineEnds {
    /// Makes what came after the first `held` bytes end its lines with a line feed alone.
    fn normalize(&mut self, buffer: &mut Vec<u8>, held: usize) {
        if matches!(self, Self::Unseen)
            && let Some(end) = memchr::memchr(b'\n', buffer)
        {
            let is_dos = end > 0 && buffer.get(end - 1) == Some(&b'\r');
            *self = if is_dos { Self::Dos } else { Self::Unix };
            if is_dos {
                buffer.retain(|byte| *byte != b'\r');
            }
        } else if matches!(self, Self::Dos) {
            let new = buffer.split_off(held);
            buffer.extend(new.into_iter().filter(|byte| *byte != b'\r'));
        }
    }
}

fn push(builder: &mut Builder, stanza: &[u8], watch: Watch<'_>) -> Result<(), String> {
    let text = std::str::from_utf8(stanza).map_err(|_| "a stanza is not UTF-8".to_owned())?;
    let Some(package) = parse(text)? else { return Ok(()) };
    watch(&package, builder);
    builder.push(&package).ok_or_else(|| "it is too large".to_owned())
}

/// Reads one stanza; `None` for an empty one.
fn parse(stanza: &str) -> Result<Option<Package<'_>>, String> {
    let mut package = Package { priority: 4, ..Package::default() };
    let mut rest = stanza.trim_start_matches('\n');
    if rest.trim_ascii().is_empty() {
        return Ok(None);
    }
    while !rest.is_empty() {
        let (field, after) = split_field(rest);
        rest = after;
        // A line that is no field is passed over, as apt does.
        if let Some((name, value)) = field.split_once(':')
            && let Some(known) = Known::of(name)
        {
            known.set(&mut package, value.trim_ascii())?;
        }
    }
    check(&package)?;
    Ok(Some(package))
}

/// The first field with its continuation lines, and what follows.
fn split_field(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut end = 0;
    loop {
        end = match memchr::memchr(b'\n', bytes.get(end..).unwrap_or_default()) {
            Some(at) => end + at,
            None => return (text, ""),
        };
        if !matches!(bytes.get(end + 1), Some(b' ' | b'\t')) {
            return (text.get(..end).unwrap_or_default(), text.get(end + 1..).unwrap_or_default());
        }
        end += 1;
    }
}

/// A field that is read.
enum Known {
    Package,
    Version,
    Architecture,
    Filename,
    PreDepends,
    Depends,
    Recommends,
    Conflicts,
    Breaks,
    Provides,
    Essential,
    Size,
    Sha256,
    MultiArch,
    Priority,
}

impl Known {
    /// The field of this name, whatever its case. Most names are of no interest; the length and a letter tell quickly.
    fn of(name: &str) -> Option<Self> {
        let letter = |at: usize| name.as_bytes().get(at).map(u8::to_ascii_lowercase);
        let (known, usual) = match (name.len(), letter(0)?) {
            (7, b'p') => (Self::Package, "Package"),
            (7, b'v') => (Self::Version, "Version"),
            (12, b'a') => (Self::Architecture, "Architecture"),
            (8, b'f') => (Self::Filename, "Filename"),
            (11, b'p') => (Self::PreDepends, "Pre-Depends"),
            (7, b'd') => (Self::Depends, "Depends"),
            (10, b'r') => (Self::Recommends, "Recommends"),
            (9, b'c') => (Self::Conflicts, "Conflicts"),
            (6, b'b') => (Self::Breaks, "Breaks"),
            (8, b'p') if letter(2) == Some(b'o') => (Self::Provides, "Provides"),
            (8, b'p') => (Self::Priority, "Priority"),
            (9, b'e') => (Self::Essential, "Essential"),
            (4, b's') => (Self::Size, "Size"),
            (6, b's') => (Self::Sha256, "SHA256"),
            (10, b'm') => (Self::MultiArch, "Multi-Arch"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(usual).then_some(known)
    }

    fn set<'a>(self, package: &mut Package<'a>, value: &'a str) -> Result<(), String> {
        match self {
            Self::Package => package.name = value,
            Self::Version => package.version = value,
            Self::Architecture => package.architecture = value,
            Self::Filename => package.filename = value,
            Self::PreDepends => package.pre_depends = value,
            Self::Depends => package.depends = value,
            Self::Recommends => package.recommends = value,
            Self::Conflicts => package.conflicts = value,
            Self::Breaks => package.breaks = value,
            Self::Provides => package.provides = value,
            Self::Essential => package.essential = value == "yes",
            Self::Size => package.size = value.parse().map_err(|_| format!("{:?} is not a size", shortened(value)))?,
            Self::Sha256 => {
                package.sha256 =
                    *value.parse::<minimg_base::digest::Digest>().map_err(|error| error.to_string())?.as_bytes();
            }
            Self::MultiArch => {
                package.multi_arch = match value {
                    "same" => MultiArch::Same,
                    "foreign" => MultiArch::Foreign,
                    "allowed" => MultiArch::Allowed,
                    _ => MultiArch::No,
                }
            }
            Self::Priority => {
                let ranks = ["required", "important", "standard", "optional"];
                package.priority = ranks.iter().position(|rank| *rank == value).map_or(4, |rank| rank as u8);
            }
        }
        Ok(())
    }
}

/// Refuses what could lead out of the archive or break what is written of it.
fn check(package: &Package<'_>) -> Result<(), String> {
    let name = |text: &str| !text.is_empty() && text.bytes().all(is_name_byte);
    let wrong = |field: &str, value: &str| {
        Err(format!("{:?} of {:?} is not a {field}", shortened(value), shortened(package.name)))
    };
    if !name(package.name) {
        return wrong("name", package.name);
    }
    if !name(package.architecture) {
        return wrong("name of an architecture", package.architecture);
    }
    if package.version.is_empty() || !package.version.bytes().all(|byte| byte == b':' || is_name_byte(byte)) {
        return wrong("version", package.version);
    }
    let path = package.filename;
    let harmless = path.bytes().all(|byte| byte.is_ascii_graphic())
        && !path.bytes().any(|byte| matches!(byte, b'?' | b'#' | b'\\'));
    if path.is_empty() || path.starts_with('/') || !harmless || path.split('/').any(|part| part == "..") {
        return wrong("path below an archive", path);
    }
    Ok(())
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(60).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests;
