//! `peer mcp` without a client: what is no message, how it is given to an agent, and what it says at a terminal.

use crate::common::run::{Lines, output};
use crate::common::{Run, World, on_each_runtime, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Child, Stdio};

on_each_runtime! {
    an_agent_is_given_it_by_a_variable_and_a_persons_own_is_kept
}

/// A server to which a test writes single lines, without an MCP client.
struct Raw {
    child: Child,
    lines: Lines,
}

impl Raw {
    fn start(world: &World) -> Self {
        let mut command = world.command(&["mcp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = Lines::of(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    fn say(&mut self, line: &[u8]) {
        let mut stdin = self.child.stdin.as_ref().expect("open");
        stdin.write_all(line).and_then(|()| stdin.write_all(b"\n")).expect("it listens");
    }

    fn hears(&mut self) -> Value {
        let line = self.lines.next().expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn begin(&mut self) {
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
        self.say(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello }).to_string().as_bytes());
        assert_eq!(self.hears()["result"]["serverInfo"]["name"], "peer");
        self.say(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    }

    /// Closes stdin. Returns the remaining lines of stdout, the text of stderr, and the exit code.
    fn end(mut self) -> (Vec<String>, String, Option<i32>) {
        drop(self.child.stdin.take());
        let rest = self.lines.rest();
        let output = output(self.child);
        (rest, String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    }
}

#[test]
fn what_is_no_message_breaks_nothing_and_a_closed_stdin_ends_it() {
    let world = World::new();
    world.add("a", &["cat"]);
    let mut raw = Raw::start(&world);
    raw.begin();
    for junk in [&b"not json"[..], b"", b"{\"jsonrpc\":", b"\xff\xfe\x00", b"[1,2,3]"] {
        raw.say(junk);
    }
    raw.say(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such/method\"}");
    raw.say(
        b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"list\",\"arguments\":[7]}}",
    );
    raw.say(
        b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{\"name\":\"list\",\"arguments\":{}}}",
    );
    let (mut left, mut listed) = (vec![1, 2, 3], Value::Null);
    while !left.is_empty() {
        let answer = raw.hears();
        left.retain(|id| answer["id"] != *id);
        assert!(answer["jsonrpc"] == "2.0" && (answer["id"] == 3 || answer["error"]["code"].is_i64()), "{answer}");
        if answer["id"] == 3 {
            listed = answer["result"]["structuredContent"].clone();
        }
    }
    assert_eq!(listed["peers"][0]["peer"], "a");
    let (rest, stderr, code) = raw.end();
    assert_eq!((rest, stderr.as_str(), code), (Vec::new(), "", Some(0)));
    // stdin is closed before the first line.
    let (rest, stderr, code) = Raw::start(&world).end();
    assert_eq!((rest, stderr.as_str(), code), (Vec::new(), "", Some(0)));
    // A request that precedes the end of stdin is answered.
    let mut raw = Raw::start(&world);
    raw.begin();
    raw.say(b"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"tools/call\",\"params\":{\"name\":\"list\"}}");
    let (rest, _, code) = raw.end();
    assert_eq!((rest.len(), code), (1, Some(0)));
    assert!(rest[0].contains("\"peers\""), "{rest:?}");
    // A server that is killed leaves the fleet unchanged.
    world.peer(&["wake", "a"]);
    let mut raw = Raw::start(&world);
    raw.begin();
    raw.say(b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"wait\",\"arguments\":{\"names\":[\"a\"],\"until\":[\"ended\"]}}}");
    crate::common::signal(raw.child.id(), Signal::SIGTERM);
    assert_eq!(raw.end().2, None);
    world.peer(&["send", "a", "y"]).prints("a: already awake; message delivered\n");
}

#[test]
fn an_agent_is_given_its_server_for_one_launch() {
    let world = World::new();
    world.profile(
        "given",
        "description = \"an agent that takes one\"\n[mcp]\narguments = [\"--server={command}\", \"{name} {incarnation}\", \"{state}{config}\"]\n",
    );
    world.declare("a", &["--agent", "given"], &["sh", "-c", "exec cat", "own-word"]);
    let argv = |number: u32| {
        let launch = std::fs::read_to_string(world.path(&format!("state/panes/a.{number}.launch"))).expect("a file");
        serde_json::from_str::<Value>(&launch).expect("JSON")["argv"].as_array().expect("words").clone()
    };
    world.peer(&["wake", "a"]);
    assert_eq!(argv(1).len(), 4, "only where its spec wants it");
    world.set_in_spec("a", "mcp = true");
    world.peer(&["new", "a"]);
    let quoted = |path: std::path::PathBuf| format!("{:?}", path.to_str().expect("UTF-8"));
    let given = [
        format!("--server={}", quoted(env!("CARGO_BIN_EXE_peer").into())),
        "\"a\" \"2\"".to_owned(),
        quoted(world.path("state")) + &quoted(world.path("config")),
    ];
    assert_eq!(argv(2)[3..], [&["own-word".to_owned()][..], &given].concat());
    // Not every agent accepts a server.
    world.add("b", &["cat"]);
    world.set_in_spec("b", "mcp = true");
    let run = world.peer(&["wake", "b"]);
    assert!(run.code == 1 && run.stderr.contains("mcp: command takes no MCP server for one launch"), "{run:?}");
}

#[test]
fn at_a_terminal_it_says_what_it_is_for() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let terminal = std::fs::File::open(format!("/proc/{}/fd/0", world.agent("a"))).expect("a terminal");
    let mut command = world.command(&["mcp"]);
    Run::of(command.stdin(terminal), None).fails(
        2,
        "error: peer mcp is started by an agent, which speaks JSON to it on stdin\nhint: claude mcp add peer -- peer mcp\n",
    );
    wait_until("nothing was taken from it", || world.peer(&["list", "--format", "{state}"]).stdout == "awake\n");
}

#[test]
fn without_the_program_beside_it_the_cure_is_named() {
    let world = World::new();
    std::fs::create_dir(world.path("alone")).expect("created");
    let alone = world.path("alone/peer");
    std::fs::copy(env!("CARGO_BIN_EXE_peer"), &alone).expect("copied");
    let told = format!(
        "error: cannot start {}-mcp: No such file or directory (os error 2)\n\
         hint: install this release again: peer-mcp belongs beside {0}\n",
        alone.display()
    );
    Run::of(std::process::Command::new(&alone).arg("mcp").stdin(Stdio::piped()), None).fails(1, &told);
    // It is no command for users.
    let mut typed = std::process::Command::new(env!("CARGO_BIN_EXE_peer-mcp"));
    let told = "error: peer-mcp is what `peer mcp` runs\nhint: claude mcp add peer -- peer mcp\n";
    Run::of(typed.stdin(Stdio::piped()), None).fails(2, told);
}

fn an_agent_is_given_it_by_a_variable_and_a_persons_own_is_kept(on: RuntimeKind) {
    let world = World::on(on);
    world.profile("mine", "description = \"mine\"\n[mcp.env]\nMY_SERVER = '[{command},{name},{incarnation}]'\n");
    world.declare("a", &["--agent", "mine"], &["cat"]);
    world.set_in_spec("a", "mcp = true");
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    let given = |incarnation: u32| -> Value {
        let launch = world.path(&format!("state/panes/a.{incarnation}.launch"));
        let launch: Value = serde_json::from_slice(&std::fs::read(launch).expect("a launch file")).expect("JSON");
        let env = launch["env"].as_array().expect("a list").iter();
        env.filter(|pair| pair[0] == "MY_SERVER").map(|pair| pair[1].clone()).collect()
    };
    let told: Value = serde_json::from_str(given(1)[0].as_str().expect("it has one")).expect("JSON");
    assert_eq!((&told[1], &told[2]), (&json!("a"), &json!("1")));
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    let run = Run::of(world.command(&["wake", "a"]).env("MY_SERVER", "mine"), None);
    assert!(run.code == 0 && run.stderr.contains("a: its own MY_SERVER is kept, so it gets no MCP server"), "{run:?}");
    assert_eq!(given(2), json!(["mine"]));
}
