//! Layers: one immutable, deterministic tar each.
