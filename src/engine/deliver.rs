//! Typing a message into a living agent, and seeing it accepted.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::agent::{Accepted, ConversationId};
use peer_adapters::runtime::{Key, Runtime};
use peer_adapters::screen::{self, Composer, Phase as ScreenPhase};
use peer_adapters::terminal::{self, Input};
use peer_adapters::transcript::{Mark, TranscriptError};
use tokio::time::Instant;

use super::learn::{self, Learner};
use super::observe::{process_axis, target};
use super::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::store::{Event, Locked, SessionRecord};

/// How long a composer may take to appear or to be given back by a dialog or a draft.
const COMPOSER_PATIENCE: Duration = Duration::from_secs(10);
/// How long pasted text may take to show. 100 KB took the slowest agent under a second.
const PASTE_PATIENCE: Duration = Duration::from_secs(5);
/// How long acceptance may take in all.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(20);

/// A message and what it is about.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The text, any number of lines.
    pub text: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
}

impl Engine {
    /// Types the message (behind the initial prompt where that is still due) and returns once it was seen to be
    /// accepted. Returns whether there was anything to type.
    ///
    /// # Errors
    /// [`EngineError::NotAccepted`]: the text may stand in its composer, and may have been accepted unseen.
    pub async fn deliver(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        message: &Message,
    ) -> Result<bool> {
        let Some(text) = compose(peer, record, message) else { return Ok(false) };
        let runtime = self.runtime_of(&record.place)?;
        match peer.profile.message.accepted {
            Accepted::Consumed => self.type_unseen(peer, runtime.as_ref(), record, &text).await?,
            Accepted::Composer => self.type_into_composer(peer, runtime.as_ref(), record, &text, None).await?,
            Accepted::Transcript => {
                let proof = Proof::taken_before(peer, locked, record)?;
                self.type_into_composer(peer, runtime.as_ref(), record, &text, Some(&proof)).await?;
            }
        }
        self.note_delivery(peer, locked, record, message).await?;
        Ok(true)
    }

    async fn note_delivery(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        message: &Message,
    ) -> Result<()> {
        record.prompt_due = false;
        record.delivered_at_ms = Some(self.now());
        locked.write_session(record)?;
        if let Some(topic) = &message.topic {
            locked.add_topic(topic)?;
        }
        self.learn_conversation(peer, locked, record).await?;
        self.log(
            &Event::new(self.now(), "message.delivered")
                .peer(&peer.name)
                .incarnation(record.incarnation)
                .with("topic", message.topic.clone())
                .with("conversation", record.conversation.clone()),
        )
    }

    /// The first message is what makes an agent choose its conversation id; its file may be a moment behind.
    async fn learn_conversation(&self, peer: &Peer, locked: &Locked, record: &mut SessionRecord) -> Result<()> {
        if peer.profile.conversation.id != ConversationId::Found {
            return Ok(());
        }
        let learner = Learner::new(&peer.profile, &peer.spec.cwd);
        let started = Instant::now();
        while record.conversation.is_none() && started.elapsed() < PASTE_PATIENCE {
            learner.learn(&self.state, locked, record)?;
            if record.conversation.is_none() {
                tokio::time::sleep(POLL * 10).await;
            }
        }
        Ok(())
    }

    fn not_accepted(&self, peer: &Peer, why: &str) -> EngineError {
        EngineError::NotAccepted { peer: peer.name.clone(), why: why.to_owned() }
    }

    /// An agent without a composer: the proof is that it read what was typed.
    async fn type_unseen(&self, peer: &Peer, runtime: &dyn Runtime, record: &SessionRecord, text: &str) -> Result<()> {
        let agent = record.process.ok_or_else(|| self.not_accepted(peer, "it has no process"))?;
        let before = terminal::input(agent.id.pid)?.read;
        runtime.paste(&target(&record.place), text).await?;
        runtime.press(&target(&record.place), &[Key::Enter]).await?;
        let started = Instant::now();
        loop {
            if process_axis(record) == Axis::Dead {
                return Err(self.not_accepted(peer, "it ended"));
            }
            if has_read(terminal::input(agent.id.pid)?, before, text.len() as u64 + 1) {
                return Ok(());
            }
            if started.elapsed() > ACCEPT_PATIENCE {
                return Err(self.not_accepted(peer, "it has not read its terminal; the text waits there"));
            }
            self.progress.waiting(&format!("{} to read the message", peer.name), started.elapsed(), ACCEPT_PATIENCE);
            tokio::time::sleep(POLL).await;
        }
    }

    /// An agent with a composer: paste, see it there, press Enter, see it gone or in the transcript.
    async fn type_into_composer(
        &self,
        peer: &Peer,
        runtime: &dyn Runtime,
        record: &SessionRecord,
        text: &str,
        proof: Option<&Proof>,
    ) -> Result<()> {
        self.await_composer(peer, record, COMPOSER_PATIENCE, |composer| match composer {
            Composer::Empty => Some(()),
            Composer::Hidden | Composer::Holds(_) => None,
        })
        .await
        .map_err(|last| self.not_accepted(peer, &format!("its composer was not free: {last}")))?;
        runtime.paste(&target(&record.place), text).await?;
        self.await_composer(peer, record, PASTE_PATIENCE, |composer| match composer {
            Composer::Holds(_) => Some(()),
            Composer::Hidden | Composer::Empty => None,
        })
        .await
        .map_err(|last| self.not_accepted(peer, &format!("the pasted text did not show: {last}")))?;
        // An Enter right behind a paste is taken for a part of it.
        tokio::time::sleep(peer.profile.message.settle).await;
        self.submit(peer, runtime, record, text, proof).await
    }

    /// Presses Enter until it is acted on.
    async fn submit(
        &self,
        peer: &Peer,
        runtime: &dyn Runtime,
        record: &SessionRecord,
        text: &str,
        proof: Option<&Proof>,
    ) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < ACCEPT_PATIENCE {
            if self.holds_text(peer, record).await {
                runtime.press(&target(&record.place), &[Key::Enter]).await?;
            }
            let pressed = Instant::now();
            while pressed.elapsed() < peer.profile.message.again {
                if self.accepted(peer, record, text, proof).await? {
                    return Ok(());
                }
                self.progress.waiting(
                    &format!("{} to accept the message", peer.name),
                    started.elapsed(),
                    ACCEPT_PATIENCE,
                );
                tokio::time::sleep(POLL * 5).await;
            }
        }
        Err(self.not_accepted(peer, "neither its transcript nor its screen shows it"))
    }

    async fn holds_text(&self, peer: &Peer, record: &SessionRecord) -> bool {
        let Ok(text) = self.capture(record).await else { return false };
        matches!(screen::read(&peer.profile, &text).composer, Composer::Holds(_))
    }

    async fn accepted(&self, peer: &Peer, record: &SessionRecord, text: &str, proof: Option<&Proof>) -> Result<bool> {
        if process_axis(record) == Axis::Dead {
            return Err(self.not_accepted(peer, "it ended"));
        }
        if let Some(proof) = proof
            && proof.given(peer, record, text)?
        {
            return Ok(true);
        }
        let Ok(text) = self.capture(record).await else { return Ok(false) };
        let view = screen::read(&peer.profile, &text);
        // Behind a turn in progress a message waits on the screen, and is in the transcript only when its turn comes.
        Ok(view.composer == Composer::Empty && (proof.is_none() || view.queued))
    }

    /// Looks at the composer until `wanted` says it is as it should be; what was seen last, if it never is.
    async fn await_composer<T>(
        &self,
        peer: &Peer,
        record: &SessionRecord,
        patience: Duration,
        wanted: impl Fn(&Composer) -> Option<T>,
    ) -> std::result::Result<T, String> {
        let started = Instant::now();
        let mut last = "its screen could not be read".to_owned();
        while started.elapsed() < patience {
            if let Ok(text) = self.capture(record).await {
                let view = screen::read(&peer.profile, &text);
                if let Some(value) = wanted(&view.composer) {
                    return Ok(value);
                }
                last = describe(&view);
            }
            if process_axis(record) == Axis::Dead {
                return Err("it ended".to_owned());
            }
            self.progress.waiting(&format!("the composer of {}", peer.name), started.elapsed(), patience);
            tokio::time::sleep(POLL * 5).await;
        }
        Err(last)
    }
}

fn describe(view: &screen::View) -> String {
    match (&view.phase, &view.composer) {
        (ScreenPhase::Dialog(dialog), _) => format!("it asks: {}", dialog.question),
        (_, Composer::Holds(_)) => "it holds text that somebody typed".to_owned(),
        (_, Composer::Empty) => "it is empty".to_owned(),
        (_, Composer::Hidden) => "it is not shown".to_owned(),
    }
}

/// Whether `typed` bytes reached the program: the queue is empty, and it has read that many more than `before`. The queue
/// alone proves nothing, because a multiplexer writes to the terminal after its client has returned.
fn has_read(now: Input, before: Option<u64>, typed: u64) -> bool {
    let grown = now.read.zip(before).map(|(now, before)| now.saturating_sub(before));
    now.unread == 0 && grown.is_some_and(|grown| grown >= typed)
}

/// A place in the agent's transcript from before the message was typed.
struct Proof {
    env: Vec<(OsString, OsString)>,
    mark: Mark,
}

impl Proof {
    fn taken_before(peer: &Peer, locked: &Locked, record: &SessionRecord) -> Result<Self> {
        let env = learn::launch_environment(locked.files(), record)?;
        let mark =
            learn::with_files(&peer.profile, &peer.spec.cwd, &env, |files| files.mark(record.conversation.as_deref()));
        Ok(Self { mark: mark.map_err(|error| unreadable(peer, &error))?, env })
    }

    /// Whether the message stands behind that place now.
    fn given(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<bool> {
        learn::with_files(&peer.profile, &peer.spec.cwd, &self.env, |files| {
            files.accepted(&self.mark, record.conversation.as_deref(), text)
        })
        .map_err(|error| unreadable(peer, &error))
    }
}

fn unreadable(peer: &Peer, error: &TranscriptError) -> EngineError {
    EngineError::NotAccepted { peer: peer.name.clone(), why: learn::tell(error) }
}

/// The text to type: the initial prompt where it is due, a blank line, the message.
fn compose(peer: &Peer, record: &SessionRecord, message: &Message) -> Option<String> {
    let prompt = peer.spec.initial_prompt.as_deref().filter(|_| record.prompt_due);
    match (prompt, message.text.as_deref().filter(|text| !text.is_empty())) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (Some(prompt), Some(text)) => Some(format!("{prompt}\n\n{text}")),
    }
}

/// Reads a message from a file, or from stdin for `-`.
///
/// # Errors
/// It cannot be read, or is no UTF-8.
pub fn read_message(source: &PathBuf) -> Result<String> {
    let read = if source.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(source)
    };
    read.map_err(|error| EngineError::Io { action: "read the message from", path: source.clone(), source: error })
}
