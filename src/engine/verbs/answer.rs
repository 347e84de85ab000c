//! `peer answer`: what an agent asks, and the row that a person chooses.

use std::time::Duration;

use peer_adapters::runtime::Key;
use peer_adapters::screen::{self, Menu, Phase as Shows};
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::error::Unanswered;
use crate::engine::observe::turn::{self, own_status};
use crate::engine::observe::{process_axis, target};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::choice::choose;
use crate::policy::name::PeerName;
use crate::policy::turn::{Ask, AskKind};
use crate::store::{Event, Phase, SessionRecord};

/// How long a dialog must stand still before it is believed, and before a key is pressed into it: what is drawn is not yet what
/// Enter means.
const STILL: Duration = Duration::from_millis(300);
/// How long a screen may go on changing under a dialog, and how long one may take to answer a key with another frame.
const FRAME: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = POLL.saturating_mul(3);
/// How long what follows an answer is looked for.
const AFTER: Duration = Duration::from_secs(10);

/// What an agent asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// What for it needs a person.
    pub kind: AskKind,
    /// The question on one line, where its screen or its status file tells it.
    pub question: Option<String>,
    /// What stands above the rows: the question, and what it is about.
    pub text: Vec<String>,
    /// The labels of the rows; none where they are not known.
    pub rows: Vec<String>,
    /// The number of the row with the cursor, from 1 on.
    pub cursor: Option<usize>,
}

/// What was chosen, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The question.
    pub question: String,
    /// The number of the row, from 1 on.
    pub row: usize,
    /// Its label.
    pub label: String,
    /// What its screen showed after.
    #[serde(flatten)]
    pub after: After,
}

/// What a screen showed after an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "after")]
pub enum After {
    /// A turn in progress.
    Busy,
    /// A composer that is ready for a message.
    Free,
    /// Another question.
    Asks {
        /// Which.
        next: String,
    },
    /// The agent ended.
    Ended,
    /// No question; what it shows is not known.
    Unknown,
}

impl Engine {
    /// What one peer asks; `None` where it asks nothing. Presses nothing.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`], or the runtime's own.
    pub async fn question(&self, name: &PeerName) -> Result<Option<Question>> {
        let peer = self.known(name)?;
        let record = self.awake(&peer).await?;
        Ok(match self.standing_menu(&peer, &record).await? {
            Some(menu) => Some(Question::of(&menu)),
            None => self.asks_unseen(&peer).await?,
        })
    }

    /// Chooses one row of what a peer asks: a key a frame, Enter only where that row is seen to have the cursor, and nothing any
    /// more once it asks something else. Blocks until its screen shows what follows.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`]; [`EngineError::AsksNothing`]; [`EngineError::NoSuchRow`]: nothing was pressed.
    /// [`EngineError::NotAnswered`] says how far it came.
    pub async fn answer_question(&self, name: &PeerName, choice: &str) -> Result<Answered> {
        let peer = self.known(name)?;
        // Held to the end: no message is typed into what is answered here.
        let _locked = self.lock(name).await?;
        let record = self.awake(&peer).await?;
        let Some(menu) = self.standing_menu(&peer, &record).await? else {
            return Err(match self.asks_unseen(&peer).await? {
                Some(_) => not_answered(&peer, Unanswered::NoRows),
                None => EngineError::AsksNothing { peer: peer.name },
            });
        };
        if answers_itself(&peer, &record, &menu) {
            return Err(not_answered(&peer, Unanswered::StartAnswers));
        }
        if menu.rows.is_empty() {
            return Err(not_answered(&peer, Unanswered::NoRows));
        }
        let row = choose(&menu.rows, choice).map_err(|why| EngineError::NoSuchRow {
            peer: peer.name.clone(),
            choice: choice.to_owned(),
            why,
            rows: menu.rows.clone(),
        })?;
        let chosen = self.bring_cursor(&peer, &record, &menu, row).await?;
        self.press_one(&record, Key::Enter).await?;
        let label = menu.rows.get(row).cloned().unwrap_or_default();
        let event = Event::new(self.now(), "agent.answered").peer(&peer.name).incarnation(record.incarnation);
        self.log(&event.cause(turn::ask(&menu.dialog).kind.as_str()).with("row", row + 1))?;
        let after = self.after(&peer, &record, &chosen, row).await?;
        Ok(Answered { question: menu.dialog.question, row: row + 1, label, after })
    }

    /// Moves the cursor to a row; the menu as it was seen last, with the cursor there.
    async fn bring_cursor(&self, peer: &Peer, record: &SessionRecord, asked: &Menu, row: usize) -> Result<Menu> {
        let mut menu = asked.clone();
        loop {
            let Some(key) = menu.next_key(row) else { return Err(not_answered(peer, Unanswered::NoCursor)) };
            if key == Key::Enter {
                return Ok(menu);
            }
            self.press_one(record, key).await?;
            let moved = self.await_move(peer, record, &menu).await?;
            let stands = if moved { self.standing_menu(peer, record).await? } else { None };
            let Some(now) = stands else {
                let why = if moved { Unanswered::Changed } else { Unanswered::NotMoved };
                return Err(not_answered(peer, why));
            };
            if !now.is_same(asked, row) {
                return Err(not_answered(peer, Unanswered::Changed));
            }
            let away = |menu: &Menu| menu.cursor.map_or(usize::MAX, |cursor| cursor.abs_diff(row));
            if away(&now) >= away(&menu) {
                return Err(not_answered(peer, Unanswered::NotMoved));
            }
            menu = now;
        }
    }

    /// Whether anything of the menu changed within [`FRAME`].
    async fn await_move(&self, peer: &Peer, record: &SessionRecord, before: &Menu) -> Result<bool> {
        let pressed = Instant::now();
        while pressed.elapsed() < FRAME {
            if self.shown_menu(peer, record).await?.as_ref() != Some(before) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }

    async fn press_one(&self, record: &SessionRecord, key: Key) -> Result<()> {
        Ok(self.runtime_of(&record.place)?.press(&target(&record.place), &[key]).await?)
    }

    async fn shown_menu(&self, peer: &Peer, record: &SessionRecord) -> Result<Option<Menu>> {
        Ok(screen::menu(&peer.profile, &self.capture(record).await?))
    }

    /// The dialog that a pane shows once it has stood still; `None` where none does for as long.
    async fn standing_menu(&self, peer: &Peer, record: &SessionRecord) -> Result<Option<Menu>> {
        let started = Instant::now();
        let (mut shown, mut since) = (self.shown_menu(peer, record).await?, Instant::now());
        while since.elapsed() < STILL {
            if started.elapsed() >= FRAME {
                return Err(not_answered(peer, Unanswered::Restless));
            }
            tokio::time::sleep(LOOK).await;
            let now = self.shown_menu(peer, record).await?;
            if now != shown {
                (shown, since) = (now, Instant::now());
            }
        }
        Ok(shown)
    }

    /// What its agent says that it needs a person for, where its screen does not tell.
    async fn asks_unseen(&self, peer: &Peer) -> Result<Option<Question>> {
        let live = self.live_in_reach(peer, peer.files.session()?.present()).await?;
        let said = own_status(peer, &live).and_then(|own| own.waits_for);
        let question = |what: String| Question {
            kind: turn::kind_in_words(&what),
            question: Some(what),
            text: Vec::new(),
            rows: Vec::new(),
            cursor: None,
        };
        Ok(said.filter(|_| !matches!(live, Live::None)).map(question))
    }

    /// What the screen shows once it asks this no more.
    async fn after(&self, peer: &Peer, record: &SessionRecord, chosen: &Menu, row: usize) -> Result<After> {
        let (pressed, mut last, mut ready) = (Instant::now(), None, None::<Instant>);
        while pressed.elapsed() < AFTER {
            if process_axis(record) == Axis::Dead {
                return Ok(After::Ended);
            }
            // A pane that is gone a moment before its agent is seen to be tells nothing.
            let Ok(text) = self.capture(record).await else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let stands = screen::menu(&peer.profile, &text).is_some_and(|menu| menu.is_same(chosen, row));
            last = Some(stands);
            let shows = screen::read(&peer.profile, &text).phase;
            // A composer that is drawn for a moment only is that of a turn that goes on.
            ready = ready.filter(|_| shows == Shows::Ready);
            match shows {
                _ if stands => {}
                Shows::Dialog(next) => return Ok(After::Asks { next: next.question }),
                Shows::Busy => return Ok(After::Busy),
                Shows::Ready if ready.get_or_insert_with(Instant::now).elapsed() >= STILL => return Ok(After::Free),
                Shows::Ready | Shows::Starting => {}
            }
            tokio::time::sleep(LOOK).await;
        }
        match last {
            Some(true) => Err(not_answered(peer, Unanswered::Stands)),
            _ => Ok(After::Unknown),
        }
    }
}

impl Question {
    fn of(menu: &Menu) -> Self {
        let Ask { kind, question } = turn::ask(&menu.dialog);
        let cursor = menu.cursor.map(|cursor| cursor + 1);
        Self { kind, question, text: menu.text.clone(), rows: menu.rows.clone(), cursor }
    }
}

/// Whoever starts it answers what its spec accepts, and two who press keys would miss each other's.
fn answers_itself(peer: &Peer, record: &SessionRecord, menu: &Menu) -> bool {
    matches!(record.phase, Phase::Starting { .. })
        && !menu.dialog.needs_person
        && peer.effective.accept.value.contains(&menu.dialog.id)
}

fn not_answered(peer: &Peer, why: Unanswered) -> EngineError {
    EngineError::NotAnswered { peer: peer.name.clone(), why }
}
