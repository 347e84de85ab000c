//! All external tests of the adapters in one binary: tmux, zellij and the agents themselves.
//!
//! `cargo test -p peer-adapters --test it conformance::` runs the cases that each runtime must pass.

mod agents;
mod conformance;
mod tmux;
mod writes;
mod zellij;

/// A new directory whose name begins so: where temporary files belong, or in /tmp if that path is too long for sockets or
/// would have to be quoted in scripts.
fn directory(prefix: &str) -> tempfile::TempDir {
    let usual = std::env::temp_dir();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let fits = usual.as_os_str().len() <= 40 && usual.as_os_str().as_encoded_bytes().iter().all(plain);
    let place = if fits { usual } else { std::path::PathBuf::from("/tmp") };
    tempfile::Builder::new().prefix(prefix).tempdir_in(place).expect("a directory")
}
