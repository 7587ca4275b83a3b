//! The applets of a busybox, read from its binary: it is never run, so the binary may be for another machine.
//!
//! Busybox keeps its applets' names as one sorted run of NUL-terminated strings (`applet_names`) and, when it was built with its
//! installer, their directories as one nibble each (`applet_install_loc`, see busybox's `include/busybox.h` and
//! `applets/applet_tables.c`).

/// Where busybox would install a link to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applet {
    pub(super) name: String,
    /// Without slashes at the ends.
    pub(super) directory: &'static str,
}

/// busybox's `enum bb_install_loc_t`; the root (0) is where `linuxrc` goes.
const DIRECTORIES: [&str; 5] = ["", "bin", "sbin", "usr/bin", "usr/sbin"];

/// Applets whose place has never changed; they tell the table of places from other data.
const ANCHORS: [(&str, u8); 12] = [
    ("[", 3),
    ("awk", 3),
    ("cat", 1),
    ("chroot", 4),
    ("cp", 1),
    ("cut", 3),
    ("env", 3),
    ("ifconfig", 2),
    ("ls", 1),
    ("mount", 1),
    ("sh", 1),
    ("tr", 3),
];

/// Fewer names than this are some other list of words.
const FEWEST: usize = 8;

/// The applets of a busybox binary, sorted by name; empty when the binary is none.
pub(super) fn of_binary(binary: &[u8]) -> Vec<Applet> {
    let names = names(binary);
    let places = places(binary, &names).unwrap_or_else(|| vec![3; names.len()]);
    let applets = names.iter().zip(places).filter(|(name, _)| **name != "busybox");
    applets
        .map(|(name, place)| Applet { name: (*name).to_owned(), directory: DIRECTORIES[usize::from(place.min(4))] })
        .collect()
}

/// The longest sorted run of names that an applet can have.
fn names(binary: &[u8]) -> Vec<&str> {
    let mut longest = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for string in binary.split(|&b| b == 0) {
        let name = std::str::from_utf8(string).ok().filter(|name| is_name(name));
        match name {
            Some(name) if run.last().is_none_or(|last| *last < name) => run.push(name),
            _ => {
                finish(&mut longest, &mut run);
                run.extend(name);
            }
        }
    }
    finish(&mut longest, &mut run);
    longest
}

/// Keeps the run when it is an applet table: every busybox has a few of the anchors.
fn finish<'a>(longest: &mut Vec<&'a str>, run: &mut Vec<&'a str>) {
    let anchors = ANCHORS.iter().filter(|(name, _)| run.binary_search(name).is_ok()).count();
    if run.len() >= FEWEST && run.len() > longest.len() && anchors >= 3 {
        *longest = std::mem::take(run);
    }
    run.clear();
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"[_-.+".contains(&b);
    (1..=24).contains(&name.len()) && name.bytes().all(allowed)
}

/// The table of places: one nibble for each name, low nibble first.
fn places(binary: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let anchors: Vec<(usize, u8)> =
        ANCHORS.iter().filter_map(|(name, place)| Some((names.binary_search(name).ok()?, *place))).collect();
    if anchors.len() < 3 {
        return None;
    }
    let place_in = |table: &[u8], at: usize| table.get(at / 2).map(|pair| (pair >> (4 * (at % 2))) & 0xf);
    let fits = |table: &&[u8]| {
        anchors.iter().all(|(at, place)| place_in(table, *at) == Some(*place))
            && table.iter().all(|pair| pair & 0xf <= 4 && pair >> 4 <= 4)
    };
    let table = binary.windows(names.len().div_ceil(2)).find(fits)?;
    (0..names.len()).map(|at| place_in(table, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(names: &[&str], places: &[u8]) -> Vec<u8> {
        let mut binary = b"\x7fELF\0some\0strings\0before\0\xff\xfe".to_vec();
        binary.extend(places.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 4));
        binary.extend(b"\0\0");
        binary.extend(names.iter().flat_map(|name| name.bytes().chain([0])));
        binary.extend(b"\0zz top\0usage");
        binary
    }

    const NAMES: [&str; 9] = ["[", "busybox", "cat", "chroot", "ifconfig", "ls", "sh", "tr", "zcat"];
    const PLACES: [u8; 9] = [3, 1, 1, 4, 2, 1, 1, 3, 1];

    #[test]
    fn names_and_places_are_read() {
        let applets = of_binary(&binary(&NAMES, &PLACES));
        let paths: Vec<String> = applets.iter().map(|a| format!("{}/{}", a.directory, a.name)).collect();
        assert_eq!(
            paths,
            ["usr/bin/[", "bin/cat", "usr/sbin/chroot", "sbin/ifconfig", "bin/ls", "bin/sh", "usr/bin/tr", "bin/zcat"]
        );
    }

    #[test]
    fn without_a_table_of_places_all_go_to_one() {
        let applets = of_binary(&binary(&NAMES, &[0xf; 9]));
        assert!(applets.len() == 8 && applets.iter().all(|a| a.directory == "usr/bin"), "{applets:?}");
    }

    #[test]
    fn other_binaries_have_none() {
        for data in [&b""[..], b"\0\0\0", b"a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0", &[0xff; 4096]] {
            assert_eq!(of_binary(data), []);
        }
    }
}
