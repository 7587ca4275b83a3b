//! Strings in a file that look like the names of libraries.

use std::collections::BTreeSet;

use crate::elf::Facts;

const LONGEST: usize = 128;

/// The strings `lib*.so*` in the segments that hold no code, sorted; whole strings only, as a program would hand them to `dlopen`.
pub(super) fn library_names<'a>(bytes: &'a [u8], facts: &Facts) -> BTreeSet<&'a [u8]> {
    let data = facts.segments.iter().filter(|segment| !segment.executable).map(|segment| segment.bytes(bytes));
    data.flat_map(|data| memchr::memmem::find_iter(data, b".so").filter_map(|at| name_around(data, at))).collect()
}

fn name_around(data: &[u8], at: usize) -> Option<&[u8]> {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-".contains(byte);
    let before = data[..at].iter().rev().take(LONGEST).take_while(|b| part(b)).count();
    let after = data[at..].iter().take(LONGEST).take_while(|b| part(b)).count();
    let (start, end) = (at - before, at + after);
    let whole = (start == 0 || data[start - 1] == 0) && data.get(end) == Some(&0);
    let name = &data[start..end];
    let suffix = &data[at + 3..end];
    let version =
        suffix.is_empty() || suffix.starts_with(b".") && suffix.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    (whole && version && name.starts_with(b"lib")).then_some(name)
}
