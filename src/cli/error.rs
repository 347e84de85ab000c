//! Every way to fail, its exit code, and in [`hints`] what to do about it.

mod hints;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::render::output;
use crate::engine::EngineError;
use crate::engine::error::{Undelivered, Unusable};
use crate::policy::wake::Refusal;
pub(super) use hints::answer_hint;
use hints::engine_hint;

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
    /// The engine failed, and the words that were typed say better what was meant.
    #[error("{error}")]
    Meant {
        /// The error.
        error: Box<EngineError>,
        /// What to type instead.
        hint: String,
    },
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
    /// The state of peers forbids it.
    #[error("{problem}")]
    Refused {
        /// What forbids it.
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

    /// The error of this verb. What is to be ended or changed is not declared first, and a name that it does not find was
    /// mistyped.
    pub(super) fn of_verb(self, verb: &str) -> Self {
        const CHANGES: [&str; 13] = [
            "answer",
            "interrupt",
            "key",
            "move",
            "new",
            "refresh",
            "release",
            "rename",
            "reset",
            "rm",
            "start",
            "stop",
            "top",
        ];
        match self {
            Self::Engine(error @ EngineError::NoSuchPeer { nearest: None, removed: false, .. })
                if CHANGES.contains(&verb) =>
            {
                Self::Meant { error: Box::new(error), hint: "peer list shows every peer".to_owned() }
            }
            other => other,
        }
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
        output::error(&self.problem());
        if let Some(hint) = self.hint() {
            output::hint(&hint);
        }
        self.code()
    }

    /// Returns what is wrong in words. At a keyboard, SIGINT is called by the key that sends it.
    fn problem(&self) -> String {
        let told = self.to_string();
        let is_signal = matches!(self, Self::Engine(error) if matches!(
            error.itself(),
            EngineError::Interrupted { signal: Signal::SIGINT, .. }
                | EngineError::LeftWaiting { signal: Signal::SIGINT, .. }
                | EngineError::LeftStart { signal: Signal::SIGINT, .. }
        ));
        if is_signal && io::stdin().is_terminal() { told.replace("SIGINT came", "Ctrl-C came") } else { told }
    }

    /// Returns the exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Engine(error) => engine_code(error),
            Self::Meant { error, .. } => engine_code(error),
            Self::Usage { .. } => code::USAGE,
            Self::Refused { .. } => code::REFUSED,
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
            Self::Nothing { hint, .. }
            | Self::Refused { hint, .. }
            | Self::NotSaved { hint, .. }
            | Self::Meant { hint, .. } => Some(hint.clone()),
            Self::NoHome => Some("set PEER_STATE_DIR and PEER_CONFIG_DIR".to_owned()),
            Self::TooFewFiles { .. } => Some("ulimit -n 1024".to_owned()),
            Self::Print(_) | Self::Directory { .. } | Self::Executable(_) => None,
        }
    }

    /// Returns the error as JSON.
    pub(super) fn to_json(&self) -> Value {
        let engine = match self {
            Self::Engine(error) => Some(error),
            Self::Meant { error, .. } => Some(&**error),
            _ => None,
        };
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
            Some(_) if engine.is_some_and(EngineError::is_undelivered) => (Some(Undelivered::NotTyped.as_str()), None),
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

#[expect(clippy::too_many_lines, reason = "one table")]
fn engine_code(error: &EngineError) -> u8 {
    match error {
        EngineError::MovedNotWoken { why, .. }
        | EngineError::Lacking { why, .. }
        | EngineError::NotDelivered { why } => engine_code(why),
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
        EngineError::Interrupted { signal, .. }
        | EngineError::LeftWaiting { signal, .. }
        | EngineError::LeftStart { signal, .. } => 128 + u8::try_from(*signal as i32).unwrap_or_default(),
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
        | EngineError::NoEnvFile { .. }
        | EngineError::Io { .. }
        | EngineError::Profile { .. }
        | EngineError::Config(_)
        | EngineError::Store(_)
        | EngineError::Kernel(_) => code::FAILED,
    }
}
