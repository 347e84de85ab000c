//! The agent itself: a composer, turns, and dialogs.

use std::collections::VecDeque;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::dialog::Dialog;
use crate::flags::Flags;
use crate::input::{Decoder, Key};
use crate::screen::Screen;
use crate::transcript::{self, Transcript};

mod composer;
mod report;
mod turn;

use composer::shortened;
use turn::{Ends, Turn};

/// An Enter that comes sooner after a paste is taken for a part of it, as in real agents.
const PASTE_SETTLE: Duration = Duration::from_millis(30);

/// A second Ctrl-C within this time ends the agent; as seen with Claude Code 2.1.328.
const CONTROL_C: Duration = Duration::from_millis(800);

/// An ESC with nothing after it for this long was the key.
const LONE_ESCAPE: Duration = Duration::from_millis(30);

/// A paste of more line ends, or of more characters, shows as a placeholder.
const LONG_PASTE: (usize, usize) = (3, 800);

/// Whether the agent continues.
pub(crate) enum Step {
    Stay,
    /// It ends with this code.
    Leave(u8),
}

enum Piece {
    Char(char),
    Paste { number: usize, text: String },
}

/// A running agent.
pub(crate) struct Session<'a> {
    flags: &'a Flags,
    transcript: Transcript,
    screen: Screen,
    decoder: Decoder,
    typed_at: Instant,
    started: Instant,
    /// Its questions, the current one first.
    dialogs: VecDeque<Dialog>,
    draft: Vec<Piece>,
    pastes: usize,
    pasted_at: Option<Instant>,
    swallow: u32,
    turn: Option<Turn>,
    queue: VecDeque<String>,
    control_c_at: Option<Instant>,
    /// When to write the status file.
    tell_at: Option<Instant>,
    /// What it runs.
    tools: Vec<std::process::Child>,
    /// The hook that it ran last.
    hook: Option<thread::JoinHandle<()>>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(flags: &'a Flags, transcript: Transcript, screen: Screen) -> Self {
        let now = Instant::now();
        Self {
            flags,
            transcript,
            screen,
            decoder: Decoder::default(),
            typed_at: now,
            started: now,
            dialogs: flags.trust_dialog.then(Dialog::trust).into_iter().collect(),
            draft: Vec::new(),
            pastes: 0,
            pasted_at: None,
            swallow: flags.swallow_enter,
            turn: None,
            queue: VecDeque::new(),
            control_c_at: None,
            tell_at: None,
            tools: Vec::new(),
            hook: None,
        }
    }

    /// Draws for the first time.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.tell_at = Some(Instant::now());
        self.greet()
    }

    fn greet(&mut self) -> io::Result<()> {
        let how = match self.transcript.turns() {
            0 => "new conversation".to_owned(),
            1 => "resumed conversation of 1 message".to_owned(),
            turns => format!("resumed conversation of {turns} messages"),
        };
        self.draw(&[format!("demo agent · {how} · {}", self.transcript.id()), String::new()])
    }

    /// Restores the terminal, with a last line.
    pub(crate) fn leave(&mut self, line: &str) {
        // The terminal may be gone already, and the status file with its directory.
        let _ = self.screen.finish(line);
        let _ = if self.flags.status_file { transcript::hush() } else { Ok(()) };
    }

    /// Handles a new size of the terminal.
    pub(crate) fn resized(&mut self) -> io::Result<Step> {
        self.screen.measure();
        self.draw(&[])?;
        Ok(Step::Stay)
    }

    /// Handles input.
    pub(crate) fn typed(&mut self, bytes: &[u8]) -> io::Result<Step> {
        self.typed_at = Instant::now();
        for key in self.decoder.feed(bytes) {
            if let Step::Leave(code) = self.key(key)? {
                return Ok(Step::Leave(code));
            }
        }
        self.draw(&[])?;
        Ok(Step::Stay)
    }

    /// Handles timers: a lone ESC, the end of a turn, the death of a resume.
    pub(crate) fn tick(&mut self) -> io::Result<Step> {
        self.tell()?;
        self.tools.retain_mut(|tool| !matches!(tool.try_wait(), Ok(Some(_))));
        let resumed = self.flags.resume.is_some();
        if let Some(after) = self.flags.die_on_resume.filter(|after| resumed && self.started.elapsed() >= *after) {
            self.leave(&format!("could not go on with this conversation (after {after:?})"));
            return Ok(Step::Leave(1));
        }
        if self.typed_at.elapsed() >= LONE_ESCAPE
            && let Some(key) = self.decoder.flush()
        {
            self.key(key)?;
            self.draw(&[])?;
        }
        if self.control_c_at.is_some_and(|at| at.elapsed() >= CONTROL_C) {
            self.control_c_at = None;
            self.draw(&[])?;
        }
        if let Some(turn) = self.turn.take_if(|turn| turn.ends.have_come()) {
            self.answer(&turn.text)?;
            self.next_turn()?;
        }
        Ok(Step::Stay)
    }

    fn key(&mut self, key: Key) -> io::Result<Step> {
        if !self.dialogs.is_empty() {
            return self.dialog_key(&key);
        }
        match key {
            Key::Char(c) => self.draft.push(Piece::Char(c)),
            Key::Paste(text) => self.paste(text),
            Key::Backspace => drop(self.draft.pop()),
            Key::Enter => return self.enter(),
            Key::Escape => self.interrupt()?,
            Key::Control('c') => return self.control_c(),
            Key::Control('d') if self.draft.is_empty() => return Ok(Step::Leave(0)),
            Key::Control('u') => self.draft.clear(),
            Key::Control(_) | Key::Up | Key::Down => {}
        }
        Ok(Step::Stay)
    }

    fn dialog_key(&mut self, key: &Key) -> io::Result<Step> {
        let another = self.flags.asks_anew && self.dialogs.len() > 1;
        let Some(dialog) = self.dialogs.front_mut() else { return Ok(Step::Stay) };
        match key {
            Key::Up | Key::Down if another => drop(self.dialogs.pop_front()),
            Key::Up | Key::Down => {
                dialog.step(*key == Key::Down);
                std::thread::sleep(self.flags.late_dialog);
                dialog.seen();
            }
            Key::Enter => {
                let (row, trust) = (dialog.taken(self.flags.late_dialog), dialog.is_trust());
                let chosen = dialog.label(row);
                if trust && row == 0 {
                    self.leave("demo agent didn't start because this folder isn't trusted.");
                    return Ok(Step::Leave(1));
                }
                self.dialogs.pop_front();
                if !trust {
                    self.answer(&format!("chose {chosen}"))?;
                }
            }
            Key::Escape | Key::Control('c' | 'd') if dialog.is_trust() => return Ok(Step::Leave(1)),
            Key::Escape | Key::Control('c') => self.dialogs.clear(),
            _ => {}
        }
        Ok(Step::Stay)
    }

    fn paste(&mut self, text: String) {
        self.pasted_at = Some(Instant::now());
        let (lines, characters) = LONG_PASTE;
        if text.matches('\n').count() > lines || text.chars().count() > characters {
            self.pastes += 1;
            self.draft.push(Piece::Paste { number: self.pastes, text });
        } else {
            self.draft.extend(text.chars().map(Piece::Char));
        }
    }

    fn enter(&mut self) -> io::Result<Step> {
        if self.pasted_at.take_if(|at| at.elapsed() < PASTE_SETTLE).is_some() {
            self.draft.push(Piece::Char('\n'));
            return Ok(Step::Stay);
        }
        let swallows = self.flags.swallow_until.as_ref().is_some_and(|file| !file.exists());
        if self.swallow > 0 || swallows {
            self.swallow = self.swallow.saturating_sub(1);
            self.draw(&["● swallowed an Enter".to_owned()])?;
            return Ok(Step::Stay);
        }
        let text = self.draft.drain(..).fold(String::new(), |text, piece| match piece {
            Piece::Char(c) => text + c.encode_utf8(&mut [0; 4]),
            Piece::Paste { text: pasted, .. } => text + &pasted,
        });
        match text.trim() {
            "" => {}
            "/exit" | "/quit" => return Ok(Step::Leave(0)),
            "/clear" => self.go_to(Transcript::fresh(&uuid::Uuid::new_v4().to_string()))?,
            text if text.starts_with("/resume ") => self.go_to(Transcript::resume(&text["/resume ".len()..]))?,
            text if self.turn.is_some() => {
                self.transcript.queued(text)?;
                self.queue.push_back(text.to_owned());
            }
            text => self.begin_turn(text.to_owned())?,
        }
        Ok(Step::Stay)
    }

    /// Switches to another conversation in the same process; the file of a new one appears with its first message.
    fn go_to(&mut self, transcript: Result<Transcript, String>) -> io::Result<()> {
        self.transcript = transcript.map_err(io::Error::other)?;
        self.tell_at = Some(Instant::now() + self.flags.late_status);
        self.report("conversation", "");
        self.greet()
    }

    fn begin_turn(&mut self, text: String) -> io::Result<()> {
        self.transcript.user(&text)?;
        self.report("turn-started", "");
        let drawn_from = Instant::now() + self.flags.slow_draw;
        while text.chars().count() > LONG_PASTE.1 && Instant::now() < drawn_from {}
        self.draw(&[format!("> {}", shortened(&text)), String::new()])?;
        self.dialogs = if self.flags.asks { Dialog::of_message(&text) } else { VecDeque::new() };
        if !self.dialogs.is_empty() {
            self.report("waiting", "");
            return self.draw(&[]);
        }
        match Ends::of(&text).filter(|_| self.flags.slow_turn) {
            Some(ends) => self.turn = Some(Turn { text, ends }),
            None => self.answer(&text)?,
        }
        self.draw(&[])
    }

    /// Handles the queued messages, until one of them takes time.
    fn next_turn(&mut self) -> io::Result<()> {
        while self.flags.merge_queue
            && self.queue.len() > 1
            && let Some(text) = self.queue.pop_front()
        {
            self.transcript.user(&text)?;
        }
        while self.turn.is_none()
            && let Some(text) = self.queue.pop_front()
        {
            self.begin_turn(text)?;
        }
        Ok(())
    }

    fn answer(&mut self, text: &str) -> io::Result<()> {
        if let Some(until) = text.strip_prefix("LIMIT ").filter(|_| self.flags.limits) {
            let notice = format!("You've hit your limit · {until}");
            self.transcript.limited(&notice)?;
            return self.draw(&[format!("● {notice}"), String::new()]);
        }
        let answer = format!("ack turns={}: {}", self.transcript.turns(), shortened(text));
        self.transcript.assistant(&answer)?;
        self.report("turn-finished", &answer);
        self.draw(&[format!("● {answer}"), String::new()])?;
        if let Some(command) = &self.flags.on_message {
            let mut shell = Command::new("sh");
            shell.args(["-c", command, "sh", text]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            self.tools.push(shell.spawn()?);
        }
        Ok(())
    }

    fn interrupt(&mut self) -> io::Result<()> {
        if let Some(turn) = self.turn.take() {
            if self.flags.put_back {
                self.draft.extend(turn.text.chars().map(Piece::Char));
            }
            self.draw(&["● interrupted".to_owned(), String::new()])?;
            self.next_turn()?;
        }
        Ok(())
    }

    /// Stops a turn, or empties the composer, or asks for a second Ctrl-C and then ends the agent.
    fn control_c(&mut self) -> io::Result<Step> {
        if self.turn.is_some() {
            self.interrupt()?;
        } else if !self.draft.is_empty() {
            self.draft.clear();
        } else if self.control_c_at.is_some_and(|at| at.elapsed() < CONTROL_C) {
            return Ok(Step::Leave(0));
        } else {
            self.control_c_at = Some(Instant::now());
        }
        Ok(Step::Stay)
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (live, cursor) = self.dialogs.front().map_or_else(|| self.composer(), Dialog::draw);
        self.screen.draw(lines, &live, &cursor)
    }
}
