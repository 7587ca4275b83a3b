//! The digests that a Release file promises: SHA-256, or SHA-512 where that is all that there is.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use minimg_base::digest::{Digest, Hasher};
use sha2::{Digest as _, Sha512};

/// The digest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    Sha256(Digest),
    Sha512(Digest512),
}

/// A SHA-512 digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest512([u8; 64]);

impl Sum {
    /// Where archives have the file by its digest: `SHA256/` and hex digits.
    pub(super) fn by_hash(&self) -> String {
        match self {
            Self::Sha256(digest) => format!("SHA256/{}", digest.hex()),
            Self::Sha512(digest) => format!("SHA512/{digest}"),
        }
    }

    /// What the file's content is kept under.
    pub(super) fn key(&self) -> Digest {
        match self {
            Self::Sha256(digest) => *digest,
            Self::Sha512(Digest512(bytes)) => Digest::of(bytes),
        }
    }

    /// What computes the sum of a file, to be compared with this one.
    pub(super) fn hasher(&self) -> SumHasher {
        match self {
            Self::Sha256(_) => SumHasher::Sha256(Hasher::default()),
            Self::Sha512(_) => SumHasher::Sha512(Sha512::new()),
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::Sha512(digest) => write!(f, "sha512:{digest}"),
        }
    }
}

impl serde::Serialize for Sum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Digest512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest512 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a SHA-512 digest: 128 hex digits are expected");
        let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let digits = digits.filter(|digits| digits.len() == 128).ok_or_else(wrong)?;
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Self(bytes))
    }
}

/// Computes a sum of what is written to it.
pub(super) enum SumHasher {
    Sha256(Hasher),
    Sha512(Sha512),
}

impl SumHasher {
    pub(super) fn finish(self) -> Sum {
        match self {
            Self::Sha256(hasher) => Sum::Sha256(hasher.finish()),
            Self::Sha512(hasher) => Sum::Sha512(Digest512(hasher.finalize().into())),
        }
    }
}

impl Write for SumHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Sha256(hasher) => hasher.write(data),
            Self::Sha512(hasher) => {
                hasher.update(data);
                Ok(data.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From FIPS 180-2: the digest of `abc`.
    const ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn sums_are_computed_as_they_are_promised() {
        for promised in [Sum::Sha256(Digest::of("abc")), Sum::Sha512(ABC.parse().unwrap())] {
            let mut hasher = promised.hasher();
            hasher.write_all(b"abc").unwrap();
            assert_eq!(hasher.finish(), promised);
        }
        let sum = Sum::Sha512(ABC.to_uppercase().parse().unwrap());
        assert_eq!((sum.to_string(), sum.by_hash()), (format!("sha512:{ABC}"), format!("SHA512/{ABC}")));
        for wrong in ["", &ABC[1..], &ABC.replace('a', "g"), &ABC.replacen("dd", "é", 1)] {
            assert!(wrong.parse::<Digest512>().is_err(), "{wrong}");
        }
    }
}
