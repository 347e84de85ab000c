//! Agent profiles, including their patterns.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_adapters::agent::Profile;

fuzz_target!(|text: &str| {
    let _ = Profile::parse("x", text).map(|profile| profile.capabilities());
});
