//! Files of variables: read as a shell would read them, or refused without showing a value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

use peer::testing::EnvFile;

fuzz_target!(|text: &str| {
    if let Err(error) = EnvFile::parse(Path::new("env"), text) {
        assert!(error.to_string().len() < 4096, "an error is a sentence");
    }
});
