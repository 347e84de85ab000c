//! The names of all events of the log, and what each means.
//!
//! A new event is one line here: the log, hooks, `peer help events` and `peer doctor` follow from it.

/// Defines [`EventName`] from lines of `Variant = "name": "meaning"`, in order of name.
macro_rules! events {
    ($($variant:ident = $name:literal: $meaning:literal,)*) => {
        /// What happened: the `event` field of a line of the log.
        #[allow(clippy::doc_markdown, reason = "the meanings are printed as they are")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventName {
            $(#[doc = $meaning] $variant,)*
        }

        impl EventName {
            /// Every event, in order of name.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the log and in `on` of a hook.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, for a person: a phrase without a full stop.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

events! {
    AgentAnswered = "agent.answered": "a person answered an agent's question with peer answer; which row",
    AgentInterrupted = "agent.interrupted": "a person stopped an agent's turn with peer interrupt",
    AgentLimited = "agent.limited": "a usage limit stopped an agent; until, if that is known",
    AgentResumed = "agent.resumed": "an agent continues, or may continue; cause: limited or stalled",
    AgentStalled = "agent.stalled": "nothing happened in a turn for a long time; progress: since when",
    AgentWaiting = "agent.waiting": "an agent needs a person; cause: permission, question, trust, sign-in or menu. The question is passed to hooks, but not written to the log",
    ClientsEnded = "clients.ended": "zellij clients that a killed command left behind were ended",
    ConversationAdopted = "conversation.adopted": "a conversation begun outside of peer was given to a peer",
    ConversationChanged = "conversation.changed": "an agent switched to another conversation: /clear, /new, /resume, or a wake that asked for it",
    ConversationLearned = "conversation.learned": "the id of a conversation became known",
    HookFailed = "hook.failed": "a hook failed or timed out; no hook runs for this event",
    KeysPressed = "keys.pressed": "keys were pressed in a pane with peer key; which",
    MemoryAlert = "memory.alert": "an agent was ended for its memory more than 3 times in 600 s; its limit may be too low",
    MemoryHigh = "memory.high": "an agent uses four fifths of its memory limit",
    MessageDelivered = "message.delivered": "an agent accepted a message",
    MessageExpired = "message.expired": "a queued message will not be delivered; cause: cancelled, removed, unsendable, not-known (may have been sent), not-seen (not confirmed) or not-done (two workers died with it)",
    MessageQueued = "message.queued": "a message was queued in an inbox; cause: restored, if it was removed and came back",
    MessageRefused = "message.refused": "a message was refused; cause: too-many-hops (agents wrote to each other for too long: max_hops in config.toml)",
    MessageReturned = "message.returned": "an ephemeral worker ended before it was done, and the next one gets its message; cause: how it ended",
    MessageUnconfirmed = "message.unconfirmed": "a message is not confirmed; cause: not-typed, not-sent, not-seen or pane-too-small",
    PeerAdded = "peer.added": "a peer was declared or redeclared",
    PeerEdited = "peer.edited": "a spec was edited, or variables were kept for it",
    PeerMoved = "peer.moved": "a peer moved to another runtime",
    PeerRefreshed = "peer.refreshed": "the next wake is to start a new conversation",
    PeerRemoved = "peer.removed": "a peer was removed; the event names the trash directory of its files",
    PeerRenamed = "peer.renamed": "a peer was renamed; from is its old name",
    PeerReset = "peer.reset": "its deaths were cleared",
    PeerRestored = "peer.restored": "the removal of a peer was undone",
    PeerStable = "peer.stable": "an agent has been ready long enough to clear its earlier deaths",
    PeerStarted = "peer.started": "wakes are allowed again after a stop",
    PeerStopped = "peer.stopped": "wakes are refused after a stop",
    ProbeFailed = "probe.failed": "a runtime could not be queried",
    ProbeTimedOut = "probe.timed-out": "a runtime did not answer in time: its peers are unknown",
    RuntimeLost = "runtime.lost": "a tmux server or a zellij session is gone, with its peers",
    SelfFreshFailed = "self-fresh.failed": "an agent did not become ready after a self-fresh",
    SelfFreshRequested = "self-fresh.requested": "an agent asked for a clean restart",
    ServerReached = "server.reached": "a server whose socket was removed listens again",
    SessionEnded = "session.ended": "an incarnation ended; cause: peer help causes",
    SessionOrphanEnded = "session.orphan-ended": "an agent that outlived its session was ended",
    SessionReaped = "session.reaped": "an idle agent was parked",
    SessionRecovered = "session.recovered": "a lost record was rebuilt",
    SessionReleased = "session.released": "a record was written off with peer release",
    StoreCorrupt = "store.corrupt": "a corrupt file in the state directory was moved aside",
    TickFinished = "tick.finished": "a tick changed something, or left something undone",
    TurnFinished = "turn.finished": "a turn ended, as the agent reported or a tick saw (witness): its duration and whether it answered, where that is known",
    TurnStarted = "turn.started": "a turn began, as the agent reported or a tick saw (witness); since: when, if that was earlier and is known",
    WakeDecided = "wake.decided": "an agent is being started: fresh or resumed, and why",
    WakeFailed = "wake.failed": "an agent was not started, or did not become ready; cause: why",
    WakeReady = "wake.ready": "an agent is ready",
    WakeRefused = "wake.refused": "a wake was refused, and why",
}

/// Whether a person means this event by `on`: its whole name, or a beginning of it that ends in a dot (`wake.`).
pub fn is_meant(on: &str, event: &str) -> bool {
    on == event || (on.ends_with('.') && event.starts_with(on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_no_name_is_used_twice() {
        let names: Vec<&str> = EventName::ALL.iter().map(|event| event.as_str()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
