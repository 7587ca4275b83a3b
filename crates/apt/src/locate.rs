//! Where the archives of a lock are: a lock says what was chosen, not which of many equal mirrors was asked.

use super::error::ArchiveError;
use super::plan::{self, Suite};
use minimg_backend::{Context, Pins, Request};
use minimg_base::error::Result;

/// Fills in the addresses of archives that have none, from the mirrors that this machine knows.
///
/// # Errors
/// When no mirror is known, or no suite of the request fits an archive.
pub fn locate(request: &Request, mut pins: Pins, context: &Context) -> Result<Pins> {
    if pins.archives.iter().all(|archive| !archive.address.is_empty()) {
        return Ok(pins);
    }
    let architecture = request.board.names.deb.as_deref().unwrap_or_default();
    let (suites, _) = plan::suites(&request.source, architecture, &context.settings)?;
    let count = pins.archives.len();
    for (place, archive) in pins.archives.iter_mut().enumerate().filter(|(_, archive)| archive.address.is_empty()) {
        // A suite that is asked for as `stable` calls itself by its codename: then the order tells.
        let by_order = || suites.get(place).filter(|_| suites.len() == count);
        let suite = suites.iter().find(|suite| is_titled(&archive.name, suite)).or_else(by_order);
        let suite = suite.ok_or_else(|| ArchiveError::NotLocated { archive: archive.name.clone() })?;
        archive.address.clone_from(&suite.address);
    }
    Ok(pins)
}

/// Whether the archive's title, such as `Debian trixie-security`, is that of the suite.
fn is_titled(title: &str, suite: &Suite) -> bool {
    title.split(' ').next_back() == Some(&suite.name)
}
