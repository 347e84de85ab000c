//! A real client of `peer mcp`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rmcp::RoleClient;
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest};
use rmcp::service::{PeerRequestOptions, RequestHandle, RunningService, ServiceError};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::task::LocalSet;

use super::run::HANG;
use super::{PATIENCE, World};

/// A client, and the server that it started.
pub(crate) struct Client {
    pub(crate) service: RunningService<RoleClient, ()>,
    server: Child,
}

/// Runs a test that uses clients.
pub(crate) fn with_clients<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, work)
}

impl Client {
    /// Starts a client outside any pane, as the user has one.
    pub(crate) async fn of_a_person(world: &World) -> Self {
        Self::with(world, &[]).await
    }

    /// Starts a client as a peer's agent does in its pane.
    pub(crate) async fn of(world: &World, name: &str) -> Self {
        let incarnation = world.session(name)["incarnation"].to_string();
        Self::with(world, &[("PEER_NAME", name), ("PEER_INCARNATION", &incarnation)]).await
    }

    /// Starts a client whose server has these environment variables.
    pub(crate) async fn with(world: &World, env: &[(&str, &str)]) -> Self {
        let mut command = Command::from(world.command(&["mcp"]));
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut server = command.spawn().expect("it starts");
        let transport = (server.stdout.take().expect("piped"), server.stdin.take().expect("piped"));
        Self { service: within(().serve(transport)).await.expect("it speaks MCP"), server }
    }

    /// Calls a tool. Returns whether it failed, and its document.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> (bool, Value) {
        let result = within(self.service.call_tool(params(tool, arguments))).await.expect("an answer");
        let document = result.structured_content.expect("a document");
        let text = result.content[0].as_text().expect("text").text.clone();
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document, "for clients that know text alone");
        (result.is_error == Some(true), document)
    }

    /// Begins a call that can be cancelled.
    pub(crate) async fn begin(&self, tool: &str, arguments: Value) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params(tool, arguments)));
        let begun = self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
        begun.expect("it is sent")
    }

    /// Makes a call that must succeed, and returns its document.
    pub(crate) async fn done(&self, tool: &str, arguments: Value) -> Value {
        let (failed, document) = self.call(tool, arguments).await;
        assert!(!failed, "{tool}: {document}");
        document
    }

    /// Makes a call that must fail, and returns the code and the text of its error.
    pub(crate) async fn refused(&self, tool: &str, arguments: Value) -> (u64, String) {
        let (failed, document) = self.call(tool, arguments).await;
        assert!(failed, "{tool}: {document}");
        (document["code"].as_u64().expect("a code"), document["error"].as_str().expect("text").to_owned())
    }

    /// Calls a tool that does not exist, and returns the protocol error.
    pub(crate) async fn unknown(&self, tool: &str) -> ServiceError {
        within(self.service.call_tool(params(tool, Value::Null))).await.expect_err("no such tool")
    }

    /// Closes the server's stdin, and returns its exit code.
    pub(crate) async fn close(mut self) -> Option<i32> {
        within(self.service.cancel()).await.expect("closed");
        within(self.server.wait()).await.expect("our child").code()
    }
}

/// Fails the test if the server does not answer.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work).await.expect("it hangs")
}

/// Waits until something holds, while clients work.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the parameters of a call.
fn params(tool: &str, arguments: Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(tool.to_owned());
    match arguments {
        Value::Object(arguments) => params.with_arguments(arguments),
        _ => params,
    }
}
