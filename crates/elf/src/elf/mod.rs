//! ELF files: bytes in, facts out.
//!
//! What the loader reads and nothing else: the header, the program headers and the dynamic segment, found by address as the loader finds
//! them, so section headers may be absent or damaged. Names are bytes. goblin decodes the three tables; `Elf::parse` is not used since it
//! fails on valid files (names that are not UTF-8) and reads far more than is needed. Any input gives facts or an [`ElfError`], never a panic,
//! and memory is bounded by [`MAX_NAMES`] whatever the file says.

mod address;
mod dynamic;
mod identity;
mod notes;
mod relocations;
mod symbols;

use std::ops::Range;

use goblin::container::Ctx;
use goblin::elf::Elf;
use goblin::elf::header::{ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_NOTE, ProgramHeader};

pub use address::{Encoding, Segment};
pub use dynamic::{Dependency, Dynamic, Edge, Tables};
pub use identity::{Identity, Unfit, is_elf, is_for_another_machine, judge_header};
pub use notes::{DlopenNote, Priority, dlopen_notes};
pub use relocations::{Referenced, copied_symbols, referenced_symbols};
pub use symbols::{Definition, Requirement, SymbolTable, Version, gnu_hash};

/// The most bytes of names that the dynamic segment of one file may hold; real ones hold a few thousand.
pub const MAX_NAMES: usize = 16 << 20;

/// The part of an ELF file that decides what the loader does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The machine and ABI that the file is for.
    pub identity: Identity,
    /// `e_type`: `ET_EXEC`, `ET_DYN` and others.
    pub kind: u16,
    /// The first PT_INTERP up to its first NUL byte.
    pub interpreter: Option<Box<[u8]>>,
    /// The dynamic segment; a file without one is static.
    pub dynamic: Option<Dynamic>,
    /// The PT_LOAD segments.
    pub segments: Vec<Segment>,
    /// Where the PT_NOTE segments lie in the file, and their alignment.
    pub notes: Vec<(Range<usize>, u64)>,
}

/// Why a file is not an ELF file that can be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// It does not begin with the magic number.
    #[error("not an ELF file")]
    NotElf,
    /// A table is cut off, overlong or points out of the file.
    #[error("damaged ELF file: {0}")]
    Damaged(&'static str),
}

impl Facts {
    /// Reads the facts of the file that is `bytes`.
    ///
    /// # Errors
    /// When it is not an ELF file, or a table that the loader needs lies outside of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ElfError> {
        if !is_elf(bytes) {
            return Err(ElfError::NotElf);
        }
        let header =
            Elf::parse_header(bytes).map_err(|_| ElfError::Damaged("the header is cut off or of an unknown class"))?;
        let identity = Identity::of(&header)?;
        let unknown = |_| ElfError::Damaged("the class or byte order is unknown");
        let context = Ctx::new(header.container().map_err(unknown)?, header.endianness().map_err(unknown)?);
        if usize::from(header.e_phentsize) != ProgramHeader::size(context) && header.e_phnum != 0 {
            return Err(ElfError::Damaged("the program headers have a wrong size"));
        }
        let offset = usize::try_from(header.e_phoff).map_err(|_| ElfError::Damaged("no program headers"))?;
        let headers = ProgramHeader::parse(bytes, offset, usize::from(header.e_phnum), context)
            .map_err(|_| ElfError::Damaged("the program headers are cut off"))?;
        let segments: Vec<Segment> = headers.iter().filter(|h| h.p_type == PT_LOAD).map(Segment::of).collect();
        let range = |h: &ProgramHeader| address::file_range(bytes, h.p_offset, h.p_filesz);
        let interpreter = match headers.iter().find(|h| h.p_type == PT_INTERP) {
            None => None,
            Some(h) => {
                let range = range(h).ok_or(ElfError::Damaged("the interpreter's name lies outside of the file"))?;
                let name = bytes[range].split(|&b| b == 0).next().unwrap_or_default();
                Some(name.get(..name.len().min(4096)).unwrap_or_default().into())
            }
        };
        let dynamic = match headers.iter().any(|h| h.p_type == PT_DYNAMIC) {
            false => None,
            true => Some(Dynamic::parse(bytes, &headers, &segments, context)?),
        };
        let notes = headers.iter().filter(|h| h.p_type == PT_NOTE);
        let notes = notes.filter_map(|h| Some((range(h)?, h.p_align))).collect();
        Ok(Self { identity, kind: header.e_type, interpreter, dynamic, segments, notes })
    }

    /// Whether the kernel can start this file: a program, or a library that is one too.
    pub fn is_program(&self) -> bool {
        self.kind == ET_EXEC || self.kind == ET_DYN && (self.interpreter.is_some() || self.is_pie())
    }

    /// Whether a file of this name is a library although the kernel can start it: many have an interpreter, to print their version or by
    /// mistake, and nothing starts them.
    pub fn is_library_named(&self, name: &[u8]) -> bool {
        let is_called_so = || name.windows(3).any(|part| part == b".so");
        self.kind == ET_DYN && !self.is_pie() && (self.soname().is_some() || is_called_so())
    }

    /// Whether the file needs neither an interpreter nor libraries.
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.dynamic.as_ref().is_none_or(|d| d.edges.is_empty())
    }

    /// Whether the linker marked it as a position-independent program, which the loader refuses as a library.
    pub fn is_pie(&self) -> bool {
        self.dynamic.as_ref().is_some_and(|d| d.flags_1 & dynamic::DF_1_PIE != 0)
    }

    /// The libraries it names and how, in the order of the dynamic segment.
    pub fn edges(&self) -> &[Edge] {
        self.dynamic.as_ref().map_or(&[], |d| &d.edges)
    }

    /// The SONAME.
    pub fn soname(&self) -> Option<&[u8]> {
        self.dynamic.as_ref().and_then(|d| d.soname.as_deref())
    }
}
