//! The markers: files whose existence alone is the information.

/// What an agent reports about itself from inside its pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentSignal {
    /// It is alive and working.
    Beat,
    /// Its task is done.
    Done,
}

impl AgentSignal {
    /// Returns the marker that it sets.
    pub const fn marker(self) -> Marker {
        match self {
            Self::Beat => Marker::Beat,
            Self::Done => Marker::Done,
        }
    }
}

/// Files whose existence alone is the information. Their only line is a time, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The agent was parked, and the next wake may resume it. Written before the first signal.
    IdleReaped,
    /// The agent requested a fresh restart.
    NewEager,
    /// The user requested a fresh start at the next natural wake.
    FreshNext,
    /// A person gave it a conversation that was begun by hand: the next wake resumes that one.
    Adopted,
    /// The user stopped the peer: wakes are refused.
    Stopped,
    /// An ephemeral agent reported that it is done.
    Done,
    /// The agent's last heartbeat.
    Beat,
}

/// The step in a peer's life that removes a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearedBy {
    /// An incarnation is launched: a request for a start is used up, because a failed start must not repeat it forever, and
    /// what the last agent reported about itself does not apply to this one.
    Launch,
    /// An incarnation is ready: what the marker says of the conversation is done.
    Ready,
    /// The user lets the peer be woken again (`peer start`).
    Start,
}

impl Marker {
    /// All markers.
    pub const ALL: [Self; 7] =
        [Self::IdleReaped, Self::NewEager, Self::FreshNext, Self::Adopted, Self::Stopped, Self::Done, Self::Beat];

    /// Returns the suffix of the file: `NAME.suffix`.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::IdleReaped => "idle-reaped",
            Self::NewEager => "new-eager",
            Self::FreshNext => "fresh-next",
            Self::Adopted => "adopted",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Beat => "beat",
        }
    }

    /// Returns the step that removes the marker. A command may withdraw it before.
    pub const fn cleared_by(self) -> ClearedBy {
        match self {
            Self::NewEager | Self::Done | Self::Beat => ClearedBy::Launch,
            Self::IdleReaped | Self::FreshNext | Self::Adopted => ClearedBy::Ready,
            Self::Stopped => ClearedBy::Start,
        }
    }
}
