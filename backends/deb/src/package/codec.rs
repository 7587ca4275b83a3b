//! The small binary encoding of what is cached: variable-length numbers (LEB128) and strings with their length before them.

use bytes::{Buf, Bytes};

use minimg_base::digest::Digest;

/// Writes values one after another.
#[derive(Default)]
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Small negative numbers stay short.
    pub(super) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what [`Encoder`] wrote; every method gives `None` where the bytes are not that.
pub(super) struct Decoder(pub(super) Bytes);

impl Decoder {
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// How many values follow, each of at least one byte; so it is safe to reserve room for them.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(super) fn bytes(&mut self) -> Option<Bytes> {
        let length = self.count()?;
        Some(self.0.split_to(length))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes).ok().map(str::to_owned)
    }

    pub(super) fn digest(&mut self) -> Option<Digest> {
        let bytes: [u8; 32] = self.0.get(..32)?.try_into().ok()?;
        self.0.advance(32);
        Some(bytes.into())
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.has_remaining().then(|| self.0.get_u8())
    }
}
