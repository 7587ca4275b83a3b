//! What the layers of an archive's images may unpack to, all together: each of them alone is within its limits.

use std::collections::BTreeSet;
use std::io;

use minimg_tree::archive::{Limits, TarError, TooLarge};

/// What was unpacked so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// The layers that were unpacked, by their names in the archive.
    seen: BTreeSet<String>,
    /// How many bytes they have there, each layer counted once.
    stored: u64,
    /// What came of them, each time.
    unpacked: u64,
    /// What came of the layers of the present image.
    of_image: u64,
}

impl Budget {
    /// From here on the layers are those of the next image.
    pub(super) fn begin_image(&mut self) {
        self.of_image = 0;
    }

    /// The limits for the next layer.
    pub(super) fn limits(&self) -> Limits {
        Limits { output: Limits::PACKAGE.output.saturating_sub(self.of_image), ..Limits::PACKAGE }
    }

    /// Counts a layer that was unpacked.
    pub(super) fn count(&mut self, layer: &str, stored: u64, unpacked: u64) -> Result<(), TarError> {
        if self.seen.insert(layer.to_owned()) {
            self.stored = self.stored.saturating_add(stored);
        }
        self.unpacked = self.unpacked.saturating_add(unpacked);
        self.of_image = self.of_image.saturating_add(unpacked);
        let limits = Limits::PACKAGE;
        if self.unpacked > limits.ratio_from && self.unpacked / limits.ratio > self.stored {
            let bomb = TooLarge::Ratio { input: self.stored, output: self.unpacked };
            return Err(TarError::Io(io::Error::other(bomb)));
        }
        Ok(())
    }
}
