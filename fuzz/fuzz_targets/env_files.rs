//! Files of variables: what a shell would read in them, or a refusal that shows no value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

use peer::config::EnvFile;

fuzz_target!(|text: &str| {
    if let Err(error) = EnvFile::parse(Path::new("env"), text) {
        assert!(error.to_string().len() < 4096, "an error is a sentence");
    }
});
