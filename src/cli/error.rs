//! Every way to fail, its exit code and its hint, in one place.

use std::io;
use std::path::PathBuf;

use peer_adapters::agent::Unsendable;
use peer_adapters::file::Untrusted;
use peer_adapters::runtime::RuntimeError;
use serde_json::{Value, json};

use super::render::output;
use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::engine::error::{NotReady, Unanswered, Undelivered, Unusable};
use crate::policy::wake::Refusal;

/// Exit codes, as `peer --help` lists them.
pub(super) mod code {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NO_SUCH_PEER: u8 = 3;
    pub(crate) const REFUSED: u8 = 4;
    pub(crate) const NOT_READY: u8 = 5;
    pub(crate) const RUNTIME: u8 = 6;
    pub(crate) const NOT_ACCEPTED: u8 = 7;
    pub(crate) const NEEDS_PERSON: u8 = 8;
    pub(crate) const TIMED_OUT: u8 = 9;
}

/// The error that a verb failed with.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Printing failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    /// An argument makes no sense.
    #[error("{problem}")]
    Usage {
        /// What is wrong with it.
        problem: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// There is nothing to act on.
    #[error("{problem}")]
    Nothing {
        /// What does not exist.
        problem: String,
        /// What to type instead.
        hint: String,
    },
    /// The text from the editor was not saved as the spec.
    #[error("{problem}")]
    NotSaved {
        /// Why not.
        problem: String,
        /// Where the text is kept.
        hint: String,
        /// The exit code of the verb.
        code: u8,
    },
    /// The place for state and configuration is unknown.
    #[error("no home directory is known, so there is no place for state and configuration")]
    NoHome,
    /// A file or directory cannot be used.
    #[error("cannot use {}: {source}", .path.display())]
    Directory {
        /// Its path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The limit, minus the descriptors open already, leaves too few to work with.
    #[error("cannot start: this process may open {limit} files at once, and {needed} more than it has open are needed")]
    TooFewFiles {
        /// The limit that `ulimit -n` prints.
        limit: u64,
        /// The number of descriptors that a verb needs.
        needed: usize,
    },
    /// The program's own path or its async runtime is not available.
    #[error("cannot start: {0}")]
    Executable(io::Error),
}

/// One failure of a verb over several peers.
pub(super) struct Shown {
    /// The error's message.
    pub(super) problem: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
    /// Its exit code.
    pub(super) code: u8,
}

impl CliError {
    pub(super) fn usage(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { problem: problem.into(), hint: Some(hint.into()) }
    }

    /// Describes the failure of one peer in a verb over several.
    pub(super) fn shown(error: &EngineError) -> Shown {
        Shown { problem: error.to_string(), hint: engine_hint(error), code: engine_code(error) }
    }

    /// Whether the reader of our output has closed the pipe.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Prints `error:` and `hint:` on stderr and returns the exit code.
    pub(super) fn report(&self) -> u8 {
        output::error(&self.to_string());
        if let Some(hint) = self.hint() {
            output::hint(&hint);
        }
        self.code()
    }

    /// Returns the exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Engine(error) => engine_code(error),
            Self::Usage { .. } => code::USAGE,
            Self::NotSaved { code, .. } => *code,
            Self::Print(_)
            | Self::Nothing { .. }
            | Self::NoHome
            | Self::Directory { .. }
            | Self::TooFewFiles { .. }
            | Self::Executable(_) => code::FAILED,
        }
    }

    /// Returns the next command to run, or what to change.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => engine_hint(error),
            Self::Usage { hint, .. } => hint.clone(),
            Self::Nothing { hint, .. } | Self::NotSaved { hint, .. } => Some(hint.clone()),
            Self::NoHome => Some("set PEER_STATE_DIR and PEER_CONFIG_DIR".to_owned()),
            Self::TooFewFiles { .. } => Some("ulimit -n 1024".to_owned()),
            Self::Print(_) | Self::Directory { .. } | Self::Executable(_) => None,
        }
    }

    /// Returns the error as JSON.
    pub(super) fn to_json(&self) -> Value {
        let engine = if let Self::Engine(error) = self { Some(error) } else { None };
        let (cause, retry_after_s) = match engine.map(EngineError::itself) {
            Some(EngineError::Refused { refusal, .. }) => {
                (Some(refusal.cause()), refusal.retry_after().map(|after| after.as_secs_f64().ceil()))
            }
            Some(EngineError::Runtime(_)) => (Some("runtime-unavailable"), None),
            Some(EngineError::NoRoom { .. }) => (Some("pane-too-small"), None),
            Some(EngineError::NotAccepted { how, .. } | EngineError::Interrupted { how, .. }) => {
                (Some(how.as_str()), None)
            }
            Some(EngineError::Unsendable { .. }) => (Some("unsendable"), None),
            Some(EngineError::NotAllowed { .. }) => (Some("not-allowed"), None),
            Some(EngineError::TooManyHops { .. }) => (Some("too-many-hops"), None),
            Some(EngineError::NotAnswered { why, .. }) => (Some(why.as_str()), None),
            Some(EngineError::NoSuchRow { .. }) => (Some("no-such-row"), None),
            Some(EngineError::AsksNothing { .. }) => (Some("asks-nothing"), None),
            Some(EngineError::NeedsPerson { .. }) => (Some("needs-person"), None),
            Some(EngineError::HeldUp { state, .. }) => (Some(state.as_str()), None),
            Some(EngineError::NoAnswerInTime { sent, .. }) => {
                (Some(if *sent { "not-answered" } else { "not-sent" }), None)
            }
            Some(EngineError::EndedMeanwhile { .. }) => (Some("ended"), None),
            Some(EngineError::NoSuchConversation { .. }) => (Some("no-such-conversation"), None),
            Some(EngineError::ConversationOfAnother { .. }) => (Some("conversation-of-another"), None),
            Some(EngineError::ConversationUnusable { .. }) => (Some("conversation-unusable"), None),
            _ => (None, None),
        };
        json!({
            "error": self.to_string(),
            "hint": self.hint(),
            "code": self.code(),
            "cause": cause,
            "retry_after_s": retry_after_s,
            "retryable": engine.and_then(EngineError::is_retryable),
            "missing_env": engine.map(EngineError::missing_env).unwrap_or_default(),
        })
    }
}

fn engine_code(error: &EngineError) -> u8 {
    match error {
        EngineError::MovedNotWoken { why, .. } | EngineError::Lacking { why, .. } => engine_code(why),
        EngineError::NoSuchPeer { .. } => code::NO_SUCH_PEER,
        EngineError::Refused { refusal: Refusal::RuntimeUnavailable { .. } | Refusal::Elsewhere { .. }, .. }
        | EngineError::KeysLeft { .. }
        | EngineError::Runtime(_) => code::RUNTIME,
        EngineError::Refused { .. }
        | EngineError::NotAwake { .. }
        | EngineError::AsksNothing { .. }
        | EngineError::StillStarting { .. }
        | EngineError::Awake { .. }
        | EngineError::Changed { .. }
        | EngineError::NotElsewhere { .. }
        | EngineError::NotInPane { .. }
        | EngineError::NobodyAttached { .. }
        | EngineError::ConversationOfAnother { .. }
        | EngineError::TooManyHops { .. }
        | EngineError::NotAllowed { .. }
        | EngineError::ConversationUnusable { why: Unusable::Awake | Unusable::Open { .. }, .. }
        | EngineError::TooManySelfFreshes { .. } => code::REFUSED,
        EngineError::NotReady { .. } | EngineError::EndedMeanwhile { .. } => code::NOT_READY,
        EngineError::NeedsPerson { .. } | EngineError::HeldUp { .. } => code::NEEDS_PERSON,
        EngineError::NoAnswerInTime { .. } => code::TIMED_OUT,
        EngineError::NotAccepted { .. } | EngineError::NoRoom { .. } | EngineError::NotAnswered { .. } => {
            code::NOT_ACCEPTED
        }
        EngineError::NoSuchRow { .. } => code::USAGE,
        // As a shell reports a process that a signal ended: 128 plus the signal, of which there are 64.
        EngineError::Interrupted { signal, .. } | EngineError::LeftWaiting { signal, .. } => {
            128 + u8::try_from(*signal as i32).unwrap_or_default()
        }
        EngineError::Unsendable { .. }
        | EngineError::NoTranscript { .. }
        | EngineError::NoSuchConversation { .. }
        | EngineError::ConversationUnusable { .. }
        | EngineError::Declaration { .. }
        | EngineError::NoSuchProfile { .. }
        | EngineError::Busy { .. }
        | EngineError::OutOfTime { .. }
        | EngineError::NotEnded { .. }
        | EngineError::TickHangs { .. }
        | EngineError::NotSignalled { .. }
        | EngineError::NotStarted { .. }
        | EngineError::NoDirectory { .. }
        | EngineError::NoProgram { .. }
        | EngineError::Io { .. }
        | EngineError::Profile { .. }
        | EngineError::Config(_)
        | EngineError::Store(_)
        | EngineError::Kernel(_) => code::FAILED,
    }
}

fn engine_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::Lacking { why, .. } => return engine_hint(why),
        EngineError::NoSuchPeer { peer, nearest, removed } => {
            no_such_peer_hint(peer.as_str(), nearest.as_deref(), *removed)
        }
        EngineError::Refused { peer, refusal, .. } => refusal_hint(peer.as_str(), refusal),
        EngineError::NotReady { peer, why, .. } => not_ready_hint(peer.as_str(), why),
        EngineError::NotStarted { peer, .. } => format!("this does not count as a death; peer wake {peer} tries again"),
        EngineError::NoDirectory { peer, path, .. } => {
            format!("restore {}, or set another cwd in `peer edit {peer}`", path.display())
        }
        EngineError::NoProgram { peer, .. } => {
            format!("install it again, or set another command in `peer edit {peer}`")
        }
        EngineError::NotAccepted { .. }
        | EngineError::Interrupted { .. }
        | EngineError::NoRoom { .. }
        | EngineError::Unsendable { .. } => return delivery_hint(error),
        EngineError::HeldUp { peer, .. }
        | EngineError::NeedsPerson { peer, .. }
        | EngineError::NoAnswerInTime { peer, .. }
        | EngineError::LeftWaiting { peer, .. }
        | EngineError::EndedMeanwhile { peer, .. } => awaited_hint(peer.as_str(), error),
        EngineError::NoTranscript { peer, .. } => format!("peer screen {peer} prints what its pane shows"),
        EngineError::NoSuchConversation { .. }
        | EngineError::ConversationOfAnother { .. }
        | EngineError::ConversationUnusable { .. } => return conversation_hint(error),
        EngineError::NobodyAttached { peer } => format!("peer attach {peer}, or peer top, which shows its screen live"),
        EngineError::MovedNotWoken { peer, from, .. } => format!(
            "its conversation is kept: peer wake {peer} --resume tries again; peer move {peer} --runtime {from} moves it back"
        ),
        EngineError::NotAllowed { .. } | EngineError::TooManyHops { .. } => between_agents_hint(error),
        EngineError::NotAwake { peer } => format!("peer wake {peer}"),
        EngineError::AsksNothing { peer } => format!("peer status {peer}"),
        EngineError::NoSuchRow { peer, .. } => format!("peer answer {peer} ROW, by its number or its whole label"),
        EngineError::NotAnswered { peer, why } => unanswered_hint(peer.as_str(), *why),
        EngineError::StillStarting { peer } => format!("peer attach {peer} to see what it is waiting for"),
        EngineError::NotElsewhere { peer } => format!("peer stop {peer} ends it here"),
        EngineError::Awake { peer } => format!("peer stop {peer}, or use --force"),
        EngineError::Declaration { hint, .. } => return hint.clone(),
        EngineError::NoSuchProfile { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
        EngineError::NoSuchProfile { nearest: None, .. } => "peer agents lists them".to_owned(),
        EngineError::Config(ConfigError::Invalid { place, hint, .. }) => match (place.peer(), hint) {
            (Some(peer), Some(hint)) => format!("peer edit {peer}\n{hint}"),
            (Some(peer), None) => format!("peer edit {peer}"),
            (None, hint) => return hint.clone(),
        },
        EngineError::Config(ConfigError::Exposed { path, .. }) => format!("chmod 600 {}", path.display()),
        EngineError::Config(ConfigError::NoEnvFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            "restore it, or remove env_file from the spec with `peer edit NAME`".to_owned()
        }
        EngineError::Config(ConfigError::NoEnvFile { .. }) => {
            "env_file must name a file of NAME=VALUE lines".to_owned()
        }
        EngineError::Config(ConfigError::Untrusted { path, why }) => match why {
            Untrusted::Writable(_) | Untrusted::Readable(_) => format!("chmod go-w {}", path.display()),
            Untrusted::Owner(_) => format!("if its content is trustworthy: sudo chown $USER {}", path.display()),
        },
        EngineError::Runtime(RuntimeError::NoBinary { runtime, .. }) => {
            format!("install {runtime}, or set its path in config.toml: [{runtime}] binary = \"…\"")
        }
        EngineError::Runtime(RuntimeError::VersionMismatch { runtime, .. }) => {
            format!("peer doctor shows both versions; set another {runtime} in config.toml: [{runtime}] binary = \"…\"")
        }
        EngineError::Runtime(RuntimeError::TimedOut { .. }) => "it is safe to try again".to_owned(),
        EngineError::NotEnded { peer, .. } => format!("peer stop {peer} tries again"),
        EngineError::NotInPane { .. } => {
            "from outside, peer new NAME starts it fresh, peer stop NAME parks it".to_owned()
        }
        EngineError::NotSignalled { peer, pid, .. } => format!("sudo kill -TERM -- -{pid}; then peer stop {peer}"),
        EngineError::TickHangs { pid, .. } => format!("kill -KILL {pid}; the next tick continues its work"),
        EngineError::TooManySelfFreshes { peer, .. } => {
            format!("peer new {peer} from another terminal restarts it now")
        }
        EngineError::Changed { peer, .. } => format!("peer status {peer} shows its current state"),
        EngineError::Busy { .. }
        | EngineError::OutOfTime { .. }
        | EngineError::KeysLeft { .. }
        | EngineError::Runtime(_)
        | EngineError::Io { .. }
        | EngineError::Profile { .. }
        | EngineError::Config(_)
        | EngineError::Store(_)
        | EngineError::Kernel(_) => return None,
    })
}

/// A removed peer of that very name is more likely meant than another one of a similar name.
fn no_such_peer_hint(peer: &str, nearest: Option<&str>, removed: bool) -> String {
    match (removed, nearest) {
        (true, Some(nearest)) => format!("it was removed: peer restore {peer} brings it back; or did you mean {nearest}?"),
        (true, None) => format!("it was removed: peer restore {peer} brings it back"),
        (false, Some(nearest)) => format!("did you mean {nearest}?"),
        (false, None) => format!("peer add {peer} -- COMMAND"),
    }
}

/// What to do about a message that was not delivered.
fn delivery_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::NotAccepted { peer, asks: true, .. } => {
            format!("peer attach {peer} and answer it; then send it again")
        }
        EngineError::Interrupted { peer, how: Undelivered::NotTyped, .. } => {
            format!("nothing reached the agent; peer status {peer} shows its state")
        }
        EngineError::NotAccepted { peer, how, .. } | EngineError::Interrupted { peer, how, .. } => match how {
            Undelivered::NotTyped => format!("peer screen {peer}; then send it again"),
            Undelivered::NotSent => format!("peer screen {peer}; it is safe to send it again"),
            Undelivered::NotSeen => format!("check peer screen {peer} before sending it again"),
        },
        EngineError::NoRoom { peer, attached: true, .. } => {
            format!("enlarge or detach that terminal, then peer send {peer} again")
        }
        EngineError::NoRoom { peer, attached: false, .. } => {
            format!("peer attach {peer} and close the panes beside it, then peer send {peer} again")
        }
        EngineError::Unsendable { peer, why: Unsendable::Command } => {
            format!(
                "peer send {peer} --command TEXT to run it as a command; otherwise start the text with another word"
            )
        }
        EngineError::Unsendable { why: Unsendable::Control { .. }, .. } => {
            "remove it, e.g. with tr -d '\\000-\\010\\013-\\037\\177'".to_owned()
        }
        EngineError::Unsendable { why: Unsendable::Nothing, .. } => return None,
        _ => return None,
    })
}

/// Returns the hint for a send that waited for an answer.
fn awaited_hint(peer: &str, error: &EngineError) -> String {
    match error {
        EngineError::NeedsPerson { .. } => {
            format!("peer answer {peer}, or peer attach {peer}; then peer last {peer} prints the answer")
        }
        EngineError::HeldUp { .. } => {
            format!("peer screen {peer} shows it; peer wait {peer}, then peer last {peer}, once it goes on")
        }
        EngineError::NoAnswerInTime { sent: false, .. } => format!("peer wait {peer}, then send it again"),
        EngineError::EndedMeanwhile { .. } => {
            format!("peer status {peer} shows how it ended; peer last {peer} prints its last answer")
        }
        _ => format!("peer wait {peer}, then peer last {peer}"),
    }
}

/// How to come to a conversation that can be gone on in.
fn conversation_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::NoSuchConversation { peer, meant, known, .. } => conversations_hint(peer.as_str(), meant, known),
        EngineError::ConversationOfAnother { owner, conversation, .. } => {
            format!("peer wake {owner} --conversation {conversation}")
        }
        EngineError::ConversationUnusable { peer, conversation, why } => {
            unusable_hint(peer.as_str(), conversation, why)
        }
        _ => return None,
    })
}

/// As many ids as are read in a sentence.
const NAMED: usize = 5;

/// Lists the conversations that an ambiguous or unknown id may stand for.
fn conversations_hint(peer: &str, meant: &[String], known: &[String]) -> String {
    let among = if meant.is_empty() { known } else { meant };
    let newest: Vec<&str> = among.iter().rev().take(NAMED).rev().map(String::as_str).collect();
    match among.len() {
        0 => format!("it never had one; peer wake {peer} begins one"),
        1..=NAMED => format!("it has {}; peer conversations {peer} says more of them", newest.join(", ")),
        all => format!("it has {all}, at last {}; peer conversations {peer} lists them", newest.join(", ")),
    }
}

fn unusable_hint(peer: &str, conversation: &str, why: &Unusable) -> String {
    match why {
        Unusable::OfAgent { .. } => format!("peer transcript {peer} --conversation {conversation} prints it"),
        Unusable::NoResume { .. } => "peer agents says which do".to_owned(),
        Unusable::NotFound { .. } => {
            "name the directory that it was begun in: --cwd DIR, and --env K=V, if a variable moves its files"
                .to_owned()
        }
        Unusable::Open { pid } => format!("leave it there, or kill {pid}; then the same again"),
        Unusable::Awake => format!("peer stop {peer}, then the same again; peer start {peer} lets it be woken"),
    }
}

/// What only a person can do about what one agent wants of another.
fn between_agents_hint(error: &EngineError) -> String {
    match error {
        EngineError::NotAllowed { asker, peer, .. } => {
            format!("whoever may decide that: peer edit {asker}: may = [\"{peer}\"]")
        }
        EngineError::TooManyHops { from: Some(from), .. } => format!(
            "a person's message begins a new chain: peer send {from} TEXT; max_hops in config.toml is the limit"
        ),
        _ => "a person's message begins a new chain; max_hops in config.toml is the limit".to_owned(),
    }
}

fn not_ready_hint(peer: &str, why: &NotReady) -> String {
    match why {
        NotReady::Ended { failed_resumes: 2.., .. } => {
            format!("peer screen {peer} shows why; its conversation is kept, peer wake {peer} --fresh starts a new one")
        }
        NotReady::Ended { .. } => format!("peer screen {peer}"),
        NotReady::TimedOut(_) | NotReady::NoRoom { .. } => format!("peer attach {peer} to see what it is waiting for"),
        NotReady::NeedsPerson { acceptable: Some(id), .. } => {
            format!("peer attach {peer} and answer it, or allow it in `peer edit {peer}`: accept = [\"{id}\"]")
        }
        NotReady::NeedsPerson { acceptable: None, .. } => format!("peer attach {peer} and answer it"),
    }
}

fn unanswered_hint(peer: &str, why: Unanswered) -> String {
    match why {
        Unanswered::StartAnswers => format!("peer wake {peer}"),
        Unanswered::Changed => format!("peer answer {peer} shows what it asks now"),
        Unanswered::NoRows
        | Unanswered::NoCursor
        | Unanswered::Restless
        | Unanswered::NotMoved
        | Unanswered::Stands => format!("peer attach {peer} and answer it"),
    }
}

fn refusal_hint(peer: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Stopped => format!("peer start {peer}"),
        Refusal::ManagedElsewhere { by } => format!("start it with {by}, or remove managed_by in `peer edit {peer}`"),
        Refusal::Failed { .. } => format!("peer reset {peer}, or peer wake {peer} --fresh --force"),
        Refusal::CrashLoop { .. } => {
            format!("peer screen {peer} shows its last screen; peer wake {peer} --fresh --force starts it now")
        }
        Refusal::NothingToResume => format!("peer wake {peer} starts it fresh"),
        Refusal::InAnotherConversation { asked, .. } => {
            format!("peer stop {peer} && peer start {peer} && peer wake {peer} --conversation {asked}")
        }
        Refusal::ConversationGone { .. } => format!("peer conversations {peer} says which of them are there"),
        Refusal::RuntimeUnavailable { why, .. } if why.contains("`peer stop` ends it") => {
            format!("nothing was touched; peer stop {peer} && peer start {peer} && peer wake {peer}")
        }
        Refusal::RuntimeUnavailable { .. } => "nothing was touched; try again".to_owned(),
        Refusal::Elsewhere { .. } => {
            format!("run this command there, or peer release {peer} if that machine or container is gone for good")
        }
    }
}
