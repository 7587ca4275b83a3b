//! The keys that sign archives, and the check of signatures against them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sequoia_openpgp as openpgp;

use openpgp::cert::{Cert, CertParser};
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerifierBuilder,
};
use openpgp::policy::StandardPolicy;
use openpgp::serialize::Serialize as _;
use openpgp::{Fingerprint, KeyHandle};

use super::error::ArchiveError;
use super::sources::SignedBy;
use crate::digest::Digest;

/// The certificates of Debian's archives.
const SHIPPED: &[u8] = include_bytes!("../assets/debian-archive-keyring.pgp");

/// The largest keyring file that is read.
const KEYRING_LIMIT: u64 = 16 << 20;

/// Which keys may have signed an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys {
    /// Keyring files that somebody named, so that they must be there.
    named: Vec<PathBuf>,
    /// Keyring files that the machine's own source entries name, below the machine's root.
    of_entries: Vec<PathBuf>,
    /// Armored certificates.
    inline: Vec<String>,
    /// The only keys of the machine's keyrings that count; none means all.
    fingerprints: Vec<String>,
    /// The distribution whose keyring on the machine, and whose shipped keys, count.
    distribution: Option<String>,
}

impl Keys {
    /// The keys of a keyring file, else those that an entry names, else those of the distribution: the machine's and the shipped ones.
    pub(super) fn of(distribution: &str, keyring: Option<&Path>, signed_by: Option<&SignedBy>) -> Self {
        match (keyring, signed_by) {
            (Some(keyring), _) => Self { named: vec![keyring.to_owned()], ..Self::default() },
            (None, Some(SignedBy::Inline(text))) => Self { inline: vec![text.clone()], ..Self::default() },
            (None, Some(SignedBy::Named { files, fingerprints })) => Self {
                named: files.clone(),
                fingerprints: fingerprints.clone(),
                distribution: Some(distribution.to_owned()).filter(|_| files.is_empty()),
                ..Self::default()
            },
            (None, None) => Self { distribution: Some(distribution.to_owned()), ..Self::default() },
        }
    }

    /// The same, and what one of the machine's own entries for the distribution names, unless a keyring file was chosen.
    pub(super) fn with(mut self, signed_by: Option<&SignedBy>) -> Self {
        if self.named.is_empty() {
            match signed_by {
                Some(SignedBy::Inline(text)) => self.inline.push(text.clone()),
                Some(SignedBy::Named { files, .. }) => self.of_entries.extend(files.iter().cloned()),
                None => {}
            }
        }
        self
    }

    /// Reads the keyrings of the machine below `root`.
    pub(super) fn load(&self, root: &Path) -> Result<Keyring, ArchiveError> {
        let mut rings = Vec::new();
        for path in &self.named {
            let ring = read_keyring(path).map_err(|source| ArchiveError::Keyring { path: path.clone(), source })?;
            rings.push(ring);
        }
        rings.extend(self.inline.iter().map(|text| text.clone().into_bytes()));
        let below = |path: &PathBuf| root.join(path.strip_prefix("/").unwrap_or(path));
        let mut usual: Vec<PathBuf> = self.of_entries.iter().map(below).collect();
        if let Some(distribution) = &self.distribution {
            usual.push(root.join(format!("usr/share/keyrings/{distribution}-archive-keyring.gpg")));
            usual.extend(trusted_parts(&root.join("etc/apt/trusted.gpg.d")));
            if distribution == "debian" {
                rings.push(SHIPPED.to_vec());
            }
        }
        rings.extend(usual.iter().filter_map(|path| read_keyring(path).ok()));
        let mut all = Vec::new();
        for ring in &rings {
            all.extend_from_slice(Digest::of(ring).as_bytes());
        }
        all.extend(self.fingerprints.join(" ").into_bytes());
        Ok(Keyring { digest: Digest::of(all), rings, fingerprints: self.fingerprints.clone() })
    }
}

fn read_keyring(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut ring = Vec::new();
    fs::File::open(path)?.take(KEYRING_LIMIT).read_to_end(&mut ring)?;
    Ok(ring)
}

fn trusted_parts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let wanted = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "gpg" || extension == "asc");
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(wanted).collect();
    paths.sort();
    paths
}

/// Keyrings as they were read.
pub(super) struct Keyring {
    rings: Vec<Vec<u8>>,
    fingerprints: Vec<String>,
    digest: Digest,
}

impl Keyring {
    /// Stands for the whole content, so that a check need not be repeated with the same keys.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The text that a cleartext signature or an inline-signed message covers, and nothing else of it.
    ///
    /// # Errors
    /// In words, why no key of this keyring has signed it.
    pub(super) fn verify_inline(&self, message: &[u8]) -> Result<Vec<u8>, String> {
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
    pub(super) fn verify_detached(&self, signature: &[u8], data: &[u8]) -> Result<(), String> {
        let policy = StandardPolicy::new();
        let builder = DetachedVerifierBuilder::from_bytes(signature).map_err(|error| flat(&error))?;
        let mut verifier = builder.with_policy(&policy, None, self.helper()).map_err(|error| flat(&error))?;
        verifier.verify_bytes(data).map_err(|error| flat(&error))
    }

    /// The certificates that count, as a binary keyring: for tools that check signatures by themselves.
    pub(super) fn binary(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for certificate in self.certificates().filter(|certificate| self.allows(certificate)) {
            // Writing to memory does not fail; a certificate that cannot be written is one that signs nothing.
            let _ = certificate.serialize(&mut all);
        }
        all
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
