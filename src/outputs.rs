//! Outputs that need not be written again: the file is there, and is what it would become.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Class, Error, Result};
use crate::export::{self, Output, Target, Written};
use crate::image::Image;
use crate::recipe::digest_of;
use crate::store::Store;

/// The kind of the store's entries that say what a file was when it was written.
const KIND: &str = "output";

#[derive(Serialize, Deserialize)]
struct Seen {
    digest: Digest,
    size: u64,
}

/// Writes the images unless the file already holds exactly them, which is found out by reading all of it. The second value is whether
/// it did.
///
/// # Errors
/// As [`export::export`].
pub fn write(images: &[Image], output: &Output, store: &Store) -> Result<(Written, bool)> {
    let Target::Path(path) = &output.target else {
        return Ok((export::export(images, output, store)?, false));
    };
    let absolute = std::path::absolute(path).map_err(|error| Error::new(Class::Machine, error))?;
    let key = digest_of(&(absolute.as_os_str().to_string_lossy(), output.format(), images));
    if let Some(seen) = seen(store, &key)?
        && holds(path, &seen)
    {
        let written = Written {
            format: output.format(),
            target: output.target.clone(),
            size: seen.size,
            digest: Some(seen.digest),
        };
        return Ok((written, true));
    }
    let written = export::export(images, output, store)?;
    if let Some(digest) = written.digest {
        let bytes = serde_json::to_vec(&Seen { digest, size: written.size });
        // The output is written: that the store cannot note it only costs time when it is wanted again.
        let _ = store.put_entry(KIND, &key, &bytes.map_err(|error| Error::new(Class::Machine, error))?);
    }
    Ok((written, false))
}

fn seen(store: &Store, key: &Digest) -> Result<Option<Seen>> {
    Ok(store.entry(KIND, key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Whether the file has this length and content.
fn holds(path: &Path, seen: &Seen) -> bool {
    let Ok(file) = File::open(path) else { return false };
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == seen.size)
        && Digest::of_reader(file).is_ok_and(|(digest, _)| digest == seen.digest)
}
