//! A user's crontab.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

use peer::testing::crontab_without;

fuzz_target!(|text: &str| {
    let (without, _) = crontab_without(text, Path::new("/s/timer.sh"), "/s");
    // Nothing is added, and our block is removed completely.
    assert!(without.len() <= text.len());
});
