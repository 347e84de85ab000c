//! Screens, read with each built-in profile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

use peer_adapters::agent::{BUILTIN, Profile};
use peer_adapters::screen::{self, Phase};

static PROFILES: LazyLock<Vec<Profile>> =
    LazyLock::new(|| BUILTIN.iter().filter_map(|(name, _)| Profile::builtin(name)).collect());

fuzz_target!(|text: &str| {
    for profile in PROFILES.iter() {
        if let Phase::Dialog(dialog) = screen::read(profile, text).phase {
            let _ = screen::next_key(&dialog);
        }
    }
    let _ = screen::last_lines(text, 2);
});
