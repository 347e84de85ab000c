//! `peer mcp`: offers the verbs to an agent as tools, over the Model Context Protocol. All code that knows the protocol
//! is here.
//!
//! `peer mcp` replaces itself by `peer-mcp`, the program beside it. Only that one is linked with the protocol's SDK, which would
//! make `peer` larger by a tenth, and each start of it slower: each wake starts it twice.

mod calls;
mod server;
mod tools;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use peer_adapters::command::{self, Argv};
use peer_adapters::process;

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio;
use tokio::task::LocalSet;

use crate::cli::{CliError, Outcome};
use server::Server;

/// Serve the fleet to an agent as MCP tools
///
/// The Model Context Protocol on stdin and stdout, until stdin is closed. In the pane of a peer, its agent may list all peers and
/// send to all of them; where its spec has `may`, it may do everything to the peers named there, and nothing to others.
/// Elsewhere it may do what whoever runs it may. `mcp = true` in a spec gives it to that peer's agent for each launch.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Tools: list, status, why, send, wake, wait, last, screen, inbox\n\nExamples:\n  claude mcp add peer -- peer mcp      # for an agent that is no peer\n  peer edit api                        # for one that is: mcp = true, and may = [\"web-*\"]"
)]
pub(crate) struct Args {}

/// The command with which a user gives the tools to an agent that is not a peer.
const HINT: &str = "claude mcp add peer -- peer mcp";

/// The file name of the program that serves, in the directory of `peer`.
const PROGRAM: &str = "peer-mcp";

/// Becomes `peer-mcp`. Returns only if it does not start.
pub(crate) fn run(_args: &Args) -> Outcome {
    if std::io::stdin().is_terminal() {
        return Err(CliError::usage("peer mcp is started by an agent, which speaks JSON to it on stdin", HINT));
    }
    let own = process::own_executable().map_err(CliError::Executable)?;
    let program = own.with_file_name(PROGRAM);
    let error = command::hand_over(&Argv::new(&program).arg(&own));
    Err(CliError::Nothing {
        problem: format!("cannot start {}: {error}", program.display()),
        hint: format!("install this release again: {PROGRAM} belongs beside {}", own.display()),
    })
}

/// Serves on stdin and stdout until stdin is closed. The argument is the path of `peer`.
pub(crate) async fn serve(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut arguments = arguments.into_iter();
    let (Some(peer), None) = (arguments.next().map(PathBuf::from).filter(|path| path.is_absolute()), arguments.next())
    else {
        return Err(CliError::usage(format!("{PROGRAM} is what `peer mcp` runs"), HINT));
    };
    // The engine's futures are not `Send`.
    Box::pin(LocalSet::new().run_until(serve_as(peer))).await
}

async fn serve_as(peer: PathBuf) -> Outcome {
    let server = Server::new(peer);
    let calls = server.calls();
    let service = match server.serve(stdio()).await {
        Ok(service) => service,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(0),
        Err(error) => {
            return Err(CliError::Nothing {
                problem: format!("cannot serve this client: {error}"),
                hint: HINT.to_owned(),
            });
        }
    };
    let ended = service.waiting().await;
    // Calls still in progress have been cancelled. Wait for them, so that a half-typed message is settled and recorded.
    drop(calls.write().await);
    match ended {
        Ok(_) => Ok(0),
        Err(error) => Err(CliError::Nothing {
            problem: format!("serving this client failed: {error}"),
            hint: "restart the agent, which starts it again".to_owned(),
        }),
    }
}
