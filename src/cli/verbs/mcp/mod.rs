//! `peer mcp`: offers the verbs to an agent as tools, over the Model Context Protocol. All code that knows the protocol
//! is here.

mod calls;
mod server;
mod tools;

use std::io::IsTerminal;

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
    after_help = "Tools: list, status, why, send, wake, wait, last, screen, inbox\n\nExamples:\n  claude mcp add peer -- peer mcp      for an agent that is no peer\n  peer edit api                        for one that is: mcp = true, and may = [\"web-*\"]"
)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: &Args) -> Outcome {
    if std::io::stdin().is_terminal() {
        let problem = "peer mcp is started by an agent, which speaks JSON to it on stdin";
        return Err(CliError::usage(problem, "claude mcp add peer -- peer mcp"));
    }
    // The engine's futures are not `Send`.
    Box::pin(LocalSet::new().run_until(serve())).await
}

async fn serve() -> Outcome {
    let server = Server::default();
    let calls = server.calls();
    let service = match server.serve(stdio()).await {
        Ok(service) => service,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(0),
        Err(error) => {
            let hint = "claude mcp add peer -- peer mcp".to_owned();
            return Err(CliError::Nothing { problem: format!("cannot serve this client: {error}"), hint });
        }
    };
    let ended = service.waiting().await;
    // Calls still in progress have been cancelled. Wait for them, so that a half-typed message is settled and recorded.
    drop(calls.write().await);
    match ended {
        Ok(_) => Ok(0),
        Err(error) => Err(CliError::Executable(std::io::Error::other(error))),
    }
}
