//! The records of PAX extended headers (POSIX.1-2001, `pax` interchange format).

use super::error::TarError;
use super::sparse;
use crate::Xattrs;

/// The most bytes that one extended header may have, and all attributes of an entry: a path, a link and the largest attributes that Linux stores.
pub(super) const MAX_EXTENSION: u64 = 1 << 20;

/// What extended headers said of an entry; absent fields stay as the header has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: Xattrs,
    /// What was said of a sparse file.
    pub(super) sparse: Option<sparse::Records>,
    /// How many bytes of attributes were read: an entry may have any number of extended headers.
    attributes: u64,
}

const XATTR: &[u8] = b"SCHILY.xattr.";
const SPARSE: &[u8] = b"GNU.sparse.";

impl Pax {
    /// Takes in the records of one extended header, later ones over earlier ones.
    pub(super) fn read(&mut self, mut records: &[u8], offset: u64) -> Result<(), TarError> {
        while !records.is_empty() {
            let (key, value, rest) = split_record(records).ok_or(TarError::Pax { offset })?;
            records = rest;
            self.set(key, value).ok_or(TarError::Pax { offset })?;
            if self.attributes > MAX_EXTENSION {
                return Err(TarError::TooLarge { what: "bytes of attributes of one entry", limit: MAX_EXTENSION });
            }
        }
        Ok(())
    }

    /// `None` when the value is not what the key asks for. Unknown keys are skipped, as POSIX wants.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"mtime" => self.mtime = Some(whole_seconds(value)?),
            _ => {
                if let Some(key) = key.strip_prefix(SPARSE) {
                    self.sparse.get_or_insert_default().set(key, value)?;
                }
                if let Some(name) = key.strip_prefix(XATTR) {
                    let name =
                        std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.contains('\0'))?;
                    self.attributes += (name.len() + value.len()) as u64;
                    self.xattrs.insert(name.to_owned(), value.to_vec());
                }
            }
        }
        Some(())
    }
}

/// Splits `"<length> <key>=<value>\n"` off; the length counts all of it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(number::<u64>(&records[..space])?).ok()?;
    let record = records.get(..length)?.get(space + 1..)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Seconds with or without a fraction, rounded down.
fn whole_seconds(value: &[u8]) -> Option<i64> {
    let mut parts = value.splitn(2, |&b| b == b'.');
    let seconds: i64 = number(parts.next()?)?;
    let fraction = parts.next().unwrap_or_default();
    fraction.iter().all(u8::is_ascii_digit).then_some(())?;
    let below = value.starts_with(b"-") && fraction.iter().any(|&b| b != b'0');
    seconds.checked_sub(i64::from(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[u8]) -> Result<Pax, TarError> {
        let mut pax = Pax::default();
        pax.read(records, 0).map(|()| pax)
    }

    #[test]
    fn records() {
        let pax = read(b"12 path=a/b\n13 size=12345\n20 mtime=-1.25000000\n").unwrap_err();
        assert!(matches!(pax, TarError::Pax { .. }), "a wrong length is refused");
        let pax =
            read(b"12 path=a/b\n14 size=12345\n22 mtime=-1.250000000\n35 SCHILY.xattr.security.capa=a=\nb\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!((pax.size, pax.mtime), (Some(12345), Some(-2)));
        assert_eq!(pax.xattrs["security.capa"], b"a=\nb");
    }

    #[test]
    fn many_headers_give_no_more_attributes_than_one() {
        let mut pax = Pax::default();
        let records = |name: u64| {
            let record = format!(" SCHILY.xattr.user.{name:04}={}\n", "x".repeat(60_000));
            format!("{}{record}", record.len() + 5).into_bytes()
        };
        let most = (0..1000).take_while(|&name| pax.read(&records(name), 0).is_ok()).count() as u64;
        assert_eq!(most, MAX_EXTENSION / 60_009);
        let more = pax.read(&records(most), 0);
        assert!(matches!(more, Err(TarError::TooLarge { .. })), "{more:?}");
    }

    #[test]
    fn hostile_records_are_refused() {
        for records in [
            &b"x"[..],
            b"5 a\n",
            b"0 a=b\n",
            b"3 a=b\n",
            b"99999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"100 path=a\n",
            b"10 size=-1\n",
            b"11 mtime=a\n",
            b"12 uid=9999999999\n",
            b"22 GNU.sparse.major=x\n",
        ] {
            assert!(read(records).is_err(), "{}", String::from_utf8_lossy(records));
        }
    }
}
