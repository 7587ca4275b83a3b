//! Sharing out what is slow: how many threads do it, and how they take it.

use std::sync::Mutex;

use crate::sync::lock;

/// The number of threads where the user wants `wanted`; 0 leaves the choice to us, and more than four only take memory.
pub fn jobs(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(4),
        wanted => wanted,
    }
}

/// Does the same with each item on up to `threads` threads, and gives the results in the order of the items, or the first failure in that
/// order. All items are tried, also after a failure.
///
/// # Errors
/// The first failure of `work`.
pub fn in_parallel<T: Send, R: Send, E: Send>(
    items: Vec<T>,
    threads: usize,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = threads.min(items.len());
    let waiting = Mutex::new(items.into_iter().enumerate());
    let next = || lock(&waiting).next();
    let take_all = || std::iter::from_fn(next).map(|(place, item)| (place, work(item))).collect::<Vec<_>>();
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(take_all)).collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_items_and_the_first_failure_counts() {
        for threads in [1, 3, 100] {
            let doubled = in_parallel((0..50).collect(), threads, |n: u32| Ok::<_, ()>(n * 2));
            assert_eq!(doubled, Ok((0..50).map(|n| n * 2).collect::<Vec<_>>()));
            let odd =
                in_parallel((0..50).collect(), threads, |n: u32| if n > 7 && n % 2 == 1 { Err(n) } else { Ok(n) });
            assert_eq!(odd, Err(9));
        }
        assert_eq!(in_parallel(Vec::<()>::new(), 4, Ok::<_, ()>), Ok(vec![]));
    }
}
