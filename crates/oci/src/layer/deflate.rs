//! Joins deflate streams (RFC 1951). libdeflate writes whole streams only; a stream goes on in the next one when its last block is no longer
//! marked as the last, and an empty stored block fills its last byte, which is what zlib's sync flush writes. Where the blocks begin can only be
//! found by reading the codes of all of them; nothing is unpacked, so that takes a twentieth of the time of compressing.

/// What ends a stream that was made to go on: an empty block with fixed codes, marked as the last.
pub(super) const END: [u8; 2] = [3, 0];

/// Makes a whole stream one that goes on behind it. `None` if it is not a stream.
pub(super) fn make_open(stream: &mut Vec<u8>) -> Option<()> {
    let LastBlock { begin, end } = last_block(stream)?;
    *stream.get_mut(begin / 8)? &= !(1 << (begin % 8));
    // The three bits of the stored block's header are zero, as are those that fill the byte; then come its length and the complement of that.
    stream.resize((end + 3).div_ceil(8), 0);
    stream.extend([0, 0, 0xff, 0xff]);
    Some(())
}

/// Where a stream's last block is, in bits.
struct LastBlock {
    begin: usize,
    end: usize,
}

fn last_block(stream: &[u8]) -> Option<LastBlock> {
    let mut bits = Bits { stream, next: 0, held: 0, count: 0 };
    let mut tables = Tables::default();
    loop {
        let begin = bits.position();
        let is_last = bits.take(1) == 1;
        match bits.take(2) {
            0 => bits.skip_stored()?,
            1 => {
                tables.set(&FIXED_LITERALS, &[5; 30])?;
                tables.skip_codes(&mut bits)?;
            }
            2 => {
                let (lengths, literals) = read_lengths(&mut bits, &mut tables.literals)?;
                let (literals, distances) = lengths.split_at_checked(literals)?;
                tables.set(literals, distances)?;
                tables.skip_codes(&mut bits)?;
            }
            _ => return None,
        }
        if bits.position() > stream.len() * 8 {
            return None;
        }
        if is_last {
            return Some(LastBlock { begin, end: bits.position() });
        }
    }
}

/// The lengths of the fixed codes.
const FIXED_LITERALS: [u8; 288] = {
    let mut lengths = [8; 288];
    let mut at = 144;
    while at < 280 {
        lengths[at] = if at < 256 { 9 } else { 7 };
        at += 1;
    }
    lengths
};

/// The order in which the lengths of the codes for lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The lengths of a block's codes, and how many of them are for literals and lengths; the others are for distances.
fn read_lengths(bits: &mut Bits<'_>, table: &mut Table) -> Option<(Vec<u8>, usize)> {
    let literals = bits.take(5) as usize + 257;
    let all = literals + bits.take(5) as usize + 1;
    let mut of_lengths = [0; 19];
    for place in &ORDER[..bits.take(4) as usize + 4] {
        of_lengths[*place] = bits.take(3) as u8;
    }
    table.set(&of_lengths, |symbol, length| (symbol as u8) << 3 | length)?;
    let mut lengths: Vec<u8> = Vec::with_capacity(all);
    while lengths.len() < all {
        let found = table.find(bits);
        bits.take(u32::from(found & 7));
        let (length, count) = match found >> 3 {
            _ if found == 0 => return None,
            16 => (*lengths.last()?, bits.take(2) + 3),
            17 => (0, bits.take(3) + 3),
            18 => (0, bits.take(7) + 11),
            length => (length, 1),
        };
        lengths.resize(lengths.len() + count as usize, length);
    }
    (lengths.len() == all).then_some((lengths, literals))
}

/// The tables of one block.
#[derive(Default)]
struct Tables {
    literals: Table,
    distances: Table,
}

/// What a literal's or a length's code stands for, beside the number of bits that it takes with those after it.
const LITERAL: u8 = 0;
const LENGTH: u8 = 1 << 6;
const END_OF_BLOCK: u8 = 2 << 6;
const KIND: u8 = 3 << 6;

impl Tables {
    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literals.set(literals, |symbol, length| match symbol {
            ..256 => LITERAL | length,
            256 => END_OF_BLOCK | length,
            257..265 | 285 => LENGTH | length,
            _ => LENGTH | (length + (symbol as u8).wrapping_sub(5) / 4),
        })?;
        self.distances.set(distances, |symbol, length| match symbol {
            ..4 => length,
            _ => length + symbol as u8 / 2 - 1,
        })
    }

    /// Passes over the codes of a block.
    fn skip_codes(&self, bits: &mut Bits<'_>) -> Option<()> {
        loop {
            let found = self.literals.find(bits);
            bits.drop(u32::from(found & !KIND));
            match found & KIND {
                // The zeros behind the end may be codes too.
                _ if found == 0 || bits.next > bits.stream.len() + 8 => return None,
                LITERAL => {}
                LENGTH => {
                    // What was held is enough for both codes.
                    let distance = self.distances.look_up(bits.held);
                    if distance == 0 {
                        return None;
                    }
                    bits.drop(u32::from(distance));
                }
                _ => return Some(()),
            }
        }
    }
}

/// Codes by the bits that come next: what each stands for; 0 where there is no code.
#[derive(Default)]
struct Table {
    entries: Vec<u8>,
}

impl Table {
    /// Takes the lengths of the codes by symbol; `entry` says what is noted of a symbol and its length.
    fn set(&mut self, lengths: &[u8], entry: impl Fn(usize, u8) -> u8) -> Option<()> {
        let longest = lengths.iter().copied().max().unwrap_or_default().max(1);
        self.entries.clear();
        self.entries.push(0);
        let mut code = 0;
        for length in 1..=longest {
            // What is shorter is there at every index that ends in it.
            self.entries.extend_from_within(..);
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, of_symbol)| **of_symbol == length) {
                // Codes are written from their highest bit on, everything else from its lowest.
                let reversed = u32::reverse_bits(code) >> (32 - u32::from(length));
                *self.entries.get_mut(reversed as usize)? = entry(symbol, length);
                code += 1;
            }
            code <<= 1;
        }
        Some(())
    }

    /// What the next code stands for.
    fn find(&self, bits: &mut Bits<'_>) -> u8 {
        bits.hold();
        self.look_up(bits.held)
    }

    fn look_up(&self, held: u64) -> u8 {
        self.entries.get(held as usize & (self.entries.len().wrapping_sub(1))).copied().unwrap_or_default()
    }
}

/// Bits from the lowest of each byte on. Behind the end there are zeros.
struct Bits<'s> {
    stream: &'s [u8],
    /// The byte after those that are held.
    next: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    /// Sees to it that at least 56 bits are held.
    fn hold(&mut self) {
        let mut word = [0; 8];
        match self.stream.get(self.next..self.next + 8) {
            Some(bytes) => word.copy_from_slice(bytes),
            None => {
                let rest = self.stream.get(self.next..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
            }
        }
        // Bits above the count may be held twice, which makes no difference.
        self.held |= u64::from_le_bytes(word) << self.count;
        self.next += (63 - self.count as usize) / 8;
        self.count |= 56;
    }

    fn drop(&mut self, count: u32) {
        self.held >>= count;
        self.count -= count;
    }

    fn take(&mut self, count: u32) -> u32 {
        self.hold();
        let taken = self.held & ((1 << count) - 1);
        self.drop(count);
        taken as u32
    }

    /// Passes over the rest of a byte, a length, its complement, and as many bytes.
    fn skip_stored(&mut self) -> Option<()> {
        let at = self.position().div_ceil(8);
        let length = u16::from_le_bytes(self.stream.get(at..at + 2)?.try_into().ok()?);
        *self = Self { stream: self.stream, next: at + 4 + usize::from(length), held: 0, count: 0 };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use libdeflater::{CompressionLvl, Compressor};

    use super::*;

    fn deflated(data: &[u8], level: i32) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
        let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
        let size = compressor.deflate_compress(data, &mut out).unwrap();
        out.truncate(size);
        out
    }

    fn inflated(stream: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(stream).read_to_end(&mut out).unwrap();
        out
    }

    /// Nothing, text, what cannot be compressed, one byte many times, and a mixture: each kind of block, and several in one stream.
    fn samples() -> Vec<Vec<u8>> {
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..200_000).map(|_| random.u8(..)).collect();
        let words: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(n) >> 13) as u8 & 0x1f).collect();
        let mixed = [&noise[..70_000], &words, &noise[..3]].concat();
        vec![Vec::new(), b"a".to_vec(), b"some text, some text".to_vec(), vec![0; 400_000], noise, words, mixed]
    }

    #[test]
    fn streams_are_joined_at_any_level() {
        for level in [0, 1, 6, 8, 12] {
            let mut joined = Vec::new();
            for sample in samples() {
                let mut stream = deflated(&sample, level);
                make_open(&mut stream).unwrap();
                joined.extend(stream);
            }
            joined.extend(END);
            assert_eq!(inflated(&joined), samples().concat(), "level {level}");
        }
    }

    #[test]
    fn other_encoders_streams_are_joined_too() {
        for sample in samples() {
            let mut encoder = flate2::read::DeflateEncoder::new(&sample[..], flate2::Compression::new(9));
            let mut stream = Vec::new();
            encoder.read_to_end(&mut stream).unwrap();
            make_open(&mut stream).unwrap();
            stream.extend(END);
            assert_eq!(inflated(&stream), sample);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_no_stream_does_not_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), at in 0..200_usize, byte: u8) {
            make_open(&mut bytes.clone());
            let mut stream = deflated(&samples()[5][..2000], 8);
            let at = at.min(stream.len() - 1);
            stream[at] = byte;
            make_open(&mut stream);
        }
    }
}
