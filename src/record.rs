//! Build records: what went into an image and why, written next to it, so that `minimg why` works later and on other machines.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::recipe::Recipe;
use minimg_base::board::{Board, Platform};
use minimg_base::digest::Digest;
use minimg_base::error::{Class, Error, Result, is_wrong_path};
use minimg_elf::{Closure, Finding, Reason, Why};
use minimg_oci::image::Layer;
use minimg_store::Store;
use minimg_tree::{Kind, Package, RootPath, RootTree, read_limited};

/// The version of the format.
const VERSION: u32 = 1;

/// The largest record that is read: about a million paths.
const LARGEST: u64 = 512 << 20;

/// What went into an image and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The version of the format.
    pub version: u32,
    /// The profile's name.
    pub profile: String,
    /// The board's name.
    pub board: String,
    /// The machine that the image is for.
    pub platform: Platform,
    /// The digest of the plan.
    pub recipe: Digest,
    /// The uncompressed layers from the lowest up, as the image's configuration names them; empty in records from before there were several.
    #[serde(default)]
    pub layers: Vec<Digest>,
    /// The packages of which something is kept.
    pub packages: Vec<Package>,
    /// Every path of the image, as [`RootPath::text`] writes it, and why it is there.
    pub files: BTreeMap<String, Kept>,
    /// What people should know.
    pub findings: Vec<Finding>,
}

/// Why one path is in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The step that brought it in.
    #[serde(flatten)]
    pub why: Why,
    /// The path that asked for it; the profile did when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The package that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// A root tree, the part of it that stays, and why.
#[derive(Debug, Clone, Copy)]
pub struct Pruned<'a> {
    /// The whole tree.
    pub tree: &'a RootTree,
    /// What is in the image.
    pub kept: &'a RootTree,
    /// Why it is kept.
    pub closure: &'a Closure,
}

impl Record {
    /// The record of a build.
    pub fn new(
        profile: &Profile,
        board: &Board,
        recipe: &Recipe,
        layers: &[Layer],
        pruned: Pruned<'_>,
        findings: &[Finding],
    ) -> Self {
        let Pruned { tree, kept, closure } = pruned;
        let package_of = |path: &RootPath| tree.get(path).and_then(|node| tree.package_of(node));
        let files: BTreeMap<String, Kept> = kept
            .iter()
            .map(|(path, _)| {
                let package = package_of(path).map(|package| package.name.clone());
                (path.text(), Kept::new(closure.kept.get(path), package))
            })
            .collect();
        // Directories are shared: that a package has one too is no part of it.
        let files_alone = kept.iter().filter(|(_, node)| !matches!(node.kind, Kind::Directory));
        let packages: BTreeSet<Package> = files_alone.filter_map(|(path, _)| package_of(path).cloned()).collect();
        Self {
            version: VERSION,
            profile: profile.name.clone(),
            board: board.name.clone(),
            platform: board.platform.clone(),
            recipe: recipe.digest(),
            layers: layers.iter().map(|layer| layer.diff_id).collect(),
            packages: packages.into_iter().collect(),
            files,
            findings: findings.to_vec(),
        }
    }

    /// Keeps the record in the store under its recipe.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, store: &Store) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::new(Class::Machine, error))?;
        Ok(store.put_entry("record", &self.recipe, &bytes)?)
    }

    /// The record that the store has for a recipe.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(store: &Store, recipe: &Digest) -> Result<Option<Self>> {
        let bytes = Self::stored(store, recipe)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The JSON of the record that the store has for a recipe, undamaged and of this version: what is written beside an output.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stored(store: &Store, recipe: &Digest) -> Result<Option<Bytes>> {
        let of_this_version = format!("{{\"version\":{VERSION},");
        Ok(store.entry("record", recipe)?.filter(|bytes| bytes.starts_with(of_this_version.as_bytes())))
    }

    /// Reads a record's file.
    ///
    /// # Errors
    /// When it cannot be read or is not a record.
    pub fn read(path: &Path) -> Result<Self> {
        let class = |error: &io::Error| if is_wrong_path(error) { Class::Usage } else { Class::Machine };
        let bytes = read_limited(path, LARGEST).map_err(|error| Error::new(class(&error), error))?;
        let record: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Class::Malformed, format!("{} is not a build record: {error}", path.display()))
        })?;
        if record.version != VERSION {
            let message = format!("{} is a build record of version {}, not {VERSION}", path.display(), record.version);
            return Err(Error::new(Class::Malformed, message));
        }
        Ok(record)
    }

    /// The steps from a path back to the profile's line, the path itself first; empty when the image does not have it.
    pub fn chain(&self, path: &str) -> Vec<(&str, &Kept)> {
        let mut chain: Vec<(&str, &Kept)> = Vec::new();
        let mut next = Some(path);
        while let Some((path, kept)) = next.and_then(|path| self.files.get_key_value(path)) {
            if chain.iter().any(|(seen, _)| *seen == path) {
                break;
            }
            chain.push((path, kept));
            next = kept.via.as_deref();
        }
        chain
    }
}

impl Kept {
    fn new(reason: Option<&Reason>, package: Option<String>) -> Self {
        match reason {
            Some(Reason { why, via }) => Self { why: why.clone(), via: via.as_ref().map(RootPath::text), package },
            None => {
                Self { why: Why::Added("something in it is kept, or minimg wrote it".to_owned()), via: None, package }
            }
        }
    }
}
