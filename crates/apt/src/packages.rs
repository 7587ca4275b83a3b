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
    loop {
        let held = buffer.len();
        buffer.resize(held + CHUNK, 0);
        let count = text.read(buffer.get_mut(held..).unwrap_or_default()).map_err(PackagesError::Io)?;
        buffer.truncate(held + count);
        total += count as u64;
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
        let colon = field.bytes().position(|byte| byte == b':');
        let parts = colon.and_then(|colon| Some((field.get(..colon)?, field.get(colon + 1..)?)));
        let (name, value) = parts.ok_or_else(|| format!("{:?} is not a field", shortened(field)))?;
        set(&mut package, name, value.trim_ascii())?;
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

fn set<'a>(package: &mut Package<'a>, name: &str, value: &'a str) -> Result<(), String> {
    match name {
        "Package" => package.name = value,
        "Version" => package.version = value,
        "Architecture" => package.architecture = value,
        "Filename" => package.filename = value,
        "Pre-Depends" => package.pre_depends = value,
        "Depends" => package.depends = value,
        "Recommends" => package.recommends = value,
        "Conflicts" => package.conflicts = value,
        "Breaks" => package.breaks = value,
        "Provides" => package.provides = value,
        "Essential" => package.essential = value == "yes",
        "Size" => package.size = value.parse().map_err(|_| format!("{:?} is not a size", shortened(value)))?,
        "SHA256" => {
            package.sha256 =
                *value.parse::<minimg_base::digest::Digest>().map_err(|error| error.to_string())?.as_bytes();
        }
        "Multi-Arch" => {
            package.multi_arch = match value {
                "same" => MultiArch::Same,
                "foreign" => MultiArch::Foreign,
                "allowed" => MultiArch::Allowed,
                _ => MultiArch::No,
            }
        }
        "Priority" => {
            let ranks = ["required", "important", "standard", "optional"];
            package.priority = ranks.iter().position(|rank| *rank == value).map_or(4, |rank| rank as u8);
        }
        _ => {}
    }
    Ok(())
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
