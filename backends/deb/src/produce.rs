//! From packages to a root tree: assembly, then the rules.

use crate::assemble::{assemble, sort};
use crate::format::Unpacker;
use crate::rules;
use minimg_backend::{Context, Pins, Produced, Request};
use minimg_base::error::Result;
use minimg_base::report::Event;
use minimg_package::{Fetch, load, packs};

/// What follows the list of what scripts ask for and no rule can read.
const UNDONE: &str = "what is left undone is known only to a shell that runs it: add what the image needs of it under [add], or build with \
    `--backend debootstrap`";

/// Makes the root tree of exactly these packages. Packages that the store lacks and that are needed are had by `fetch`; some may have been
/// given to `unpacker` before.
///
/// # Errors
/// When a package cannot be had, is not what was pinned, is malformed, or ships what another one ships.
pub fn produce(
    request: &Request,
    pins: &Pins,
    unpacker: Unpacker,
    context: &Context,
    fetch: &Fetch,
) -> Result<Produced> {
    let mut packages = load(pins, unpacker, context, fetch)?;
    sort(&mut packages);
    // Not the date of the archive: a new index without new packages must not change the tree.
    let newest = packages.iter().flat_map(|loaded| &loaded.listing.members).map(|member| member.meta.mtime).max();
    let epoch = newest.unwrap_or(pins.epoch);
    let mut tree = assemble(&packages, epoch, &rules::diversions)?;
    let notes = rules::apply(&mut tree, &packages, request, epoch)?;
    for note in &notes {
        context.reporter.event(Event::Detail(&note.to_string()));
    }
    if !notes.is_empty() {
        context.reporter.event(Event::Detail(UNDONE));
    }
    Ok(Produced { tree, retain: Some(packs(packages, context)) })
}
