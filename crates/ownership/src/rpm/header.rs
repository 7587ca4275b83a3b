//! A header of rpm's: the form in which its database has what it knows of a package (rpm's `lib/header.c`, `docs/manual/format_header.md`).
//!
//! Two counts, an index of 16 bytes for each tag, and the data that the index points into; all numbers are big-endian.

use super::super::{MOST_PATHS, take};
use minimg_tree::PATH_MAX;

/// A header with more tags than this is not a package's; rpm's own limit.
const MOST_TAGS: usize = 0xffff;
/// The longest data of a header; rpm's own limit.
const LONGEST_DATA: usize = 0x0fff_ffff;
/// A package with more files than this is none; the largest have a tenth of it.
const MOST_FILES: usize = 1 << 20;

/// rpm's names for its tags (`rpmtag.h`).
mod tag {
    pub(super) const NAME: u32 = 1000;
    pub(super) const VERSION: u32 = 1001;
    pub(super) const RELEASE: u32 = 1002;
    pub(super) const EPOCH: u32 = 1003;
    pub(super) const BUILD_TIME: u32 = 1006;
    pub(super) const INSTALL_TIME: u32 = 1008;
    pub(super) const SIZE: u32 = 1009;
    pub(super) const VENDOR: u32 = 1011;
    pub(super) const ARCHITECTURE: u32 = 1022;
    pub(super) const FILE_MODES: u32 = 1030;
    pub(super) const FILE_FLAGS: u32 = 1037;
    pub(super) const FILE_USERS: u32 = 1039;
    pub(super) const FILE_GROUPS: u32 = 1040;
    pub(super) const SOURCE: u32 = 1044;
    pub(super) const DIRECTORY_INDEXES: u32 = 1116;
    pub(super) const BASENAMES: u32 = 1117;
    pub(super) const DIRECTORIES: u32 = 1118;
    pub(super) const FILE_CAPABILITIES: u32 = 5010;
}

/// `RPMFILE_GHOST`: the package owns the path and does not bring the file.
const GHOST: u32 = 1 << 6;

/// What the database knows of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The epoch, where there is one.
    pub epoch: Option<u32>,
    /// The version.
    pub version: String,
    /// The release.
    pub release: String,
    /// The architecture; empty for a public key, which the database has as a package.
    pub architecture: String,
    /// The source package's file.
    pub source: String,
    /// Who built it.
    pub vendor: String,
    /// When it was built, in seconds since 1970.
    pub built: u32,
    /// When it was installed, in seconds since 1970.
    pub installed: u32,
    /// What its files take, in bytes.
    pub size: u32,
    /// Its files, directories and links.
    pub files: Vec<File>,
}

/// A path of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// The absolute path.
    pub path: Vec<u8>,
    /// The mode with its type, as in `st_mode`.
    pub mode: u16,
    /// The owner's name.
    pub user: String,
    /// The group's name.
    pub group: String,
    /// File capabilities as text; empty for none.
    pub capabilities: String,
    /// Whether the package brings no such file.
    pub is_ghost: bool,
}

impl Header {
    /// Reads a header as the database has it, without the magic of package files.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let raw = Raw::new(bytes)?;
        let text =
            |tag| raw.texts(tag).next().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
        let number = |tag| raw.numbers(tag).next();
        let header = Self {
            name: text(tag::NAME),
            epoch: number(tag::EPOCH),
            version: text(tag::VERSION),
            release: text(tag::RELEASE),
            architecture: text(tag::ARCHITECTURE),
            source: text(tag::SOURCE),
            vendor: text(tag::VENDOR),
            built: number(tag::BUILD_TIME).unwrap_or_default(),
            installed: number(tag::INSTALL_TIME).unwrap_or_default(),
            size: number(tag::SIZE).unwrap_or_default(),
            files: raw.files()?,
        };
        if header.name.is_empty() || header.version.is_empty() {
            return Err("it names no package".to_owned());
        }
        Ok(header)
    }

    /// The version as rpm writes it: `EPOCH:VERSION-RELEASE`, without an epoch that is none.
    pub fn evr(&self) -> String {
        let epoch = self.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        format!("{epoch}{}-{}", self.version, self.release)
    }
}

/// An entry of the index.
#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

struct Raw<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Raw<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, String> {
        let short = || "it is cut off".to_owned();
        let (counts, rest) = bytes.split_at_checked(8).ok_or_else(short)?;
        let (tags, length) = (be32(counts, 0) as usize, be32(counts, 4) as usize);
        if tags > MOST_TAGS || length > LONGEST_DATA {
            return Err(format!("it has {tags} tags and {length} bytes of data, which no package has"));
        }
        let (index, rest) = rest.split_at_checked(tags * 16).ok_or_else(short)?;
        Ok(Self { index, data: rest.get(..length).ok_or_else(short)? })
    }

    fn entry(&self, tag: u32) -> Option<Entry> {
        let entries = self.index.chunks_exact(16).map(|entry| Entry {
            tag: be32(entry, 0),
            kind: be32(entry, 4),
            offset: be32(entry, 8) as usize,
            count: be32(entry, 12) as usize,
        });
        entries.into_iter().find(|entry| entry.tag == tag)
    }

    /// The texts of a tag: one string, or an array of them, each ended by a zero byte.
    fn texts(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (string, array, localized) = (6, 8, 9);
        let entry = self.entry(tag).filter(|entry| [string, array, localized].contains(&entry.kind));
        let data = entry.and_then(|entry| self.data.get(entry.offset..)).unwrap_or_default();
        let count = entry.map_or(0, |entry| if entry.kind == string { 1 } else { entry.count });
        data.split(|&byte| byte == 0).take(count)
    }

    /// The numbers of a tag, of 16 or 32 bits.
    fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let width = |kind| match kind {
            3 => Some(2),
            4 => Some(4),
            _ => None,
        };
        let entry = self.entry(tag).and_then(|entry| Some((entry, width(entry.kind)?)));
        let (data, width) = entry.map_or((&[][..], 4), |(entry, width)| {
            let end = entry.count.checked_mul(width).and_then(|length| entry.offset.checked_add(length));
            (end.and_then(|end| self.data.get(entry.offset..end)).unwrap_or_default(), width)
        });
        data.chunks_exact(width).map(|number| number.iter().fold(0, |all, &byte| all << 8 | u32::from(byte)))
    }

    fn files(&self) -> Result<Vec<File>, String> {
        let directories: Vec<&[u8]> = self.texts(tag::DIRECTORIES).take(MOST_FILES).collect();
        let (mut modes, mut flags) = (self.numbers(tag::FILE_MODES), self.numbers(tag::FILE_FLAGS));
        let (mut users, mut groups) = (self.texts(tag::FILE_USERS), self.texts(tag::FILE_GROUPS));
        let mut capabilities = self.texts(tag::FILE_CAPABILITIES);
        let mut indexes = self.numbers(tag::DIRECTORY_INDEXES);
        let (mut files, mut left) = (Vec::new(), MOST_PATHS);
        let text = |text: Option<&[u8]>| String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        for name in self.texts(tag::BASENAMES) {
            if files.len() >= MOST_FILES {
                return Err(format!("it has more than {MOST_FILES} files"));
            }
            let directory = indexes.next().and_then(|at| directories.get(at as usize));
            let Some(directory) = directory else { return Err("a file of it is in no directory".to_owned()) };
            if directory.len() + name.len() > PATH_MAX {
                return Err("it has a path that is too long for any system".to_owned());
            }
            take(directory.len() + name.len(), &mut left)?;
            files.push(File {
                path: [directory, name].concat(),
                mode: modes.next().unwrap_or_default() as u16,
                user: text(users.next()),
                group: text(groups.next()),
                capabilities: text(capabilities.next()),
                is_ghost: flags.next().unwrap_or_default() & GHOST != 0,
            });
        }
        Ok(files)
    }
}

/// The number at an offset that is in the bytes.
fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |number| number.iter().fold(0, |all, &byte| all << 8 | u32::from(byte)))
}
