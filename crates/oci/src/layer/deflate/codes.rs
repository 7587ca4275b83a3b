//! The codes of a deflate stream's blocks (RFC 1951, 3.2), and the bits that they are read from.

/// The order in which the lengths of the codes for lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What a code gives.
#[derive(Clone, Copy)]
pub(super) enum Item {
    Literal(u8),
    Copy { length: usize, distance: usize },
}

impl Item {
    pub(super) fn length(self) -> usize {
        match self {
            Self::Literal(_) => 1,
            Self::Copy { length, .. } => length,
        }
    }
}

/// The codes of one block.
#[derive(Default)]
pub(super) struct Tables {
    literals: Table,
    distances: Table,
}

impl Tables {
    /// Reads what comes before the codes of a block that has its own.
    pub(super) fn read(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let literals = bits.take(5) as usize + 257;
        let all = literals + bits.take(5) as usize + 1;
        let mut of_lengths = [0; 19];
        for place in &ORDER[..bits.take(4) as usize + 4] {
            of_lengths[*place] = bits.take(3) as u8;
        }
        self.literals.set(&of_lengths, |symbol| (symbol as u16, 0))?;
        let mut lengths: Vec<u8> = Vec::with_capacity(all);
        while lengths.len() < all {
            let (length, count) = match self.literals.take(bits)? {
                16 => (*lengths.last()?, bits.take(2) + 3),
                17 => (0, bits.take(3) + 3),
                18 => (0, bits.take(7) + 11),
                length => (length as u8, 1),
            };
            lengths.resize(lengths.len() + count as usize, length);
        }
        let (literals, distances) = lengths.split_at_checked(literals).filter(|_| lengths.len() == all)?;
        self.set(literals, distances)
    }

    pub(super) fn set(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literals.set(literals, |symbol| match symbol {
            ..265 => (symbol as u16, 0),
            285 => (END_OF_BLOCK + 258 - 2, 0),
            _ => {
                let extra = (symbol - 261) / 4;
                let base = 3 + ((4 + (symbol - 265) % 4) << extra);
                (END_OF_BLOCK - 2 + base as u16, extra as u8)
            }
        })?;
        self.distances.set(distances, |symbol| match symbol {
            ..4 => (symbol as u16 + 1, 0),
            _ => {
                let extra = symbol / 2 - 1;
                (1 + ((2 + symbol % 2) << extra) as u16, extra as u8)
            }
        })
    }

    /// Reads the codes of a block and hands over what each gives, while `each` wants more.
    pub(super) fn read_codes(&self, bits: &mut Bits<'_>, mut each: impl FnMut(Item) -> bool) -> Option<()> {
        loop {
            let item = match self.literals.take(bits)? {
                END_OF_BLOCK => return Some(()),
                value if value < END_OF_BLOCK => Item::Literal(value as u8),
                // What was held is enough for both codes.
                value => Item::Copy {
                    length: usize::from(value - END_OF_BLOCK + 2),
                    distance: usize::from(self.distances.take_held(bits)?),
                },
            };
            // The zeros behind the end may be codes too.
            if bits.next > bits.stream.len() + 8 || !each(item) {
                return None;
            }
        }
    }
}

/// The value of the code that ends a block. Those of literals are below it, those of lengths above, from 3 on.
const END_OF_BLOCK: u16 = 256;

/// Codes by the bits that come next.
#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
}

/// What a code stands for. There is none where it has no bits.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// The value, to which that of the extra bits is added.
    value: u16,
    length: u8,
    extra: u8,
}

impl Table {
    /// Takes the lengths of the codes by symbol; `meaning` is a symbol's value and the number of its extra bits.
    fn set(&mut self, lengths: &[u8], meaning: impl Fn(usize) -> (u16, u8)) -> Option<()> {
        let longest = lengths.iter().copied().max().unwrap_or_default().max(1);
        self.entries.clear();
        self.entries.push(Entry::default());
        let mut code = 0;
        for length in 1..=longest {
            // What is shorter is there at every index that ends in it.
            self.entries.extend_from_within(..);
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, of_symbol)| **of_symbol == length) {
                // Codes are written from their highest bit on, everything else from its lowest.
                let reversed = u32::reverse_bits(code) >> (32 - u32::from(length));
                let (value, extra) = meaning(symbol);
                *self.entries.get_mut(reversed as usize)? = Entry { value, length, extra };
                code += 1;
            }
            if code > 1 << length {
                return None;
            }
            code <<= 1;
        }
        Some(())
    }

    /// The value of the next code, with its extra bits.
    fn take(&self, bits: &mut Bits<'_>) -> Option<u16> {
        bits.hold();
        self.take_held(bits)
    }

    fn take_held(&self, bits: &mut Bits<'_>) -> Option<u16> {
        let entry =
            self.entries.get(bits.held as usize & self.entries.len().wrapping_sub(1)).filter(|e| e.length > 0)?;
        let extra = bits.held >> entry.length & ((1 << entry.extra) - 1);
        bits.drop(u32::from(entry.length + entry.extra));
        Some(entry.value + extra as u16)
    }
}

/// Bits from the lowest of each byte on. Behind the end there are zeros.
#[derive(Clone)]
pub(super) struct Bits<'s> {
    stream: &'s [u8],
    /// The byte after those that are held.
    next: usize,
    pub(super) held: u64,
    count: u32,
}

impl<'s> Bits<'s> {
    /// From a bit of the stream on.
    pub(super) fn at(stream: &'s [u8], position: usize) -> Self {
        let mut bits = Self { stream, next: position / 8, held: 0, count: 0 };
        bits.hold();
        bits.drop((position % 8) as u32);
        bits
    }

    pub(super) fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    /// Sees to it that at least 56 bits are held.
    pub(super) fn hold(&mut self) {
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

    pub(super) fn drop(&mut self, count: u32) {
        self.held >>= count;
        self.count -= count;
    }

    pub(super) fn take(&mut self, count: u32) -> u32 {
        self.hold();
        let taken = self.held & ((1 << count) - 1);
        self.drop(count);
        taken as u32
    }

    /// Passes over the rest of a byte, a length, its complement, and as many bytes.
    pub(super) fn skip_stored(&mut self) -> Option<()> {
        let at = self.position().div_ceil(8);
        let length = u16::from_le_bytes(self.stream.get(at..at + 2)?.try_into().ok()?);
        *self = Self::at(self.stream, (at + 4 + usize::from(length)) * 8);
        Some(())
    }
}
