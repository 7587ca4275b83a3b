//! The maps of sparse files in tar archives: which parts of a file are stored. What lies between them is zeros.
//!
//! GNU's own format has the map in the header and in blocks behind it; PAX headers have it in records (0.0, 0.1), or point to the
//! beginning of the body (1.0). Reference: "Storing Sparse Files" in the manual of GNU tar.

use std::ops::Range;

use super::number::number;

/// The most parts that one file may have; a map of so many takes 16 MiB.
pub(super) const MOST_PARTS: usize = 1 << 20;
/// Where the parts begin in a header and in a block that continues it, and how many each has.
const IN_HEADER: (usize, usize) = (386, 4);
const IN_BLOCK: (usize, usize) = (0, 21);
/// Where a header has the length of the whole file.
const REAL_SIZE: Range<usize> = 483..495;

/// Why there is no map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapError {
    /// It is not one, or contradicts itself or the length of what is stored.
    Malformed,
    /// More than [`MOST_PARTS`].
    TooMany,
}

/// Which parts of a file are stored, in order, and what of the file was read so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    /// The last part first.
    parts: Vec<Range<u64>>,
    at: u64,
    size: u64,
}

/// What comes next of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// So many zeros, which are not stored.
    Zeros(u64),
    /// So many bytes, which are.
    Stored(u64),
}

impl Map {
    /// A map of parts, each with its place and length, in a file of `size` bytes of which `stored` are stored.
    pub(super) fn new(parts: &[(u64, u64)], size: u64, stored: u64) -> Result<Self, MapError> {
        let (mut end, mut sum, mut ranges) = (0, 0_u64, Vec::with_capacity(parts.len()));
        for &(offset, length) in parts {
            let part = offset..offset.checked_add(length).ok_or(MapError::Malformed)?;
            if part.start < end || part.end > size {
                return Err(MapError::Malformed);
            }
            end = part.end;
            sum += length;
            ranges.push(part);
        }
        if sum != stored {
            return Err(MapError::Malformed);
        }
        ranges.reverse();
        Ok(Self { parts: ranges, at: 0, size })
    }

    /// The length of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What comes next, `None` at the end of the file.
    pub(super) fn next(&mut self) -> Option<Next> {
        while self.parts.last().is_some_and(|part| part.end <= self.at) {
            self.parts.pop();
        }
        match self.parts.last() {
            Some(part) if part.start <= self.at => Some(Next::Stored(part.end - self.at)),
            Some(part) => Some(Next::Zeros(part.start - self.at)),
            None if self.at < self.size => Some(Next::Zeros(self.size - self.at)),
            None => None,
        }
    }

    /// So much of what comes next was read.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.at += bytes;
    }
}

/// The parts that a header of GNU's own format names, and whether a block with more follows.
pub(super) fn parts_of_header(header: &[u8; 512], parts: &mut Vec<(u64, u64)>) -> Result<bool, MapError> {
    add_parts(header, IN_HEADER, parts)?;
    Ok(header[482] != 0)
}

/// The parts that a block behind a header names, and whether another one follows.
pub(super) fn parts_of_block(block: &[u8; 512], parts: &mut Vec<(u64, u64)>) -> Result<bool, MapError> {
    add_parts(block, IN_BLOCK, parts)?;
    Ok(block[504] != 0)
}

/// The length of the whole file that a header of GNU's own format has.
pub(super) fn real_size(header: &[u8; 512]) -> Result<u64, MapError> {
    number(&header[REAL_SIZE]).ok_or(MapError::Malformed)
}

fn add_parts(block: &[u8; 512], (from, count): (usize, usize), parts: &mut Vec<(u64, u64)>) -> Result<(), MapError> {
    let fields = block[from..from + count * 24].chunks_exact(24).take_while(|field| field[12] != 0);
    for field in fields {
        let (offset, length) = (number(&field[..12]), number(&field[12..]));
        add(parts, offset.zip(length).ok_or(MapError::Malformed)?)?;
    }
    Ok(())
}

fn add(parts: &mut Vec<(u64, u64)>, part: (u64, u64)) -> Result<(), MapError> {
    if parts.len() == MOST_PARTS {
        return Err(MapError::TooMany);
    }
    parts.push(part);
    Ok(())
}

/// What PAX records say of a sparse file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    version: (u64, u64),
    size: Option<u64>,
    parts: Vec<(u64, u64)>,
    /// A place of which no length was told yet.
    offset: Option<u64>,
    /// What the file is called: the path of such entries is made up.
    pub(super) name: Option<Vec<u8>>,
}

/// How the map of a file is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// It was in the records.
    Map {
        /// Its parts.
        parts: Vec<(u64, u64)>,
        /// The length of the whole file.
        size: u64,
    },
    /// It is where the body begins.
    InBody {
        /// The length of the whole file.
        size: u64,
    },
}

impl Records {
    /// Takes one record in, whose key is what follows `GNU.sparse.`; `None` when the value is not what the key asks for.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"major" => self.version.0 = decimal(value)?,
            b"minor" => self.version.1 = decimal(value)?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => add(&mut self.parts, (self.offset.take()?, decimal(value)?)).ok()?,
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(decimal).collect::<Option<Vec<u64>>>()?;
                let (pairs, []) = numbers.as_chunks::<2>() else { return None };
                self.parts = pairs.iter().map(|&[offset, length]| (offset, length)).collect();
            }
            // How many parts there are shows in the parts.
            _ => {}
        }
        Some(())
    }

    /// How the map is had; `None` when the format is one that is not known.
    pub(super) fn told(self) -> Option<Told> {
        let size = self.size?;
        match self.version {
            (0, 0) if self.offset.is_none() => Some(Told::Map { parts: self.parts, size }),
            (1, 0) if self.parts.is_empty() => Some(Told::InBody { size }),
            _ => None,
        }
    }
}

/// Reads the numbers at the beginning of a body one after another: how many parts there are, and their places and lengths.
#[derive(Debug, Default)]
pub(super) struct BodyMap {
    count: Option<u64>,
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl BodyMap {
    /// Takes the next block in; the parts when that was the last one, whose rest is padding.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Option<Vec<(u64, u64)>>, MapError> {
        for &byte in block {
            if byte != b'\n' {
                self.digits.push(byte);
                if self.digits.len() > 20 {
                    return Err(MapError::Malformed);
                }
                continue;
            }
            let number = decimal(&self.digits).ok_or(MapError::Malformed)?;
            self.digits.clear();
            match self.count {
                None if number > MOST_PARTS as u64 => return Err(MapError::TooMany),
                None => self.count = Some(number),
                Some(_) => self.numbers.push(number),
            }
            if self.count.is_some_and(|count| self.numbers.len() as u64 == count * 2) {
                let (pairs, _) = self.numbers.as_chunks::<2>();
                return Ok(Some(pairs.iter().map(|&[offset, length]| (offset, length)).collect()));
            }
        }
        Ok(None)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_tells_zeros_from_what_is_stored() {
        let mut map = Map::new(&[(2, 3), (5, 1), (8, 0), (9, 1)], 12, 5).unwrap();
        let mut told = Vec::new();
        while let Some(next) = map.next() {
            let (Next::Zeros(bytes) | Next::Stored(bytes)) = next;
            told.push(next);
            map.advance(bytes);
        }
        use Next::{Stored, Zeros};
        assert_eq!(told, [Zeros(2), Stored(3), Stored(1), Zeros(2), Zeros(1), Stored(1), Zeros(2)]);
    }

    #[test]
    fn maps_that_contradict_themselves_are_refused() {
        for (parts, size, stored) in [
            (&[(0, 4), (3, 1)][..], 10, 5),
            (&[(4, 1), (0, 1)], 10, 2),
            (&[(0, 11)], 10, 11),
            (&[(u64::MAX, 2)], u64::MAX, 2),
            (&[(0, 4)], 10, 5),
            (&[], 10, 1),
        ] {
            assert_eq!(Map::new(parts, size, stored), Err(MapError::Malformed), "{parts:?}");
        }
        assert!(Map::new(&[], 0, 0).is_ok());
    }

    #[test]
    fn the_map_in_a_body_ends_with_its_last_number() {
        let mut map = BodyMap::default();
        assert_eq!(map.read(b"2\n0\n51"), Ok(None));
        assert_eq!(map.read(b"2\n1024\n1\n\0\0\0"), Ok(Some(vec![(0, 512), (1024, 1)])));
        for wrong in [&b"x\n"[..], b"\n", b"-1\n", b"1\n1\nz\n", b"123456789012345678901"] {
            assert_eq!(BodyMap::default().read(wrong), Err(MapError::Malformed), "{wrong:?}");
        }
        assert_eq!(BodyMap::default().read(b"99999999\n"), Err(MapError::TooMany));
    }
}
