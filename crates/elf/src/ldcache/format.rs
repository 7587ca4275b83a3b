//! The file's new format, alone: a header of 48 bytes, entries of 24 bytes, the strings, and an extension directory.
//!
//! ```text
//!  0  "glibc-ld.so.cache1.1"      20  number of entries    24  length of the strings
//! 28  byte order: 2 little, 3 big  32  offset of the extension directory
//! 48  entries: flags, name, path (offsets from the start of the file), 0, hwcap (64 bit)
//! ```

use std::collections::BTreeMap;

use super::compare_names;

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
/// Begins the older format, behind which the new one may follow.
const OLD_MAGIC: &[u8; 11] = b"ld.so-1.7.0";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const TAG_GENERATOR: u32 = 0;
const TAG_HWCAPS: u32 = 1;
/// In an entry's hwcap: the low 32 bits are an index into the list of `glibc-hwcaps` subdirectories.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// Real caches have a few thousand entries.
const MAX_ENTRIES: usize = 1 << 20;
const GENERATOR: &str = "minimg";

/// One library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The SONAME by which it is found.
    pub name: Box<[u8]>,
    /// Where it is.
    pub path: Box<[u8]>,
    /// For whom it is; see [`super::flags`].
    pub flags: u32,
    /// The subdirectory of `glibc-hwcaps` that it lies in; in old files the subdirectory named after a processor.
    pub level: Option<Box<[u8]>>,
}

/// Why a cache cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/etc/ld.so.cache is damaged: {0}; rebuild it with ldconfig")]
pub struct CacheError(&'static str);

/// The file with these entries, which may come in any order; among equal names and flags the order given is kept.
pub fn write(entries: &[Entry], big: bool) -> Vec<u8> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by(|a, b| {
        let levels = || (a.level.is_none(), &a.level).cmp(&(b.level.is_none(), &b.level));
        compare_names(&b.name, &a.name).then_with(|| b.flags.cmp(&a.flags)).then_with(levels)
    });
    let mut levels: Vec<&[u8]> = entries.iter().filter_map(|entry| entry.level.as_deref()).collect();
    levels.sort_unstable();
    levels.dedup();
    let mut strings = Strings { start: HEADER + ENTRY * entries.len(), ..Strings::default() };
    let put = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let put_long = |value: u64| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut table = Vec::with_capacity(ENTRY * entries.len());
    for entry in &entries {
        let path = strings.add(&entry.path);
        let name = strings.add_name(&entry.name, &entry.path, path);
        let index = entry.level.as_deref().and_then(|level| levels.iter().position(|known| *known == level));
        let hwcap = index.map_or(0, |index| HWCAP_EXTENSION | index as u64);
        for value in [entry.flags, name, path, 0] {
            table.extend_from_slice(&put(value));
        }
        table.extend_from_slice(&put_long(hwcap));
    }
    let level_names: Vec<u32> = levels.iter().map(|level| strings.add(level)).collect();
    let extension = (strings.start + strings.bytes.len()).next_multiple_of(4);
    let mut file = MAGIC.to_vec();
    file.extend_from_slice(&put(entries.len() as u32));
    file.extend_from_slice(&put(strings.bytes.len() as u32));
    file.extend_from_slice(&[if big { 3 } else { 2 }, 0, 0, 0]);
    file.extend_from_slice(&put(extension as u32));
    file.resize(HEADER, 0);
    file.extend_from_slice(&table);
    file.extend_from_slice(&strings.bytes);
    file.resize(extension, 0);
    let sections = if level_names.is_empty() { 1 } else { 2 };
    let generator = extension + 8 + 16 * sections;
    // The list of offsets is aligned, so it comes before the text.
    let hwcaps = (generator, level_names.len() * 4);
    let text = hwcaps.0 + hwcaps.1;
    let mut numbers = vec![EXTENSION_MAGIC, sections as u32];
    numbers.extend([TAG_GENERATOR, 0, text as u32, GENERATOR.len() as u32]);
    if !level_names.is_empty() {
        numbers.extend([TAG_HWCAPS, 0, hwcaps.0 as u32, hwcaps.1 as u32]);
    }
    numbers.extend(level_names);
    numbers.into_iter().for_each(|number| file.extend_from_slice(&put(number)));
    file.extend_from_slice(GENERATOR.as_bytes());
    file
}

/// The string table. A name that ends its path, as nearly all do, is not written again.
#[derive(Default)]
struct Strings {
    start: usize,
    bytes: Vec<u8>,
    known: BTreeMap<Box<[u8]>, u32>,
}

impl Strings {
    fn add(&mut self, text: &[u8]) -> u32 {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let at = (self.start + self.bytes.len()) as u32;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.known.insert(text.into(), at);
        at
    }

    fn add_name(&mut self, name: &[u8], path: &[u8], path_at: u32) -> u32 {
        match path.strip_suffix(name) {
            Some(directory) => path_at + directory.len() as u32,
            None => self.add(name),
        }
    }
}

/// The entries of a file, in their order. The byte order is that of the file.
///
/// # Errors
/// When the file is not a cache in the new format, alone or behind the old one, or points out of itself.
pub fn read(bytes: &[u8]) -> Result<Vec<Entry>, CacheError> {
    let file = new_part(bytes).ok_or(CacheError("it is not in the format glibc-ld.so.cache1.1"))?;
    // Files from before the byte is set are little-endian on every machine that wrote such files and is still in use.
    let big = file.get(28).ok_or(CacheError("it is too short"))? & 3 == 3;
    let number = |at: usize| {
        let raw: [u8; 4] = file.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) } as usize)
    };
    let short = CacheError("an entry lies outside of the file");
    let string = |at: usize| {
        let rest = file.get(at..)?;
        let end = rest.iter().take(4097).position(|&b| b == 0)?;
        Some(Box::<[u8]>::from(&rest[..end]))
    };
    let count = number(20).ok_or(short.clone())?;
    if count > MAX_ENTRIES || count > file.len() / ENTRY {
        return Err(CacheError("it has more entries than bytes"));
    }
    let levels = hwcaps_list(number);
    let entry = |at: usize| {
        let (high, low) = if big { (number(at + 16)?, number(at + 20)?) } else { (number(at + 20)?, number(at + 16)?) };
        let level = match (high as u64) << 32 & HWCAP_EXTENSION {
            0 if high == 0 && low == 0 => None,
            // Bits of a processor, as up to glibc 2.36: the directory that the file lies in is named after it.
            0 => Some(string(number(at + 8)?)?.rsplit(|&b| b == b'/').nth(1)?.into()),
            _ => Some(string(number(levels?.checked_add(low.checked_mul(4)?)?)?)?),
        };
        Some(Entry { flags: number(at)? as u32, name: string(number(at + 4)?)?, path: string(number(at + 8)?)?, level })
    };
    (0..count).map(|index| entry(HEADER + index * ENTRY).ok_or(short.clone())).collect()
}

fn new_part(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.starts_with(MAGIC) {
        return Some(bytes);
    }
    let count = bytes.strip_prefix(OLD_MAGIC).and_then(|_| bytes.get(12..16))?;
    let count = u32::from_ne_bytes(count.try_into().ok()?) as usize;
    let end = OLD_HEADER.checked_add(count.checked_mul(OLD_ENTRY)?)?.checked_next_multiple_of(8)?;
    bytes.get(end..).filter(|rest| rest.starts_with(MAGIC))
}

/// Where the list of `glibc-hwcaps` subdirectories begins.
fn hwcaps_list(number: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    let extension = number(32).filter(|&at| at != 0)?;
    if number(extension)? as u32 != EXTENSION_MAGIC {
        return None;
    }
    let sections = number(extension + 4)?.min(64);
    let section =
        (0..sections).map(|index| extension + 8 + index * 16).find(|&at| number(at) == Some(TAG_HWCAPS as usize))?;
    number(section + 8)
}
