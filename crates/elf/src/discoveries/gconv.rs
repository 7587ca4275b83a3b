//! gconv: the modules by which glibc converts text. The usual ones are kept here; the rest is the rule set `gconv`.

use std::io;

use super::{Discovery, c_library};
use crate::closure::Why;
use crate::context::Context;
use crate::features::Feature;
use crate::loader::Process;
use minimg_tree::Root;

/// The conversions that programs ask for besides those built in.
const USUAL_CONVERSIONS: [&str; 3] = ["ISO8859-1.so", "UTF-16.so", "UTF-32.so"];

/// Keeps the table of conversions and the usual ones, beside the C library of objects that use `iconv_open`.
pub(super) struct Gconv;

impl<R: Root + ?Sized> Discovery<R> for Gconv {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        if context.uses(process, at, Feature::Iconv).is_none() {
            return Ok(());
        }
        let asker = &process.loaded[at].place.path;
        let why = Why::Opened(format!("{asker} converts text (iconv_open)"));
        let Some(beside) = process.loaded[c_library(process, at)].place.path.parent() else { return Ok(()) };
        let beside = [b"/", beside.as_bytes(), b"/gconv"].concat();
        let below_usr = [b"/usr".as_slice(), &beside].concat();
        for directory in [beside, below_usr] {
            context.keep_below(&[&directory, b"/gconv-modules.d".as_slice()].concat(), &why, asker)?;
            for name in ["gconv-modules", "gconv-modules.cache"].iter().chain(&USUAL_CONVERSIONS) {
                let path = [&directory, b"/".as_slice(), name.as_bytes()].concat();
                if let Some(place) = context.view().file(&path)? {
                    context.keep_place(&place, why.clone(), Some(asker));
                }
            }
        }
        Ok(())
    }
}
