//! One fuzzer for all parsers of foreign bytes: `MINIMG_FUZZ=deb cargo fuzz run any`. Without the variable the first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minimg_fuzz_targets as targets;

fuzz_target!(|data: &[u8]| {
    let named = std::env::var("MINIMG_FUZZ").ok();
    match (named, data.split_first()) {
        (Some(name), _) => targets::run(&name, data),
        (None, Some((first, rest))) => targets::TARGETS[usize::from(*first) % targets::TARGETS.len()].1(rest),
        (None, None) => {}
    }
});
