//! Other machines: their real loaders, run by qemu, use the cache that is written for them, and find what the walk finds.
//!
//! Needs Debian's packages `qemu-user-static` and `libc6-*-cross`.

use std::collections::BTreeSet;

use minimg::closure::loader::CacheSource::{self, Computed, Shipped};

use super::bytes::{Elf, FLAGS_1, Machine, NEEDED, RPATH, RUNPATH, SONAME};
use super::lab::Lab;

/// A machine with its emulator and its loader.
struct Foreign {
    name: &'static str,
    qemu: &'static str,
    /// Where the package for cross compilers has the loader and the libraries.
    loader: &'static str,
    libraries: &'static str,
    machine: Machine,
    /// `e_flags` of an ABI that the loader does not take, where there is one.
    other_abi: Option<u32>,
}

const fn machine(wide: bool, big: bool, number: u16, flags: u32) -> Machine {
    Machine { wide, big, number, flags }
}

const MACHINES: [Foreign; 7] = [
    Foreign {
        name: "aarch64",
        qemu: "aarch64",
        loader: "/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1",
        libraries: "/usr/aarch64-linux-gnu/lib",
        machine: machine(true, false, 183, 0),
        other_abi: None,
    },
    Foreign {
        name: "armhf",
        qemu: "arm",
        loader: "/usr/arm-linux-gnueabihf/lib/ld-linux-armhf.so.3",
        libraries: "/usr/arm-linux-gnueabihf/lib",
        machine: machine(false, false, 40, 0x0500_0400),
        other_abi: None,
    },
    Foreign {
        name: "i386",
        qemu: "i386",
        loader: "/usr/i686-linux-gnu/lib/ld-linux.so.2",
        libraries: "/usr/i686-linux-gnu/lib",
        machine: machine(false, false, 3, 0),
        other_abi: None,
    },
    Foreign {
        name: "mips64el",
        qemu: "mips64el",
        loader: "/usr/mips64el-linux-gnuabi64/lib64/ld.so.1",
        libraries: "/usr/mips64el-linux-gnuabi64/lib",
        machine: machine(true, false, 8, 0x8000_0007),
        other_abi: Some(0x8000_0407),
    },
    Foreign {
        name: "ppc64le",
        qemu: "ppc64le",
        loader: "/usr/powerpc64le-linux-gnu/lib/ld64.so.2",
        libraries: "/usr/powerpc64le-linux-gnu/lib",
        machine: machine(true, false, 21, 2),
        other_abi: Some(1),
    },
    Foreign {
        name: "riscv64",
        qemu: "riscv64",
        loader: "/usr/riscv64-linux-gnu/lib/ld-linux-riscv64-lp64d.so.1",
        libraries: "/usr/riscv64-linux-gnu/lib",
        machine: machine(true, false, 243, 5),
        other_abi: Some(1),
    },
    Foreign {
        name: "s390x",
        qemu: "s390x",
        loader: "/usr/s390x-linux-gnu/lib/ld64.so.1",
        libraries: "/usr/s390x-linux-gnu/lib",
        machine: machine(true, true, 22, 0),
        other_abi: None,
    },
];

impl Foreign {
    fn base(&self) -> &'static str {
        self.loader.rsplit('/').next().unwrap()
    }

    /// Where programs expect the loader.
    fn in_root(&self) -> String {
        let directory = if matches!(self.name, "mips64el" | "ppc64le") { "/lib64" } else { "/lib" };
        format!("{directory}/{}", self.base())
    }

    /// A root with the emulator and the loader in it.
    fn lab(&self) -> Lab {
        let lab = Lab::empty();
        lab.executable("/qemu", read(&format!("/usr/bin/qemu-{}-static", self.qemu)));
        lab.executable(&self.in_root(), read(self.loader));
        lab
    }

    fn lib(&self) -> Elf {
        Elf::new(self.machine)
    }

    fn put(&self, lab: &Lab, path: &str, elf: Elf) {
        lab.executable(path, elf.bytes());
    }

    fn program(&self, lab: &Lab, path: &str, elf: Elf) {
        let interpreter = Some(self.in_root());
        self.put(lab, path, Elf { interpreter, ..elf }.number(FLAGS_1, 0x0800_0000));
    }

    /// What the real loader lists, in the words of [`Lab::walk`].
    fn oracle(&self, lab: &Lab, program: &str) -> BTreeSet<String> {
        let output = lab.chroot_with(&["/qemu", "-E", "LD_TRACE_LOADED_OBJECTS=1", &self.in_root(), program]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if let Some((_, error)) = err.split_once("error while loading shared libraries: ") {
            return BTreeSet::from([format!("gives up at {}", error.split(':').next().unwrap_or_default())]);
        }
        assert!(output.status.success() && err.is_empty(), "{}: the loader cannot be asked: {output:?}", self.name);
        let lines = out.lines().map(|line| line.trim().rsplit_once(" (0x").map_or(line.trim(), |(line, _)| line));
        // Under qemu the vDSO has no name.
        let lines = lines.filter(|line| {
            !line.is_empty() && !line.starts_with("(0x") && !line.contains("vdso") && !line.contains(self.base())
        });
        lines
            .map(|line| match line.split_once(" => ") {
                Some((name, "not found")) => format!("{name} => missing"),
                Some((_, path)) => path.to_owned(),
                None => line.to_owned(),
            })
            .filter(|line| line != "statically linked")
            .collect()
    }

    fn agree(&self, lab: &Lab, program: &str, cache: CacheSource, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(self.oracle(lab, program), expected, "{}: the loader does something else", self.name);
        assert_eq!(lab.walk(program, cache), expected, "{}: the walk does something else", self.name);
    }
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("this test needs {path}: {error}"))
}

#[test]
fn every_loader_uses_the_cache_that_is_written_for_it() {
    for foreign in MACHINES {
        let lab = foreign.lab();
        // The C library lies where only the cache leads.
        lab.executable("/opt/libc.so.6", read(&format!("{}/libc.so.6", foreign.libraries)));
        lab.executable("/bin/libm.so.6", read(&format!("{}/libm.so.6", foreign.libraries)));
        lab.file("/etc/ld.so.conf", "/opt\n");
        let before = foreign.oracle(&lab, "/bin/libm.so.6");
        assert!(!before.contains("/opt/libc.so.6"), "{} finds it without a cache: {before:?}", foreign.name);
        lab.write_caches(&lab.tree());
        for cache in [Shipped, Computed] {
            foreign.agree(&lab, "/bin/libm.so.6", cache, &["/opt/libc.so.6"]);
        }
    }
}

#[test]
fn every_loader_searches_as_the_walk_does() {
    for foreign in MACHINES {
        let lab = foreign.lab();
        foreign.put(&lab, "/opt/liba.so", foreign.lib().with(NEEDED, "libb.so").with(SONAME, "liba.so"));
        foreign.put(&lab, "/opt/libb.so", foreign.lib().with(NEEDED, "liba.so"));
        foreign.put(&lab, "/lib/libsys.so", foreign.lib());
        foreign.put(&lab, "/usr/lib/libsys2.so", foreign.lib());
        let needs = |elf: Elf| elf.with(NEEDED, "liba.so").with(NEEDED, "libsys.so").with(NEEDED, "libsys2.so");
        foreign.program(&lab, "/bin/rpath", needs(foreign.lib()).with(RPATH, "$ORIGIN/../opt"));
        foreign.program(&lab, "/bin/runpath", needs(foreign.lib()).with(RUNPATH, "/opt:/nowhere"));
        let (sys, sys2) = ("/lib/libsys.so", "/usr/lib/libsys2.so");
        // The system directories are those that were compiled into the loader, whatever they are.
        let rpath = foreign.oracle(&lab, "/bin/rpath");
        assert!(rpath.contains("/bin/../opt/liba.so") && rpath.contains("/bin/../opt/libb.so"), "{rpath:?}");
        assert!(rpath.contains(sys) == rpath.contains(sys2), "{}: {rpath:?}", foreign.name);
        assert_eq!(lab.walk("/bin/rpath", Shipped), rpath, "{}", foreign.name);
        let runpath = foreign.oracle(&lab, "/bin/runpath");
        assert!(runpath.contains("/opt/liba.so") && runpath.contains("libb.so => missing"), "{runpath:?}");
        assert_eq!(lab.walk("/bin/runpath", Shipped), runpath, "{}", foreign.name);
    }
}

#[test]
fn what_lib_stands_for_is_read_from_the_loader() {
    for foreign in MACHINES {
        let lab = foreign.lab();
        let triplets = ["lib", "lib64", "lib/aarch64-linux-gnu", "lib/arm-linux-gnueabihf", "lib/i386-linux-gnu"];
        let more = ["lib/mips64el-linux-gnuabi64", "lib/powerpc64le-linux-gnu", "lib/riscv64-linux-gnu"];
        for directory in triplets.iter().chain(&more).chain(&["lib/s390x-linux-gnu", "lib/i686-linux-gnu"]) {
            foreign.put(&lab, &format!("/app/{directory}/liba.so"), foreign.lib());
        }
        foreign.program(&lab, "/bin/p", foreign.lib().with(NEEDED, "liba.so").with(RUNPATH, "/app/$LIB"));
        let oracle = foreign.oracle(&lab, "/bin/p");
        assert!(oracle.iter().all(|path| path.starts_with("/app/lib")), "{}: {oracle:?}", foreign.name);
        assert_eq!(lab.walk("/bin/p", Shipped), oracle, "{}", foreign.name);
    }
}

#[test]
fn files_of_other_machines_and_abis_are_skipped() {
    for foreign in MACHINES {
        let lab = foreign.lab();
        let mut path = String::new();
        for other in MACHINES.iter().filter(|other| other.name != foreign.name) {
            other.put(&lab, &format!("/{}/liba.so", other.name), other.lib());
            path += &format!("/{}:", other.name);
        }
        if let Some(flags) = foreign.other_abi {
            let elf = Elf::new(Machine { flags, ..foreign.machine });
            foreign.put(&lab, "/other-abi/liba.so", elf);
            path += "/other-abi:";
        }
        foreign.put(&lab, "/good/liba.so", foreign.lib());
        foreign.program(&lab, "/bin/p", foreign.lib().with(NEEDED, "liba.so").with(RUNPATH, &(path + "/good")));
        foreign.agree(&lab, "/bin/p", Shipped, &["/good/liba.so"]);
    }
}

/// Another byte order is fatal, but the loaders of Debian ask for the machine first.
#[test]
fn the_other_byte_order_is_skipped_with_its_machine_and_fatal_without() {
    let by_name = |name: &str| MACHINES.into_iter().find(|foreign| foreign.name == name).unwrap();
    let (little, big) = (by_name("aarch64"), by_name("s390x"));
    for (foreign, other) in [(&little, &big), (&big, &little)] {
        let lab = foreign.lab();
        other.put(&lab, "/bad/liba.so", other.lib());
        foreign.put(&lab, "/good/liba.so", foreign.lib());
        foreign.program(&lab, "/bin/p", foreign.lib().with(NEEDED, "liba.so").with(RUNPATH, "/bad:/good"));
        foreign.agree(&lab, "/bin/p", Shipped, &["/good/liba.so"]);
        lab.patch("/bad/liba.so", |bytes| {
            let little_end =
                if bytes[5] == 2 { foreign.machine.number.to_le_bytes() } else { [0, foreign.machine.number as u8] };
            bytes[18..20].copy_from_slice(&little_end);
        });
        assert_eq!(foreign.oracle(&lab, "/bin/p"), BTreeSet::from(["gives up at /bad/liba.so".to_owned()]));
        assert_eq!(lab.walk("/bin/p", Shipped), BTreeSet::from(["liba.so => missing".to_owned()]));
    }
}

/// Of a single-valued tag that occurs twice the last one counts.
#[test]
fn duplicated_tags() {
    for foreign in MACHINES {
        let lab = foreign.lab();
        foreign.put(&lab, "/first/liba.so", foreign.lib());
        foreign.put(&lab, "/second/liba.so", foreign.lib().with(SONAME, "libx.so").with(SONAME, "libb.so"));
        let elf = foreign.lib().with(NEEDED, "liba.so").with(NEEDED, "libb.so").with(NEEDED, "libx.so");
        foreign.program(&lab, "/bin/p", elf.with(RUNPATH, "/first").with(RUNPATH, "/second"));
        foreign.agree(&lab, "/bin/p", Shipped, &["/second/liba.so", "libx.so => missing"]);
    }
}

/// Both machines' loaders and libraries in one root, in one directory, in one cache.
#[test]
fn two_machines_in_one_root() {
    let of = |name: &str| MACHINES.into_iter().find(|foreign| foreign.name == name).unwrap();
    let (wide, narrow) = (of("aarch64"), of("armhf"));
    let lab = wide.lab();
    lab.executable("/qemu-arm", read("/usr/bin/qemu-arm-static"));
    lab.executable(&narrow.in_root(), read(narrow.loader));
    for (foreign, directory) in [(&wide, "/opt/wide"), (&narrow, "/opt/narrow")] {
        foreign.put(&lab, &format!("{directory}/liba.so.1"), foreign.lib().with(SONAME, "liba.so.1"));
        foreign.program(&lab, &format!("/bin/{}", foreign.name), foreign.lib().with(NEEDED, "liba.so.1"));
    }
    lab.file("/etc/ld.so.conf", "/opt/narrow\n/opt/wide\n");
    lab.write_caches(&lab.tree());
    for cache in [Shipped, Computed] {
        wide.agree(&lab, "/bin/aarch64", cache, &["/opt/wide/liba.so.1"]);
        assert_eq!(lab.walk("/bin/armhf", cache), BTreeSet::from(["/opt/narrow/liba.so.1".to_owned()]));
    }
    std::fs::copy(lab.host("/qemu-arm"), lab.host("/qemu")).unwrap();
    assert_eq!(narrow.oracle(&lab, "/bin/armhf"), BTreeSet::from(["/opt/narrow/liba.so.1".to_owned()]));
}
