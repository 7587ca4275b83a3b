//! How many threads do what is slow and can be shared out.

/// The number of threads where the user wants `wanted`; 0 leaves the choice to us, and more than four only take memory.
pub fn jobs(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(4),
        wanted => wanted,
    }
}
