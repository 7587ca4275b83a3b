//! Recipes: the fully pinned plan of an image's layers. Its digest is the key under which the store holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use minimg_backend::{Pins, Request};
use minimg_base::board::Board;
use minimg_base::digest::{Digest, digest_of};
use minimg_oci::image::Compression;

/// Raised whenever the same recipe would give another layer than before: new rules, another tar writer, another compressor.
pub const PIPELINE_VERSION: u32 = 9;

/// Everything that decides the bytes of the layers, as one digest for each part: so that a miss can say which part changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Part by part, by the name that messages use.
    pub parts: BTreeMap<String, Digest>,
    /// The packages by name and architecture with their versions, so that a miss can name those that changed.
    pub packages: BTreeMap<String, String>,
}

impl Recipe {
    /// The plan of the layers that `profile` gives on the request's board with exactly these pins.
    pub fn new(
        profile: &Profile,
        request: &Request,
        pins: &Pins,
        epoch: Option<i64>,
        compression: Compression,
    ) -> Self {
        // Addresses and dates of archives are left out: mirrors are equal, and a new date without new packages changes nothing.
        let packages: Vec<_> =
            pins.packages.iter().map(|p| (&p.name, &p.version, &p.architecture, &p.sha256)).collect();
        let Board { platform, names, cpu_level, .. } = &request.board;
        let parts = [
            ("the backend", digest_of(&(&profile.backend, &request.source.options))),
            ("the suite", digest_of(&request.source.suite)),
            ("the packages", digest_of(&(&packages, pins.root.as_ref().map(|root| &root.sha256)))),
            ("the board", digest_of(&(platform, names, cpu_level))),
            ("what the profile keeps", digest_of(&profile.keep)),
            ("what the profile adds", digest_of(&profile.add)),
            (
                "how the program is run",
                digest_of(&(
                    &profile.image.env,
                    &profile.image.workdir,
                    &profile.image.user,
                    &profile.image.entrypoint,
                    &profile.image.cmd,
                )),
            ),
            ("SOURCE_DATE_EPOCH", digest_of(&epoch)),
            ("the compression", digest_of(&compression)),
            ("minimg itself", digest_of(&(PIPELINE_VERSION, minimg_oci::layer::WRITER_VERSION))),
        ];
        Self {
            parts: parts.into_iter().map(|(name, digest)| (name.to_owned(), digest)).collect(),
            packages: pins
                .packages
                .iter()
                .map(|p| (format!("{}:{}", p.name, p.architecture), p.version.clone()))
                .collect(),
        }
    }

    /// What identifies the recipe.
    pub fn digest(&self) -> Digest {
        digest_of(&self.parts)
    }

    /// Why this recipe is not the `last` one of the same profile and board, in words.
    pub fn difference(&self, last: &Recipe) -> String {
        let changed: Vec<&str> = self
            .parts
            .iter()
            .filter(|(name, digest)| last.parts.get(*name) != Some(digest))
            .map(|(name, _)| name.as_str())
            .collect();
        let mut text = match changed.as_slice() {
            [] => return "the layer is no longer in the store".to_owned(),
            [one] => format!("{one} changed"),
            several => format!("{} changed", several.join(" and ")),
        };
        let news = self.changed_packages(last);
        if !news.is_empty() {
            text = format!("{text}: {}", news.join(", "));
        }
        text
    }

    fn changed_packages(&self, last: &Recipe) -> Vec<String> {
        const SHOWN: usize = 4;
        let new = self.packages.iter().filter_map(|(name, version)| match last.packages.get(name) {
            Some(old) if old == version => None,
            Some(old) => Some(format!("{name} {old} -> {version}")),
            None => Some(format!("{name} is new")),
        });
        let gone = last.packages.keys().filter(|name| !self.packages.contains_key(*name));
        let mut all: Vec<String> = new.chain(gone.map(|name| format!("{name} is gone"))).collect();
        if all.len() > SHOWN {
            let more = all.len() - SHOWN;
            all.truncate(SHOWN);
            all.push(format!("{more} more"));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(parts: &[(&str, &str)], packages: &[(&str, &str)]) -> Recipe {
        let text = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Recipe {
            parts: parts.iter().map(|(name, value)| ((*name).to_owned(), Digest::of(value))).collect(),
            packages: packages.iter().map(text).collect(),
        }
    }

    #[test]
    fn a_miss_names_what_changed() {
        let last = recipe(&[("the board", "a"), ("the packages", "1")], &[("bash:amd64", "5.1"), ("gone:all", "1")]);
        let now = recipe(&[("the board", "a"), ("the packages", "2")], &[("bash:amd64", "5.2"), ("new:all", "1")]);
        assert_eq!(
            now.difference(&last),
            "the packages changed: bash:amd64 5.1 -> 5.2, new:all is new, gone:all is gone"
        );
        assert_eq!(now.difference(&now), "the layer is no longer in the store");
    }
}
