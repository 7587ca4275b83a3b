//! Interruption: nothing half done stays behind, and the parent process sees that a signal ended the program.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Cleans up before a signal ends the program; a second one ends it at once. Signals that it was told to ignore, as by `nohup`, stay ignored.
pub(super) fn watch() {
    let ignored = ignored();
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    // Without the watch a signal ends the program all the same, only less tidily.
    let Ok(mut signals) = Signals::new(wanted.collect::<Vec<_>>()) else { return };
    std::thread::spawn(move || {
        let mut coming = signals.forever();
        let Some(first) = coming.next() else { return };
        std::thread::spawn(move || {
            minimg::interrupt::clean_up();
            let _ = emulate_default_handler(first);
        });
        if let Some(second) = coming.next() {
            let _ = emulate_default_handler(second);
        }
    });
}

/// Cleans up before a panic ends the program. Where panics unwind, destructors do that.
pub(super) fn watch_panics() {
    #[cfg(panic = "abort")]
    {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            tell(panic);
            minimg::interrupt::clean_up_after_panic();
        }));
    }
}

/// The mask of ignored signals: `SigIgn` of proc(5).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
