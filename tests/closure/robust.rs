//! Damaged and hostile files: an error or a fact, never a panic, and never more than the file is worth.

use std::sync::OnceLock;

use minimg::closure::Shebang;
use minimg::closure::elf::{
    Facts, SymbolTable, copied_symbols, dlopen_notes, gnu_hash, judge_header, referenced_symbols,
};
use minimg::closure::ldcache::{Entry, compare_names, read, write};
use proptest::prelude::*;

/// Reads everything that can be read of a file.
pub(crate) fn read_all(bytes: &[u8]) {
    let Ok(facts) = Facts::parse(bytes) else { return };
    let _ = judge_header(bytes, &facts.identity);
    dlopen_notes(bytes, &facts);
    copied_symbols(bytes, &facts);
    for symbol in referenced_symbols(bytes, &facts).keys().take(64) {
        if let Some(table) = SymbolTable::new(bytes, &facts) {
            table.get(*symbol as usize);
            table.version_needed(*symbol as usize);
        }
    }
    if let Some(table) = SymbolTable::new(bytes, &facts) {
        table.requirements();
        table.count();
        assert!(table.undefined().count() <= bytes.len());
        for name in [b"malloc".as_slice(), b"", b"no such symbol"] {
            table.satisfies(name, gnu_hash(name), None);
        }
    }
}

/// A program and a library with all tables, of this machine.
fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let files = ["/bin/true", "/lib/x86_64-linux-gnu/libtinfo.so.6", "/lib/x86_64-linux-gnu/libdl.so.2"];
        files.map(|file| std::fs::read(file).unwrap_or_else(|e| panic!("this test needs {file}: {e}"))).to_vec()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_files(which in 0..3usize, changes in prop::collection::vec((0..4096usize, any::<u8>()), 1..40)) {
        let mut bytes = samples()[which].clone();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        read_all(&bytes);
    }

    #[test]
    fn mutated_headers(which in 0..3usize, changes in prop::collection::vec((0..800usize, prop::sample::select(vec![0u8, 1, 2, 0x7f, 0x80, 0xff])), 1..12)) {
        let mut bytes = samples()[which].clone();
        for (at, value) in changes {
            bytes[at] = value;
        }
        read_all(&bytes);
    }

    #[test]
    fn truncated_files(which in 0..3usize, length in any::<prop::sample::Index>()) {
        let bytes = &samples()[which];
        read_all(&bytes[..length.index(bytes.len())]);
    }

    #[test]
    fn any_bytes_after_the_magic(class in 1..3u8, data in 1..3u8, rest in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([class, data, 1]);
        bytes.extend(rest);
        read_all(&bytes);
    }

    #[test]
    fn any_first_line(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let script = [b"#!".as_slice(), &bytes].concat();
        if let Ok(Some(shebang)) = Shebang::parse(&script) {
            prop_assert!(shebang.interpreter.len() <= 254);
            shebang.env_program();
        }
    }

    #[test]
    fn caches_are_read_as_they_were_written(
        libraries in prop::collection::vec(("lib[a-z]{1,3}[.]so[.][0-9]{1,3}", "/[a-z]{1,8}", 0..2usize), 0..40),
        big in any::<bool>(),
    ) {
        let entries: Vec<Entry> = libraries.into_iter().map(|(name, directory, level)| Entry {
            path: format!("{directory}/{name}").into_bytes().into(),
            name: name.into_bytes().into(),
            flags: 0x303,
            level: (level == 1).then(|| b"x86-64-v3".as_slice().into()),
        }).collect();
        let bytes = write(&entries, big);
        let mut found = read(&bytes).unwrap();
        prop_assert!(found.is_sorted_by(|a, b| compare_names(&a.name, &b.name).is_ge()));
        let mut expected = entries.clone();
        found.sort();
        expected.sort();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(write(&found, big), write(&expected, big));
    }

    #[test]
    fn mutated_caches(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), length in any::<prop::sample::Index>()) {
        let entry = |name: &str, level: Option<&[u8]>| Entry { name: name.as_bytes().into(), path: format!("/lib/{name}").into_bytes().into(), flags: 3, level: level.map(Into::into) };
        let mut bytes = write(&[entry("liba.so.1", None), entry("libb.so.2", Some(b"z13"))], true);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = read(&bytes);
        let _ = read(&bytes[..length.index(bytes.len())]);
    }
}

#[test]
fn first_lines_as_the_kernel_reads_them() {
    let program = |line: &str| Shebang::parse(line.as_bytes()).unwrap().unwrap().env_program();
    let cases = [
        ("#!/usr/bin/env node\n", Some("node")),
        ("#! /usr/bin/env   node  \n", Some("node")),
        ("#!/usr/bin/env node --flag\n", Some("node --flag")),
        ("#!/usr/bin/env -S node --flag\n", Some("node")),
        ("#!/usr/bin/env -S A=1 -u HOME 'my node' x\n", Some("my node")),
        ("#!/usr/bin/env -Snode\\_x\n", Some("node")),
        ("#!/bin/sh -e\n", None),
    ];
    for (line, expected) in cases {
        assert_eq!(program(line).as_deref(), expected, "{line}");
    }
    let long = format!("#!/{}\n", "x".repeat(300));
    assert!(Shebang::parse(long.as_bytes()).is_err());
    assert!(Shebang::parse(b"#! \t\n").is_err());
    assert_eq!(Shebang::parse(b"#!/bin/sh").unwrap().unwrap().interpreter, b"/bin/sh");
    assert_eq!(Shebang::parse(b"text").unwrap(), None);
}
