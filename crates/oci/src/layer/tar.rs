//! The bytes of a tar entry: POSIX.1-1988 ustar headers, with POSIX.1-2001 (PAX) records only for what ustar cannot say.
//!
//! Written by hand, since libraries choose GNU long-name entries, base-256 numbers or records that are not needed, and every such
//! choice changes the digests of all images.

use minimg_tree::Xattrs;

/// The unit in which a tar is laid out.
const BLOCK: usize = 512;

/// The end of an archive: two blocks of zeros.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What can stand in ustar's name and link fields.
const NAME_FIELD: usize = 100;
/// What can stand in ustar's prefix field.
const PREFIX_FIELD: usize = 155;
/// The largest owner, group or device number: seven octal digits.
const MAX_ID: u64 = 0o7_777_777;
/// The largest size or time: eleven octal digits.
const MAX_SIZE: u64 = 0o77_777_777_777;

/// The type of an entry with what only that type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind<'a> {
    /// A regular file of so many bytes, which follow the header, padded by [`padding`].
    File(u64),
    /// Another name of the entry at that path.
    Hardlink(&'a [u8]),
    /// A symbolic link to that target.
    Symlink(&'a [u8]),
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// An entry of an archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// The path without leading or trailing slash; a directory's slash is added.
    pub(crate) path: &'a [u8],
    /// The type.
    pub(crate) kind: EntryKind<'a>,
    /// The low twelve bits of the mode.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// Seconds since 1970, not negative.
    pub(crate) mtime: u64,
    /// Extended attributes.
    pub(crate) xattrs: &'a Xattrs,
}

/// Why a tar cannot hold an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    /// The name of an extended attribute has a `=` or NUL byte, or is empty.
    #[error("the extended attribute {0:?} has a name that no PAX record can hold; remove the attribute")]
    Xattr(String),
    /// The number of a device has more than seven octal digits.
    #[error("the device number {0},{1} is larger than a tar can hold; remove the device")]
    Device(u32, u32),
}

/// A plain file of root's, as the parts of an image's archive are.
pub(crate) fn plain_file(path: &str, size: u64, mtime: u64, out: &mut Vec<u8>) {
    header(&Entry { mode: 0o644, ..plain(path, EntryKind::File(size), mtime) }, out);
}

/// A plain directory of root's.
pub(crate) fn plain_directory(path: &str, mtime: u64, out: &mut Vec<u8>) {
    header(&plain(path, EntryKind::Directory, mtime), out);
}

fn plain<'a>(path: &'a str, kind: EntryKind<'a>, mtime: u64) -> Entry<'a> {
    static NONE: Xattrs = Xattrs::new();
    Entry { path: path.as_bytes(), kind, mode: 0o755, uid: 0, gid: 0, mtime, xattrs: &NONE }
}

/// Appends the header of `entry` to `out`, preceded by a PAX header where one is needed.
///
/// # Errors
/// When a tar cannot hold the entry; nothing is appended then.
pub(crate) fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), TarError> {
    if let EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) = entry.kind
        && u64::from(major.max(minor)) > MAX_ID
    {
        return Err(TarError::Device(major, minor));
    }
    if let Some(name) = entry.xattrs.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(TarError::Xattr(name.clone()));
    }
    header(entry, out);
    Ok(())
}

/// How many zeros follow `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

fn header(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let mut name = entry.path.to_vec();
    if entry.kind == EntryKind::Directory {
        name.push(b'/');
    }
    let records = records(entry, &name);
    if !records.is_empty() {
        let file_name = entry.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let mut pax_name = b"PaxHeader/".to_vec();
        pax_name.extend_from_slice(&file_name[..file_name.len().min(NAME_FIELD - pax_name.len())]);
        let size = records.len() as u64;
        let pax = Fields { name: &pax_name, link: b"", letter: b'x', mode: 0o644, size, ..Fields::default() };
        out.extend_from_slice(&pax.block());
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(size), 0);
    }
    let (letter, size, link, device) = match entry.kind {
        EntryKind::File(size) => (b'0', size, &b""[..], (0, 0)),
        EntryKind::Hardlink(target) => (b'1', 0, target, (0, 0)),
        EntryKind::Symlink(target) => (b'2', 0, target, (0, 0)),
        EntryKind::CharDevice(major, minor) => (b'3', 0, &b""[..], (major, minor)),
        EntryKind::BlockDevice(major, minor) => (b'4', 0, &b""[..], (major, minor)),
        EntryKind::Directory => (b'5', 0, &b""[..], (0, 0)),
        EntryKind::Fifo => (b'6', 0, &b""[..], (0, 0)),
    };
    let (mode, uid, gid, mtime) = (entry.mode, entry.uid, entry.gid, entry.mtime);
    out.extend_from_slice(&Fields { name: &name, link, letter, mode, uid, gid, size, mtime, device }.block());
}

/// The PAX records that the entry needs, sorted by their keywords; empty when ustar can say all.
fn records(entry: &Entry<'_>, name: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    let mut number = |keyword: &str, value: u64, largest: u64| {
        if value > largest {
            push_record(&mut records, keyword, value.to_string().as_bytes());
        }
    };
    number("gid", entry.gid.into(), MAX_ID);
    number("mtime", entry.mtime, MAX_SIZE);
    if let EntryKind::File(size) = entry.kind {
        number("size", size, MAX_SIZE);
    }
    number("uid", entry.uid.into(), MAX_ID);
    if let EntryKind::Hardlink(link) | EntryKind::Symlink(link) = entry.kind
        && link.len() > NAME_FIELD
    {
        push_record(&mut records, "linkpath", link);
    }
    if split(name).is_none() {
        push_record(&mut records, "path", name);
    }
    for (name, value) in entry.xattrs {
        push_record(&mut records, &format!("SCHILY.xattr.{name}"), value);
    }
    records
}

/// `<length> <keyword>=<value>\n`, where the length counts its own digits.
fn push_record(records: &mut Vec<u8>, keyword: &str, value: &[u8]) {
    let rest = " =\n".len() + keyword.len() + value.len();
    let mut length = rest;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {keyword}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Divides a name into ustar's prefix and name fields, `None` when it does not fit.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_FIELD {
        return Some((b"", name));
    }
    let within_prefix = &name[..name.len().min(PREFIX_FIELD + 1)];
    // The last byte is no place to divide at: a directory's name ends in a slash and must not become empty.
    let slash = within_prefix.iter().take(name.len() - 1).rposition(|&b| b == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (rest.len() <= NAME_FIELD && !prefix.is_empty()).then_some((prefix, rest))
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    link: &'a [u8],
    letter: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: u64,
    device: (u32, u32),
}

impl Fields<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let (prefix, name) = split(self.name).unwrap_or((b"", self.name));
        text(&mut block[0..100], name);
        octal(&mut block[100..108], self.mode.into(), MAX_ID);
        octal(&mut block[108..116], self.uid.into(), MAX_ID);
        octal(&mut block[116..124], self.gid.into(), MAX_ID);
        octal(&mut block[124..136], self.size, MAX_SIZE);
        octal(&mut block[136..148], self.mtime, MAX_SIZE);
        block[156] = self.letter;
        text(&mut block[157..257], self.link);
        text(&mut block[257..265], b"ustar\x0000");
        octal(&mut block[329..337], self.device.0.into(), MAX_ID);
        octal(&mut block[337..345], self.device.1.into(), MAX_ID);
        text(&mut block[345..500], prefix);
        // The checksum is taken with spaces in its own field, and ends in NUL and a space (POSIX.1-1988, 10.1.1).
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block[148..155], sum, MAX_ID);
        block
    }
}

/// Copies what fits; what does not is in a PAX record.
fn text(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Writes digits and a NUL, or zero for a number that is in a PAX record.
fn octal(field: &mut [u8], value: u64, largest: u64) {
    let mut value = if value > largest { 0 } else { value };
    let Some((end, digits)) = field.split_last_mut() else { return };
    *end = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_divided_only_where_both_parts_fit() {
        let long = |n: usize| "d".repeat(n);
        assert_eq!(split(b"usr/bin"), Some((&b""[..], &b"usr/bin"[..])));
        assert_eq!(split(long(100).as_bytes()).map(|s| s.0.len()), Some(0));
        assert_eq!(split(long(101).as_bytes()), None);
        let name = format!("{}/{}", long(155), long(100));
        assert_eq!(split(name.as_bytes()).map(|s| (s.0.len(), s.1.len())), Some((155, 100)));
        assert_eq!(split(format!("{}/{}", long(156), long(99)).as_bytes()), None);
        assert_eq!(split(format!("{}/{}", long(155), long(101)).as_bytes()), None);
        // A directory whose only slash is its last byte.
        assert_eq!(split(format!("{}/", long(120)).as_bytes()), None);
        // A slash that stands first is no division: the prefix would be empty.
        assert_eq!(split(format!("/{}", long(100)).as_bytes()), None);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for (length, expected) in [(1, 9), (2, 11), (90, 99), (91, 101), (92, 102), (989, 999), (990, 1001)] {
            let mut records = Vec::new();
            push_record(&mut records, "path", &vec![b'p'; length]);
            assert_eq!(records.len(), expected, "{length}");
            assert!(records.starts_with(format!("{expected} path=p").as_bytes()), "{length}");
        }
    }

    #[test]
    fn a_plain_entry_is_one_block_with_a_right_checksum() {
        let mut out = Vec::new();
        plain_file("manifest.json", 5, 1_700_000_000, &mut out);
        assert_eq!(out.len(), BLOCK);
        assert_eq!(&out[124..136], b"00000000005\0");
        assert_eq!(&out[136..148], b"14524770400\0");
        assert_eq!(&out[257..265], b"ustar\x0000");
        let sum: u32 =
            out.iter().enumerate().map(|(at, &b)| if (148..156).contains(&at) { 32 } else { b.into() }).sum();
        assert_eq!(&out[148..156], format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(&out[265..329], [0; 64], "no names of owners");
    }

    #[test]
    fn what_no_tar_can_hold_is_refused() {
        let none = Xattrs::new();
        let entry = Entry {
            path: b"dev/x",
            kind: EntryKind::CharDevice(1 << 22, 0),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: &none,
        };
        assert_eq!(encode(&entry, &mut Vec::new()), Err(TarError::Device(1 << 22, 0)));
        let xattrs = Xattrs::from([("user.a=b".to_owned(), vec![1])]);
        let entry = Entry { kind: EntryKind::Fifo, xattrs: &xattrs, ..entry };
        assert_eq!(encode(&entry, &mut Vec::new()), Err(TarError::Xattr("user.a=b".into())));
    }
}
