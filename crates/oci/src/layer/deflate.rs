//! Joins deflate streams (RFC 1951). libdeflate writes whole streams only; a stream goes on in the next one when its last block is no longer
//! marked as the last, and an empty stored block fills its last byte, which is what zlib's sync flush writes.
//!
//! Where blocks begin is written nowhere. The last one is searched for from the end of the stream: it is there where a block's header could be,
//! from which on the codes give the end of the content. Where that finds nothing, the codes of all blocks are read, which takes a tenth of the
//! time of compressing.

mod codes;

use codes::{Bits, Item, Tables};

/// What ends a stream that was made to go on: an empty block with fixed codes, marked as the last.
pub(super) const END: [u8; 2] = [3, 0];

/// Makes the whole stream of a content one that goes on behind it. `None` if it is not a stream.
pub(super) fn make_open(stream: &mut Vec<u8>, content: &[u8]) -> Option<()> {
    let LastBlock { begin, end } = search(stream, content).or_else(|| walk(stream))?;
    *stream.get_mut(begin / 8)? &= !(1 << (begin % 8));
    // The three bits of the stored block's header are zero, as are those that fill the byte; then come its length and the complement of that.
    stream.resize((end + 3).div_ceil(8), 0);
    stream.extend([0, 0, 0xff, 0xff]);
    Some(())
}

/// Where a stream's last block is, in bits.
#[derive(Debug, PartialEq, Eq)]
struct LastBlock {
    begin: usize,
    end: usize,
}

/// How many bytes are searched for the last block; libdeflate's are shorter, unless they can hardly be compressed.
const SEARCHED: usize = 96 * 1024;

/// The least number of literals in a block that is found by searching: no other place gives so many right ones by chance, whatever the content.
const LEAST: usize = 64;

/// Finds the last block if it has codes of its own, from the end on.
fn search(stream: &[u8], content: &[u8]) -> Option<LastBlock> {
    let mut tables = Tables::default();
    let first = stream.len().saturating_sub(SEARCHED) * 8;
    (first..stream.len() * 8).rev().find_map(|begin| {
        if !could_begin(stream, begin) {
            return None;
        }
        let mut bits = Bits::at(stream, begin + 3);
        tables.read(&mut bits)?;
        let codes = bits.clone();
        let (mut length, mut literals) = (0, 0);
        tables.read_codes(&mut bits, |item| {
            length += item.length();
            literals += usize::from(matches!(item, Item::Literal(_)));
            length <= content.len()
        })?;
        // Up to seven bits fill the last byte.
        let is_end = bits.position() <= stream.len() * 8 && bits.position() + 8 > stream.len() * 8;
        let is_right = is_end && literals >= LEAST && gives(&tables, codes, content, content.len() - length);
        is_right.then(|| LastBlock { begin, end: bits.position() })
    })
}

/// Whether a last block with codes of its own could begin here: most places are ruled out by the codes for the lengths of codes.
fn could_begin(stream: &[u8], begin: usize) -> bool {
    let mut bits = Bits::at(stream, begin);
    bits.hold();
    let header = bits.held;
    // The mark of the last block, its kind, and not more codes than there are.
    if header & 7 != 0b101 || header >> 3 & 31 > 29 || header >> 8 & 31 > 29 {
        return false;
    }
    let count = (header >> 13 & 15) + 4;
    bits.drop(17);
    bits.hold();
    let lengths = (0..count).map(|at| bits.held >> (3 * at) & 7);
    // Such codes leave no sequence of bits without a meaning.
    lengths.map(|length| if length == 0 { 0 } else { 128 >> length }).sum::<u64>() == 128
}

/// Whether codes give what the content has from a place on.
fn gives(tables: &Tables, mut codes: Bits<'_>, content: &[u8], mut at: usize) -> bool {
    let read = tables.read_codes(&mut codes, |item| {
        let is_right = match item {
            Item::Literal(byte) => content.get(at) == Some(&byte),
            Item::Copy { length, distance } => {
                let from = at.checked_sub(distance);
                from.is_some_and(|from| content.get(from..from + length) == content.get(at..at + length))
            }
        };
        at += item.length();
        is_right
    });
    read.is_some() && at == content.len()
}

/// Finds the last block by reading all of them.
fn walk(stream: &[u8]) -> Option<LastBlock> {
    let mut bits = Bits::at(stream, 0);
    let mut tables = Tables::default();
    loop {
        let begin = bits.position();
        let is_last = bits.take(1) == 1;
        match bits.take(2) {
            0 => bits.skip_stored()?,
            1 => {
                tables.set(&FIXED_LITERALS, &[5; 30])?;
                tables.read_codes(&mut bits, |_| true)?;
            }
            2 => {
                tables.read(&mut bits)?;
                tables.read_codes(&mut bits, |_| true)?;
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
                make_open(&mut stream, &sample).unwrap();
                joined.extend(stream);
            }
            joined.extend(END);
            assert_eq!(inflated(&joined), samples().concat(), "level {level}");
        }
    }

    #[test]
    fn searching_finds_what_walking_finds() {
        let mut found = 0;
        for (sample, level) in samples().iter().flat_map(|sample| [1, 6, 8, 9].map(|level| (sample, level))) {
            let stream = deflated(sample, level);
            if let Some(last) = search(&stream, sample) {
                assert_eq!(walk(&stream), Some(last), "level {level}, {} bytes", sample.len());
                found += 1;
            }
        }
        assert!(found >= 8, "{found}");
        let words = &samples()[5];
        let other: Vec<u8> = words.iter().map(|byte| byte ^ 1).collect();
        assert_eq!(search(&deflated(words, 8), &other), None, "it is not the end of another content");
    }

    #[test]
    fn other_encoders_streams_are_joined_too() {
        for sample in samples() {
            let mut encoder = flate2::read::DeflateEncoder::new(&sample[..], flate2::Compression::new(9));
            let mut stream = Vec::new();
            encoder.read_to_end(&mut stream).unwrap();
            make_open(&mut stream, &sample).unwrap();
            stream.extend(END);
            assert_eq!(inflated(&stream), sample);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_no_stream_does_not_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), at in 0..200_usize, byte: u8) {
            make_open(&mut bytes.clone(), &bytes);
            let mut stream = deflated(&samples()[5][..2000], 8);
            let at = at.min(stream.len() - 1);
            stream[at] = byte;
            make_open(&mut stream, &samples()[5][..2000]);
        }
    }
}
