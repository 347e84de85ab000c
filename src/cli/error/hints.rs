//! What to do about each error: the next command to type, or what to change.

use std::io;

use peer_adapters::agent::Unsendable;
use peer_adapters::file::Untrusted;
use peer_adapters::runtime::RuntimeError;

use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::engine::error::{AnswerWith, LeftStart, NotReady, Unanswered, Undelivered, Unusable};
use crate::policy::wake::{Refusal, STOP_ENDS_IT};

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn engine_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::Lacking { why, .. } => return engine_hint(why),
        EngineError::NotDelivered { why } => match why.itself() {
            EngineError::NotStarted { .. } => "this does not count as a death; it is safe to send it again".to_owned(),
            _ => format!("{}; then send it again", engine_hint(why)?),
        },
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
        EngineError::LeftStart { peer, how: LeftStart::NotBegun, .. } => format!("peer wake {peer}"),
        EngineError::LeftStart { peer, .. } => format!("peer stop {peer} ends it"),
        EngineError::NoEnvFile { peer, own: true, .. } => format!(
            "peer add {peer} --keep-env VARIABLE writes it again; or remove env_file from its spec with `peer edit {peer}`"
        ),
        EngineError::NoEnvFile { peer, .. } => {
            format!("restore it, or remove env_file from its spec with `peer edit {peer}`")
        }
        EngineError::NoTranscript { peer, .. } => format!("peer screen {peer} prints what its pane shows"),
        EngineError::NoSuchConversation { .. }
        | EngineError::ConversationOfAnother { .. }
        | EngineError::ConversationUnusable { .. } => return conversation_hint(error),
        EngineError::NobodyAttached { peer } => format!("peer attach {peer}, or peer top, which shows its screen live"),
        EngineError::MovedNotWoken { peer, from, .. } => format!(
            "its conversation is kept: peer wake {peer} --resume tries again; peer move {peer} --runtime {from} moves it back"
        ),
        EngineError::NotAllowed { .. } | EngineError::TooManyHops { .. } => between_agents_hint(error),
        EngineError::NotAwake { next, .. } => next.clone(),
        EngineError::AsksNothing { peer } => format!("peer status {peer}"),
        EngineError::NoSuchRow { peer, .. } => {
            format!("peer answer {peer} ROW: its number, its label, or the first words of its label")
        }
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
            "env_file names a file of NAME=VALUE lines, which must exist".to_owned()
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
        (true, Some(nearest)) => {
            format!("it was removed: peer restore {peer} brings it back; or did you mean {nearest}?")
        }
        (true, None) => format!("it was removed: peer restore {peer} brings it back"),
        (false, Some(nearest)) => format!("did you mean {nearest}?"),
        (false, None) => format!("peer add {peer} -- COMMAND"),
    }
}

/// What to do about a message that was not delivered.
fn delivery_hint(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::NotAccepted { peer, asks: Some(answer), .. } => {
            format!("{}; then send it again", answer_hint(peer.as_str(), *answer))
        }
        EngineError::Interrupted { peer, how: Undelivered::NotTyped, .. } => {
            format!("nothing reached the agent; peer status {peer} shows its state")
        }
        EngineError::NotAccepted { peer, how, .. } | EngineError::Interrupted { peer, how, .. } => match how {
            Undelivered::NotTyped => format!("peer screen {peer} shows why; then send it again"),
            Undelivered::NotSent => format!("peer screen {peer} shows it; it is safe to send it again"),
            Undelivered::NotSeen => format!("check peer screen {peer} before sending it again"),
        },
        EngineError::NoRoom { attached: true, .. } => {
            let (columns, rows) = crate::policy::room::FULL_SIZE;
            format!("make that terminal {columns} columns and {rows} rows or larger, or detach it; then send it again")
        }
        EngineError::NoRoom { peer, attached: false, .. } => {
            format!("peer attach {peer} and close the panes beside it; then send it again")
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
        EngineError::NeedsPerson { answer, .. } => {
            format!("{}; then peer last {peer} prints the answer", answer.commands(peer))
        }
        EngineError::HeldUp { .. } => {
            format!("peer screen {peer} shows it; peer wait {peer}, then peer last {peer}, once it goes on")
        }
        EngineError::NoAnswerInTime { sent: false, .. } => format!("peer wait {peer}; then send it again"),
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
        1..=NAMED => format!("it has {}; peer conversations {peer} describes them", newest.join(", ")),
        all => format!("it has {all}, most recently {}; peer conversations {peer} lists them", newest.join(", ")),
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
        EngineError::NotAllowed { requester, peer, .. } => {
            format!("whoever may decide that: peer edit {requester}: may = [\"{peer}\"]")
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
        NotReady::NeedsPerson { acceptable: Some(id), answer, .. } => {
            let by_hand = answer_hint(peer, *answer);
            format!("{by_hand}, or allow it in `peer edit {peer}`: accept = [\"{id}\"]")
        }
        NotReady::NeedsPerson { acceptable: None, answer, .. } => answer_hint(peer, *answer),
    }
}

/// Returns what a person types to answer a question.
pub(in crate::cli) fn answer_hint(peer: &str, answer: AnswerWith) -> String {
    match answer {
        AnswerWith::Attach => format!("peer attach {peer} and answer it"),
        AnswerWith::AnswerOrAttach => answer.commands(peer),
    }
}

fn unanswered_hint(peer: &str, why: Unanswered) -> String {
    match why {
        Unanswered::StartAnswers => format!("peer wake {peer}"),
        Unanswered::Changed | Unanswered::Replaced => format!("peer answer {peer} shows what it asks now"),
        Unanswered::NoRows
        | Unanswered::Typed
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
            format!(
                "peer screen {peer} shows its last screen; peer wake {peer} --fresh --force starts it now, and peer reset \
                 {peer} forgets its deaths"
            )
        }
        Refusal::NothingToResume => format!("peer wake {peer} starts it fresh"),
        Refusal::InAnotherConversation { asked, .. } => {
            format!("peer stop {peer} && peer start {peer} && peer wake {peer} --conversation {asked}")
        }
        Refusal::InOldConversation => format!("peer new {peer}"),
        Refusal::ConversationGone { .. } => format!("peer conversations {peer} says which of them are there"),
        Refusal::RuntimeUnavailable { why, .. } if why.contains(STOP_ENDS_IT) => {
            format!("nothing was touched; peer stop {peer} && peer start {peer} && peer wake {peer}")
        }
        Refusal::RuntimeUnavailable { .. } => "nothing was touched; try again".to_owned(),
        Refusal::Elsewhere { .. } => {
            format!("run this command there, or peer release {peer} if that machine or container is gone for good")
        }
    }
}
