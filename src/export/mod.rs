//! Exporters: images written in the formats of the world.
