//! What is compiled into a root's own loader: which library it belongs to, its system directories, its cache, and what `$LIB` means to it.

use goblin::elf::header::{EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};

use crate::elf::Identity;
use crate::ldcache;
use crate::text::base_name;
use crate::view::Object;

/// Where a loader looks for the names of libraries to be loaded into every program.
const PRELOAD: &str = "/etc/ld.so.preload";

/// Which C library a loader belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// A loader of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Whose loader it is.
    pub libc: Libc,
    /// The machine and ABI that it loads.
    pub identity: Identity,
    /// glibc: the directories that are searched last, with a slash at the end.
    pub directories: Vec<Box<[u8]>>,
    /// glibc: the cache that it reads; `None` for one that was built without.
    pub cache: Option<Box<[u8]>>,
    /// glibc: the file that names libraries to be loaded into every program.
    pub preload: Option<Box<[u8]>>,
    /// glibc: what `$LIB` stands for.
    pub lib: Box<[u8]>,
    /// glibc: whether files for other machines are passed over before anything else is asked of them.
    pub skips_other_machines: bool,
    /// glibc up to 2.36: `tls/` and the directories named after processors are searched too.
    pub has_legacy_subdirectories: bool,
    /// musl: the directories that are searched last.
    pub musl_path: Box<[u8]>,
}

impl System {
    /// The loader `object`, started as `interpreter`. Its base name tells which C library it belongs to.
    pub(crate) fn of(interpreter: &[u8], identity: Identity, object: Option<&Object>) -> Self {
        let musl = base_name(interpreter).starts_with(b"ld-musl-");
        let compiled = object.filter(|_| !musl).and_then(|object| compiled_directories(&object.bytes));
        let directories = compiled.unwrap_or_else(|| usual_directories(&identity));
        let banner = object.filter(|_| !musl).and_then(|object| banner(&object.bytes));
        let distribution = banner.unwrap_or_default();
        let lib = directories.first().map_or(&b"lib"[..], |first| lib_of(first));
        // A loader that can be read and does not name such a file reads none.
        let file = |usual: &str| {
            let compiled = object.and_then(|object| compiled_file(&object.bytes, base_name(usual.as_bytes())));
            compiled.or_else(|| banner.is_none().then(|| usual.as_bytes().into())).filter(|_| !musl)
        };
        Self {
            libc: if musl { Libc::Musl } else { Libc::Glibc },
            identity,
            cache: file(ldcache::PATH),
            preload: file(PRELOAD),
            lib: lib.into(),
            directories,
            skips_other_machines: ["Debian", "Ubuntu"].iter().any(|name| distribution.contains(name)),
            has_legacy_subdirectories: !musl && banner.and_then(minor_version).is_none_or(|minor| minor < 37),
            musl_path: b"/lib:/usr/local/lib:/usr/lib"[..].into(),
        }
    }

    /// What `$PLATFORM` may stand for; it depends on the processor.
    pub fn platforms(&self) -> &'static [&'static str] {
        match (self.identity.machine, self.identity.encoding.wide, self.identity.encoding.big) {
            (EM_X86_64, ..) => &["x86_64", "haswell", "xeon_phi"],
            (EM_386, ..) => &["i686", "i586", "i486", "i386"],
            (EM_AARCH64, ..) => &["aarch64"],
            (EM_ARM, ..) => &["v7l", "v8l", "v6l", "v5l"],
            (EM_PPC64, ..) => &["power8", "power9", "power10"],
            (EM_S390, ..) => &["z900", "z990", "z9-109", "z10", "z196", "zEC12", "z13", "z14", "z15", "z16"],
            (EM_MIPS, ..) => &["mips64", "mips"],
            _ => &[],
        }
    }

    /// The directories for better processors that are looked into below each searched one, the least demanding first.
    pub fn levels(&self) -> impl Iterator<Item = &'static str> {
        let levels: &[&str] = match self.identity.machine {
            EM_X86_64 => &["glibc-hwcaps/x86-64-v2", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v4"],
            EM_PPC64 => &["glibc-hwcaps/power9", "glibc-hwcaps/power10"],
            EM_S390 => {
                &["glibc-hwcaps/z13", "glibc-hwcaps/z14", "glibc-hwcaps/z15", "glibc-hwcaps/z16", "glibc-hwcaps/z17"]
            }
            _ => &[],
        };
        levels.iter().copied().chain(self.legacy_subdirectories().iter().copied())
    }

    /// What glibc up to 2.36 looked into besides (`_dl_important_hwcaps` in `elf/dl-hwcaps.c`): `tls` always, the rest by processor.
    fn legacy_subdirectories(&self) -> &'static [&'static str] {
        match self.identity.machine {
            _ if !self.has_legacy_subdirectories || self.libc == Libc::Musl => &[],
            EM_X86_64 => &["tls", "x86_64", "tls/x86_64", "haswell", "tls/haswell", "haswell/avx512_1", "xeon_phi"],
            EM_386 => &["tls", "i386", "i486", "i586", "i686", "sse2", "i686/sse2", "tls/i686", "tls/i686/sse2"],
            EM_AARCH64 => &["tls", "aarch64", "tls/aarch64", "atomics", "aarch64/atomics"],
            EM_ARM => &["tls", "vfp", "neon", "neon/vfp", "v7l", "v7l/neon", "v7l/vfp", "v7l/neon/vfp"],
            EM_PPC64 => &["tls", "altivec", "vsx", "power8", "power9", "power10"],
            EM_S390 => &["tls", "z900", "z990", "z9-109", "z10", "z196", "zEC12", "z13", "z14", "z15", "z16"],
            _ => &["tls"],
        }
    }
}

/// The names under which programs ask for their loader, for libraries that no program asks for.
pub(crate) fn usual_interpreters(identity: &Identity) -> &'static [&'static str] {
    let (wide, big) = (identity.encoding.wide, identity.encoding.big);
    match identity.machine {
        EM_X86_64 if wide => &["/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"],
        EM_X86_64 => &["/libx32/ld-linux-x32.so.2", "/lib/ld-musl-x32.so.1"],
        EM_386 => &["/lib/ld-linux.so.2", "/lib/ld-musl-i386.so.1"],
        EM_AARCH64 => &["/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"],
        EM_ARM => {
            &["/lib/ld-linux-armhf.so.3", "/lib/ld-linux.so.3", "/lib/ld-musl-armhf.so.1", "/lib/ld-musl-arm.so.1"]
        }
        EM_RISCV if wide => {
            &["/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-linux-riscv64-lp64.so.1", "/lib/ld-musl-riscv64.so.1"]
        }
        EM_PPC64 if big => &["/lib64/ld64.so.1"],
        EM_PPC64 => &["/lib64/ld64.so.2", "/lib/ld-musl-powerpc64le.so.1"],
        EM_S390 if wide => &["/lib/ld64.so.1", "/lib/ld-musl-s390x.so.1"],
        EM_MIPS if wide => &["/lib64/ld.so.1", "/lib/ld-musl-mips64.so.1"],
        EM_MIPS => &["/lib/ld.so.1", "/lib32/ld.so.1", "/lib/ld-musl-mips.so.1", "/lib/ld-musl-mipsel.so.1"],
        EM_LOONGARCH => &["/lib64/ld-linux-loongarch-lp64d.so.1", "/lib/ld-musl-loongarch64.so.1"],
        _ => &[],
    }
}

/// What a loader says of itself: `ld.so (Debian GLIBC 2.36-9) stable release version 2.36`.
fn banner(bytes: &[u8]) -> Option<&str> {
    let at = memchr::memmem::find(bytes, b" release version ")?;
    let text = |byte: &u8| (0x20..0x7f).contains(byte);
    let start = bytes[..at].iter().rposition(|byte| !text(byte)).map_or(0, |before| before + 1);
    let end = bytes[at..].iter().position(|byte| !text(byte)).map_or(bytes.len(), |length| at + length);
    std::str::from_utf8(&bytes[start..end]).ok()
}

/// The 36 of `release version 2.36.`.
fn minor_version(banner: &str) -> Option<u32> {
    let version = banner.split(" release version 2.").nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The system directories stand in the loader's read-only data as strings one after another, each with a slash at both ends. Where there
/// is one alone, as on systems that have no other directory of libraries than `/usr/lib`, its name has to tell it from other strings.
fn compiled_directories(bytes: &[u8]) -> Option<Vec<Box<[u8]>>> {
    compiled_run(bytes).or_else(|| {
        let texts = memchr::memmem::find_iter(bytes, b"/\0").map(|slash| &bytes[start_of_path(bytes, slash)..=slash]);
        let is_of_libraries = |text: &&[u8]| text.split(|&b| b == b'/').any(|part| part.starts_with(b"lib"));
        texts.filter(|text| is_directory(text)).find(is_of_libraries).map(|text| vec![text.into()])
    })
}

fn compiled_run(bytes: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memmem::find(rest, b"/\0/")) {
        let slash = at + found;
        let start = start_of_path(bytes, slash);
        let run: Vec<Box<[u8]>> =
            bytes[start..].split(|&b| b == 0).take_while(|s| is_directory(s)).map(Into::into).collect();
        if run.len() >= 2 && run.len() <= 16 {
            return Some(run);
        }
        at = slash + 2;
    }
    None
}

/// The file of this name that the loader was built to read, by its whole path.
fn compiled_file(bytes: &[u8], name: &[u8]) -> Option<Box<[u8]>> {
    let end = [b"/", name, b"\0"].concat();
    let slash = memchr::memmem::find(bytes, &end)?;
    Some(bytes[start_of_path(bytes, slash)..slash + 1 + name.len()].into())
}

/// Where the path begins that has a slash at `slash`. What stands before it need not end with a NUL byte: on ARM it may be code.
fn start_of_path(bytes: &[u8], slash: usize) -> usize {
    let before = bytes[..slash].iter().rev().take(LONGEST_DIRECTORY).take_while(|b| b.is_ascii_graphic()).count();
    slash - before + memchr::memchr(b'/', &bytes[slash - before..slash]).unwrap_or(before)
}

const LONGEST_DIRECTORY: usize = 256;

fn is_directory(text: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_graphic();
    text.len() > 2
        && text.len() <= LONGEST_DIRECTORY
        && text.starts_with(b"/")
        && text.ends_with(b"/")
        && text.iter().all(plain)
}

/// What glibc itself has for the machine, for loaders in which no directories were found.
fn usual_directories(identity: &Identity) -> Vec<Box<[u8]>> {
    let names: &[&str] = match (identity.machine, identity.encoding.wide) {
        (EM_RISCV, true) => &["/lib64/lp64d/", "/usr/lib64/lp64d/"],
        (EM_X86_64, false) => &["/libx32/", "/usr/libx32/"],
        (EM_X86_64 | EM_PPC64 | EM_S390 | EM_MIPS | EM_AARCH64 | EM_LOONGARCH, true) => &["/lib64/", "/usr/lib64/"],
        _ => &["/lib/", "/usr/lib/"],
    };
    names.iter().map(|name| name.as_bytes().into()).collect()
}

/// The loader that is the file `object`, found as `path`; `None` when that is not an ELF file.
pub(crate) fn system_of(path: &[u8], object: &Object) -> Option<System> {
    let identity = object.facts.as_ref().ok()?.identity;
    Some(System::of(path, identity, Some(object)))
}

/// What `$LIB` stands for in a loader whose first directory is this: its last component (`elf/Makefile` in glibc), with what is before it
/// where libraries are in directories by architecture.
fn lib_of(directory: &[u8]) -> &[u8] {
    let whole = trim_slashes(directory);
    let last = base_name(whole);
    if memchr::memmem::find(last, b"-linux-").is_some() { whole } else { last }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|&b| b != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|&b| b != b'/').map_or(start, |last| last + 1);
    &path[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_are_those_that_were_compiled_in() {
        let cases: [(&[u8], &str); 7] = [
            (
                b"\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0",
                "/lib/x86_64-linux-gnu/ /usr/lib/x86_64-linux-gnu/ /lib/ /usr/lib/",
            ),
            (b"\0/lib64/\0/usr/lib64/\0x/\0", "/lib64/ /usr/lib64/"),
            // Arch Linux, and its libraries for 32 bits.
            (b"\0/proc/self/\0\0/usr/lib/\0\0/etc/x\0", "/usr/lib/"),
            (b"\x01/usr/lib32/\0", "/usr/lib32/"),
            // A loader of a prefix, with code before the text.
            (b"\0\xe1xyz/opt/glibc/lib/\0", "/opt/glibc/lib/"),
            (b"\0/dev/shm/\0lib/\0", ""),
            (b"", ""),
        ];
        for (bytes, expected) in cases {
            let found = compiled_directories(bytes).unwrap_or_default();
            let found: Vec<_> = found.iter().map(|directory| String::from_utf8_lossy(directory)).collect();
            assert_eq!(found.join(" "), expected);
        }
    }

    #[test]
    fn files_are_those_of_the_prefix() {
        let bytes = b"\0search cache=%s\n\0/opt/x/etc/ld.so.cache\0/etc/ld.so.preload\0";
        assert_eq!(compiled_file(bytes, b"ld.so.cache").as_deref(), Some(&b"/opt/x/etc/ld.so.cache"[..]));
        assert_eq!(compiled_file(bytes, b"ld.so.preload").as_deref(), Some(&b"/etc/ld.so.preload"[..]));
        assert_eq!(compiled_file(bytes, b"ld.so.conf"), None);
    }

    #[test]
    fn lib_is_what_glibc_is_built_with() {
        for (directory, lib) in [
            ("/lib/x86_64-linux-gnu/", "lib/x86_64-linux-gnu"),
            ("/lib64/", "lib64"),
            ("/usr/lib/", "lib"),
            ("/opt/glibc/lib/", "lib"),
        ] {
            assert_eq!(lib_of(directory.as_bytes()), lib.as_bytes(), "{directory}");
        }
    }
}
