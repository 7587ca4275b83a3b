//! Caches in which a library lists its modules: the file that a module is opened from is named in them.

use std::io;

use super::Discovery;
use crate::context::Context;
use crate::finding::Severity;
use minimg_tree::{Root, RootPath};

/// GIO, GdkPixbuf, GTK.
const NAMES: [&[u8]; 3] = [b"giomodule.cache", b"loaders.cache", b"immodules.cache"];

/// Reports what a kept cache lists and the image will not have.
#[derive(Default)]
pub(super) struct ModuleCaches {
    /// Kept caches with the modules that they list.
    listed: Vec<(RootPath, Vec<String>)>,
}

impl<R: Root + ?Sized> Discovery<R> for ModuleCaches {
    fn reads(&self, path: &RootPath) -> bool {
        NAMES.contains(&path.file_name())
    }

    fn text(&mut self, _context: &mut Context<'_, R>, path: &RootPath, text: &str) -> io::Result<()> {
        self.listed.push((path.clone(), listed_modules(text).into_iter().map(str::to_owned).collect()));
        Ok(())
    }

    fn finish(&mut self, context: &mut Context<'_, R>) -> io::Result<()> {
        for (path, modules) in std::mem::take(&mut self.listed) {
            let mut missing = Vec::new();
            for name in modules {
                let directory = path.parent().unwrap_or_default();
                let file = match name.starts_with('/') {
                    true => name.clone(),
                    false => format!("/{directory}/{name}").replace("//", "/"),
                };
                let place = context.view().file(file.as_bytes())?;
                if !place.is_some_and(|place| context.ledger().keeps(&place.path)) {
                    missing.push(name);
                }
            }
            if !missing.is_empty() {
                let text = format!(
                    "it lists modules that are not in the image ({}): keep them, or put a shorter file in its place",
                    missing.join(", ")
                );
                context.find(Severity::Warning, &path, text);
            }
        }
        Ok(())
    }
}

/// The modules that a cache lists: `"path"` at the beginning of a line (GdkPixbuf, GTK), or `name: points` (GIO).
fn listed_modules(text: &str) -> Vec<&str> {
    let name = |line: &'_ str| -> Option<(usize, usize)> {
        if let Some(rest) = line.strip_prefix('"') {
            return rest.find('"').map(|end| (1, end + 1)).filter(|(start, end)| line[*start..*end].contains(".so"));
        }
        line.find(": ").map(|end| (0, end))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| name(line).map(|(start, end)| &line[start..end]))
        .filter(|name| name.ends_with(".so"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a file holds, its reader comes back.
        #[test]
        fn any_text(text in "(\\PC|[\"=:/\n\t -]|[.]so){0,80}") {
            listed_modules(&text);
        }
    }

    #[test]
    fn modules_of_both_kinds_of_caches() {
        let pixbuf =
            "# GdkPixbuf\n\"/usr/lib/loaders/libpixbufloader-png.so\"\n\"png\" 5 \"gdk-pixbuf\" \"PNG\" \"LGPL\"\n";
        assert_eq!(listed_modules(pixbuf), ["/usr/lib/loaders/libpixbufloader-png.so"]);
        let gio = "libgiognutls.so: gio-tls-backend\nlibdconfsettings.so: gsettings-backend\n";
        assert_eq!(listed_modules(gio), ["libgiognutls.so", "libdconfsettings.so"]);
    }
}
