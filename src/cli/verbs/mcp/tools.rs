//! The descriptions of the tools, and the arguments that they take.

use std::sync::Arc;

use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::CliError;
use crate::policy::name::PeerName;

/// A call with its arguments.
#[derive(Debug)]
pub(super) enum Call {
    List(List),
    Status(One),
    Why(Why),
    Send(SendTo),
    Wake(Wake),
    Wait(Wait),
    Last(Last),
    Screen(Screen),
    Inbox(Inbox),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only these peers; everybody when not given
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) names: Vec<PeerName>,
    /// Only those in one of these states: awake, busy, waiting, asleep, stopped, crashed …
    #[serde(default)]
    pub(super) states: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    /// Name of the peer, as list shows it
    #[schemars(with = "String")]
    pub(super) name: PeerName,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Name of the peer
    #[schemars(with = "String")]
    pub(super) name: PeerName,
    /// What the message would be about
    #[serde(default)]
    pub(super) topic: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendTo {
    /// Name of the peer
    #[schemars(with = "String")]
    pub(super) name: PeerName,
    /// What to say to it; any number of lines, and no control characters
    pub(super) text: String,
    /// What it is about, in a word or two; some peers keep one conversation for each topic
    #[serde(default)]
    pub(super) topic: Option<String>,
    /// Wait for the end of the turn of this message, and return what was answered in it
    #[serde(default)]
    pub(super) wait: bool,
    /// With wait: give up after this time, e.g. 90s, 10m, 1h
    #[serde(default)]
    pub(super) timeout: Option<String>,
    /// Put it into the peer's inbox in place of typing it now: delivered in order when the peer is free
    #[serde(default)]
    pub(super) queue: bool,
    /// With queue: not before this long from now, e.g. 2h
    #[serde(default)]
    pub(super) after: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wake {
    /// Name of the peer
    #[schemars(with = "String")]
    pub(super) name: PeerName,
    /// What to say to it once it is ready
    #[serde(default)]
    pub(super) message: Option<String>,
    /// What that is about
    #[serde(default)]
    pub(super) topic: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Names of peers
    #[schemars(with = "Vec<String>")]
    pub(super) names: Vec<PeerName>,
    /// Until a peer is one of these: idle (its turn is over), busy, waiting, ended, asleep; idle when not given
    #[serde(default)]
    pub(super) until: Vec<String>,
    /// Until one of them is, and not all
    #[serde(default)]
    pub(super) any: bool,
    /// For so long at most, as in 90s, 10m, 1h; 10m when not given
    #[serde(default)]
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    /// Name of the peer
    #[schemars(with = "String")]
    pub(super) name: PeerName,
    /// How many answers, the newest last; 1 when not given
    #[serde(default)]
    pub(super) number: Option<u16>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Screen {
    /// Name of the peer
    #[schemars(with = "String")]
    pub(super) name: PeerName,
    /// Only the last so many lines; more than the screen has reads its history
    #[serde(default)]
    pub(super) lines: Option<u16>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbox {
    /// Name of the peer
    #[schemars(with = "String")]
    pub(super) name: PeerName,
    /// What will not be delivered, in place of what waits
    #[serde(default)]
    pub(super) dead: bool,
}

/// The effect of a tool.
enum Does {
    /// It only reads.
    Looks,
    /// It types into a program, and may start it first. What the agent then does is not bounded.
    Types,
}

struct Entry {
    name: &'static str,
    does: Does,
    description: &'static str,
    schema: fn() -> Result<Arc<JsonObject>, String>,
    read: fn(Value) -> serde_json::Result<Call>,
}

const TOOLS: [Entry; 9] = [
    Entry {
        name: "list",
        does: Does::Looks,
        description: "Lists peers: state, what they wait for, topic, idle time, how each ended last. Changes nothing.",
        schema: schema_for_input::<List>,
        read: |arguments| serde_json::from_value(arguments).map(Call::List),
    },
    Entry {
        name: "status",
        does: Does::Looks,
        description: "The whole story of one peer: state, conversation, last end, files, the next useful command. Changes nothing.",
        schema: schema_for_input::<One>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Status),
    },
    Entry {
        name: "why",
        does: Does::Looks,
        description: "Explains what a wake of a peer would do now, and why, without doing it.",
        schema: schema_for_input::<Why>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Why),
    },
    Entry {
        name: "send",
        does: Does::Types,
        description: "Types a message into the terminal of another agent and presses Enter. Wakes that agent first where it \
            sleeps, which starts a program and spends tokens of its account; what the agent then does is up to it. Returns \
            once the agent was seen to take the message, with wait = true once its turn is over, with the answer. With queue \
            = true the message is kept until the agent is free. Cannot be taken back.",
        schema: schema_for_input::<SendTo>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Send),
    },
    Entry {
        name: "wake",
        does: Does::Types,
        description: "Starts a sleeping agent, in its old conversation or a new one as its record decides, and says why. \
            Starts a program that stays until it is idle for long; a message is typed into it once it is ready. One that is \
            awake only gets the message.",
        schema: schema_for_input::<Wake>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Wake),
    },
    Entry {
        name: "wait",
        does: Does::Looks,
        description: "Blocks until the turns of peers are over, or until another state; gives up where one needs a person, \
            does not run, or the time is over. Other calls go on meanwhile. Changes nothing.",
        schema: schema_for_input::<Wait>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Wait),
    },
    Entry {
        name: "last",
        does: Does::Looks,
        description: "The last answers of an agent, awake or asleep, from its own transcript. Changes nothing.",
        schema: schema_for_input::<Last>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Last),
    },
    Entry {
        name: "screen",
        does: Does::Looks,
        description: "What the terminal of an agent shows now, or showed last. A person who has scrolled up there is brought \
            back to the bottom; else nothing changes.",
        schema: schema_for_input::<Screen>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Screen),
    },
    Entry {
        name: "inbox",
        does: Does::Looks,
        description: "The messages that wait for a peer (send with queue = true), and why they wait. Changes nothing.",
        schema: schema_for_input::<Inbox>,
        read: |arguments| serde_json::from_value(arguments).map(Call::Inbox),
    },
];

/// Returns all tools, as listed to a client.
pub(super) fn all() -> Vec<Tool> {
    TOOLS.iter().map(Entry::definition).collect()
}

/// Parses a call of the tool `name`. Returns `None` if there is no such tool.
pub(super) fn read(name: &str, arguments: Value) -> Option<Result<Call, CliError>> {
    let entry = TOOLS.iter().find(|entry| entry.name == name)?;
    let known = (entry.read)(arguments);
    Some(known.map_err(|error| CliError::Usage { problem: format!("{name}: {error}"), hint: None }))
}

impl Entry {
    fn definition(&self) -> Tool {
        let schema = (self.schema)().expect("the arguments of each tool are an object");
        let annotations = match self.does {
            Does::Looks => ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false),
            Does::Types => ToolAnnotations::new().read_only(false).destructive(true).idempotent(false).open_world(true),
        };
        Tool::new(self.name, self.description, schema).with_annotations(annotations)
    }
}
