//! Numbers and addresses: reading integers of either byte order and width, and finding where an address lies in the file.

use std::ops::Range;

use goblin::elf::program_header::{PF_X, ProgramHeader};

/// How wide addresses are and in which order bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Encoding {
    /// 64 bit.
    pub wide: bool,
    /// The most significant byte comes first.
    pub big: bool,
}

impl Encoding {
    /// The 16-bit number at `at`.
    pub fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    /// The 32-bit number at `at`.
    pub fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    /// The 64-bit number at `at`.
    pub fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let raw = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(if self.big { u64::from_be_bytes(raw) } else { u64::from_le_bytes(raw) })
    }

    /// The number as wide as an address at `at`.
    pub fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        if self.wide { self.u64(bytes, at) } else { self.u32(bytes, at).map(u64::from) }
    }

    /// How many bytes an address takes.
    pub fn word_size(self) -> usize {
        if self.wide { 8 } else { 4 }
    }
}

/// A PT_LOAD segment: a part of the file and the addresses it is mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The first address.
    pub address: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes of the file it holds.
    pub size: u64,
    /// Whether it holds code.
    pub executable: bool,
}

impl Segment {
    pub(super) fn of(header: &ProgramHeader) -> Self {
        Self {
            address: header.p_vaddr,
            offset: header.p_offset,
            size: header.p_filesz,
            executable: header.p_flags & PF_X != 0,
        }
    }

    /// The bytes of the file that the segment holds.
    pub fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        file_range(file, self.offset, self.size).map_or(&[], |range| &file[range])
    }
}

/// The range of the file that `offset` and `size` name, `None` when it is not all there.
pub(super) fn file_range(bytes: &[u8], offset: u64, size: u64) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}

/// Where `address` lies in the file.
pub(super) fn offset_of(segments: &[Segment], address: u64) -> Option<usize> {
    let within = |s: &&Segment| address >= s.address && address - s.address < s.size;
    let segment = segments.iter().find(within)?;
    usize::try_from(segment.offset.checked_add(address - segment.address)?).ok()
}

/// The bytes from `at` up to the next NUL, no more than `limit`.
pub(super) fn c_string(bytes: &[u8], at: usize, limit: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let length = memchr::memchr(0, &rest[..rest.len().min(limit)])?;
    Some(&rest[..length])
}
