//! For which machine and ABI a file is, and whether a loader of another file would take it.
//!
//! The checks and their order are those of `open_verify` in glibc's `elf/dl-load.c` and of `elf_machine_matches_host` in
//! `sysdeps/*/dl-machine.h`.

use goblin::elf::header::{
    EI_CLASS, EI_DATA, EI_OSABI, EI_VERSION, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, EM_MIPS, EM_PPC64,
    EM_RISCV, ET_DYN, ET_EXEC, Header,
};

use super::{ElfError, Encoding};

const EI_ABIVERSION: usize = 8;
const EI_PAD: usize = 9;
const EF_MIPS_ABI2: u32 = 0x20;
const EF_MIPS_NAN2008: u32 = 0x400;
const EF_RISCV_FLOAT_ABI: u32 = 0x6;
const EF_RISCV_RVE: u32 = 0x8;
const EF_PPC64_ABI: u32 = 0x3;

/// The machine and ABI that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Width and byte order.
    pub encoding: Encoding,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
}

/// Why a loader does not take a file as a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The loader goes on searching.
    Skipped(&'static str),
    /// The loader stops with an error.
    Fatal(&'static str),
}

/// Whether the file begins as every ELF file does.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

impl Identity {
    pub(super) fn of(header: &Header) -> Result<Self, ElfError> {
        let wide = match header.e_ident[EI_CLASS] {
            ELFCLASS32 => false,
            ELFCLASS64 => true,
            _ => return Err(ElfError::Damaged("the class is unknown")),
        };
        let big = match header.e_ident[EI_DATA] {
            ELFDATA2LSB => false,
            ELFDATA2MSB => true,
            _ => return Err(ElfError::Damaged("the byte order is unknown")),
        };
        Ok(Self { encoding: Encoding { wide, big }, machine: header.e_machine, flags: header.e_flags })
    }

    /// Whether both belong to one ABI, so that one loader loads both.
    pub fn fits(&self, other: &Identity) -> bool {
        self.encoding == other.encoding
            && self.machine == other.machine
            && same_abi(self.machine, self.flags, other.flags)
    }

    /// What people call the machine: `x86-64`, `aarch64`.
    pub fn machine_name(&self) -> &'static str {
        goblin::elf::header::machine_to_str(self.machine)
    }
}

fn same_abi(machine: u16, ours: u32, theirs: u32) -> bool {
    let same = |mask: u32| ours & mask == theirs & mask;
    match machine {
        EM_RISCV => same(EF_RISCV_FLOAT_ABI | EF_RISCV_RVE),
        EM_MIPS => same(EF_MIPS_ABI2 | EF_MIPS_NAN2008),
        // 0 is for files that do not care.
        EM_PPC64 => same(EF_PPC64_ABI) || ours & EF_PPC64_ABI == 0 || theirs & EF_PPC64_ABI == 0,
        _ => true,
    }
}

/// Whether the ELF file that begins with `bytes` is for another machine than `program`, its number read in the program's byte order.
/// The loaders of Debian and Ubuntu ask that before all else and go on searching (their patch `local-ld-multiarch`).
pub fn is_for_another_machine(bytes: &[u8], program: &Identity) -> bool {
    is_elf(bytes) && program.encoding.u16(bytes, 18).is_some_and(|machine| machine != program.machine)
}

/// Whether the loader of `program` would take the file that begins with `bytes` as a library, by its header alone.
///
/// # Errors
/// Says why not, and whether the search goes on.
pub fn judge_header(bytes: &[u8], program: &Identity) -> Result<(), Unfit> {
    let header_size = if program.encoding.wide { 64 } else { 52 };
    let Some(header) = bytes.get(..header_size) else { return Err(Unfit::Fatal("file too short")) };
    let class = if program.encoding.wide { ELFCLASS64 } else { ELFCLASS32 };
    let data = if program.encoding.big { ELFDATA2MSB } else { ELFDATA2LSB };
    if !is_elf(header) {
        return Err(Unfit::Fatal("not an ELF file"));
    }
    if header[EI_CLASS] != class {
        return Err(Unfit::Skipped("of another ELF class"));
    }
    if header[EI_DATA] != data {
        return Err(Unfit::Fatal("of another byte order"));
    }
    if header[EI_VERSION] != 1 || program.encoding.u32(header, 20) != Some(1) {
        return Err(Unfit::Fatal("of an unknown ELF version"));
    }
    match (header[EI_OSABI], header[EI_ABIVERSION]) {
        (0, version) if version == 0 || program.machine == EM_MIPS => {}
        (3, _) => {}
        (0, _) => return Err(Unfit::Fatal("of an unknown ABI version")),
        // 97 marks ARM's old ABI, which its loader still takes.
        (97, 0) if program.machine == goblin::elf::header::EM_ARM => {}
        _ => return Err(Unfit::Fatal("for another operating system (EI_OSABI)")),
    }
    if header[EI_PAD..16].iter().any(|&b| b != 0) {
        return Err(Unfit::Fatal("damaged: the padding of its header is not zero"));
    }
    let number = |at: usize| program.encoding.u16(header, at).unwrap_or_default();
    let flags = program.encoding.u32(header, if program.encoding.wide { 48 } else { 36 }).unwrap_or_default();
    if number(18) != program.machine {
        return Err(Unfit::Skipped("for another machine"));
    }
    if !same_abi(program.machine, program.flags, flags) {
        return Err(Unfit::Skipped("of another ABI (e_flags)"));
    }
    if number(16) != ET_DYN && number(16) != ET_EXEC {
        return Err(Unfit::Fatal("neither a library nor a program"));
    }
    Ok(())
}
