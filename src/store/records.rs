//! The session record (`NAME.session`) and its parts.

use std::path::PathBuf;

use peer_adapters::runtime::{RuntimeKind, RuntimeName};
use serde::{Deserialize, Serialize};

use crate::policy::ending::{Incarnation, Intent};
use crate::policy::time::Timestamp;

mod written;

/// A process by pid and start time, as the kernel identifies it. A pid alone means nothing once its process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The pid.
    pub pid: u32,
    /// The kernel's start time, in the kernel's own unit.
    pub start: u64,
}

impl Process {
    /// No process: the driver of a start that no process waits for. Its next wake or the next tick takes over.
    pub const NOBODY: Self = Self { pid: 0, start: 0 };
}

/// The scope in which a pid is meaningful: one machine and one of its pid namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The machine's id, which does not change between boots.
    pub machine: String,
    /// The machine's host name, for display.
    pub name: String,
    /// The pid namespace, if the kernel has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<u64>,
}

/// The agent's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "written::AgentProcess")]
pub struct AgentProcess {
    /// Its identity. It leads the process group of the same number.
    #[serde(flatten)]
    pub id: Process,
    /// The terminal session that it belongs to: the pid of the pane process that leads it.
    pub session: u32,
}

/// The progress of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// Not ready yet. If the driver dies, another process takes over.
    Starting {
        /// The `peer` process that waits for readiness.
        driver: Process,
    },
    /// The agent became ready.
    Ready {
        /// When it became ready.
        ready_at_ms: Timestamp,
    },
    /// The runtime refused to create the pane, or the machine could not execute the agent. Nothing will come of this
    /// start, and the peer is as it was before, except that the number of the start is used.
    Refused,
}

/// Where a session is, independent of the caller's environment (cron or a shell), and the processes that identify it.
/// Names, ids and paths alone are not enough, because others can take them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `tmux` or `zellij`.
    pub runtime: RuntimeName,
    /// The absolute path of the runtime's binary, so that a live agent is found even with a bare `PATH`, as in cron.
    pub binary: PathBuf,
    /// Absolute path of the tmux socket or the zellij session directory.
    pub server: PathBuf,
    /// The runtime's session name.
    pub session: String,
    /// The runtime's own id of the session, once known (tmux `$3`).
    #[serde(default)]
    pub session_id: String,
    /// The runtime's id of the pane, once known (tmux `%3`).
    #[serde(default)]
    pub pane: String,
    /// The runtime's server process, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_process: Option<Process>,
    /// The pane process (`peer pane`), once it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane_process: Option<Process>,
    /// The version of the running server, as its executable prints it (`tmux 3.3a`). The installed version may differ
    /// by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The executable from which the server was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_executable: Option<PathBuf>,
    /// The host of these processes. On another host, their pids belong to other processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
}

impl Place {
    /// Creates the place of a session that does not exist yet: only its name, runtime and server are known.
    pub fn planned(runtime: RuntimeKind, binary: PathBuf, server: PathBuf, session: String) -> Self {
        Self {
            runtime: runtime.into(),
            binary,
            server,
            session,
            session_id: String::new(),
            pane: String::new(),
            server_process: None,
            pane_process: None,
            server_version: None,
            server_executable: None,
            host: None,
        }
    }

    /// Returns the multiplexer; `None` if this version does not know it.
    pub fn kind(&self) -> Option<RuntimeKind> {
        self.runtime.kind()
    }
}

/// The record of one incarnation. It is written before the runtime is called, and removed when the incarnation has
/// ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// Read as `written::Record`, which knows what may be missing.
#[serde(try_from = "written::Record")]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one incarnation")]
pub struct SessionRecord {
    /// The number of this start.
    pub incarnation: Incarnation,
    /// Where its session is.
    #[serde(flatten)]
    pub place: Place,
    /// The agent's process, once started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<AgentProcess>,
    /// The boot id of the machine at the start.
    pub boot_id: String,
    /// The name of the agent's profile.
    pub agent: String,
    /// The working directory with links resolved, as of the start. Agents name their files after it, and a link may
    /// point elsewhere later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_cwd: Option<PathBuf>,
    /// The directory of the agent's status files, if it keeps any, by the environment that it was started with. With it, a
    /// look at many agents need not read their launch files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_dir: Option<PathBuf>,
    /// The conversation, if its id is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// When an unidentified conversation was begun in this incarnation. All later output and transcripts belong to that
    /// conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unidentified_since_ms: Option<Timestamp>,
    /// The markers of its processes in the agent's own files, newest last. If the agent later changes to another
    /// conversation, they identify it even after the processes have ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub process_markers: Vec<String>,
    /// The names of the essential environment variables that the agent was started with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub essential_env: Vec<String>,
    /// The names of essential variables that the last ready incarnation had and this one was started without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_env: Vec<String>,
    /// Whether it continues an earlier conversation.
    pub resumed: bool,
    /// Why it was started in this way. A string, because nothing decides by it: the cause of a newer version is shown and
    /// logged as it is.
    pub cause: String,
    /// When it was requested.
    pub woke_at_ms: Timestamp,
    /// When the agent last accepted a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at_ms: Option<Timestamp>,
    /// How many messages of agents led to its last message or its start; 0 if that was a person's.
    #[serde(skip_serializing_if = "is_zero")]
    pub hops: u32,
    /// Whether it got a message; an ephemeral worker gets only one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub had_message: bool,
    /// When keys were last pressed to stop a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressed_at_ms: Option<Timestamp>,
    /// A fingerprint of the text that a sender is typing now. If it is found later, a killed sender left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing: Option<String>,
    /// A fingerprint of that text without the characters that take no column, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing_unmarked: Option<String>,
    /// The length of that text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing_extent: Option<TextLength>,
    /// A fingerprint of the last typed text whose result was recorded. Composer text with this fingerprint was typed by
    /// `peer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typed: Option<String>,
    /// Whether that text was accepted. Composer text that reads like it then belongs to the user, unless `peer`
    /// interrupted the agent afterwards: some agents put the prompt back after an interrupt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub typed_was_accepted: bool,
    /// The last message that was sent but not confirmed. Cleared by the next successful delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// The last logged reason why this start is not ready, so that no tick logs it again: a cause, and a fingerprint of
    /// the question if the agent needs the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reported: Option<String>,
    /// Why the start was refused, if it was. For processes that wait for this start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether the initial prompt is still to be typed before the first message.
    pub prompt_due: bool,
    /// The topic of the message that woke the peer, kept until the agent is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Whether the markers that its readiness consumes are still to be removed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub consumes_markers: bool,
    /// Why it is being ended, written before the first signal. A process that finds the agent ended records this cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The progress of the start.
    #[serde(flatten)]
    pub phase: Phase,
}

/// The length of a text, as an agent may state it for a long paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextLength {
    /// The smallest line count that an agent may state: without the final newline, and without anything after the last
    /// newline.
    #[serde(alias = "least_lines")]
    pub min_lines: u64,
    /// The largest line count that an agent may state.
    #[serde(alias = "most_lines")]
    pub max_lines: u64,
    /// The number of characters.
    pub characters: u64,
}

/// A message that was sent but not confirmed: where to look for it before it is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// A fingerprint of the message.
    pub text: String,
    /// The conversation that it was sent to, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The length of that transcript before the message was sent.
    pub position: u64,
    /// When that length was read.
    pub at_ms: Timestamp,
}

impl SessionRecord {
    /// Creates the record of an incarnation requested at `woke_at` to which nothing has happened yet: fresh, without a
    /// conversation, a topic or a pending prompt. The caller supplies the boot id and the driver.
    pub fn starting(
        incarnation: Incarnation,
        place: Place,
        driver: Process,
        boot_id: String,
        agent: &str,
        cause: &str,
        woke_at: Timestamp,
    ) -> Self {
        Self {
            incarnation,
            place,
            process: None,
            boot_id,
            agent: agent.to_owned(),
            real_cwd: None,
            status_dir: None,
            conversation: None,
            unidentified_since_ms: None,
            process_markers: Vec::new(),
            essential_env: Vec::new(),
            missing_env: Vec::new(),
            resumed: false,
            cause: cause.to_owned(),
            woke_at_ms: woke_at,
            delivered_at_ms: None,
            hops: 0,
            had_message: false,
            pressed_at_ms: None,
            typing: None,
            typing_unmarked: None,
            typing_extent: None,
            typed: None,
            typed_was_accepted: false,
            unseen: None,
            last_reported: None,
            refused: None,
            prompt_due: false,
            topic: None,
            consumes_markers: false,
            intent: None,
            phase: Phase::Starting { driver },
        }
    }

    /// Records that this start was refused, and why.
    pub fn refuse(&mut self, why: String) {
        self.phase = Phase::Refused;
        self.refused = Some(why);
    }

    /// Returns the time from which the agent's files may belong to its current conversation.
    pub fn written_since(&self) -> Timestamp {
        self.unidentified_since_ms.unwrap_or(self.woke_at_ms)
    }

    /// Returns when it became ready, if it did.
    pub fn ready_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Ready { ready_at_ms } => Some(ready_at_ms),
            Phase::Starting { .. } | Phase::Refused => None,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
