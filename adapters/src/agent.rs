//! Agent profiles: the known properties of an agent program, as data.
//!
//! A profile is a TOML file. Five are built in. A user's own file adds one, replaces one, or changes a few keys of one
//! (`extends = "claude"`) without a rebuild. Nothing here starts or probes a process: [`crate::screen`] applies a
//! profile to the text of a pane, [`crate::transcript`] to the agent's own files.

use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::Key;

mod conversation;
mod dialog;
mod environment;
mod error;
mod hooks;
mod load;
mod mcp;
mod message;
mod pattern;
mod quit;
mod values;

pub use conversation::{ActivitySource, Conversation, ConversationId, StatusKind, TranscriptKind};
pub use dialog::{Dialog, DialogKind};
pub use environment::{Environment, belongs_to_session, session_in};
pub use error::ProfileError;
pub use hooks::{EXECUTABLE, Given, Handed, Hooks, Report};
pub use mcp::{GIVEN, McpRule, McpServer};
pub use message::{Alteration, Unsendable, decomposed, letters, without_marks};
pub use pattern::Pattern;
pub use quit::{Quit, QuitStep};
pub use values::{ChildFiles, ReportingExtension, Variable};

/// The built-in profiles: name and TOML text.
pub const BUILTIN: &[(&str, &str)] = &[
    ("claude", include_str!("../agents/claude.toml")),
    ("codex", include_str!("../agents/codex.toml")),
    ("command", include_str!("../agents/command.toml")),
    #[cfg(feature = "sqlite")]
    ("opencode", include_str!("../agents/opencode.toml")),
    ("pi", include_str!("../agents/pi.toml")),
];

/// The known properties of one agent program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The file name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// The profile that this one changes. Tables are merged key by key; everything else, lists too, is replaced.
    #[serde(default)]
    pub extends: Option<String>,
    /// One line for `peer agents`.
    #[serde(default)]
    pub description: String,
    /// The version of the agent that all of this was verified with.
    #[serde(default)]
    pub seen: Option<String>,
    /// The program and its leading arguments, for a peer that does not specify a command.
    #[serde(default)]
    pub command: Vec<String>,
    /// The arguments for a fresh start and for a resume.
    #[serde(default)]
    pub arguments: Arguments,
    /// How the agent is given a server of the Model Context Protocol for one launch, if it takes one.
    #[serde(default)]
    pub mcp: Option<McpRule>,
    /// How the agent's conversations are identified and stored.
    #[serde(default)]
    pub conversation: Conversation,
    /// When the agent is ready for a message.
    #[serde(default)]
    pub ready: Ready,
    /// What the screen shows while a turn is in progress: one match is enough.
    #[serde(default)]
    pub busy: Vec<Pattern>,
    /// What the screen shows where a usage limit has stopped the agent: one of these is enough. The group `until`, else the whole of
    /// what matches, tells until when.
    #[serde(default)]
    pub limited: Vec<Pattern>,
    /// The questions that the agent may ask instead of becoming ready; the first match counts.
    #[serde(default)]
    pub dialog: Vec<Dialog>,
    /// Where the user's unsent text is on the screen; `None` for a program without such a place.
    #[serde(default)]
    pub composer: Option<ComposerRule>,
    /// How a message is entered.
    #[serde(default)]
    pub message: MessageRule,
    /// How the agent is asked to leave, and how long it may take.
    #[serde(default)]
    pub quit: Quit,
    /// The keys that stop the current turn without ending the agent.
    #[serde(default)]
    pub interrupt: Vec<Key>,
    /// Which environment variables the agent needs, which must not reach it, and which are set for it.
    #[serde(default)]
    pub environment: Environment,
    /// How the agent is given hooks by which it reports what it does.
    #[serde(default)]
    pub hooks: Hooks,
}

/// Arguments appended to the peer's own command line. `{conversation}` stands for the conversation's id, `{transcript}`
/// for the path of its transcript, for an agent that identifies conversations by their files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arguments {
    /// For a new conversation.
    pub fresh: Vec<String>,
    /// For the previous conversation; empty if the agent cannot resume one by id.
    pub resume: Vec<String>,
}

/// When the agent is ready for a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// Patterns that must all match the screen. If empty, the program is ready as soon as it runs.
    pub screen: Vec<Pattern>,
    /// How long to wait for readiness; 120 s by default.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
    /// How long readiness must last after a fresh start before it counts.
    #[serde(deserialize_with = "values::duration")]
    pub stable_for_fresh: Duration,
    /// How long readiness must last after a resume before it counts. Longer, as an agent that refuses to resume exits
    /// seconds after a start that looks healthy.
    #[serde(deserialize_with = "values::duration")]
    pub stable_for_resume: Duration,
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            screen: Vec::new(),
            timeout: Duration::from_secs(120),
            stable_for_fresh: Duration::ZERO,
            stable_for_resume: Duration::ZERO,
        }
    }
}

/// Where the user's unsent text is. Lines are searched from the bottom of the screen upwards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposerRule {
    /// The line just above the first line of text, if the agent draws one.
    #[serde(default)]
    pub above: Option<Pattern>,
    /// The first line of text; what matches is the prompt and not part of the text. Without this and `above` there is
    /// no rule.
    #[serde(default)]
    pub first: Option<Pattern>,
    /// The line just below the last line of text.
    pub below: Pattern,
    /// What the other lines begin with that is not part of the text: a bar, an indentation.
    #[serde(default)]
    pub rest: Option<Pattern>,
    /// Text that the agent itself shows in an empty composer. Dim text counts as that too.
    #[serde(default)]
    pub ghost: Option<Pattern>,
    /// What the composer shows instead of a long paste.
    #[serde(default)]
    pub placeholder: Option<Pattern>,
}

/// How a message is entered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageRule {
    /// What proves that the agent accepted it.
    pub accepted: Accepted,
    /// What the screen shows while a message waits for a running turn to end. Such a message counts as accepted if the
    /// composer is empty.
    pub queued: Option<Pattern>,
    /// Text that the agent treats as a command instead of a message. It never appears in the transcript, and some of it
    /// runs in a shell: `!rm x` pasted into Claude Code, Codex or pi does just that, without involving a model or
    /// asking.
    pub command: Option<Pattern>,
    /// Text after which a space is typed, because otherwise Enter would accept a completion (`@ma`) or break the line
    /// (`\`). Not for an agent that would keep the space where it matters.
    pub space_after: Option<Pattern>,
    /// Text before which a space is typed, because otherwise the composer would show it with something else in place of its
    /// first character. Not for an agent that would keep the space where it matters.
    pub space_before: Option<Pattern>,
    /// Text that the composer shows with something else in it, so that it could not be checked before Enter. It is refused.
    pub misdrawn: Option<Pattern>,
    /// What the agent changes in a message before recording it. These changes are ignored in comparisons.
    pub alters: Vec<Alteration>,
    /// Whether the agent writes its transcript only with its first answer. Until then, the start of a turn proves a
    /// message.
    pub first_by_turn: bool,
    /// An open list of completions, from which Enter would choose.
    pub popup: Option<Pattern>,
    /// The key that empties the composer.
    pub clear: Option<Key>,
    /// How long to wait between the end of the paste and Enter, once the composer shows the text. An Enter that comes
    /// too soon is taken as part of the paste.
    #[serde(deserialize_with = "values::duration")]
    pub settle: Duration,
    /// How long to wait for the proof before pressing Enter again, if the composer still holds the text.
    #[serde(deserialize_with = "values::duration")]
    pub again: Duration,
}

impl Default for MessageRule {
    fn default() -> Self {
        Self {
            accepted: Accepted::default(),
            queued: None,
            command: None,
            space_after: None,
            space_before: None,
            misdrawn: None,
            alters: vec![Alteration::Ends],
            first_by_turn: false,
            popup: None,
            clear: None,
            settle: Duration::from_millis(100),
            again: Duration::from_secs(2),
        }
    }
}

/// What proves that the agent accepted a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accepted {
    /// The message appears in the agent's transcript.
    Transcript,
    /// The composer showed it and is empty again.
    Composer,
    /// The program has emptied its terminal's input queue.
    #[default]
    Consumed,
}

/// The start that the arguments are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// A new conversation.
    Fresh {
        /// The id to give it; `None` unless [`Profile::chooses_id`].
        chosen: Option<&'a str>,
    },
    /// The previous conversation.
    Resume {
        /// Its id.
        conversation: &'a str,
    },
}

/// What an agent of this profile supports, for `peer agents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts of a row in a table")]
pub struct Capabilities {
    /// Whether a conversation can be resumed by its id.
    pub resume: bool,
    /// Where the id comes from.
    pub conversation: ConversationId,
    /// Whether the transcript can be read.
    pub transcript: bool,
    /// Whether the agent itself reports that it is busy.
    pub status: bool,
    /// Whether readiness is detected on the screen, and not only assumed.
    pub ready: bool,
    /// What proves that a message was accepted.
    pub accepted: Accepted,
}

impl Profile {
    /// Returns the arguments to append to the peer's own command line; `transcript` replaces `{transcript}`.
    ///
    /// Callers that start an agent should use [`crate::transcript::Files::arguments`], which knows that path.
    pub fn arguments(&self, start: Start<'_>, transcript: &str) -> Vec<String> {
        let (words, id) = match start {
            Start::Fresh { chosen } => (&self.arguments.fresh, chosen),
            Start::Resume { conversation } => (&self.arguments.resume, Some(conversation)),
        };
        let fill =
            |word: &String| word.replace("{transcript}", transcript).replace("{conversation}", id.unwrap_or_default());
        words.iter().map(fill).collect()
    }

    /// Returns the conversation that a start with this command line was given, fresh or resumed, if the arguments name
    /// it.
    pub fn conversation_in(&self, argv: &[OsString]) -> Option<String> {
        [&self.arguments.resume, &self.arguments.fresh].into_iter().find_map(|words| {
            // Located by the word before it: the agent may have been started through an interpreter, with other words
            // in front.
            let at = words.iter().position(|word| word == "{conversation}").filter(|at| *at > 0)?;
            let given = argv.iter().position(|word| word.to_str() == Some(&words[at - 1]))?;
            argv.get(given + 1)?.to_str().filter(|id| !id.is_empty()).map(str::to_owned)
        })
    }

    /// Returns `true` if a fresh start gets a conversation id from us: a version 4 UUID, in lower case with hyphens.
    pub fn chooses_id(&self) -> bool {
        self.conversation.id == ConversationId::Chosen
    }

    /// Returns `true` if the agent would treat `text` as a command instead of a message; see [`MessageRule::command`].
    pub fn is_command(&self, text: &str) -> bool {
        self.message.command.as_ref().is_some_and(|command| command.is_match(text))
    }

    /// Returns `true` if the agent's own command `text` switches it to another conversation; see
    /// [`Conversation::moved_by`].
    pub fn moves_conversation(&self, text: &str) -> bool {
        self.conversation.moved_by.as_ref().is_some_and(|command| command.is_match(text))
    }

    /// Returns `true` if the agent's own command `text` begins a conversation that leaves no trace until something is
    /// said in it; see [`Conversation::begun_by`].
    pub fn begins_without_trace(&self, text: &str) -> bool {
        self.conversation.begun_by.as_ref().is_some_and(|command| command.is_match(text))
    }

    /// Returns what an agent of this profile supports.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            resume: !self.arguments.resume.is_empty(),
            conversation: self.conversation.id,
            transcript: self.conversation.transcript.is_some(),
            status: self.conversation.status.is_some(),
            ready: !self.ready.screen.is_empty(),
            accepted: self.message.accepted,
        }
    }
}

#[cfg(test)]
mod tests;
