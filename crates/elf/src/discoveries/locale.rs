//! Locales: the ones that the image's environment asks for. C and POSIX are built into glibc; C.UTF-8 is not before 2.35, and every
//! other one is a directory or a part of the archive.

use std::collections::BTreeSet;
use std::io;

use super::Discovery;
use crate::closure::Why;
use crate::context::Context;
use crate::features::Feature;
use crate::finding::Severity;
use crate::loader::Process;
use minimg_tree::Root;

/// Keeps the locales of the environment for objects that use them.
pub(super) struct Locales;

impl<R: Root + ?Sized> Discovery<R> for Locales {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        if context.uses(process, at, Feature::Locale).is_none() {
            return Ok(());
        }
        let asker = &process.loaded[at].place.path;
        let is_setting = |name: &str| matches!(name, "LANG" | "LC_ALL") || name.starts_with("LC_");
        let settings = context.settings().env.iter().filter(|(name, value)| is_setting(name) && is_locale(value));
        let wanted: BTreeSet<String> = settings.map(|(_, value)| value.clone()).collect();
        for locale in wanted {
            let why =
                Why::Opened(format!("{asker} uses the locale (setlocale), and the environment asks for {locale}"));
            let mut found = false;
            for name in [locale.clone(), normalized(&locale)] {
                let directory = format!("/usr/lib/locale/{name}");
                found |= context.view().place(directory.as_bytes())?.is_ok();
                context.keep_below(directory.as_bytes(), &why, asker)?;
            }
            if let Some(place) = context.view().file(b"/usr/lib/locale/locale-archive")? {
                context.keep_place(&place, why, Some(asker));
                found = true;
            }
            if !found {
                let text = format!(
                    "it uses the locale, and the environment asks for {locale}, which the tree does not have: add the package that holds it, or ask for another one"
                );
                context.find(Severity::Warning, asker, text);
            }
        }
        Ok(())
    }
}

/// Whether a value of LANG asks for files: C and POSIX do not, and a slash is no name.
fn is_locale(value: &str) -> bool {
    !matches!(value, "" | "C" | "POSIX") && !value.contains('/')
}

/// The name with its character set as directories have it: `en_US.utf8` for `en_US.UTF-8` (`_nl_normalize_codeset`).
fn normalized(locale: &str) -> String {
    let Some((language, rest)) = locale.split_once('.') else { return locale.to_owned() };
    let (codeset, modifier) = rest.split_at(rest.find('@').unwrap_or(rest.len()));
    let plain: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{language}.{}{modifier}", plain.to_lowercase())
}
