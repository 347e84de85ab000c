//! How an agent identifies and stores its conversations.

use serde::{Deserialize, Serialize};

use super::{ChildFiles, Pattern, ReportingExtension};

/// How the agent's conversations are identified and stored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conversation {
    /// Where the id comes from.
    pub id: ConversationId,
    /// The format of the agent's transcript.
    pub transcript: Option<TranscriptKind>,
    /// The transcripts of the agents that the agent itself starts, if it writes them to files.
    pub children: Option<ChildFiles>,
    /// The file in which the agent reports what it is doing.
    pub status: Option<StatusKind>,
    /// Our extension by which the agent reports its conversation, if its files do not show it.
    pub says: Option<ReportingExtension>,
    /// The agent's own commands that begin another conversation, or return to an older one.
    pub moved_by: Option<Pattern>,
    /// Those among them that begin a conversation which leaves no trace until something is said in it.
    pub begun_by: Option<Pattern>,
    /// The sources for when the agent was last active, best first.
    pub activity: Vec<ActivitySource>,
}

/// Where the id of a conversation comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversationId {
    /// We generate a UUID and pass it with the fresh start.
    Chosen,
    /// The agent generates it; it is read from the agent's files after the first message.
    Found,
    /// There is none: the program has no conversations.
    #[default]
    None,
}

/// The transcript formats that [`crate::transcript`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TranscriptKind {
    /// Claude Code: `projects/SLUG/ID.jsonl`.
    ClaudeJsonl,
    /// Codex: `sessions/Y/M/D/rollout-TIME-ID.jsonl`.
    CodexRollout,
    /// pi: `TIME_ID.jsonl`, first line `session`.
    PiSession,
    /// opencode: one sqlite database for all conversations.
    #[cfg(feature = "sqlite")]
    OpencodeDb,
}

/// The status file formats that [`crate::transcript`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusKind {
    /// Claude Code: `sessions/PID.json`.
    ClaudeSession,
}

/// A source for when an agent was last active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivitySource {
    /// The agent's own status file.
    StatusFile,
    /// The time of the last record in the transcript.
    Transcript,
    /// Beats sent by the agent's hooks.
    Beats,
    /// Output of the pane. This is the last resort, since an animated status line never stops.
    Output,
}
