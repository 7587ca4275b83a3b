//! Keyrings: the keys that sign archives.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ArchiveError;
use super::sources::SignedBy;
use minimg_openpgp::{Keyring, read_keyring};

/// The certificates of Debian's archives.
const SHIPPED: &[u8] = include_bytes!("../assets/debian-archive-keyring.pgp");

/// Which keys may have signed an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys {
    /// Keyring files that were named explicitly, so they must exist.
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

    /// Reads the keyrings: of a machine those below its `root`, where there is one.
    pub(super) fn load(&self, root: Option<&Path>) -> Result<Keyring, ArchiveError> {
        let mut rings = Vec::new();
        for path in &self.named {
            let ring = read_keyring(path).map_err(|source| ArchiveError::Keyring { path: path.clone(), source })?;
            rings.push(ring);
        }
        rings.extend(self.inline.iter().map(|text| text.clone().into_bytes()));
        if self.distribution.as_deref() == Some("debian") {
            rings.push(SHIPPED.to_vec());
        }
        let usual = root.map(|root| self.usual(root)).unwrap_or_default();
        rings.extend(usual.iter().filter_map(|path| read_keyring(path).ok()));
        Ok(Keyring::new(rings, self.fingerprints.clone()))
    }

    /// The keyring files of the machine that count if they are there.
    fn usual(&self, root: &Path) -> Vec<PathBuf> {
        let below = |path: &PathBuf| root.join(path.strip_prefix("/").unwrap_or(path));
        let mut usual: Vec<PathBuf> = self.of_entries.iter().map(below).collect();
        if let Some(distribution) = &self.distribution {
            usual.push(root.join(format!("usr/share/keyrings/{distribution}-archive-keyring.gpg")));
            usual.extend(trusted_parts(&root.join("etc/apt/trusted.gpg.d")));
        }
        usual
    }
}

fn trusted_parts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let wanted = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "gpg" || extension == "asc");
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(wanted).collect();
    paths.sort();
    paths
}
