//! Where packages come from, even long after the tree was made: contents are read when somebody asks for them.

use std::fs::File;
use std::sync::Arc;

use crate::error::Problem;
use crate::reading::Slots;
use minimg_backend::{Archive, Context, PinnedPackage, Pins};
use minimg_base::error::Result;
use minimg_base::report::Silent;
use minimg_store::StoreError;
use minimg_tree::archive::Scratch;

/// Makes every package of the pins a verified blob of the store, and hands over each as soon as it is there, opened at its beginning.
pub type Fetch = Arc<dyn Fn(&Pins, &Context, &(dyn Fn(&PinnedPackage, File) + Sync)) -> Result<()> + Send + Sync>;

/// Where packages come from, even long after `produce` returned.
pub(crate) struct Origin {
    /// Tells nobody: whoever asks for contents later has phases of his own.
    pub(crate) context: Context,
    pub(crate) scratch: Arc<Scratch>,
    archives: Vec<Archive>,
    epoch: i64,
    fetch: Fetch,
    /// How many packages may still be left half read.
    pub(crate) slots: Slots,
}

impl Origin {
    pub(crate) fn new(pins: &Pins, context: &Context, fetch: &Fetch, scratch: &Arc<Scratch>) -> Self {
        Self {
            context: context.clone().with_reporter(Arc::new(Silent)),
            scratch: scratch.clone(),
            archives: pins.archives.clone(),
            epoch: pins.epoch,
            fetch: fetch.clone(),
            slots: Slots::default(),
        }
    }

    /// The package's file, verified, fetched when the store has none.
    pub(crate) fn open(&self, package: &PinnedPackage) -> Result<File> {
        let failed = |error: StoreError| Problem::Store(error).of_pinned(package);
        if let Some(file) = self.context.store.open_blob(&package.sha256).map_err(failed)? {
            return Ok(file);
        }
        let pins =
            Pins { archives: self.archives.clone(), packages: vec![package.clone()], epoch: self.epoch, root: None };
        (self.fetch)(&pins, &self.context, &|_, _| {})?;
        let file = self.context.store.open_blob(&package.sha256).map_err(failed)?;
        Ok(file.ok_or_else(|| Problem::Absent.of_pinned(package))?)
    }
}
