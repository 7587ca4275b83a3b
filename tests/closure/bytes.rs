//! ELF files of any machine, written byte by byte: no compiler for it is needed.

/// A machine as ELF files tell it.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) wide: bool,
    pub(crate) big: bool,
    pub(crate) number: u16,
    pub(crate) flags: u32,
}

/// A library or position-independent program with nothing but a dynamic segment in it.
#[derive(Clone)]
pub(crate) struct Elf {
    pub(crate) machine: Machine,
    /// Tags with a string, in order.
    pub(crate) names: Vec<(u64, String)>,
    /// Tags with a number.
    pub(crate) numbers: Vec<(u64, u64)>,
    pub(crate) interpreter: Option<String>,
}

pub(crate) const NEEDED: u64 = 1;
pub(crate) const SONAME: u64 = 14;
pub(crate) const RPATH: u64 = 15;
pub(crate) const RUNPATH: u64 = 29;
pub(crate) const FLAGS_1: u64 = 0x6fff_fffb;

impl Elf {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, names: Vec::new(), numbers: Vec::new(), interpreter: None }
    }

    pub(crate) fn with(mut self, tag: u64, name: &str) -> Self {
        self.names.push((tag, name.to_owned()));
        self
    }

    pub(crate) fn number(mut self, tag: u64, value: u64) -> Self {
        self.numbers.push((tag, value));
        self
    }

    /// The file: one segment that maps all of it, the dynamic segment, and the interpreter's name where there is one.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Machine { wide, big, number, flags } = self.machine;
        let (header, entry, word) = if wide { (64, 56, 8) } else { (52, 32, 4) };
        let headers = 3 + usize::from(self.interpreter.is_some());
        let hash_at = (header + entry * headers).next_multiple_of(8);
        // One bucket, one symbol, both empty; s390x has hash tables of 64-bit words.
        let hash_word = if number == 22 && wide { 8 } else { 4 };
        let symbols_at = hash_at + 4 * hash_word;
        let dynamic_at = symbols_at + if wide { 24 } else { 16 };
        let dynamic_count = self.names.len() + self.numbers.len() + 6;
        let strings_at = dynamic_at + dynamic_count * 2 * word;
        let mut strings = vec![0u8];
        let mut add = |text: &str| {
            let at = strings.len();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at as u64
        };
        let mut dynamic: Vec<(u64, u64)> = self.names.iter().map(|(tag, name)| (*tag, add(name))).collect();
        let interpreter_at = self.interpreter.as_ref().map(|name| (strings_at + add(name) as usize, name.len() + 1));
        dynamic.extend(&self.numbers);
        dynamic.extend([(4, hash_at as u64), (5, strings_at as u64), (6, symbols_at as u64)]);
        dynamic.extend([(10, strings.len() as u64), (11, if wide { 24 } else { 16 }), (0, 0)]);
        let size = strings_at + strings.len();

        let mut file = Writer { bytes: Vec::new(), wide, big };
        file.bytes.extend([0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big), 1]);
        file.bytes.resize(16, 0);
        file.half(3).half(number).number32(1).word(0).word(header).word(0).number32(flags);
        file.half(header as u16).half(entry as u16).half(headers as u16).half(0).half(0).half(0);
        file.segment(1, 7, 0, size, 0x1_0000);
        file.segment(2, 6, dynamic_at, dynamic.len() * 2 * word, 8);
        file.segment(0x6474_e551, 6, 0, 0, 16);
        if let Some((at, length)) = interpreter_at {
            file.segment(3, 4, at, length, 1);
        }
        file.bytes.resize(hash_at, 0);
        for value in [1usize, 1, 0, 0] {
            match hash_word {
                8 => file.word(value),
                _ => file.number32(value as u32),
            };
        }
        file.bytes.resize(dynamic_at, 0);
        for (tag, value) in dynamic {
            file.word(tag as usize).word(value as usize);
        }
        file.bytes.extend(strings);
        file.bytes
    }
}

struct Writer {
    bytes: Vec<u8>,
    wide: bool,
    big: bool,
}

impl Writer {
    fn put(&mut self, value: u64, size: usize) -> &mut Self {
        let little = value.to_le_bytes();
        match self.big {
            true => self.bytes.extend(little[..size].iter().rev()),
            false => self.bytes.extend(&little[..size]),
        }
        self
    }

    fn half(&mut self, value: u16) -> &mut Self {
        self.put(value.into(), 2)
    }

    fn number32(&mut self, value: u32) -> &mut Self {
        self.put(value.into(), 4)
    }

    fn word(&mut self, value: usize) -> &mut Self {
        let size = if self.wide { 8 } else { 4 };
        self.put(value as u64, size)
    }

    fn segment(&mut self, kind: u32, flags: u32, at: usize, size: usize, align: usize) {
        self.number32(kind);
        if self.wide {
            self.number32(flags);
        }
        self.word(at).word(at).word(at).word(size).word(size);
        if !self.wide {
            self.number32(flags);
        }
        self.word(align);
    }
}
