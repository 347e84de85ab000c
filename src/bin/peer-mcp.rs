//! What `peer mcp` runs: the server of the Model Context Protocol. A program of its own, because the protocol's SDK
//! would make `peer` larger by a tenth, and each start of it slower.

use std::process::ExitCode;

use peer_adapters::signals;

fn main() -> ExitCode {
    // If the kernel refuses, nothing has changed, and whatever fails later reports its own error.
    let _ = signals::restore();
    ExitCode::from(peer::serve_mcp(std::env::args_os().skip(1)))
}
