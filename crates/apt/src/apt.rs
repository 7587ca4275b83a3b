//! A request's suites as entries for apt and similar tools, which choose and unpack by themselves.

use serde::Serialize;

use super::error::ArchiveError;
use super::{planned_suites, signed_suites};
use minimg_backend::{Archive, Context, Request};
use minimg_base::digest::Digest;
use minimg_base::digest::digest_of;
use minimg_base::error::Result;
use minimg_fetch::Fetcher;

/// A suite that is there, and whose Release file was verified.
#[derive(Debug, Clone, Serialize)]
pub struct AptSource {
    /// The address below which `dists/` lies.
    pub address: String,
    /// The suite: `trixie`, `trixie-security`.
    pub suite: String,
    /// The components.
    pub components: Vec<String>,
    /// The certificates that may have signed it, as a binary keyring.
    pub keyring: Vec<u8>,
    /// Whether it need not be signed.
    pub trusted: bool,
    /// Whether it may have expired.
    pub allow_expired: bool,
    /// What it calls itself, and the date of its Release file in seconds since 1970.
    pub title: String,
    /// The date of its Release file, in seconds since 1970.
    pub date: i64,
    /// Stands for everything that its Release file lists: equal for equal packages.
    pub content: Digest,
}

impl AptSource {
    /// The line of a `sources.list` (sources.list(5)); `keyring` is the file with the certificates.
    pub fn line(&self, keyring: &str) -> String {
        let check = if self.allow_expired { " check-valid-until=no" } else { "" };
        let trust = if self.trusted { "trusted=yes".to_owned() } else { format!("signed-by={keyring}") };
        format!("deb [{trust}{check}] {} {} {}", self.address, self.suite, self.components.join(" "))
    }

    /// The archive as pins name it.
    pub fn archive(&self) -> Archive {
        Archive { name: self.title.clone(), address: String::new(), date: super::release::rfc3339(self.date) }
    }
}

/// The suites of a request, in the order of preference. Asks the mirrors whether they have changed, unless the context is offline.
///
/// # Errors
/// When no mirror is known, or a Release file cannot be had or trusted.
pub fn apt_sources(request: &Request, context: &Context) -> Result<Vec<AptSource>> {
    let architecture = request.board.names.deb.as_deref();
    let architecture = architecture.ok_or_else(|| ArchiveError::Architecture { board: request.board.name.clone() })?;
    let planned = planned_suites(request, architecture, context)?;
    let signed = signed_suites(&planned, &Fetcher::new(context.clone()), context)?;
    let source = |(suite, release): &(super::Suite, super::Release)| {
        Ok(AptSource {
            address: suite.address.clone(),
            suite: suite.name.clone(),
            components: suite.components.clone(),
            keyring: suite.keys.load(context.settings.machine.as_deref())?.binary(),
            trusted: suite.trusted,
            allow_expired: suite.allow_expired,
            title: release.title(&suite.name),
            date: release.date,
            content: digest_of(&release.packages),
        })
    };
    Ok(signed.iter().map(source).collect::<Result<_, ArchiveError>>()?)
}
