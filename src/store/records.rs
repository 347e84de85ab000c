//! What `NAME.session` says, and which markers there are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::policy::ending::{Incarnation, Intent};
use crate::policy::time::Timestamp;

mod written;

/// A process as the kernel identifies it: a pid alone means nothing once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process number.
    pub pid: u32,
    /// The kernel's start time of it, in the kernel's own unit.
    pub start: u64,
}

impl Process {
    /// No process: the driver of a start that nobody waits for, which whoever wakes it or the next tick takes over.
    pub const NOBODY: Self = Self { pid: 0, start: 0 };
}

/// Where process numbers mean something: one machine, and on it one pid namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The machine's id, the same at each boot.
    pub machine: String,
    /// Its host name, for people.
    pub name: String,
    /// The pid namespace, where the kernel has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<u64>,
}

/// The agent's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "written::AgentProcess")]
pub struct AgentProcess {
    /// Who it is; it leads the process group of the same number.
    #[serde(flatten)]
    pub id: Process,
    /// The terminal session it belongs to: the pid of the pane process that leads it.
    pub session: u32,
}

/// How far a start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// Not ready yet. `driver` is the `peer` process that waits for readiness; when it is dead, another takes over.
    Starting {
        /// Who waits.
        driver: Process,
    },
    /// It was ready at this time.
    Ready {
        /// When.
        ready_at_ms: Timestamp,
    },
    /// Its runtime refused to make its pane, or the machine had no means to execute its agent: nothing of it comes any more,
    /// and the peer is as it was before. The number of the start is spent.
    Refused,
}

/// Where a session is, in words that mean the same from cron and from a shell, and by which processes it is known: names,
/// ids and paths can be taken by others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `tmux` or `zellij`.
    pub runtime: String,
    /// Absolute path of the runtime's binary, so that a bare `PATH`, as in cron, does not hide a living agent.
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
    /// The process of ours that sits in the pane, once it has come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane_process: Option<Process>,
    /// The version of the server, as its executable prints it (`tmux 3.3a`): the one that is installed may be another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The executable that the server was started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_executable: Option<PathBuf>,
    /// Where these processes are. Elsewhere their numbers are those of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
}

impl Place {
    /// Where a session is to be made: nothing is known of it yet but its name, and on what.
    pub fn planned(runtime: &str, binary: PathBuf, server: PathBuf, session: String) -> Self {
        Self {
            runtime: runtime.to_owned(),
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
}

/// One incarnation, written before the runtime is asked and gone when the incarnation has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "written::Record")]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one incarnation")]
pub struct SessionRecord {
    /// Which start of the agent this is.
    pub incarnation: Incarnation,
    /// Where its session is.
    #[serde(flatten)]
    pub place: Place,
    /// The agent's process, once it has been started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<AgentProcess>,
    /// The boot of the machine that this incarnation belongs to.
    pub boot_id: String,
    /// Name of the agent's profile.
    pub agent: String,
    /// Its working directory with the links resolved, as they were when it was started: agents name their files after it, and
    /// a link may lead elsewhere since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_cwd: Option<PathBuf>,
    /// The conversation, where its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// When a conversation was begun in it of which nothing told then: what it says and writes is of that one from there on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at_ms: Option<Timestamp>,
    /// What marks its processes in the agent's own files, newest last, beside the conversation that is known: by it another
    /// one can be told once they have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<String>,
    /// Names of the variables that its agent lives by, and that it was started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lives_by: Vec<String>,
    /// Names of those that the last one that was ready had, and that it was started without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_env: Vec<String>,
    /// It continues an older conversation.
    pub resumed: bool,
    /// Why it was started this way.
    pub cause: String,
    /// When it was asked for.
    pub woke_at_ms: Timestamp,
    /// When a message was last accepted by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at_ms: Option<Timestamp>,
    /// How many messages of agents led to the one that it was told last, or to its start; 0 where that was a person's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u32,
    /// Something was said to it: a worker of one message has that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub had_message: bool,
    /// When keys were last pressed in it to stop a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressed_at_ms: Option<Timestamp>,
    /// A fingerprint of the text that a sender types now; one that is found later was left by a sender that was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<String>,
    /// How long that text is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing_extent: Option<Extent>,
    /// A fingerprint of the text that was typed last, by whoever said how it went. What stands in the composer and has it is
    /// ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typed: Option<String>,
    /// That text was accepted: what stands in the composer and reads like it is a person's, unless our own interrupt came after,
    /// behind which an agent may put its prompt back there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub typed_is_said: bool,
    /// The message that was sent last and not seen to arrive, for as long as nothing was delivered after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// What the log has said last of why this start is not ready, so that no tick says it again: a cause, and a fingerprint
    /// of the question where it needs a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// Why it was refused, where its phase says so: for whoever waits for this start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The initial prompt is still to be typed in front of the first message.
    #[serde(default)]
    pub prompt_due: bool,
    /// The topic of the message that woke it, kept until it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Why it is being ended, written before the first signal; whoever finds it ended records this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// How far it has come.
    #[serde(flatten)]
    pub phase: Phase,
}

/// How long a text is, as an agent may tell it of a long paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The fewest lines that it may be called: without its last line end, and without what follows the last one.
    pub least_lines: u64,
    /// The most.
    pub most_lines: u64,
    /// Its characters.
    pub characters: u64,
}

/// A message that was sent and not seen to arrive: where to look for it before it is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// A fingerprint of its text.
    pub text: String,
    /// The conversation that it was sent to, where that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// How far that was written before.
    pub position: u64,
    /// When that was looked up.
    pub at_ms: Timestamp,
}

impl SessionRecord {
    /// The record of an incarnation that was asked for at `woke_at`, of which nothing has happened yet: fresh, without a
    /// conversation, a topic or a prompt that is due. Of this boot and whose start it is, the caller says.
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
            conversation: None,
            begun_at_ms: None,
            traces: Vec::new(),
            lives_by: Vec::new(),
            missing_env: Vec::new(),
            resumed: false,
            cause: cause.to_owned(),
            woke_at_ms: woke_at,
            delivered_at_ms: None,
            hops: 0,
            had_message: false,
            pressed_at_ms: None,
            typing: None,
            typing_extent: None,
            typed: None,
            typed_is_said: false,
            unseen: None,
            told: None,
            refused: None,
            prompt_due: false,
            topic: None,
            intent: None,
            phase: Phase::Starting { driver },
        }
    }

    /// Notes that this start was refused, and why.
    pub fn refuse(&mut self, why: String) {
        self.phase = Phase::Refused;
        self.refused = Some(why);
    }

    /// Since when what its agent writes may be of the conversation that it is in.
    pub fn written_since(&self) -> Timestamp {
        self.begun_at_ms.unwrap_or(self.woke_at_ms)
    }

    /// When it became ready, where it has.
    pub fn ready_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Ready { ready_at_ms } => Some(ready_at_ms),
            Phase::Starting { .. } | Phase::Refused => None,
        }
    }
}

/// What an agent says of itself from inside its pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is alive and at work.
    Beat,
    /// Its task is done.
    Done,
}

impl Word {
    /// The marker that it leaves.
    pub const fn marker(self) -> Marker {
        match self {
            Self::Beat => Marker::Beat,
            Self::Done => Marker::Done,
        }
    }
}

/// Files whose existence alone says something; their one line is a time, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Parked: the next wake may resume. Written before the first signal.
    IdleReaped,
    /// The agent asked for a clean restart.
    NewEager,
    /// A person asked for a fresh start at the next natural wake.
    FreshNext,
    /// A person stopped it: wakes are refused.
    Stopped,
    /// An ephemeral agent said that it is done.
    Done,
    /// The agent's last beat.
    Beat,
}

impl Marker {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::IdleReaped, Self::NewEager, Self::FreshNext, Self::Stopped, Self::Done, Self::Beat];

    /// The file's ending: `NAME.suffix`.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::IdleReaped => "idle-reaped",
            Self::NewEager => "new-eager",
            Self::FreshNext => "fresh-next",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Beat => "beat",
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
