//! Specs and `config.toml`: parsed, written, and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::testing::{PeerSpec, Settings};
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Ok(spec) = PeerSpec::parse(Path::new("peers/a.toml"), text) {
        let again = PeerSpec::parse(Path::new("peers/a.toml"), &spec.to_toml()).expect("what is written is read");
        assert_eq!(again.command, spec.command);
    }
    let _ = toml::from_str::<Settings>(text);
});
