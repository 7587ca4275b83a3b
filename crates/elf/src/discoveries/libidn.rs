//! libidn2: glibc encodes names of hosts that are not ASCII with it, if it is there (`inet/idna.c`).

use std::io;

use super::{Discovery, c_library};
use crate::context::Context;
use crate::features::Feature;
use crate::loader::Process;
use crate::settings::Policy;
use minimg_tree::Root;

const NAME: &[u8] = b"libidn2.so.0";

/// Opens libidn2 for objects that resolve names of hosts, if what is only suggested is wanted.
pub(super) struct Libidn;

impl<R: Root + ?Sized> Discovery<R> for Libidn {
    fn object(&mut self, context: &mut Context<'_, R>, process: &mut Process, at: usize) -> io::Result<()> {
        let is_wanted = context.settings().closure.suggested == Policy::Keep;
        if is_wanted && context.uses(process, at, Feature::Resolver).is_some() && process.named(NAME).is_none() {
            let asker = &process.loaded[at].place.path;
            let why = format!("{asker} resolves names of hosts, for which glibc opens libidn2 if it is there");
            let libc = c_library(process, at);
            context.loader().open(process, libc, NAME, &why)?;
        }
        Ok(())
    }
}
