//! The dynamic segment: which libraries are needed, and where the tables for symbols lie.

use goblin::container::Ctx;
use goblin::elf::dynamic as tag;
use goblin::elf::program_header::ProgramHeader;

use super::address::{c_string, offset_of};
use super::{ElfError, MAX_NAMES, Segment};

/// The program was linked as position independent (`DF_1_PIE`).
pub(super) const DF_1_PIE: u64 = 0x0800_0000;
const DF_1_NOW: u64 = 0x1;
const DF_1_NODEFLIB: u64 = 0x800;
const DF_BIND_NOW: u64 = 0x8;
const DT_AUDIT: u64 = 0x6fff_fefc;
const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
const DT_MIPS_SYMTABNO: u64 = 0x7000_0011;
const DT_MIPS_GOTSYM: u64 = 0x7000_0013;
/// A RUNPATH or a name longer than this is damage.
const MAX_NAME: usize = 64 << 10;

/// What a name costs besides its bytes, so that a file cannot name millions of libraries to be searched for.
const NAME_COST: usize = 1024;

/// How a library is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// DT_NEEDED.
    Needed,
    /// DT_AUXILIARY: asked for its symbols first, ignored when absent.
    Auxiliary,
    /// DT_FILTER: asked for its symbols first, fatal when absent.
    Filter,
}

/// A library that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// How.
    pub kind: Dependency,
    /// Under which name.
    pub name: Box<[u8]>,
}

/// The dynamic segment. Of single-valued tags that occur twice the last one counts, as in the loaders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dynamic {
    /// The named libraries in order.
    pub edges: Vec<Edge>,
    /// DT_SONAME.
    pub soname: Option<Box<[u8]>>,
    /// DT_RPATH, which counts only where there is no RUNPATH.
    pub rpath: Option<Box<[u8]>>,
    /// DT_RUNPATH.
    pub runpath: Option<Box<[u8]>>,
    /// DT_AUDIT and DT_DEPAUDIT, colon-separated lists.
    pub audit: Vec<Box<[u8]>>,
    /// DT_FLAGS_1.
    pub flags_1: u64,
    /// Whether all symbols are bound at the start.
    pub bind_now: bool,
    /// Where the other tables lie.
    pub tables: Tables,
}

/// Where the tables for symbols lie: offsets into the file, 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tables {
    /// The string table.
    pub strings: usize,
    /// The symbol table.
    pub symbols: usize,
    /// The GNU hash table.
    pub gnu_hash: usize,
    /// The System V hash table.
    pub hash: usize,
    /// The version of each symbol.
    pub versym: usize,
    /// The versions that are defined.
    pub verdef: usize,
    /// How many versions are defined.
    pub verdef_count: u64,
    /// The versions that are needed.
    pub verneed: usize,
    /// Of how many files versions are needed.
    pub verneed_count: u64,
    /// Relocations with addends: offset and size.
    pub rela: (usize, u64),
    /// How many of them, at the beginning, are relative ones without symbols.
    pub rela_relative: u64,
    /// Relocations without addends: offset and size.
    pub rel: (usize, u64),
    /// How many of them, at the beginning, are relative ones without symbols.
    pub rel_relative: u64,
    /// Relocations of the procedure linkage table: offset and size.
    pub plt: (usize, u64),
    /// Whether those have addends.
    pub plt_addends: bool,
    /// MIPS: how many symbols there are, and the first one that has a slot in the global offset table.
    pub mips: Option<(u64, u64)>,
}

impl Dynamic {
    pub(super) fn parse(
        bytes: &[u8],
        headers: &[ProgramHeader],
        segments: &[Segment],
        context: Ctx,
    ) -> Result<Self, ElfError> {
        let raw = tag::Dynamic::parse(bytes, headers, context).ok().flatten();
        let entries = raw.ok_or(ElfError::Damaged("the dynamic segment is cut off"))?.dyns;
        let entries = || entries.iter().take_while(|e| e.d_tag != tag::DT_NULL);
        let tables = Tables::of(entries().map(|e| (e.d_tag, e.d_val)), segments);
        let mut left = MAX_NAMES;
        let mut name = |at: u64| {
            let at = usize::try_from(at).ok().and_then(|at| tables.strings.checked_add(at));
            let name = at.filter(|_| tables.strings != 0).and_then(|at| c_string(bytes, at, MAX_NAME));
            let name = name.ok_or(ElfError::Damaged("a name lies outside of the string table"))?;
            left = left.checked_sub(name.len() + NAME_COST).ok_or(ElfError::Damaged("it has too many names"))?;
            Ok::<Box<[u8]>, ElfError>(name.into())
        };
        let mut dynamic = Self { tables, ..Self::default() };
        for entry in entries() {
            let value = entry.d_val;
            let mut edge = |kind, name| dynamic.edges.push(Edge { kind, name });
            match entry.d_tag {
                tag::DT_NEEDED => edge(Dependency::Needed, name(value)?),
                DT_AUXILIARY => edge(Dependency::Auxiliary, name(value)?),
                DT_FILTER => edge(Dependency::Filter, name(value)?),
                tag::DT_SONAME => dynamic.soname = Some(name(value)?),
                tag::DT_RPATH => dynamic.rpath = Some(name(value)?),
                tag::DT_RUNPATH => dynamic.runpath = Some(name(value)?),
                DT_AUDIT | DT_DEPAUDIT => dynamic.audit.push(name(value)?),
                tag::DT_FLAGS => dynamic.bind_now |= value & DF_BIND_NOW != 0,
                tag::DT_BIND_NOW => dynamic.bind_now = true,
                tag::DT_FLAGS_1 => dynamic.flags_1 = value,
                _ => {}
            }
        }
        dynamic.bind_now |= dynamic.flags_1 & DF_1_NOW != 0;
        Ok(dynamic)
    }

    /// Whether the system directories are not searched for what this file needs (`DF_1_NODEFLIB`).
    pub fn skips_system_directories(&self) -> bool {
        self.flags_1 & DF_1_NODEFLIB != 0
    }
}

impl Tables {
    fn of(entries: impl Iterator<Item = (u64, u64)>, segments: &[Segment]) -> Self {
        let mut tables = Self::default();
        let at = |address: u64| offset_of(segments, address).unwrap_or(0);
        let (mut symbols, mut first) = (None, None);
        for (tag, value) in entries {
            match tag {
                tag::DT_STRTAB => tables.strings = at(value),
                tag::DT_SYMTAB => tables.symbols = at(value),
                tag::DT_GNU_HASH => tables.gnu_hash = at(value),
                tag::DT_HASH => tables.hash = at(value),
                tag::DT_VERSYM => tables.versym = at(value),
                tag::DT_VERDEF => tables.verdef = at(value),
                tag::DT_VERDEFNUM => tables.verdef_count = value,
                tag::DT_VERNEED => tables.verneed = at(value),
                tag::DT_VERNEEDNUM => tables.verneed_count = value,
                tag::DT_RELA => tables.rela.0 = at(value),
                tag::DT_RELASZ => tables.rela.1 = value,
                tag::DT_RELACOUNT => tables.rela_relative = value,
                tag::DT_REL => tables.rel.0 = at(value),
                tag::DT_RELSZ => tables.rel.1 = value,
                tag::DT_RELCOUNT => tables.rel_relative = value,
                tag::DT_JMPREL => tables.plt.0 = at(value),
                tag::DT_PLTRELSZ => tables.plt.1 = value,
                tag::DT_PLTREL => tables.plt_addends = value == tag::DT_RELA,
                DT_MIPS_SYMTABNO => symbols = Some(value),
                DT_MIPS_GOTSYM => first = Some(value),
                _ => {}
            }
        }
        tables.mips = symbols.zip(first);
        tables
    }
}
