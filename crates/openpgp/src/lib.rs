//! Checks OpenPGP signatures of archives and of lists of digests against keyrings.
//!
//! ```
//! use minimg_openpgp::Keyring;
//!
//! // Without a certificate, no signature is good.
//! let keyring = Keyring::new(vec![b"not a certificate".to_vec()], Vec::new());
//! assert_eq!(keyring.count(), 0);
//! assert!(keyring.verify_inline(b"Suite: trixie\n").is_err());
//! assert!(keyring.verify_detached(b"not a signature", b"Suite: trixie\n").is_err());
//! ```

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use openpgp::cert::{Cert, CertParser};
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerifierBuilder,
};
use openpgp::policy::StandardPolicy;
use openpgp::serialize::Serialize as _;
use openpgp::{Fingerprint, KeyHandle};
use sequoia_openpgp as openpgp;

use minimg_base::digest::Digest;

/// The largest keyring file that is read.
const KEYRING_LIMIT: u64 = 16 << 20;

/// Reads a keyring file, armored or not.
pub fn read_keyring(path: &Path) -> io::Result<Vec<u8>> {
    let mut ring = Vec::new();
    fs::File::open(path)?.take(KEYRING_LIMIT).read_to_end(&mut ring)?;
    Ok(ring)
}

/// Keyrings as they were read.
pub struct Keyring {
    rings: Vec<Vec<u8>>,
    fingerprints: Vec<String>,
    digest: Digest,
}

impl Keyring {
    /// The certificates of keyrings; of named fingerprints only those with such a key.
    pub fn new(rings: Vec<Vec<u8>>, fingerprints: Vec<String>) -> Self {
        let mut all = Vec::new();
        for ring in &rings {
            all.extend_from_slice(Digest::of(ring).as_bytes());
        }
        all.extend(fingerprints.join(" ").into_bytes());
        Self { digest: Digest::of(all), rings, fingerprints }
    }

    /// Stands for the whole content, so that a check need not be repeated with the same keys.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The text that a cleartext signature or an inline-signed message covers, and nothing else of it.
    ///
    /// # Errors
    /// In words, why no key of this keyring has signed it.
    pub fn verify_inline(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let policy = StandardPolicy::new();
        let builder = VerifierBuilder::from_bytes(message).map_err(|error| flat(&error))?;
        let mut verifier = builder.with_policy(&policy, None, self.helper()).map_err(|error| flat(&error))?;
        let mut text = Vec::new();
        verifier.read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    /// Checks a detached signature of `data`.
    ///
    /// # Errors
    /// In words, why no key of this keyring has signed it.
    pub fn verify_detached(&self, signature: &[u8], data: &[u8]) -> Result<(), String> {
        let policy = StandardPolicy::new();
        let builder = DetachedVerifierBuilder::from_bytes(signature).map_err(|error| flat(&error))?;
        let mut verifier = builder.with_policy(&policy, None, self.helper()).map_err(|error| flat(&error))?;
        verifier.verify_bytes(data).map_err(|error| flat(&error))
    }

    /// The certificates that count, as a binary keyring: for tools that check signatures by themselves.
    pub fn binary(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for certificate in self.certificates().filter(|certificate| self.allows(certificate)) {
            // Writing to memory does not fail; a certificate that cannot be written is one that signs nothing.
            let _ = certificate.serialize(&mut all);
        }
        all
    }

    /// How many certificates it has.
    pub fn count(&self) -> usize {
        self.certificates().count()
    }

    fn helper(&self) -> Helper<'_> {
        Helper { keyring: self }
    }

    fn certificates(&self) -> impl Iterator<Item = Cert> {
        self.rings.iter().filter_map(|ring| CertParser::from_bytes(ring).ok()).flatten().flatten()
    }

    /// Whether the entry allows this certificate, for a signature of one of its keys.
    fn allows(&self, certificate: &Cert) -> bool {
        let wanted = |text: &String| {
            let wanted: Fingerprint = text.parse().ok()?;
            Some(certificate.keys().any(|key| key.key().fingerprint() == wanted))
        };
        self.fingerprints.is_empty() || self.fingerprints.iter().filter_map(wanted).any(|matches| matches)
    }
}

/// One line out of an error with its causes.
fn flat(error: &openpgp::anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

struct Helper<'k> {
    keyring: &'k Keyring,
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, ids: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        let signs = |cert: &Cert| cert.keys().any(|key| ids.iter().any(|id| id.aliases(key.key().key_handle())));
        Ok(self.keyring.certificates().filter(|cert| signs(cert) && self.keyring.allows(cert)).collect())
    }

    /// One good signature is enough, as for apt: archives sign with old and new keys while they change them. A wrong one is refused.
    fn check(&mut self, structure: MessageStructure) -> openpgp::Result<()> {
        let mut problems = Vec::new();
        let mut good = 0;
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else {
                return Err(openpgp::anyhow::anyhow!("it is not a plainly signed message"));
            };
            for result in results {
                match result {
                    Ok(_) => good += 1,
                    Err(VerificationError::MissingKey { sig }) => {
                        let issuers: Vec<_> = sig.get_issuers().iter().map(KeyHandle::to_hex).collect();
                        problems.push(format!("it is signed by the unknown key {}", issuers.join(" or ")));
                    }
                    Err(VerificationError::BadSignature { error, .. }) => {
                        return Err(openpgp::anyhow::anyhow!("the signature is wrong: {error:#}"));
                    }
                    Err(other) => problems.push(format!("{other:#}")),
                }
            }
        }
        if good > 0 {
            return Ok(());
        }
        problems.sort();
        problems.dedup();
        Err(openpgp::anyhow::anyhow!(if problems.is_empty() {
            "it is not signed".to_owned()
        } else {
            problems.join("; ")
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A packet in the new format: its tag, a length of four bytes, its body. RFC 9580, section 4.2.
    fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[0xc0 | tag, 0xff], &length[..], body].concat()
    }

    #[test]
    fn compressed_messages_are_not_unpacked() {
        let literal = packet(11, &[&b"b\0\0\0\0\0"[..], &vec![b'x'; 100 << 20]].concat());
        let mut deflated = flate2::write::DeflateEncoder::new(vec![1], flate2::Compression::fast());
        deflated.write_all(&literal).unwrap();
        let bomb = packet(8, &deflated.finish().unwrap());
        assert!(bomb.len() < 1 << 20);
        let keyring = Keyring::new(Vec::new(), Vec::new());
        // Else it would be said that it is not a plainly signed message, which is known at its end.
        let refused = keyring.verify_inline(&bomb).unwrap_err();
        assert!(refused.contains("Malformed"), "{refused}");
        let refused = keyring.verify_inline(&packet(11, b"b\0\0\0\0\0text")).unwrap_err();
        assert!(refused.contains("not a plainly signed message") || refused.contains("not signed"), "{refused}");
    }
}
