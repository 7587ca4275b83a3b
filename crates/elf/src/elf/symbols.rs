//! The dynamic symbols and their versions, looked up through the hash tables of the file as the loader does.

use std::collections::BTreeMap;

use super::address::c_string;
use super::{Encoding, Facts, Tables};

/// The longest symbol name that is read; C++ makes long ones.
const MAX_SYMBOL: usize = 1 << 20;
const VERSYM_HIDDEN: u16 = 0x8000;
const VER_FLG_BASE: u16 = 1;
const VER_FLG_WEAK: u16 = 2;

/// The symbols of one file. Nothing is copied; each look-up reads the file.
#[derive(Debug, Clone)]
pub struct SymbolTable<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    tables: Tables,
    /// Hash entries of the System V table have 64 bits on s390x and Alpha.
    wide_hash: bool,
    defined: BTreeMap<u16, &'a [u8]>,
    needed: BTreeMap<u16, Version<'a>>,
}

/// A version that a symbol is asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version<'a> {
    /// The name, such as `GLIBC_2.34`.
    pub name: &'a [u8],
    /// The file that defined it when the program was linked.
    pub file: &'a [u8],
    /// Whether only a definition of exactly this version will do.
    pub hidden: bool,
}

/// The versions that are needed of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement<'a> {
    /// The file, by the name that DT_NEEDED has.
    pub file: &'a [u8],
    /// The versions, and whether each is weak.
    pub versions: Vec<(&'a [u8], bool)>,
}

/// One entry of the symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition<'a> {
    /// The name.
    pub name: &'a [u8],
    /// Binding and type.
    pub info: u8,
    /// Visibility.
    pub other: u8,
    /// The section, 0 for what is not defined here.
    pub section: u16,
    /// The address.
    pub value: u64,
}

impl Definition<'_> {
    /// Whether the file only asks for it.
    pub fn is_undefined(&self) -> bool {
        self.section == 0
    }

    /// Whether it need not be found.
    pub fn is_weak(&self) -> bool {
        self.info >> 4 == 2
    }

    /// Whether it is bound within the file: local, hidden, internal or protected.
    pub fn is_local(&self) -> bool {
        self.info >> 4 == 0 || self.other & 3 != 0
    }

    /// Whether another file can be bound to it: NOTYPE, OBJECT, FUNC, COMMON, TLS or IFUNC; GLOBAL, WEAK or UNIQUE.
    fn is_exported(&self) -> bool {
        let (binding, kind) = (self.info >> 4, self.info & 15);
        let usable = matches!(kind, 0 | 1 | 2 | 5 | 6 | 10) && matches!(binding, 1 | 2 | 10);
        usable
            && self.section != 0
            && (self.value != 0 || kind == 6 || self.section == 0xfff1)
            && !matches!(self.other & 3, 1 | 2)
    }
}

impl<'a> SymbolTable<'a> {
    /// The symbols of the file that is `bytes`; `None` when it has none.
    pub fn new(bytes: &'a [u8], facts: &Facts) -> Option<Self> {
        let tables = facts.dynamic.as_ref()?.tables;
        let machine = facts.identity.machine;
        let wide_hash = facts.identity.encoding.wide && matches!(machine, goblin::elf::header::EM_S390 | 0x9026);
        let mut table = Self {
            bytes,
            encoding: facts.identity.encoding,
            tables,
            wide_hash,
            defined: BTreeMap::new(),
            needed: BTreeMap::new(),
        };
        if tables.symbols == 0 || tables.strings == 0 {
            return None;
        }
        table.defined = table.read_verdef();
        for requirement in table.read_verneed() {
            table.needed.extend(requirement);
        }
        Some(table)
    }

    fn string(&self, at: u64) -> Option<&'a [u8]> {
        c_string(self.bytes, self.tables.strings.checked_add(usize::try_from(at).ok()?)?, MAX_SYMBOL)
    }

    /// The symbol at this place of the table.
    pub fn get(&self, index: usize) -> Option<Definition<'a>> {
        let (e, size) = (self.encoding, if self.encoding.wide { 24 } else { 16 });
        let at = self.tables.symbols.checked_add(index.checked_mul(size)?)?;
        let name = self.string(u64::from(e.u32(self.bytes, at)?))?;
        let (info, section, value) = if e.wide { (4, 6, 8) } else { (12, 14, 4) };
        Some(Definition {
            name,
            info: *self.bytes.get(at + info)?,
            other: *self.bytes.get(at + info + 1)?,
            section: e.u16(self.bytes, at + section)?,
            value: e.word(self.bytes, at + value)?,
        })
    }

    /// How many symbols there are, as far as the hash tables tell.
    pub fn count(&self) -> usize {
        if let Some((count, _)) = self.tables.mips {
            return usize::try_from(count).unwrap_or(0).min(self.bytes.len() / 16);
        }
        let count = if self.tables.hash != 0 { self.hash_word(1) } else { self.gnu_count() };
        count.unwrap_or(0).min(self.bytes.len() / 16)
    }

    /// The symbols that the file asks others for. In a file with a GNU hash table these come before all that it defines.
    pub fn undefined(&self) -> impl Iterator<Item = Definition<'a>> {
        let first = match self.gnu_header() {
            Some(header) if self.tables.mips.is_none() => header.first.min(self.bytes.len() / 16),
            _ => self.count(),
        };
        (1..first).map_while(|index| self.get(index)).filter(|symbol| symbol.is_undefined() && !symbol.name.is_empty())
    }

    /// The version in which the symbol at this place is asked for.
    pub fn version_needed(&self, index: usize) -> Option<Version<'a>> {
        let ndx = self.versym(index)? & !VERSYM_HIDDEN;
        self.needed.get(&ndx).copied()
    }

    /// Whether the file says which versions it defines.
    pub fn defines_versions(&self) -> bool {
        self.tables.verdef != 0
    }

    /// Whether the file has versions of any kind, defined or needed.
    pub fn has_versions(&self) -> bool {
        self.tables.versym != 0 && !(self.defined.is_empty() && self.needed.is_empty())
    }

    /// Whether the file defines a version of this name.
    pub fn defines_version(&self, name: &[u8]) -> bool {
        self.defined.values().any(|defined| *defined == name)
    }

    /// The names of the versions that the file defines.
    pub fn versions(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.defined.values().copied()
    }

    /// The versions that are needed, by file.
    pub fn requirements(&self) -> Vec<Requirement<'a>> {
        let mut found = Vec::new();
        self.each_verneed(|file, at, count| {
            let mut versions = Vec::new();
            self.each_vernaux(at, count, |name, flags, _| versions.push((name, flags & VER_FLG_WEAK != 0)));
            found.push(Requirement { file, versions });
        });
        found
    }

    /// Whether a definition here satisfies a request for `name` in this version (`check_match` in glibc's `elf/dl-lookup.c`).
    pub fn satisfies(&self, name: &[u8], hash: u32, version: Option<&Version<'_>>) -> bool {
        self.find(name, hash, |index| self.version_fits(index, version))
    }

    fn version_fits(&self, index: usize, version: Option<&Version<'_>>) -> bool {
        let Some(versym) = self.versym(index) else { return true };
        let (ndx, hidden) = (versym & !VERSYM_HIDDEN, versym & VERSYM_HIDDEN != 0);
        let defined = self.defined.get(&ndx);
        match version {
            None => ndx < 3 || !hidden,
            Some(version) => {
                defined.is_some_and(|name| *name == version.name)
                    || (!version.hidden && !hidden && defined.is_none() && !self.needed.contains_key(&ndx))
            }
        }
    }

    fn find(&self, name: &[u8], hash: u32, fits: impl Fn(usize) -> bool) -> bool {
        let matches = |index: usize| {
            self.get(index).is_some_and(|symbol| symbol.is_exported() && symbol.name == name) && fits(index)
        };
        match self.gnu_header() {
            Some(header) => self.find_gnu(&header, hash, matches).unwrap_or(false),
            None => self.find_sysv(name, matches).unwrap_or(false),
        }
    }

    fn versym(&self, index: usize) -> Option<u16> {
        if self.tables.versym == 0 {
            return None;
        }
        self.encoding.u16(self.bytes, self.tables.versym.checked_add(index.checked_mul(2)?)?)
    }

    fn read_verdef(&self) -> BTreeMap<u16, &'a [u8]> {
        let mut defined = BTreeMap::new();
        let (e, mut at) = (self.encoding, self.tables.verdef);
        for _ in 0..self.tables.verdef_count.min(1 << 15) {
            let read =
                || Some((e.u16(self.bytes, at + 2)?, e.u16(self.bytes, at + 4)?, e.u32(self.bytes, at + 12)? as usize));
            let Some((flags, index, aux)) = read().filter(|_| at != 0) else { break };
            let name = e.u32(self.bytes, at.saturating_add(aux)).and_then(|name| self.string(u64::from(name)));
            if let (Some(name), 0) = (name, flags & VER_FLG_BASE) {
                defined.insert(index & !VERSYM_HIDDEN, name);
            }
            match e.u32(self.bytes, at + 16) {
                Some(next) if next != 0 => at = at.saturating_add(next as usize),
                _ => break,
            }
        }
        defined
    }

    fn read_verneed(&self) -> Vec<BTreeMap<u16, Version<'a>>> {
        let mut found = Vec::new();
        self.each_verneed(|file, at, count| {
            let mut versions = BTreeMap::new();
            self.each_vernaux(at, count, |name, _, other| {
                let version = Version { name, file, hidden: other & VERSYM_HIDDEN != 0 };
                versions.insert(other & !VERSYM_HIDDEN, version);
            });
            found.push(versions);
        });
        found
    }

    fn each_verneed(&self, mut visit: impl FnMut(&'a [u8], usize, u16)) {
        let (e, mut at) = (self.encoding, self.tables.verneed);
        for _ in 0..self.tables.verneed_count.min(1 << 15) {
            let read = || {
                let (count, file) = (e.u16(self.bytes, at + 2)?, e.u32(self.bytes, at + 4)?);
                Some((count, self.string(u64::from(file))?, e.u32(self.bytes, at + 8)?, e.u32(self.bytes, at + 12)?))
            };
            let Some((count, file, aux, next)) = read().filter(|_| at != 0) else { break };
            visit(file, at.saturating_add(aux as usize), count);
            if next == 0 {
                break;
            }
            at = at.saturating_add(next as usize);
        }
    }

    fn each_vernaux(&self, mut at: usize, count: u16, mut visit: impl FnMut(&'a [u8], u16, u16)) {
        let e = self.encoding;
        for _ in 0..count {
            let read = || {
                let (flags, other) = (e.u16(self.bytes, at.checked_add(4)?)?, e.u16(self.bytes, at + 6)?);
                Some((flags, other, self.string(u64::from(e.u32(self.bytes, at + 8)?))?, e.u32(self.bytes, at + 12)?))
            };
            let Some((flags, other, name, next)) = read() else { break };
            visit(name, flags, other);
            if next == 0 {
                break;
            }
            at = at.saturating_add(next as usize);
        }
    }
}

/// The GNU hash of a name, by which it is looked up.
pub fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381u32, |hash, &b| hash.wrapping_mul(33).wrapping_add(u32::from(b)))
}

struct GnuHeader {
    buckets: usize,
    first: usize,
    bloom_at: usize,
    bloom: usize,
    shift: u32,
    buckets_at: usize,
    chains_at: usize,
}

/// The hash tables.
impl SymbolTable<'_> {
    fn gnu_header(&self) -> Option<GnuHeader> {
        let at = Some(self.tables.gnu_hash).filter(|&at| at != 0)?;
        let number = |index: usize| self.encoding.u32(self.bytes, at + index * 4).map(|n| n as usize);
        let (buckets, first, bloom) = (number(0)?, number(1)?, number(2)?);
        let bloom_at = at.checked_add(16)?;
        let buckets_at = bloom_at.checked_add(bloom.checked_mul(self.encoding.word_size())?)?;
        let chains_at = buckets_at.checked_add(buckets.checked_mul(4)?)?;
        Some(GnuHeader { buckets, first, bloom_at, bloom, shift: number(3)? as u32, buckets_at, chains_at })
    }

    fn find_gnu(&self, header: &GnuHeader, hash: u32, matches: impl Fn(usize) -> bool) -> Option<bool> {
        let word_bits = self.encoding.word_size() * 8;
        let word_index = (hash as usize / word_bits).checked_rem(header.bloom)?;
        let word = self.encoding.word(self.bytes, header.bloom_at + word_index * self.encoding.word_size())?;
        let bit = |hash: u32| word >> (hash as usize % word_bits) & 1;
        if bit(hash) & bit(hash.checked_shr(header.shift).unwrap_or(0)) == 0 {
            return Some(false);
        }
        let bucket = (hash as usize).checked_rem(header.buckets)?;
        let mut index = self.encoding.u32(self.bytes, header.buckets_at + bucket * 4)? as usize;
        if index == 0 {
            return Some(false);
        }
        loop {
            let chain = header.chains_at.checked_add(index.checked_sub(header.first)?.checked_mul(4)?)?;
            let entry = self.encoding.u32(self.bytes, chain)?;
            if entry | 1 == hash | 1 && matches(index) {
                return Some(true);
            }
            if entry & 1 == 1 {
                return Some(false);
            }
            index += 1;
        }
    }

    /// The last symbol of the longest chain ends the table.
    fn gnu_count(&self) -> Option<usize> {
        let header = self.gnu_header()?;
        let bucket = |index: usize| self.encoding.u32(self.bytes, header.buckets_at + index * 4);
        let mut last = (0..header.buckets.min(self.bytes.len())).map_while(bucket).max()? as usize;
        if last == 0 {
            return Some(header.first);
        }
        loop {
            let chain = header.chains_at.checked_add(last.checked_sub(header.first)?.checked_mul(4)?)?;
            last += 1;
            if self.encoding.u32(self.bytes, chain)? & 1 == 1 {
                return Some(last);
            }
        }
    }

    fn hash_word(&self, index: usize) -> Option<usize> {
        let size = if self.wide_hash { 8 } else { 4 };
        let at = self.tables.hash.checked_add(index.checked_mul(size)?)?;
        let value = if self.wide_hash {
            self.encoding.u64(self.bytes, at)?
        } else {
            u64::from(self.encoding.u32(self.bytes, at)?)
        };
        usize::try_from(value).ok()
    }

    fn find_sysv(&self, name: &[u8], matches: impl Fn(usize) -> bool) -> Option<bool> {
        if self.tables.hash == 0 {
            return Some(false);
        }
        let (buckets, chains) = (self.hash_word(0)?, self.hash_word(1)?);
        let mut index = self.hash_word(2 + (sysv_hash(name) as usize).checked_rem(buckets)?)?;
        // A chain visits no symbol twice, so one that is longer than the table is a circle.
        for _ in 0..chains.min(self.bytes.len()) {
            if index == 0 {
                break;
            }
            if matches(index) {
                return Some(true);
            }
            index = self.hash_word(2usize.checked_add(buckets)?.checked_add(index)?)?;
        }
        Some(false)
    }
}

fn sysv_hash(name: &[u8]) -> u32 {
    name.iter().fold(0u32, |hash, &b| {
        let hash = (hash << 4).wrapping_add(u32::from(b));
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}
