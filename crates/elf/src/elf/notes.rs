//! `.note.dlopen`: what a program says itself about the libraries that it opens while it runs.
//!
//! The note has the owner `FDO`, the type 0x407c0c0a and a JSON array of objects as its content (UAPI group, "ELF dlopen metadata").

use serde::Deserialize;

use super::Facts;

const TYPE: u32 = 0x407c_0c0a;
const OWNER: &[u8] = b"FDO\0";

/// A library that a program opens while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DlopenNote {
    /// The names that are tried, the best first.
    pub soname: Vec<String>,
    /// How much the program misses it.
    #[serde(default)]
    pub priority: Priority,
    /// What it is for.
    #[serde(default)]
    pub feature: String,
    /// The same in words.
    #[serde(default)]
    pub description: String,
}

/// How much a program misses a library that it cannot open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The program does not work.
    Required,
    /// An important part does not work.
    #[default]
    Recommended,
    /// A part that few people use does not work.
    Suggested,
}

/// The notes of a file; notes that cannot be read are left out.
pub fn dlopen_notes(bytes: &[u8], facts: &Facts) -> Vec<DlopenNote> {
    let mut found = Vec::new();
    for (range, align) in &facts.notes {
        let segment = bytes.get(range.clone()).unwrap_or_default();
        collect(segment, facts, if *align == 8 { 8 } else { 4 }, &mut found);
    }
    found
}

fn collect(mut segment: &[u8], facts: &Facts, align: usize, found: &mut Vec<DlopenNote>) {
    let encoding = facts.identity.encoding;
    let number = |segment: &[u8], at| encoding.u32(segment, at);
    while let (Some(name_size), Some(size), Some(kind)) = (number(segment, 0), number(segment, 4), number(segment, 8)) {
        let (name_size, size) = (name_size as usize, size as usize);
        let Some(start) = name_size.checked_add(12).and_then(|end| end.checked_next_multiple_of(align)) else { return };
        let Some(content) = start.checked_add(size).and_then(|end| segment.get(start..end)) else { return };
        if kind == TYPE && segment.get(12..12 + name_size) == Some(OWNER) {
            found.extend(parse(content));
        }
        let Some(next) = (start + size).checked_next_multiple_of(align).and_then(|next| segment.get(next..)) else {
            return;
        };
        segment = next;
    }
}

fn parse(content: &[u8]) -> Vec<DlopenNote> {
    let text = content.split(|&b| b == 0).next().unwrap_or_default();
    serde_json::from_slice::<Vec<DlopenNote>>(text)
        .or_else(|_| serde_json::from_slice::<DlopenNote>(text).map(|note| vec![note]))
        .unwrap_or_default()
}
