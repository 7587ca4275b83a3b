//! The table of backends.
