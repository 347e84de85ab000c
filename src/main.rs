//! The entry point: runs a verb, and turns its outcome into an exit code. No other code exits the process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use peer::policy::ending::Incarnation;
use peer_adapters::screen::printable;
use peer_adapters::signals;

fn main() -> ExitCode {
    // If the kernel refuses, nothing has changed, and whatever fails later reports its own error.
    let _ = signals::restore();
    let mut arguments = std::env::args_os();
    // The pane process lives as long as its agent, so it does not load the command line's code.
    if arguments.nth(1).is_some_and(|verb| verb == "pane") {
        return pane(&arguments.collect::<Vec<_>>());
    }
    start_tracing();
    ExitCode::from(peer::cli::run(std::env::args_os()))
}

/// Runs `peer pane STATE-DIR NAME INCARNATION`, which a runtime runs in a pane. Users do not type it.
fn pane(arguments: &[OsString]) -> ExitCode {
    let [state, name, incarnation] = arguments else {
        eprintln!("error: pane: this is what peer itself runs in a pane\nhint: peer wake NAME");
        return ExitCode::from(2);
    };
    let name = name.to_str().and_then(|name| name.parse().ok());
    let number = incarnation.to_str().and_then(|number| number.parse().ok());
    let (Some(name), Some(number)) = (name, number) else {
        eprintln!("error: pane: no peer's name, or no incarnation's number");
        return ExitCode::from(2);
    };
    match peer::pane::run(Path::new(state), &name, Incarnation(number)) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("peer: {}", printable(&error.to_string()));
            ExitCode::from(1)
        }
    }
}

/// Writes diagnostics to stderr as `PEER_LOG` requests. Sets up nothing if it is unset.
fn start_tracing() {
    if let Ok(filter) = std::env::var("PEER_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
