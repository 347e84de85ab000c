//! Agent profiles: what is known of an agent program, as data.
//!
//! A profile is a TOML file. Five are built in; a person's own file adds one, replaces one, or changes a few keys of
//! one (`extends = "claude"`) without a rebuild. Nothing here starts or looks at a process: [`crate::screen`] applies a
//! profile to the text of a pane, [`crate::transcript`] to the agent's own files.

use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::Key;

mod environment;
mod error;
mod hooks;
mod load;
mod mcp;
mod message;
mod values;

pub use environment::{Environment, belongs_to_session, session_in};
pub use error::ProfileError;
pub use hooks::{EXECUTABLE, Given, Handed, Hooks, Report};
pub use mcp::{McpRule, McpServer};
pub use message::{Alteration, Unsendable, letters};
pub use values::{ChildFiles, Pattern, Speaker, Variable};

/// The profiles that come with the program: name and TOML text.
pub const BUILTIN: &[(&str, &str)] = &[
    ("claude", include_str!("../agents/claude.toml")),
    ("codex", include_str!("../agents/codex.toml")),
    ("command", include_str!("../agents/command.toml")),
    ("opencode", include_str!("../agents/opencode.toml")),
    ("pi", include_str!("../agents/pi.toml")),
];

/// What is known of one agent program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The file's name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// The profile that this one changes. Tables are merged key by key; everything else, lists too, is replaced.
    #[serde(default)]
    pub extends: Option<String>,
    /// One line for `peer agents`.
    #[serde(default)]
    pub description: String,
    /// The version of the agent with which all this was seen to hold.
    #[serde(default)]
    pub seen: Option<String>,
    /// The program and the arguments that always come first, for a peer that names no command of its own.
    #[serde(default)]
    pub command: Vec<String>,
    /// The words that say "fresh" and "resume" to the agent.
    #[serde(default)]
    pub arguments: Arguments,
    /// How it is given a server of the Model Context Protocol for one launch; none where it takes none.
    #[serde(default)]
    pub mcp: Option<McpRule>,
    /// How the agent's conversations are named and kept.
    #[serde(default)]
    pub conversation: Conversation,
    /// When the agent is ready for a message.
    #[serde(default)]
    pub ready: Ready,
    /// What the screen shows while a turn is in progress: one of these is enough.
    #[serde(default)]
    pub busy: Vec<Pattern>,
    /// The questions that the agent may ask instead of becoming ready; the first that is recognised counts.
    #[serde(default)]
    pub dialog: Vec<Dialog>,
    /// Where on the screen the person's text stands before it is sent; none for a program without such a place.
    #[serde(default)]
    pub composer: Option<ComposerRule>,
    /// How a message is put in.
    #[serde(default)]
    pub message: MessageRule,
    /// How the agent is asked to leave, and how long it may take.
    #[serde(default)]
    pub quit: Quit,
    /// The keys that stop the turn in progress and keep the agent.
    #[serde(default)]
    pub interrupt: Vec<Key>,
    /// What of the environment the agent lives by, what must not reach it, and what must.
    #[serde(default)]
    pub environment: Environment,
    /// How the agent is given hooks by which it reports what it does.
    #[serde(default)]
    pub hooks: Hooks,
}

/// Words appended to the peer's own command line. `{conversation}` stands for the conversation's id, `{transcript}` for
/// the path of its transcript, for an agent that names conversations by their files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arguments {
    /// For a new conversation.
    pub fresh: Vec<String>,
    /// For the conversation it had; empty where the agent cannot resume one by id.
    pub resume: Vec<String>,
}

/// How the agent's conversations are named and kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conversation {
    /// How the id comes to be.
    pub id: ConversationId,
    /// How the agent writes down what was said.
    pub transcript: Option<TranscriptKind>,
    /// The transcripts of the agents that the agent itself starts, where it writes them to files.
    pub children: Option<ChildFiles>,
    /// The file in which the agent says what it is doing.
    pub status: Option<StatusKind>,
    /// The extension of ours by which the agent says which conversation it is in, where its files do not tell.
    pub says: Option<Speaker>,
    /// Which commands of the agent's own begin another conversation, or go back to an older one.
    pub moved_by: Option<Pattern>,
    /// Which of them begin one of which nothing tells before something is said in it.
    pub begun_by: Option<Pattern>,
    /// What tells when the agent last did something, best first.
    pub activity: Vec<ActivitySource>,
}

/// How the id of a conversation comes to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversationId {
    /// We make a UUID and pass it with the fresh start.
    Chosen,
    /// The agent makes it; it is learned from the agent's files after the first message.
    Found,
    /// There is none: the program keeps no conversation.
    #[default]
    None,
}

/// The layouts of transcripts that [`crate::transcript`] reads.
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
    OpencodeDb,
}

/// The layouts of status files that [`crate::transcript`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusKind {
    /// Claude Code: `sessions/PID.json`.
    ClaudeSession,
}

/// What can tell when an agent was last active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivitySource {
    /// The agent's own status file.
    StatusFile,
    /// The time in the last record of the transcript.
    Transcript,
    /// Beats sent by the agent's hooks.
    Beats,
    /// Output of the pane: the last resort, since an animated status line never falls silent.
    Output,
}

/// When the agent is ready for a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// Patterns that must all match the screen. None: the program is ready as soon as it runs.
    pub screen: Vec<Pattern>,
    /// How long to wait for it; 120 s unless said otherwise.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
    /// How long readiness must last after a fresh start before it is believed.
    #[serde(deserialize_with = "values::duration")]
    pub hold_fresh: Duration,
    /// The same after a resume: longer, as a refused resume dies seconds after a start that looks healthy.
    #[serde(deserialize_with = "values::duration")]
    pub hold_resume: Duration,
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            screen: Vec::new(),
            timeout: Duration::from_secs(120),
            hold_fresh: Duration::ZERO,
            hold_resume: Duration::ZERO,
        }
    }
}

/// What a dialog needs a person for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialogKind {
    /// The agent may not do something unless it is allowed to.
    Permission,
    /// It wants to know something.
    Question,
    /// Whether a directory is to be trusted.
    Trust,
    /// It has no account, key or model.
    SignIn,
    /// Something is to be chosen or left.
    Menu,
}

impl Dialog {
    /// What it needs a person for.
    pub fn kind(&self) -> DialogKind {
        self.kind.unwrap_or(match self.id.as_str() {
            "permission" => DialogKind::Permission,
            id if id.starts_with("trust") => DialogKind::Trust,
            "sign-in" => DialogKind::SignIn,
            "menu" => DialogKind::Menu,
            _ => DialogKind::Question,
        })
    }
}

/// A question that the agent asks on the screen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialog {
    /// The name by which a peer's spec accepts it (`accept = ["trust-folder"]`).
    pub id: String,
    /// What recognises it. Its first capture group, if it has one, is the question shown to a person; else the text.
    pub screen: Pattern,
    /// What it needs a person for; where it is not given, as its id says, or a question.
    #[serde(default)]
    pub kind: Option<DialogKind>,
    /// The question to show in place of what is on the screen.
    #[serde(default)]
    pub question: Option<String>,
    /// The row to be chosen where the spec accepts the dialog: how its text begins.
    #[serde(default)]
    pub answer: Option<String>,
    /// What the row with the cursor begins with.
    #[serde(default)]
    pub cursor: Option<Pattern>,
    /// A row that can be chosen, with the cursor or without: its label is the group `label`, its number, where it has one, the
    /// group `number`.
    #[serde(default)]
    pub rows: Option<Pattern>,
    /// The line just above the dialog, where what it asks about stands above what `screen` matches.
    #[serde(default)]
    pub above: Option<Pattern>,
    /// A program must not answer this one, whatever the spec says.
    #[serde(default)]
    pub needs_person: bool,
    /// It is a box with a background of its own, drawn over the screen: `screen` is looked for in the text of such a box alone,
    /// whatever is below it.
    #[serde(default)]
    pub over: bool,
}

/// Where the person's text stands before it is sent. Lines are searched from the bottom of the screen upwards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposerRule {
    /// The line just above the first line of text, where the agent draws one.
    #[serde(default)]
    pub above: Option<Pattern>,
    /// The first line of text; what matches is the prompt and no text. With neither this nor `above` there is no rule.
    #[serde(default)]
    pub first: Option<Pattern>,
    /// The line just below the last line of text.
    pub below: Pattern,
    /// What the other lines begin with and is no text: a bar, an indentation.
    #[serde(default)]
    pub rest: Option<Pattern>,
    /// Text that the agent itself puts into an empty composer. Dim text is taken for that too.
    #[serde(default)]
    pub ghost: Option<Pattern>,
    /// What the composer shows in place of a long paste.
    #[serde(default)]
    pub placeholder: Option<Pattern>,
}

/// How a message is put in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageRule {
    /// What proves that the agent took it.
    pub accepted: Accepted,
    /// What the screen shows while a message waits behind a running turn: taken too, if the composer is empty.
    pub queued: Option<Pattern>,
    /// Text that the agent takes for a command and not for a message. It never shows in the transcript, and some of it
    /// runs in a shell: `!rm x` pasted into Claude Code, Codex or pi does just that, without a model or a question.
    pub command: Option<Pattern>,
    /// Text behind which a space is typed, because Enter right behind it would take a completion for it (`@ma`), or break the
    /// line (`\`). Not for an agent that would keep that space where it means something.
    pub space_after: Option<Pattern>,
    /// What the agent changes of a message before it writes it down, and what is therefore not compared.
    pub alters: Vec<Alteration>,
    /// It writes its transcript with its first answer only: until there is one, a turn that begins proves a message.
    pub first_by_turn: bool,
    /// A list of completions that is open, from which Enter would choose.
    pub popup: Option<Pattern>,
    /// The key that empties the composer.
    pub clear: Option<Key>,
    /// How long to wait between the end of the paste and Enter, once the composer shows the text: an Enter that comes
    /// too soon is taken for a part of the paste.
    #[serde(deserialize_with = "values::duration")]
    pub settle: Duration,
    /// How long to wait for the proof before Enter is pressed again, where the composer still holds the text.
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
            alters: vec![Alteration::Ends],
            first_by_turn: false,
            popup: None,
            clear: None,
            settle: Duration::from_millis(100),
            again: Duration::from_secs(2),
        }
    }
}

/// What proves that the agent took a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accepted {
    /// The message is in the agent's transcript.
    Transcript,
    /// The composer showed it and is empty again.
    Composer,
    /// The program has read its terminal's input queue empty.
    #[default]
    Consumed,
}

/// How the agent is asked to leave, and how long it may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quit {
    /// What to press, in order; stops as soon as the agent has ended. Empty: it has no words for it.
    pub steps: Vec<QuitStep>,
    /// How long to wait after the last step before SIGTERM.
    #[serde(deserialize_with = "values::duration")]
    pub grace: Duration,
    /// How long to wait after SIGTERM before SIGKILL.
    #[serde(deserialize_with = "values::duration")]
    pub term_grace: Duration,
}

impl Default for Quit {
    fn default() -> Self {
        Self { steps: Vec::new(), grace: Duration::from_secs(5), term_grace: Duration::from_secs(5) }
    }
}

/// One step of asking the agent to leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuitStep {
    /// Keys pressed at once.
    pub keys: Vec<Key>,
    /// How long to wait for the end before the next step.
    #[serde(deserialize_with = "values::duration")]
    pub wait: Duration,
}

/// Which start the arguments are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// A new conversation.
    Fresh {
        /// The id to give it; `None` unless [`Profile::chooses_id`].
        chosen: Option<&'a str>,
    },
    /// The conversation it had.
    Resume {
        /// Its id.
        conversation: &'a str,
    },
}

/// What can be done with an agent of this profile, for `peer agents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts of a row in a table")]
pub struct Capabilities {
    /// One conversation can be resumed by its id.
    pub resume: bool,
    /// How the id comes to be.
    pub conversation: ConversationId,
    /// What was said can be read.
    pub transcript: bool,
    /// The agent says itself whether it is busy.
    pub status: bool,
    /// Readiness is seen on the screen, and not only assumed.
    pub ready: bool,
    /// What proves that a message was taken.
    pub accepted: Accepted,
}

impl Profile {
    /// The words to append to the peer's own command line; `transcript` is what `{transcript}` stands for.
    ///
    /// [`crate::transcript::Files::arguments`] knows that path and is what a start should call.
    pub fn arguments(&self, start: Start<'_>, transcript: &str) -> Vec<String> {
        let (words, id) = match start {
            Start::Fresh { chosen } => (&self.arguments.fresh, chosen),
            Start::Resume { conversation } => (&self.arguments.resume, Some(conversation)),
        };
        let fill =
            |word: &String| word.replace("{transcript}", transcript).replace("{conversation}", id.unwrap_or_default());
        words.iter().map(fill).collect()
    }

    /// The conversation that a start with these words was given, fresh or resumed, where its own words name it.
    pub fn conversation_in(&self, argv: &[OsString]) -> Option<String> {
        [&self.arguments.resume, &self.arguments.fresh].into_iter().find_map(|words| {
            // By the word before it: the agent may have been started through an interpreter, with other words in front.
            let at = words.iter().position(|word| word == "{conversation}").filter(|at| *at > 0)?;
            let given = argv.iter().position(|word| word.to_str() == Some(&words[at - 1]))?;
            argv.get(given + 1)?.to_str().filter(|id| !id.is_empty()).map(str::to_owned)
        })
    }

    /// Whether a fresh start is given a conversation id that we make: a UUID, version 4, in lower case with hyphens.
    pub fn chooses_id(&self) -> bool {
        self.conversation.id == ConversationId::Chosen
    }

    /// Whether the agent would take `text` for a command of its own and not for a message; see [`MessageRule::command`].
    pub fn takes_for_command(&self, text: &str) -> bool {
        self.message.command.as_ref().is_some_and(|command| command.is_match(text))
    }

    /// Whether `text`, as a command of the agent's own, puts it into another conversation; see [`Conversation::moved_by`].
    pub fn moves_conversation(&self, text: &str) -> bool {
        self.conversation.moved_by.as_ref().is_some_and(|command| command.is_match(text))
    }

    /// Whether `text`, as a command of the agent's own, begins a conversation of which nothing tells before something is said
    /// in it; see [`Conversation::begun_by`].
    pub fn begins_untold(&self, text: &str) -> bool {
        self.conversation.begun_by.as_ref().is_some_and(|command| command.is_match(text))
    }

    /// What can be done with an agent of this profile.
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
