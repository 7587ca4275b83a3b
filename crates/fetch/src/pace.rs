//! How fast a server must be: one that sends a byte now and then would be waited for without end.

use std::time::Duration;

use super::Patience;

/// What came since the last failure, and since the pace was looked at last.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since_failure: u64,
    bytes: u64,
    waited: Duration,
}

impl Pace {
    /// Takes note of bytes, and how long the server was waited for until they came; what is done with them is not its fault.
    pub(super) fn came(&mut self, bytes: usize, waited: Duration) {
        self.since_failure = self.since_failure.saturating_add(bytes as u64);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.waited = self.waited.saturating_add(waited);
    }

    /// Whether so much came since the last failure that it may be forgotten.
    pub(super) fn is_progress(&self, patience: &Patience) -> bool {
        self.since_failure >= patience.least
    }

    /// What is wrong with the pace, each time that it has been long enough to tell.
    pub(super) fn too_slow(&mut self, patience: &Patience) -> Option<String> {
        if self.waited < patience.within {
            return None;
        }
        let (bytes, waited) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.waited));
        let slow = bytes < patience.least;
        slow.then(|| format!("the server is too slow: {bytes} bytes in {} s", waited.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        let patience = Patience { least: 100, within: Duration::from_secs(60), ..Patience::default() };
        let second = Duration::from_secs(1);
        for (bytes, each, slow) in
            [(1, 29 * second, true), (1, second, true), (2, second, false), (5_000, 59 * second, false)]
        {
            let mut pace = Pace::default();
            let slow_ones = (0..120).filter_map(|_| {
                pace.came(bytes, each);
                pace.too_slow(&patience)
            });
            assert_eq!(slow_ones.count() > 0, slow, "{bytes} bytes in {each:?}");
        }
        let mut pace = Pace::default();
        pace.came(99, second);
        assert!(!pace.is_progress(&patience));
        pace.came(1, second);
        assert!(pace.is_progress(&patience));
    }
}
