use std::path::PathBuf;
use std::sync::Arc;

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;
use tokio::sync::RwLock;

use super::calls::{self, Done};
use super::tools;

const INSTRUCTIONS: &str = "\
Named terminal agents that live in tmux or zellij, and that can be asked things. If PEER_NAME is set in your environment, you are \
one of them. To ask another one: send with wait = true, which returns its answer. To hand something over: send, and it answers \
when and if it chooses to. What is refused says why and what a person could do; trying again does not help. A chain of messages \
from agent to agent is bounded.";

/// The MCP server. Each call opens the fleet anew, as a command does, so no state is carried from one call to the next.
pub(super) struct Server {
    /// The path of `peer`, which panes run.
    peer: PathBuf,
    calls: Arc<RwLock<()>>,
}

impl Server {
    pub(super) fn new(peer: PathBuf) -> Self {
        Self { peer, calls: Arc::default() }
    }

    /// Returns the lock that each call holds for reading while it runs. A writer thus waits for all calls.
    pub(super) fn calls(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.calls)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let named = Implementation::new("peer", env!("CARGO_PKG_VERSION")).with_title("peer");
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities).with_server_info(named).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let _under_way = self.calls.read().await;
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let Some(read) = tools::read(&request.name, arguments) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {:?}", request.name), None));
        };
        // Report invalid arguments in the result: the model sees that and can correct them, but it may not see a
        // protocol error.
        let Done { document, failed } = match read {
            Ok(call) => calls::run(self.peer.clone(), call, context.ct.cancelled()).await,
            Err(problem) => Done::of_error(&problem),
        };
        let result =
            if failed { CallToolResult::structured_error(document) } else { CallToolResult::structured(document) };
        Ok(result.into())
    }
}
