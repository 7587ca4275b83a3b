//! `minimg check`: proves that everything in a root file system finds what it needs.

use std::path::Path;
use std::process::ExitCode;

use minimg::closure::check::{self, CheckSettings, Checked};
use minimg::closure::loader::CacheSource;
use minimg::closure::{Finding, Severity};
use minimg::error::{Class, Error};
use minimg::rootfs::archive_and_image;

use super::Session;
use super::output::{harmless, print_json, say};
use super::root::Opened;
use super::select::Selection;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A root directory or tar, an image archive or layout (`archive.tar:NAME` of several images), or a profile
    #[command(flatten)]
    selection: Selection,
    /// Also print warnings and notes
    #[arg(long, short = 'W')]
    warnings: bool,
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    refuse_missing_archive(arguments.selection.profile_argument())?;
    let mut all = Checked::default();
    Opened::each(session, &arguments.selection, |opened| {
        let settings = CheckSettings { env: opened.env(), cache: CacheSource::Either, ..CheckSettings::default() };
        let checked = check::check_counted(opened.root(), &settings).map_err(minimg::Error::from)?;
        all.programs += checked.programs;
        all.libraries += checked.libraries;
        all.scripts += checked.scripts;
        all.unreadable += checked.unreadable;
        all.findings.extend(checked.findings);
        Ok(())
    })?;
    let Checked { programs, libraries, scripts, unreadable, findings } = all;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if session.global.json {
        print_json(&serde_json::json!({
            "complete": errors == 0, "programs": programs, "libraries": libraries, "scripts": scripts, "unreadable": unreadable,
            "findings": findings
        }))?;
    } else if !session.global.quiet {
        let shown = |finding: &&Finding| arguments.warnings || finding.severity == Severity::Error;
        findings.iter().filter(shown).for_each(|finding| say!("{}", line(session, finding)));
        let looked_at = format!("{programs} programs, {libraries} libraries, {scripts} scripts");
        match errors {
            0 if programs + libraries + scripts == 0 => {
                say!("it holds nothing that can run, so there was nothing to check")
            }
            0 => say!("{}", session.style.good(&format!("complete: {looked_at} find what they need"))),
            1 => say!("not complete: 1 error ({looked_at})"),
            _ => say!("not complete: {errors} errors ({looked_at})"),
        }
        if unreadable > 0 && !arguments.warnings {
            say!("{unreadable} paths could not be read and were not checked; --warnings lists them");
        }
    }
    Ok(ExitCode::from(if errors == 0 { 0 } else { Class::Incomplete.code() }))
}

/// A name with the extension of an archive is not looked up among the profiles.
fn refuse_missing_archive(argument: &str) -> anyhow::Result<()> {
    let (archive, _) = archive_and_image(Path::new(argument));
    let named = argument.split(':').next().unwrap_or(argument);
    let extension = Path::new(named).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if matches!(extension, "tar" | "gz" | "tgz" | "xz" | "zst" | "bz2" | "oci") && !archive.exists() {
        return Err(Error::new(Class::Usage, format!("cannot check {argument}: no such file")).into());
    }
    Ok(())
}

fn line(session: &Session, finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Error => session.style.error("error:"),
        Severity::Warning => session.style.warning("warning:"),
        Severity::Note => session.style.dim("note:"),
    };
    format!("{word} {}: {}", session.style.name(&harmless(&finding.path)), harmless(&finding.message))
}
