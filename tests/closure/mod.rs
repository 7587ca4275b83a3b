//! The closure against the real loader: what glibc's own `ld.so` loads is what counts, not what we expect.
//!
//! Needs a C compiler and binutils (`gcc`, `ld`), `unshare`, `chroot` `ldconfig` and musl's loader; run as root, or where unprivileged user namespaces
//! are allowed.

mod boards;
mod bytes;
mod cache;
mod causes;
mod command_line;
mod corpora;
mod debian;
mod edges;
mod foreign;
mod hidden;
mod keep;
mod lab;
mod musl;
mod robust;
mod rules;
mod symbols;
mod ways;
