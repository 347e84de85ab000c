//! The mock model of `scripts/offline`, as tests use it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

const ADDRESS: (&str, u16) = ("127.0.0.1", 8099);

/// Fails if the test was not started by the script that starts the model.
#[track_caller]
pub(crate) fn must_listen() {
    assert!(TcpStream::connect(ADDRESS).is_ok(), "no mock model on the loopback: run this by scripts/test-agents");
}

/// Lets the model answer the turns that were sent with `HOLD` and this name.
#[track_caller]
pub(crate) fn release(turn: &str) {
    let mut model = TcpStream::connect(ADDRESS).expect("the mock model listens");
    model.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(model, "GET /release/{turn} HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    model.read_to_string(&mut answer).expect("answered");
    assert!(answer.contains(" 200 "), "{answer}");
}
