//! `peer answer`: shows an agent's question, and chooses the row that the user names.

mod told;

use std::time::Duration;

use peer_adapters::runtime::Key;
use peer_adapters::screen::{self, Menu, MenuRow, Phase as Shows};
use tokio::time::Instant;

use crate::engine::error::Unanswered;
use crate::engine::observe::live::Live;
use crate::engine::observe::turn::{self, own_status};
use crate::engine::observe::{process_axis, target};
use crate::engine::peer::DIALOG_SETTLE;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::choice::{Choosable, choose};
use crate::policy::ending::End;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Phase, SessionRecord};

pub use told::{After, Answered, Choice, Did, Question};

/// How long a screen may keep changing under a dialog, and how long a dialog may take to redraw after a key.
const REDRAW_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval between two looks.
const SCREEN_POLL: Duration = POLL.saturating_mul(3);
/// How long to wait for what follows an answer.
const AFTER: Duration = Duration::from_secs(10);

impl Engine {
    /// Returns the question of one peer, or `None` if it asks nothing. Presses no key.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`], or a runtime error.
    pub async fn question(&self, name: &PeerName) -> Result<Option<Question>> {
        let peer = self.known(name)?;
        let record = self.awake(&peer).await.map_err(|error| error.instead_of("answer"))?;
        Ok(match self.standing_menu(&peer, &record).await? {
            Some(menu) => Some(Question::of(&menu)),
            None => self.asks_unseen(&peer).await?,
        })
    }

    /// Chooses one row of a peer's question. Presses one key per frame, and Enter only once that row is seen to have
    /// the cursor; stops as soon as the agent asks something else. Blocks until the screen shows what follows.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`]; [`EngineError::AsksNothing`]; [`EngineError::NoSuchRow`]: nothing was pressed.
    /// [`EngineError::NotAnswered`] says how far it came.
    pub async fn answer_question(&self, name: &PeerName, choice: Choice<'_>) -> Result<Answered> {
        let peer = self.known(name)?;
        // Held to the end, so that no message is typed into the dialog.
        let locked = self.lock(name).await?;
        let record = self.awake(&peer).await.map_err(|error| error.instead_of("answer"))?;
        let Some(menu) = self.standing_menu(&peer, &record).await? else {
            return Err(match self.asks_unseen(&peer).await? {
                Some(_) => not_answered(&peer, Unanswered::NoRows),
                None => EngineError::AsksNothing { peer: peer.name },
            });
        };
        if answers_itself(&peer, &record, &menu) {
            return Err(not_answered(&peer, Unanswered::StartAnswers));
        }
        if menu.rows.is_empty() && matches!(choice, Choice::Named(_)) {
            return Err(not_answered(&peer, Unanswered::NoRows));
        }
        let row = chosen_row(&peer, &menu, choice)?;
        let Some(MenuRow { number, label, ends, typed: false, .. }) = menu.rows.get(row).cloned() else {
            return Err(not_answered(&peer, Unanswered::Typed));
        };
        let chosen = self.bring_cursor(&peer, &record, &menu, row).await?;
        self.press_one(&record, Key::Enter).await?;
        let event = Event::new(self.now(), EventName::AgentAnswered).peer(&peer.name).incarnation(record.incarnation);
        self.log(&event.cause(turn::ask(&menu.dialog).kind.as_str()).with("row", number))?;
        let (did, mut after) = self.after(&peer, &record, &chosen, row).await?;
        if matches!(after, After::Ended { .. }) {
            let end = self.settle_answered(&peer, &locked, &record, ends).await?;
            after = After::Ended {
                cause: end.as_ref().map(|end| end.cause),
                counted: end.as_ref().map(|end| end.counted),
                how: end.as_ref().map(End::shown_as),
            };
        }
        Ok(Answered { question: menu.dialog.question, row: number, label, did, after })
    }

    /// Moves the cursor to a row. Returns the menu as last seen, with the cursor on that row.
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

    /// Whether anything in the menu changed within [`REDRAW_TIMEOUT`].
    async fn await_move(&self, peer: &Peer, record: &SessionRecord, before: &Menu) -> Result<bool> {
        let pressed = Instant::now();
        while pressed.elapsed() < REDRAW_TIMEOUT {
            if self.shown_menu(peer, record).await?.as_ref() != Some(before) {
                return Ok(true);
            }
            tokio::time::sleep(SCREEN_POLL).await;
        }
        Ok(false)
    }

    async fn press_one(&self, record: &SessionRecord, key: Key) -> Result<()> {
        Ok(self.runtime_of(&record.place)?.press(&target(&record.place), &[key]).await?)
    }

    async fn shown_menu(&self, peer: &Peer, record: &SessionRecord) -> Result<Option<Menu>> {
        Ok(screen::menu(&peer.profile, &self.capture(record).await?))
    }

    /// Returns the dialog that a pane shows, once it has stayed unchanged; `None` if there is no dialog for that time.
    async fn standing_menu(&self, peer: &Peer, record: &SessionRecord) -> Result<Option<Menu>> {
        let started = Instant::now();
        let (mut shown, mut since) = (self.shown_menu(peer, record).await?, Instant::now());
        while since.elapsed() < DIALOG_SETTLE {
            if started.elapsed() >= REDRAW_TIMEOUT {
                return Err(not_answered(peer, Unanswered::Restless));
            }
            tokio::time::sleep(SCREEN_POLL).await;
            let now = self.shown_menu(peer, record).await?;
            if now != shown {
                (shown, since) = (now, Instant::now());
            }
        }
        Ok(shown)
    }

    /// Returns what the agent's status file reports as waiting for a person, if its screen does not show it.
    async fn asks_unseen(&self, peer: &Peer) -> Result<Option<Question>> {
        let live = self.live_in_reach(peer, peer.files.session()?.present()).await?;
        let said = own_status(peer, &live).and_then(|own| own.waits_for);
        let question = |what: String| Question {
            kind: turn::kind_in_words(&what),
            question: Some(what),
            text: Vec::new(),
            is_cut: false,
            rows: Vec::new(),
            cursor: None,
        };
        Ok(said.filter(|_| !matches!(live, Live::None)).map(question))
    }

    /// Returns what the screen shows once this question is gone, or asked with another row ticked.
    async fn after(&self, peer: &Peer, record: &SessionRecord, chosen: &Menu, row: usize) -> Result<(Did, After)> {
        let (pressed, mut last, mut ready) = (Instant::now(), None, None::<Instant>);
        let mut asks = None::<(Menu, Instant)>;
        while pressed.elapsed() < AFTER {
            if process_axis(record) == Axis::Dead {
                return Ok((Did::Chose, After::Ended { cause: None, counted: None, how: None }));
            }
            // The pane may disappear a moment before its agent is seen to have ended.
            let Ok(text) = self.capture(record).await else {
                tokio::time::sleep(SCREEN_POLL).await;
                continue;
            };
            let menu = screen::menu(&peer.profile, &text);
            let stands = menu.as_ref().is_some_and(|menu| menu.is_same(chosen, row));
            last = Some(stands);
            // The next question may be drawn in parts.
            asks = match (menu.filter(|_| !stands), asks) {
                (Some(now), Some((before, since))) if now == before => Some((before, since)),
                (now, _) => now.map(|now| (now, Instant::now())),
            };
            if let Some((menu, _)) = asks.as_ref().filter(|(_, since)| since.elapsed() >= DIALOG_SETTLE) {
                let did = match menu.ticked_since(chosen, row) {
                    None => Did::Chose,
                    Some(true) => Did::Ticked,
                    Some(false) => Did::Unticked,
                };
                let next = menu.dialog.question.clone();
                return Ok((did, After::Asks { next, asks: Box::new(Question::of(menu)) }));
            }
            let shows = screen::read(&peer.profile, &text).phase;
            // A composer that is drawn only for a moment belongs to a turn that continues.
            ready = ready.filter(|_| shows == Shows::Ready);
            match shows {
                Shows::Busy => return Ok((Did::Chose, After::Busy)),
                Shows::Ready if ready.get_or_insert_with(Instant::now).elapsed() >= DIALOG_SETTLE => {
                    return Ok((Did::Chose, After::Free));
                }
                Shows::Dialog(_) | Shows::Ready | Shows::Starting => {}
            }
            tokio::time::sleep(SCREEN_POLL).await;
        }
        match last {
            Some(true) => Err(not_answered(peer, Unanswered::Stands)),
            _ => Ok((Did::Chose, After::Unknown)),
        }
    }
}

/// Whether the process that starts the agent answers this dialog, because the spec accepts it. Two processes that press
/// keys would interfere with each other.
fn answers_itself(peer: &Peer, record: &SessionRecord, menu: &Menu) -> bool {
    matches!(record.phase, Phase::Starting { .. }) && peer.accepts(&menu.dialog)
}

/// Returns the index of the row that is chosen.
fn chosen_row(peer: &Peer, menu: &Menu, choice: Choice<'_>) -> Result<usize> {
    match choice {
        Choice::Seen(question, row) if question.is_same(&Question::of(menu)) => Ok(row),
        Choice::Seen(..) => Err(not_answered(peer, Unanswered::Replaced)),
        Choice::Named(words) => {
            let rows: Vec<_> =
                menu.rows.iter().map(|row| Choosable { number: row.number, label: &row.label }).collect();
            choose(&rows, words).map_err(|why| EngineError::NoSuchRow {
                peer: peer.name.clone(),
                choice: words.to_owned(),
                why,
                rows: menu.rows.iter().map(MenuRow::to_string).collect(),
            })
        }
    }
}

fn not_answered(peer: &Peer, why: Unanswered) -> EngineError {
    EngineError::NotAnswered { peer: peer.name.clone(), why }
}
