//! The entry point: runs a verb, and turns its outcome into an exit code. No other code exits the process.

use std::process::ExitCode;

use peer_adapters::signals;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    // The pane process lives as long as its agent, so it does not load the command line's code. It takes over the signals
    // itself: one that was sent to its predecessor may be pending, and would end it.
    if arguments.nth(1).is_some_and(|verb| verb == "pane") {
        return ExitCode::from(peer::pane_main(&arguments.collect::<Vec<_>>()));
    }
    // If the kernel refuses, nothing has changed, and whatever fails later reports its own error.
    let _ = signals::restore();
    start_tracing();
    ExitCode::from(peer::run(std::env::args_os()))
}

/// Writes diagnostics to stderr as `PEER_LOG` requests. Sets up nothing if it is unset.
fn start_tracing() {
    if let Ok(filter) = std::env::var("PEER_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
