//! rpm's own database format, `Packages.db` (rpm's `lib/backend/ndb/rpmpkg.c`): a header of 32 bytes, pages of slots, and blobs that the
//! slots point to. All numbers are little-endian.

const MAGIC: &[u8; 4] = b"RpmP";
const SLOT: &[u8; 4] = b"Slot";
const BLOB: &[u8; 4] = b"BlbS";
const PAGE: usize = 4096;
const SLOT_SIZE: usize = 16;
/// The unit of the offsets in slots.
const BLOCK: usize = 16;
/// What stands before a blob's data.
const BLOB_HEADER: usize = 16;

/// The blobs of a database, each a package's header.
///
/// # Errors
/// In words, what is wrong with it.
pub fn blobs(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    if bytes.get(..4) != Some(MAGIC) {
        return Err("it does not begin as an ndb database does".to_owned());
    }
    let pages = le32(bytes, 12) as usize;
    let end = pages.checked_mul(PAGE).filter(|&end| end <= bytes.len());
    let Some(slots) = end.and_then(|end| bytes.get(2 * SLOT_SIZE..end)) else {
        return Err("its slots are cut off".to_owned());
    };
    let used = slots.chunks_exact(SLOT_SIZE).filter(|slot| slot.starts_with(SLOT) && le32(slot, 4) != 0);
    let (mut all, mut left) = (Vec::new(), bytes.len());
    for slot in used {
        let blob = blob(bytes, le32(slot, 4), le32(slot, 8) as usize)?;
        left = left.checked_sub(BLOB_HEADER + blob.len()).ok_or("entries of it lie over one another")?;
        all.push(blob);
    }
    Ok(all)
}

fn blob(bytes: &[u8], package: u32, block: usize) -> Result<&[u8], String> {
    let wrong = || format!("the entry of package {package} is not where its slot says");
    let at = block.checked_mul(BLOCK).ok_or_else(wrong)?;
    let blob = bytes.get(at..).filter(|blob| blob.starts_with(BLOB) && le32(blob, 4) == package).ok_or_else(wrong)?;
    let length = le32(blob, 12) as usize;
    blob.get(BLOB_HEADER..).and_then(|data| data.get(..length)).ok_or_else(wrong)
}

/// The number at an offset; 0 beyond the end.
fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |number| number.iter().rev().fold(0, |all, &byte| all << 8 | u32::from(byte)))
}
