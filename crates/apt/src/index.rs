//! The compact form of a `Packages` file that lies in the store, mapped, of which a run touches only a few pages.
//!
//! Layout, all numbers little-endian: a head of [`HEAD`] bytes (magic, where the table begins, how many entries it has, the CRC-32 of the table,
//! the CRC-32 of the head before it); records, each `length u32, CRC-32 u32, body`; the table, which maps the hash of every name that is or is provided
//! to the offset of its record, `hash u32, offset u32`, sorted. A body is `flags u8, size u64, SHA-256`, then the texts of [`Package`] in the
//! order of [`TEXTS`], each preceded by its length as LEB128. Checks are made on what is touched; damage is told by [`Index::is_damaged`].

use std::cell::Cell;

use bytes::Bytes;
use flate2::Crc;

use super::relation;

/// Begins with the version of the format.
const MAGIC: &[u8; 8] = b"mgdebix1";

/// The length of the head.
const HEAD: usize = 32;

/// How many texts a record has.
const TEXTS: usize = 10;

/// The fixed part of a body: flags, size, digest.
const FIXED: usize = 1 + 8 + 32;

/// How a package goes together with those of other architectures: the Multi-Arch field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum MultiArch {
    /// Not at all.
    #[default]
    No,
    /// It can be installed for several architectures at once.
    Same,
    /// It serves packages of any architecture.
    Foreign,
    /// It serves packages of any architecture that say `:any`.
    Allowed,
}

/// What is kept of one package's stanza. Relation fields are as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Package<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    /// The path below the archive's address.
    pub filename: &'a str,
    pub pre_depends: &'a str,
    pub depends: &'a str,
    pub recommends: &'a str,
    pub conflicts: &'a str,
    pub breaks: &'a str,
    pub provides: &'a str,
    pub size: u64,
    /// All zero where the stanza gives none.
    pub sha256: [u8; 32],
    pub essential: bool,
    pub multi_arch: MultiArch,
    /// From 0, required, to 4, extra or none.
    pub priority: u8,
}

impl<'a> Package<'a> {
    fn texts(&self) -> [&'a str; TEXTS] {
        [
            self.name,
            self.version,
            self.architecture,
            self.filename,
            self.pre_depends,
            self.depends,
            self.recommends,
            self.conflicts,
            self.breaks,
            self.provides,
        ]
    }

    fn write(&self, body: &mut Vec<u8>) {
        body.push(u8::from(self.essential) | (self.multi_arch as u8) << 1 | self.priority << 3);
        body.extend(self.size.to_le_bytes());
        body.extend(self.sha256);
        for text in self.texts() {
            let mut length = text.len();
            while length >= 0x80 {
                body.push(length as u8 | 0x80);
                length >>= 7;
            }
            body.push(length as u8);
            body.extend(text.as_bytes());
        }
    }

    fn read(body: &'a [u8]) -> Option<Self> {
        let (fixed, mut rest) = body.split_at_checked(FIXED)?;
        let (&flags, fixed) = fixed.split_first()?;
        let (size, sha256) = fixed.split_at_checked(8)?;
        let mut texts = [""; TEXTS];
        for text in &mut texts {
            let length = take_length(&mut rest)?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *text = std::str::from_utf8(bytes).ok()?;
            rest = after;
        }
        let [name, version, architecture, filename, pre_depends, depends, recommends, conflicts, breaks, provides] =
            texts;
        let multi_arch = match flags >> 1 & 3 {
            1 => MultiArch::Same,
            2 => MultiArch::Foreign,
            3 => MultiArch::Allowed,
            _ => MultiArch::No,
        };
        Some(Self {
            name,
            version,
            architecture,
            filename,
            pre_depends,
            depends,
            recommends,
            conflicts,
            breaks,
            provides,
            size: u64::from_le_bytes(size.try_into().ok()?),
            sha256: sha256.try_into().ok()?,
            essential: flags & 1 != 0,
            multi_arch,
            priority: flags >> 3,
        })
    }
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return Some(length);
        }
        if shift > 28 {
            return None;
        }
    }
}

/// Puts an index together.
pub(super) struct Builder {
    bytes: Vec<u8>,
    table: Vec<(u32, u32)>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEAD], table: Vec::new() }
    }

    /// Adds a package; `None` when the index has become too large for its offsets.
    pub(super) fn push(&mut self, package: &Package<'_>) -> Option<()> {
        let offset = u32::try_from(self.bytes.len()).ok()?;
        self.bytes.extend([0; 8]);
        let start = self.bytes.len();
        package.write(&mut self.bytes);
        let body = self.bytes.get(start..)?;
        let (length, sum) = (u32::try_from(body.len()).ok()?, checksum(body));
        self.bytes.get_mut(start - 8..start - 4)?.copy_from_slice(&length.to_le_bytes());
        self.bytes.get_mut(start - 4..start)?.copy_from_slice(&sum.to_le_bytes());
        self.table.push((hash(package.name), offset));
        self.table.extend(relation::list(package.provides).map(|provided| (hash(provided.name), offset)));
        Some(())
    }

    /// The first package of this name among those that were added.
    pub(super) fn find(&self, name: &str) -> Option<Package<'_>> {
        let wanted = hash(name);
        let places = self.table.iter().filter(|(hash, _)| *hash == wanted).map(|(_, offset)| *offset as usize);
        let mut packages = places.filter_map(|start| {
            let length = number(&self.bytes, start)? as usize;
            Package::read(self.bytes.get(start + 8..start + 8 + length)?)
        });
        packages.find(|package| package.name == name)
    }

    /// How many names packages were added for, provided ones included.
    pub(super) fn names(&self) -> usize {
        self.table.len()
    }

    /// The finished bytes; `None` when they are too many for the format.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        self.table.sort_unstable();
        self.table.dedup();
        let start = self.bytes.len();
        for (hash, offset) in &self.table {
            self.bytes.extend(hash.to_le_bytes());
            self.bytes.extend(offset.to_le_bytes());
        }
        let sum = checksum(self.bytes.get(start..)?);
        let mut head = Vec::with_capacity(HEAD);
        head.extend(MAGIC);
        head.extend(u32::try_from(start).ok()?.to_le_bytes());
        head.extend(u32::try_from(self.table.len()).ok()?.to_le_bytes());
        head.extend(sum.to_le_bytes());
        head.extend([0; 8]);
        head.extend(checksum(&head).to_le_bytes());
        self.bytes.get_mut(..HEAD)?.copy_from_slice(&head);
        Some(self.bytes)
    }
}

/// A mapped index.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Bytes,
    table: Bytes,
    damaged: Cell<bool>,
}

impl Index {
    /// Checks the head and the table; `None` when they are not sound.
    pub(super) fn open(bytes: Bytes) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        if !head.starts_with(MAGIC) || number(head, HEAD - 4)? != checksum(head.get(..HEAD - 4)?) {
            return None;
        }
        let (start, count) = (number(head, 8)? as usize, number(head, 12)? as usize);
        if start.checked_add(count.checked_mul(8)?)? != bytes.len()
            || checksum(bytes.get(start..)?) != number(head, 16)?
        {
            return None;
        }
        let table = bytes.slice(start..);
        Some(Self { bytes, table, damaged: Cell::new(false) })
    }

    /// Whether a record that was read since did not fit its checksum: then what was found is not to be used.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.get()
    }

    /// The packages that have this name or provide it, in the order of the file.
    pub(super) fn named_or_providing<'a>(&'a self, name: &str) -> impl Iterator<Item = Package<'a>> {
        let found = self.entries_of(hash(name)).filter_map(|offset| self.package(offset));
        found.filter(move |package| {
            package.name == name || relation::list(package.provides).any(|provided| provided.name == name)
        })
    }

    /// All names of packages, for finding those that are near to a wrong one.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let mut offset = HEAD;
        std::iter::from_fn(move || {
            let package = self.package(u32::try_from(offset).ok()?)?;
            offset += 8 + number(&self.bytes, offset)? as usize;
            Some(package.name)
        })
    }

    fn package(&self, offset: u32) -> Option<Package<'_>> {
        let end = self.bytes.len() - self.table.len();
        let start = offset as usize;
        if start >= end {
            return None;
        }
        let package = || {
            let length = number(&self.bytes, start)? as usize;
            let body = self.bytes.get(..end)?.get(start + 8..start.checked_add(8)?.checked_add(length)?)?;
            Package::read(body).filter(|_| number(&self.bytes, start + 4) == Some(checksum(body)))
        };
        let package = package();
        self.damaged.set(self.damaged.get() || package.is_none());
        package
    }

    fn entries_of(&self, wanted: u32) -> impl Iterator<Item = u32> {
        let count = self.table.len() / 8;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if number(&self.table, middle * 8).is_some_and(|hash| hash < wanted) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let entries = (low..count).map(|i| (number(&self.table, i * 8), number(&self.table, i * 8 + 4)));
        entries.take_while(move |(hash, _)| *hash == Some(wanted)).filter_map(|(_, offset)| offset)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// FNV-1a.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
