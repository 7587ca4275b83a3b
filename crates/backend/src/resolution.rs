//! What stands between choosing and making: the pins, and the way from there to the tree.

use minimg_base::error::Result;

use crate::{Backend, Context, Pins, Produced, Request};

/// A request that was resolved. Dropped, it ends whatever its backend has begun for it.
pub trait Resolution {
    /// What was chosen.
    fn pins(&self) -> &Pins;

    /// Makes the root tree of exactly these pins.
    ///
    /// # Errors
    /// As [`Backend::produce`].
    fn produce(self: Box<Self>) -> Result<Produced>;
}

/// A request whose pins are known, of whose tree nothing has begun: the usual [`Resolution`], and the one of a lock.
pub struct Pinned<'b, B: Backend + ?Sized> {
    backend: &'b B,
    request: Request,
    pins: Pins,
    context: Context,
}

impl<'b, B: Backend + ?Sized> Pinned<'b, B> {
    /// These pins of a request.
    pub fn new(backend: &'b B, request: Request, pins: Pins, context: Context) -> Self {
        Self { backend, request, pins, context }
    }
}

impl<B: Backend + ?Sized> Resolution for Pinned<'_, B> {
    fn pins(&self) -> &Pins {
        &self.pins
    }

    fn produce(self: Box<Self>) -> Result<Produced> {
        self.backend.produce(&self.request, &self.pins, &self.context)
    }
}
