//! Reading the headers of a tar: ustar, PAX records, and GNU's long names and large numbers.
//!
//! Written by hand, since the `tar` crate divides PAX records at line breaks, which capabilities and names may have in them.

use std::io;

use minimg_tree::Xattrs;

/// The unit in which a tar is laid out.
pub(super) const BLOCK: usize = 512;

/// The fields of one header that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) letter: u8,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) device: (u64, u64),
}

/// What the headers before an entry's own say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    size: Option<u64>,
    mtime: Option<i64>,
    pub(super) xattrs: Xattrs,
}

pub(super) fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed tar: {what}"))
}

impl Header {
    /// The fields of a block; `None` for the block of zeros that ends an archive.
    pub(super) fn parse(block: &[u8; BLOCK]) -> io::Result<Option<Self>> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let summed = |(at, &byte): (usize, &u8)| if (148..156).contains(&at) { u64::from(b' ') } else { byte.into() };
        if number(&block[148..156])? != block.iter().enumerate().map(summed).sum::<u64>() {
            return Err(malformed("a header's checksum does not hold"));
        }
        let mut path = text(&block[0..100]).to_vec();
        // GNU's old format has other things in the place of the prefix.
        let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { b"" };
        if !prefix.is_empty() {
            path = [prefix, &path].join(&b'/');
        }
        Ok(Some(Self {
            letter: block[156],
            path,
            link: text(&block[157..257]).to_vec(),
            mode: number(&block[100..108])?,
            uid: number(&block[108..116])?,
            gid: number(&block[116..124])?,
            size: number(&block[124..136])?,
            mtime: number(&block[136..148])?.cast_signed(),
            device: (number(&block[329..337])?, number(&block[337..345])?),
        }))
    }

    /// Whether `size` bytes follow the header. Other types have none, whatever the field says.
    pub(super) fn has_content(&self) -> bool {
        matches!(self.letter, 0 | b'0' | b'7' | b'x' | b'g' | b'L' | b'K')
    }

    /// Lets the records that stood before the header override its fields.
    pub(super) fn apply(&mut self, records: &mut Records) {
        let Records { path, link, uid, gid, size, mtime, .. } = records;
        self.path = path.take().unwrap_or(std::mem::take(&mut self.path));
        self.link = link.take().unwrap_or(std::mem::take(&mut self.link));
        (self.uid, self.gid) = (uid.unwrap_or(self.uid), gid.unwrap_or(self.gid));
        (self.size, self.mtime) = (size.unwrap_or(self.size), mtime.unwrap_or(self.mtime));
    }
}

impl Records {
    /// Takes note of GNU's long name or link target.
    pub(super) fn gnu_long(&mut self, letter: u8, body: &[u8]) {
        let name = Some(text(body).to_vec());
        if letter == b'L' { self.path = name } else { self.link = name }
    }

    /// Takes note of the records of a PAX header: `<length> <keyword>=<value>\n`, each as long as it says.
    pub(super) fn pax(&mut self, mut body: &[u8]) -> io::Result<()> {
        while !body.is_empty() {
            let wrong = || malformed("a PAX record does not fit its length");
            let space = body.iter().position(|&byte| byte == b' ').ok_or_else(wrong)?;
            let length = usize::try_from(decimal(&body[..space])?).map_err(|_| wrong())?;
            let record = body.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            body = &body[length..];
        }
        Ok(())
    }

    fn set(&mut self, keyword: &[u8], value: &[u8]) -> io::Result<()> {
        match keyword {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"size" => self.size = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(seconds(value)?),
            keyword if keyword.starts_with(b"GNU.sparse.") => return Err(malformed("sparse files are not supported")),
            keyword => {
                if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(String::from_utf8_lossy(name).into_owned(), value.to_vec());
                }
            }
        }
        Ok(())
    }
}

/// A field up to its NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and NULs, or GNU's big-endian number when the first bit is set.
fn number(field: &[u8]) -> io::Result<u64> {
    let wrong = || malformed("a header has an invalid number");
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        let digits = std::iter::once(first & 0x7f).chain(rest.iter().copied());
        let folded = digits.into_iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add(byte.into()));
        return folded.ok_or_else(wrong);
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0_u64, |value, &byte| match byte {
        b'0'..=b'7' => value.checked_mul(8).and_then(|value| value.checked_add((byte - b'0').into())).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

fn decimal(digits: &[u8]) -> io::Result<u64> {
    let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    value.ok_or_else(|| malformed("a PAX record has an invalid number"))
}

/// Seconds whose fraction is left away.
fn seconds(value: &[u8]) -> io::Result<i64> {
    let whole = value.split(|&byte| byte == b'.').next().unwrap_or_default();
    let value = std::str::from_utf8(whole).ok().and_then(|digits| digits.parse().ok());
    value.ok_or_else(|| malformed("a PAX record has an invalid time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"\x80\0\0\0\0\0\x01\x02", Some(258)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000849\0", None),
            (b"-1\0", None),
        ] {
            assert_eq!(number(field).ok(), expected, "{field:?}");
        }
    }

    #[test]
    fn records_are_as_long_as_they_say() {
        let mut records = Records::default();
        records.pax(b"12 path=a\nb\n27 SCHILY.xattr.user.x=\n\n=\n15 mtime=-7.25\n").unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(records.mtime, Some(-7));
        assert_eq!(records.xattrs["user.x"], b"\n\n=");
        for wrong in
            ["x", "5", "99 path=a\n", "9 path=aX", "3 \n", "10 patha=\n12", "0 path=a\n", "12 uid=-1234\n", "7 size=\n"]
        {
            assert!(Records::default().pax(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Records::default().pax(b"22 GNU.sparse.major=1\n").is_err());
    }
}
