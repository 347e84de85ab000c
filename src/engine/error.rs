//! How a verb can fail. The command line turns each into an exit code and a hint in one place.

mod how;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::agent::{ProfileError, Unsendable};
use peer_adapters::runtime::{RuntimeError, RuntimeKind, Size};

use crate::config::ConfigError;
use crate::policy::choice::NoRow;
use crate::policy::ending::Incarnation;
use crate::policy::may::Asked;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::turn::AskKind;
use crate::policy::wake::Refusal;
use crate::store::StoreError;

pub use how::{NotReady, Unanswered, Undelivered};
use how::{no_row, numbered, quote};

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody declared it.
    #[error("there is no peer named {peer}")]
    NoSuchPeer {
        /// What was asked for.
        peer: PeerName,
        /// The declared name most like it.
        nearest: Option<String>,
    },
    /// The table says no.
    #[error("{peer} is not {done}: {refusal}")]
    Refused {
        /// Whom.
        peer: PeerName,
        /// What was to be done to it, as in `woken`.
        done: &'static str,
        /// Which row, and what it knows.
        refusal: Refusal,
    },
    /// It came up and is not ready.
    #[error("{peer} was started and is not ready: {why}{}", quote(.screen))]
    NotReady {
        /// Whom.
        peer: PeerName,
        /// Its incarnation.
        incarnation: Incarnation,
        /// How it is not.
        why: NotReady,
        /// The last lines of its screen.
        screen: Vec<String>,
    },
    /// Its agent was not executed, and that was not its fault; it is as before.
    #[error("{peer} was not started: {why}")]
    NotStarted {
        /// Whom.
        peer: PeerName,
        /// What was not to be had.
        why: String,
    },
    /// It is awake, and a message was not seen to be accepted.
    #[error("the message to {peer} was {how}: {why}")]
    NotAccepted {
        /// Whom.
        peer: PeerName,
        /// How far it came.
        how: Undelivered,
        /// What was seen instead.
        why: String,
        /// That is a question, which a person is to answer.
        asks: bool,
    },
    /// A signal asked us to leave before a message was seen to be accepted.
    #[error("the message to {peer} was {how}: {signal} came first")]
    Interrupted {
        /// Whom.
        peer: PeerName,
        /// How far it came.
        how: Undelivered,
        /// Which.
        signal: Signal,
    },
    /// zellij shows a session to one who only looks by what somebody else sees (0.45.1).
    #[error("{peer} cannot be looked at read-only: zellij shows nothing while nobody else is attached")]
    NobodyAttached {
        /// Whom.
        peer: PeerName,
    },
    /// It is awake, and its pane is too small to see what is typed into it.
    #[error(
        "the message to {peer} was not typed: its pane has {} columns and {} rows{}",
        .size.columns, .size.rows, if *.attached { ", as the terminal of somebody who is attached" } else { "" }
    )]
    NoRoom {
        /// Whom.
        peer: PeerName,
        /// How small.
        size: Size,
        /// Somebody looks at it.
        attached: bool,
    },
    /// What came of a start that lacks variables which its agent lives by and had before.
    #[error("{why}")]
    Lacking {
        /// Their names.
        missing_env: Vec<String>,
        /// What came of it.
        why: Box<EngineError>,
    },
    /// It was moved to another runtime, and did not come up there.
    #[error("{peer} is on {to} now, and was not woken there: {why}")]
    MovedNotWoken {
        /// Whom.
        peer: PeerName,
        /// Where it was.
        from: RuntimeKind,
        /// Where it is declared now.
        to: RuntimeKind,
        /// Why not.
        why: Box<EngineError>,
    },
    /// What was said to it and answered cannot be read.
    #[error("{peer} has no transcript: {why}")]
    NoTranscript {
        /// Whose.
        peer: PeerName,
        /// Why.
        why: String,
    },
    /// It was told something, and needs a person before it can go on.
    #[error("{peer} needs a person ({kind}){}", .question.as_ref().map(|asks| format!(": {asks}")).unwrap_or_default())]
    NeedsPerson {
        /// Whom.
        peer: PeerName,
        /// For what.
        kind: AskKind,
        /// What it asks, where its screen shows that.
        question: Option<String>,
    },
    /// Nothing was answered in time.
    #[error(
        "{} within {} s", if *.sent { format!("{peer} did not finish the turn of the message") } else {
            format!("the message to {peer} was not sent: others wait for their answers, and did not have them")
        }, .waited.as_secs()
    )]
    NoAnswerInTime {
        /// Whom.
        peer: PeerName,
        /// It has the message.
        sent: bool,
        /// How long was waited.
        waited: Duration,
    },
    /// Whoever waited for its answer was asked to leave.
    #[error("{peer} has the message, and its answer was not waited for: {} came", .signal.as_str())]
    LeftWaiting {
        /// Whom.
        peer: PeerName,
        /// What asked us to leave.
        signal: Signal,
    },
    /// Its agent ended while its answer was waited for.
    #[error("{peer} ended before it had answered: it is {state}")]
    EndedMeanwhile {
        /// Whom.
        peer: PeerName,
        /// What it is now.
        state: State,
    },
    /// No conversation of its has an id that begins so, or more than one does.
    #[error("{peer} has {} conversation {typed:?}", if .meant.is_empty() { "no" } else { "more than one" })]
    NoSuchConversation {
        /// Whose.
        peer: PeerName,
        /// What was typed.
        typed: String,
        /// Those that begin so.
        meant: Vec<String>,
        /// All that it ever had, the newest last.
        known: Vec<String>,
    },
    /// A conversation is another peer's.
    #[error("the conversation {conversation} is not {peer}'s: it is one of {owner}")]
    ConversationOfAnother {
        /// Who was to have it.
        peer: PeerName,
        /// Which.
        conversation: String,
        /// Whose it is.
        owner: PeerName,
    },
    /// The tick ended before this was done; the next one goes on.
    #[error("the tick had no time left for {peer}")]
    OutOfTime {
        /// Whom.
        peer: PeerName,
    },
    /// It is not awake, and the verb needs it to be.
    #[error("{peer} is not awake")]
    NotAwake {
        /// Whom.
        peer: PeerName,
    },
    /// It is on its way up, and the verb needs it to be ready.
    #[error("{peer} is still starting: there is no turn to interrupt, and nothing was pressed")]
    StillStarting {
        /// Whom.
        peer: PeerName,
    },
    /// There is no question to answer.
    #[error("{peer} asks nothing")]
    AsksNothing {
        /// Whom.
        peer: PeerName,
    },
    /// What was chosen is no row of its question, or more than one.
    #[error("{choice:?} is {} of what {peer} asks: {}", no_row(*.why), numbered(.rows))]
    NoSuchRow {
        /// Whom.
        peer: PeerName,
        /// What was chosen.
        choice: String,
        /// Whether it is none or several.
        why: NoRow,
        /// The rows that there are.
        rows: Vec<String>,
    },
    /// Its question was not answered.
    #[error("{peer} was not answered: {why}")]
    NotAnswered {
        /// Whom.
        peer: PeerName,
        /// Why not.
        why: Unanswered,
    },
    /// Some of the keys were pressed.
    #[error("{peer}: {pressed} of {of} keys were pressed: {why}")]
    KeysLeft {
        /// Whom.
        peer: PeerName,
        /// How many were.
        pressed: usize,
        /// Of how many.
        of: usize,
        /// Why no more were.
        why: RuntimeError,
    },
    /// The text would not reach the agent as it is.
    #[error("the message to {peer} was not typed: {why}")]
    Unsendable {
        /// Whom.
        peer: PeerName,
        /// What would become of it.
        why: Unsendable,
    },
    /// Agents have written to each other for too long without a person.
    #[error(
        "nothing was sent to {peer}: {hops} messages from agent to agent in a row, this one of {} included, are more than {limit}",
        .from.as_ref().map_or("an agent", PeerName::as_str)
    )]
    TooManyHops {
        /// Whom.
        peer: PeerName,
        /// Whose message it is.
        from: Option<PeerName>,
        /// How many it would have.
        hops: u32,
        /// `max_hops` of `config.toml`.
        limit: u32,
    },
    /// The spec of the peer whose agent asks does not allow it.
    #[error(
        "{asker} may not {asked} {peer}: {}",
        if *.named { "`may` in its spec does not name it" } else { "its spec has no `may`, and without that it may list and send to all, and no more" }
    )]
    NotAllowed {
        /// Who asked.
        asker: PeerName,
        /// About whom.
        peer: PeerName,
        /// For what.
        asked: Asked,
        /// Its spec has `may`.
        named: bool,
    },
    /// Another incarnation is on record than the one that was meant; nothing was done.
    #[error("{peer} is not any more what was meant{}: nothing was done", .now.map(|now| format!(", but incarnation {now}")).unwrap_or_default())]
    Changed {
        /// Whom.
        peer: PeerName,
        /// What is on record now.
        now: Option<Incarnation>,
    },
    /// It is awake, and the verb needs it not to be.
    #[error("{peer} is awake")]
    Awake {
        /// Whom.
        peer: PeerName,
    },
    /// Nothing of it is on another machine or in another pid namespace.
    #[error("{peer} is not on another machine, nor in another container: there is nothing to release")]
    NotElsewhere {
        /// Whom.
        peer: PeerName,
    },
    /// Somebody else works on it.
    #[error("another peer command has held the lock of {peer} for {} s", .waited.as_secs())]
    Busy {
        /// Whom.
        peer: PeerName,
        /// How long we waited.
        waited: Duration,
    },
    /// A process of it survives `SIGKILL`, or cannot be looked at.
    #[error("{peer} could not be ended: {detail}")]
    NotEnded {
        /// Whom.
        peer: PeerName,
        /// What is left, or what could not be seen.
        detail: String,
    },
    /// A command for agents, run elsewhere.
    #[error("this is for an agent inside its own pane: {problem}")]
    NotInPane {
        /// What is missing.
        problem: String,
    },
    /// More clean restarts in a row than make sense.
    #[error("{peer} has restarted itself too often; it may again in {} s", .retry_after.as_secs() + 1)]
    TooManySelfFreshes {
        /// Whom.
        peer: PeerName,
        /// How long to wait.
        retry_after: Duration,
    },
    /// A declaration that cannot hold.
    #[error("{what}: {problem}")]
    Declaration {
        /// What was being declared.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// A profile that is wrong, or that nobody has.
    #[error("no agent profile is named {name:?}")]
    NoSuchProfile {
        /// What was asked for.
        name: String,
        /// The profile most like it.
        nearest: Option<String>,
    },
    /// A process that can be seen and not be signalled: it is another user's.
    #[error("cannot send {signal} to process {pid}{}: {source}; it can be seen, and only its owner may end it",
        .owner.map(|uid| format!(" of uid {uid}")).unwrap_or_default())]
    NotSignalled {
        /// Whose agent it is.
        peer: PeerName,
        /// Which process, or group of that number.
        pid: u32,
        /// Whose it is, where the kernel tells.
        owner: Option<u32>,
        /// What was sent.
        signal: Signal,
        /// What the kernel said.
        source: io::Error,
    },
    /// A tick that was to end long ago holds the lock of ticks.
    #[error(
        "another tick, process {pid}, has been under way for {} s and was to end after {} s: it hangs",
        .running.as_secs(), .budget.as_secs()
    )]
    TickHangs {
        /// Who hangs.
        pid: u32,
        /// Since when.
        running: Duration,
        /// How long it was given.
        budget: Duration,
    },
    /// Its working directory is gone, or cannot be entered.
    #[error("{peer} is not woken: cannot use its working directory {}: {source}", .path.display())]
    NoDirectory {
        /// Whose.
        peer: PeerName,
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Its agent's program is gone, or cannot be executed.
    #[error("{peer} is not woken: cannot run its program {}: {source}", .path.display())]
    NoProgram {
        /// Whose.
        peer: PeerName,
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file on disk is not usable for what was asked.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A profile file that does not parse.
    #[error("{}: {source}", .path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ProfileError>,
    },
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel could not be asked about a process.
    #[error("cannot look at processes: {0}")]
    Kernel(#[from] io::Error),
}

impl EngineError {
    /// The same, with what the agent was started without, if that is anything.
    pub(super) fn lacking(self, missing_env: Vec<String>) -> Self {
        if missing_env.is_empty() { self } else { Self::Lacking { missing_env, why: Box::new(self) } }
    }

    /// The same of another verb than a wake, as in `stopped`.
    pub(super) fn instead_of(self, done: &'static str) -> Self {
        match self {
            Self::Refused { peer, refusal, .. } => Self::Refused { peer, done, refusal },
            other => other,
        }
    }

    /// What failed, without what was only said beside it.
    pub fn itself(&self) -> &Self {
        match self {
            Self::Lacking { why, .. } | Self::MovedNotWoken { why, .. } => why.itself(),
            other => other,
        }
    }

    /// Names of the variables that its agent lives by and had before, and that it was started without.
    pub fn missing_env(&self) -> &[String] {
        match self {
            Self::Lacking { missing_env, .. } => missing_env,
            Self::MovedNotWoken { why, .. } => why.missing_env(),
            _ => &[],
        }
    }

    /// Under which name the log tells of a message that is not confirmed; none of what is no such thing.
    pub(super) fn unconfirmed(&self) -> Option<&'static str> {
        match self.itself() {
            Self::NotAccepted { how, .. } | Self::Interrupted { how, .. } => Some(how.as_str()),
            Self::NoRoom { .. } => Some("pane-too-small"),
            _ => None,
        }
    }

    /// Whether the same message may be sent again as it is, where one was not delivered: it was not said, and will not be.
    pub fn is_retryable(&self) -> Option<bool> {
        match self.itself() {
            Self::NotAccepted { how, .. } | Self::Interrupted { how, .. } => Some(*how != Undelivered::NotSeen),
            Self::NoRoom { .. } => Some(true),
            Self::Unsendable { .. } | Self::TooManyHops { .. } => Some(false),
            _ => None,
        }
    }
}
