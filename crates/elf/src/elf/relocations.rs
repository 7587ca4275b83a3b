//! Which symbols the loader will look up: those that a relocation refers to.

use std::collections::BTreeMap;

use goblin::elf::header::{
    EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC, EM_PPC64, EM_RISCV, EM_S390, EM_SPARCV9, EM_X86_64,
};

use super::{Encoding, Facts};

/// How a symbol is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referenced {
    /// Only when a function is called for the first time.
    Lazily,
    /// When the file is loaded.
    AtStart,
}

/// The indexes of the symbols that relocations refer to, and when each is looked up.
pub fn referenced_symbols(bytes: &[u8], facts: &Facts) -> BTreeMap<u32, Referenced> {
    let mut found = BTreeMap::new();
    each_reference(bytes, facts, |symbol, _, when| {
        let entry = found.entry(symbol).or_insert(when);
        *entry = when.max(*entry);
    });
    found
}

/// The indexes of the symbols whose content is copied from a library into the program when it starts.
pub fn copied_symbols(bytes: &[u8], facts: &Facts) -> Vec<u32> {
    let Some(copy) = copy_type(facts.identity.machine) else { return Vec::new() };
    let mut found = Vec::new();
    each_reference(bytes, facts, |symbol, kind, _| {
        if kind == copy {
            found.push(symbol);
        }
    });
    found
}

fn copy_type(machine: u16) -> Option<u32> {
    Some(match machine {
        EM_386 | EM_X86_64 => 5,
        EM_AARCH64 => 1024,
        EM_ARM => 20,
        EM_RISCV | EM_LOONGARCH => 4,
        EM_PPC | EM_PPC64 | EM_SPARCV9 => 19,
        EM_S390 => 9,
        EM_MIPS => 126,
        _ => return None,
    })
}

fn each_reference(bytes: &[u8], facts: &Facts, mut visit: impl FnMut(u32, u32, Referenced)) {
    let Some(dynamic) = &facts.dynamic else { return };
    let (e, tables) = (facts.identity.encoding, &dynamic.tables);
    let mips = facts.identity.machine == EM_MIPS;
    let lazily = if dynamic.bind_now { Referenced::AtStart } else { Referenced::Lazily };
    let mut table = |(offset, size): (usize, u64), addends: bool, skip: u64, when: Referenced| {
        if offset == 0 {
            return;
        }
        let entry = e.word_size() * if addends { 3 } else { 2 };
        let count = (usize::try_from(size).unwrap_or(usize::MAX) / entry).min(bytes.len() / entry);
        for index in usize::try_from(skip).unwrap_or(usize::MAX).min(count)..count {
            let at = offset.saturating_add(index * entry).saturating_add(e.word_size());
            let Some((symbol, kind)) = info(e, bytes, at, mips) else { return };
            if symbol != 0 {
                visit(symbol, kind, when);
            }
        }
    };
    table(tables.rela, true, tables.rela_relative, Referenced::AtStart);
    table(tables.rel, false, tables.rel_relative, Referenced::AtStart);
    table(tables.plt, tables.plt_addends, 0, lazily);
    if let Some((count, first)) = tables.mips {
        let most = (bytes.len() / 16) as u64;
        (first.min(most)..count.min(most)).for_each(|symbol| visit(symbol as u32, 0, Referenced::Lazily));
    }
}

/// `r_info` at this place: the symbol and the type. Little-endian MIPS64 keeps the parts in an order of its own.
fn info(e: Encoding, bytes: &[u8], at: usize, mips: bool) -> Option<(u32, u32)> {
    if !e.wide {
        let info = e.u32(bytes, at)?;
        return Some((info >> 8, info & 0xff));
    }
    if mips {
        return Some((e.u32(bytes, at)?, u32::from(*bytes.get(at.checked_add(7)?)?)));
    }
    let info = e.u64(bytes, at)?;
    Some(((info >> 32) as u32, info as u32))
}
