//! The ways in which a verb can fail. The command line maps each to an exit code and a hint, in one place.

mod how;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::agent::{ProfileError, Unsendable};
use peer_adapters::runtime::{RuntimeError, RuntimeKind, Size};

use crate::config::ConfigError;
use crate::policy::choice::ChoiceError;
use crate::policy::ending::Incarnation;
use crate::policy::may::Asked;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::turn::AskKind;
use crate::policy::wake::Refusal;
use crate::store::StoreError;

pub(in crate::engine) use how::choices;
pub use how::{AnswerWith, LeftStart, NotReady, Unanswered, Undelivered, Unusable};
use how::{no_row, quote};

/// The reason why a verb did not do what was requested.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The peer is not declared.
    #[error("there is no peer named {peer}")]
    NoSuchPeer {
        /// The name that was requested.
        peer: PeerName,
        /// The most similar declared name.
        nearest: Option<String>,
        /// Whether a peer of this name was removed and can be restored.
        removed: bool,
    },
    /// The policy refuses.
    #[error("cannot {verb} {peer}: {refusal}")]
    Refused {
        /// The peer.
        peer: PeerName,
        /// The verb that was refused, such as `wake`.
        verb: &'static str,
        /// The rule that refused, with its facts.
        refusal: Refusal,
    },
    /// The agent was started and is not ready.
    #[error("{peer} was started, but {why}{}", quote(.screen))]
    NotReady {
        /// The peer.
        peer: PeerName,
        /// The incarnation that was started.
        incarnation: Incarnation,
        /// In which way it is not ready.
        why: NotReady,
        /// The last lines of its screen; empty if the rows of its question are known.
        screen: Vec<String>,
    },
    /// The agent was not executed, through no fault of its own. The peer's state is unchanged.
    #[error("{peer} was not started: {why}")]
    NotStarted {
        /// The peer.
        peer: PeerName,
        /// What was missing.
        why: String,
    },
    /// The peer is awake, and no proof was seen that it accepted the message.
    #[error("the message to {peer} was {how}: {why}")]
    NotAccepted {
        /// The peer.
        peer: PeerName,
        /// How far the message came.
        how: Undelivered,
        /// What was seen instead.
        why: String,
        /// How a person can answer the question that is in the way, if there is one.
        asks: Option<AnswerWith>,
    },
    /// A signal asked this process to stop before the message was seen to be accepted.
    #[error("the message to {peer} was {how}: {signal} came first")]
    Interrupted {
        /// The peer.
        peer: PeerName,
        /// How far the message came.
        how: Undelivered,
        /// The signal.
        signal: Signal,
    },
    /// A read-only attach shows nothing: zellij shows a session to a read-only client only as another client sees it
    /// (0.45.1).
    #[error(
        "{peer} cannot be attached to read-only: zellij shows nothing to a read-only client while no other client is attached"
    )]
    NobodyAttached {
        /// The peer.
        peer: PeerName,
    },
    /// The peer is awake, and its pane is too small to check what is typed into it.
    #[error(
        "the message to {peer} was not typed: its pane has {} columns and {} rows{}",
        .size.columns, .size.rows, if *.attached { ", the size of the terminal that is attached" } else { "" }
    )]
    NoRoom {
        /// The peer.
        peer: PeerName,
        /// The pane's size.
        size: Size,
        /// Whether a client is attached to the pane.
        attached: bool,
    },
    /// A start failed, and it lacked variables that its agent depends on and had before.
    #[error("{why}")]
    Lacking {
        /// The names of those variables.
        missing_env: Vec<String>,
        /// The failure itself.
        why: Box<EngineError>,
    },
    /// A start failed, and the message for its agent was not typed.
    #[error("the message was not delivered: {why}")]
    NotDelivered {
        /// The failure itself.
        why: Box<EngineError>,
    },
    /// The peer was moved to another runtime, and could not be woken there.
    #[error("{peer} was moved to {to}, but could not be woken there: {why}")]
    MovedNotWoken {
        /// The peer.
        peer: PeerName,
        /// The runtime that it was moved from.
        from: RuntimeKind,
        /// The runtime that is declared now.
        to: RuntimeKind,
        /// Why it was not woken.
        why: Box<EngineError>,
    },
    /// The peer's transcript cannot be read.
    #[error("{peer} has no transcript: {why}")]
    NoTranscript {
        /// The peer.
        peer: PeerName,
        /// Why.
        why: String,
    },
    /// The peer has the message, and needs a person before it can continue.
    #[error("{peer} needs a person ({kind}){}", .question.as_ref().map(|asks| format!(": {asks}")).unwrap_or_default())]
    NeedsPerson {
        /// The peer.
        peer: PeerName,
        /// The kind of dialog.
        kind: AskKind,
        /// The question, if its screen shows it.
        question: Option<String>,
        /// How a person can answer it.
        answer: AnswerWith,
    },
    /// The peer has the message, but a usage limit or a stalled turn keeps it from continuing.
    #[error("{peer} is {state}{}", .detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    HeldUp {
        /// The peer.
        peer: PeerName,
        /// Its state: limited or stalled.
        state: State,
        /// When the limit ends, or since when the turn is stalled.
        detail: Option<String>,
    },
    /// No answer arrived in time.
    #[error(
        "{} within {} s", if *.sent { format!("{peer} did not finish the turn of the message") } else {
            format!("the message to {peer} was not sent: earlier senders still wait for their answers")
        }, .waited.as_secs()
    )]
    NoAnswerInTime {
        /// The peer.
        peer: PeerName,
        /// Whether the message was sent.
        sent: bool,
        /// How long the caller waited.
        waited: Duration,
    },
    /// A signal asked this process to stop while it waited for the answer.
    #[error("{peer} has the message, but {} came before its answer", .signal.as_str())]
    LeftWaiting {
        /// The peer.
        peer: PeerName,
        /// The signal.
        signal: Signal,
    },
    /// A signal asked this process to stop while an agent became ready, and there is no message for it.
    #[error("{peer} {how}: {} came first", .signal.as_str())]
    LeftStart {
        /// The peer.
        peer: PeerName,
        /// What becomes of the start.
        how: LeftStart,
        /// The signal.
        signal: Signal,
    },
    /// The `env_file` of the peer's spec does not exist.
    #[error("cannot read the env_file {}: {source}", .path.display())]
    NoEnvFile {
        /// The peer.
        peer: PeerName,
        /// The path of the file.
        path: PathBuf,
        /// Whether it is the file that `peer add --keep-env` writes.
        own: bool,
        /// The error from the kernel.
        source: io::Error,
    },
    /// The agent ended while its answer was awaited.
    #[error("{peer} ended before it answered: it is {state}")]
    EndedMeanwhile {
        /// The peer.
        peer: PeerName,
        /// The peer's state now.
        state: State,
    },
    /// None of the peer's conversations has an id with this prefix, or several have.
    #[error("{peer} has {} conversation {typed:?}", if .meant.is_empty() { "no" } else { "more than one" })]
    NoSuchConversation {
        /// The peer.
        peer: PeerName,
        /// The prefix that the user typed.
        typed: String,
        /// The ids that have this prefix.
        meant: Vec<String>,
        /// The ids of all its conversations, newest last.
        known: Vec<String>,
    },
    /// The conversation belongs to another peer.
    #[error("the conversation {conversation} is not {peer}'s: it is one of {owner}")]
    ConversationOfAnother {
        /// The peer that should have continued it.
        peer: PeerName,
        /// The conversation's id.
        conversation: String,
        /// The peer that it belongs to.
        owner: PeerName,
    },
    /// The peer cannot continue in this conversation.
    #[error("{peer} cannot go on in the conversation {conversation}: {why}")]
    ConversationUnusable {
        /// The peer.
        peer: PeerName,
        /// The conversation's id.
        conversation: String,
        /// Why not.
        why: Unusable,
    },
    /// The tick ran out of time before this was done; the next tick continues.
    #[error("the tick had no time left for {peer}")]
    OutOfTime {
        /// The peer.
        peer: PeerName,
    },
    /// The peer is not awake, and the verb needs it to be.
    #[error("{peer} is not awake")]
    NotAwake {
        /// The peer.
        peer: PeerName,
        /// The command that the user most likely needs next.
        next: String,
    },
    /// The peer is still starting, and the verb needs it to be ready.
    #[error("{peer} is still starting: there is no turn to interrupt; no key was pressed")]
    StillStarting {
        /// The peer.
        peer: PeerName,
    },
    /// The peer has no open question to answer.
    #[error("{peer} has no open question")]
    AsksNothing {
        /// The peer.
        peer: PeerName,
    },
    /// The choice matches no row of the peer's question, or more than one.
    #[error("{choice:?} matches {} in the question of {peer}: {}", no_row(*.why), .rows.join(" / "))]
    NoSuchRow {
        /// The peer.
        peer: PeerName,
        /// The user's choice.
        choice: String,
        /// Whether no row matches, or several do.
        why: ChoiceError,
        /// The rows of the question, with their numbers.
        rows: Vec<String>,
    },
    /// The peer's question was not answered.
    #[error("the question of {peer} was not answered: {why}")]
    NotAnswered {
        /// The peer.
        peer: PeerName,
        /// Why not.
        why: Unanswered,
    },
    /// Only some of the keys were pressed.
    #[error("{peer}: {pressed} of {of} keys were pressed: {why}")]
    KeysLeft {
        /// The peer.
        peer: PeerName,
        /// How many were pressed.
        pressed: usize,
        /// How many there were in all.
        of: usize,
        /// Why the rest were not pressed.
        why: RuntimeError,
    },
    /// The text would not reach the agent unchanged.
    #[error("the message to {peer} was not typed: {why}")]
    Unsendable {
        /// The peer.
        peer: PeerName,
        /// What would happen to the text.
        why: Unsendable,
    },
    /// Too many messages in a row went from agent to agent without a person.
    #[error(
        "cannot send to {peer}: with this one from {}, {hops} messages in a row went from agent to agent; the limit is {limit}",
        .from.as_ref().map_or("an agent", PeerName::as_str)
    )]
    TooManyHops {
        /// The receiver.
        peer: PeerName,
        /// The sender.
        from: Option<PeerName>,
        /// How many messages in a row it would be, including this one.
        hops: u32,
        /// `max_hops` of `config.toml`.
        limit: u32,
    },
    /// The spec of the peer whose agent makes the request does not allow it.
    #[error(
        "{requester} may not {asked} {peer}: {}",
        if *.named { "`may` in its spec does not name it" } else { "its spec has no `may`, so it may only list and send" }
    )]
    NotAllowed {
        /// The peer whose agent made the request.
        requester: PeerName,
        /// The peer that it is about.
        peer: PeerName,
        /// What was requested.
        asked: Asked,
        /// Whether the requester's spec has `may`.
        named: bool,
    },
    /// The recorded incarnation is not the expected one; nothing was done.
    #[error("{peer} has changed since{}; nothing was done", .now.map(|now| format!(": it is incarnation {now} now")).unwrap_or_default())]
    Changed {
        /// The peer.
        peer: PeerName,
        /// The incarnation that is recorded now.
        now: Option<Incarnation>,
    },
    /// The peer is awake, and the verb needs it not to be.
    #[error("{peer} is awake")]
    Awake {
        /// The peer.
        peer: PeerName,
    },
    /// The peer has nothing on another machine or in another pid namespace.
    #[error("{peer} does not run on another machine or in another container; there is nothing to release")]
    NotElsewhere {
        /// The peer.
        peer: PeerName,
    },
    /// Another process holds the peer's lock.
    #[error("another peer command has held the lock of {peer} for {} s", .waited.as_secs())]
    Busy {
        /// The peer.
        peer: PeerName,
        /// How long this process waited for it.
        waited: Duration,
    },
    /// A process of the peer survives `SIGKILL`, or cannot be observed.
    #[error("{peer} could not be ended: {detail}")]
    NotEnded {
        /// The peer.
        peer: PeerName,
        /// What is left, or what could not be observed.
        detail: String,
    },
    /// A command for agents was run outside a peer's pane.
    #[error("this command only works inside an agent's pane: {problem}")]
    NotInPane {
        /// What is missing.
        problem: String,
    },
    /// The agent restarted itself more often in a row than the limit allows.
    #[error("{peer} has restarted itself too often; it may do so again in {} s", .retry_after.as_secs() + 1)]
    TooManySelfFreshes {
        /// The peer.
        peer: PeerName,
        /// How long to wait.
        retry_after: Duration,
    },
    /// A declaration is not valid.
    #[error("{what}: {problem}")]
    Declaration {
        /// What was being declared.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// No agent profile has this name.
    #[error("no agent profile is named {name:?}")]
    NoSuchProfile {
        /// The name that was requested.
        name: String,
        /// The profile with the most similar name.
        nearest: Option<String>,
    },
    /// A process is visible and cannot be signalled, because another user owns it.
    #[error("cannot send {signal} to process {pid}{}: {source}; only its owner can end it",
        .owner.map(|uid| format!(" of uid {uid}")).unwrap_or_default())]
    NotSignalled {
        /// The peer whose agent it is.
        peer: PeerName,
        /// The pid, or the id of the process group.
        pid: u32,
        /// The owner's uid, if the kernel reports it.
        owner: Option<u32>,
        /// The signal that was sent.
        signal: Signal,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another tick holds the tick lock, long after it should have ended.
    #[error(
        "another tick (pid {pid}) has been running for {} s, past its budget of {} s: it is stuck",
        .running.as_secs(), .budget.as_secs()
    )]
    TickHangs {
        /// The pid of the hanging tick.
        pid: u32,
        /// For how long it has been running.
        running: Duration,
        /// The time that it was given.
        budget: Duration,
    },
    /// The peer's working directory is missing or cannot be entered.
    #[error("cannot wake {peer}: cannot use its working directory {}: {source}", .path.display())]
    NoDirectory {
        /// The peer.
        peer: PeerName,
        /// The directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The agent's program is missing or cannot be executed.
    #[error("cannot wake {peer}: cannot run its program {}: {source}", .path.display())]
    NoProgram {
        /// The peer.
        peer: PeerName,
        /// The program.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// An operation on a file failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A profile file does not parse.
    #[error("{}: {source}", .path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ProfileError>,
    },
    /// A runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel could not be queried about a process.
    #[error("cannot inspect processes: {0}")]
    Kernel(#[from] io::Error),
}

impl EngineError {
    /// Adds the variables that the agent was started without, if there are any.
    pub(super) fn lacking(self, missing_env: Vec<String>) -> Self {
        if missing_env.is_empty() { self } else { Self::Lacking { missing_env, why: Box::new(self) } }
    }

    /// Says of a start that failed that the message for its agent was not delivered.
    pub(super) fn without_the_message(self) -> Self {
        match self.itself() {
            Self::NotReady { .. } | Self::NotStarted { .. } => Self::NotDelivered { why: Box::new(self) },
            _ => self,
        }
    }

    /// Replaces the verb of a refusal, for a verb other than `wake`.
    pub(super) fn instead_of(self, verb: &'static str) -> Self {
        match self {
            Self::Refused { peer, refusal, .. } => Self::Refused { peer, verb, refusal },
            other => other,
        }
    }

    /// Returns the underlying failure, without the context that wraps it.
    pub fn itself(&self) -> &Self {
        match self {
            Self::Lacking { why, .. } | Self::MovedNotWoken { why, .. } | Self::NotDelivered { why } => why.itself(),
            other => other,
        }
    }

    /// Returns the names of the variables that the agent depends on and had before, but was started without.
    pub fn missing_env(&self) -> &[String] {
        match self {
            Self::Lacking { missing_env, .. } => missing_env,
            Self::MovedNotWoken { why, .. } | Self::NotDelivered { why } => why.missing_env(),
            _ => &[],
        }
    }
}
