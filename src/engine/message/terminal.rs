//! Typing into a program without a composer. The proof of delivery is that the program has read its terminal.

use std::time::Duration;

use peer_adapters::runtime::{Key, RuntimeError};
use peer_adapters::terminal::{self, Input, Reads};
use tokio::time::Instant;

use super::typing::{ACCEPT_PATIENCE, Typing};
use crate::engine::error::Undelivered;
use crate::engine::observe::target;
use crate::engine::{POLL, Result};
use crate::store::SessionRecord;

/// How long a process without open files may still count as alive: microseconds, on a loaded machine milliseconds.
const LEAVING: Duration = Duration::from_secs(1);

/// How many bytes a shell reads besides the message when it sets up its terminal for the next line.
const SET_UP_READS: u64 = 64;

/// How long to wait for a program without a composer to sleep. A program that computes for longer is typed to anyway.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// Whether nothing that was typed is left unread in the agent's terminal. An agent that is stopped has not read the
/// paste yet, and would get it twice.
pub(in crate::engine) fn has_read_all(record: &SessionRecord) -> bool {
    let input = record.process.map(|agent| terminal::input(agent.id.pid));
    input.is_none_or(|input| input.is_ok_and(|input| input.unread == 0))
}

impl Typing<'_> {
    /// Returns what the program's terminal holds and what the program has read. An exiting process closes its files a
    /// moment before the kernel reports it as ended.
    async fn input(&self, pid: u32, how: Undelivered) -> Result<Input> {
        let started = Instant::now();
        loop {
            match terminal::input(pid) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && started.elapsed() < LEAVING => {
                    self.check_alive(how)?;
                    tokio::time::sleep(POLL).await;
                }
                seen => return seen.map_err(|error| self.undelivered(how, error.to_string())),
            }
        }
    }

    /// Types into an agent without a composer; the proof is that it read what was typed.
    pub(super) async fn type_into_terminal(&self, text: &str) -> Result<()> {
        let unread = |why| self.undelivered(Undelivered::NotTyped, why);
        let agent = self.record.process.ok_or_else(|| unread("it has no process"))?;
        self.await_reader(agent.id.pid).await?;
        let before = self.input(agent.id.pid, Undelivered::NotTyped).await?;
        // Unavailable for another user's process; then what the process has read from anywhere must suffice.
        let reads = Reads::of(agent.id.pid).ok();
        self.reached.set(Undelivered::NotSeen);
        // A partial paste into a program without a composer cannot be undone.
        let half = |error: RuntimeError| self.undelivered(Undelivered::NotSeen, error.to_string());
        match self.runtime.paste(&target(&self.record.place), text).await {
            Err(error) if error.may_have_taken_effect() => return Err(half(error)),
            pasted => pasted?,
        }
        self.runtime.press(&target(&self.record.place), &[Key::Enter]).await.map_err(half)?;
        let started = Instant::now();
        loop {
            self.check_alive(Undelivered::NotSeen)?;
            let now = self.input(agent.id.pid, Undelivered::NotSeen).await?;
            let was_read = reads.as_ref().is_none_or(|reads| reads.happened().unwrap_or(false));
            if was_read && has_read(now, before, text.len() as u64 + 1) {
                return Ok(());
            }
            if started.elapsed() > ACCEPT_PATIENCE {
                let why = match (now.switched_to_keys_since(before), now.unread) {
                    (true, _) => "it set its terminal up meanwhile, which may have discarded the text",
                    (false, 0) => {
                        "its terminal is empty, and it has not read all of it from there: it may have discarded it"
                    }
                    (false, _) => "it has not read its terminal; the text waits there",
                };
                return Err(self.undelivered(Undelivered::NotSeen, why));
            }
            self.waiting("to read the message", started, ACCEPT_PATIENCE);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the program sleeps, as it does when it waits for its terminal. During its start it reads files, and
    /// if it then sets up its terminal, what was typed before is discarded. A program that never sleeps may read its
    /// terminal anyway.
    async fn await_reader(&self, pid: u32) -> Result<()> {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < READER_PATIENCE {
            self.check_alive(Undelivered::NotTyped)?;
            let seen = terminal::rest(pid).ok();
            if seen.is_some_and(|rest| rest.sleeps) && seen == last {
                return Ok(());
            }
            last = seen;
            self.waiting("to read its terminal", started, READER_PATIENCE);
            tokio::time::sleep(POLL * 4).await;
        }
        Ok(())
    }
}

/// Whether `typed` bytes reached the program: the queue is empty, and the program has read at least that many bytes
/// more than `before`. An empty queue alone proves nothing, because a multiplexer writes to the terminal after its
/// client has returned. If the program has set up its terminal since, it may have discarded the bytes and read files
/// instead; then it must have read these bytes and hardly more.
fn has_read(now: Input, before: Input, typed: u64) -> bool {
    let most = if now.switched_to_keys_since(before) { typed + SET_UP_READS } else { u64::MAX };
    now.unread == 0 && now.bytes_read_since(before).is_some_and(|grown| (typed..=most).contains(&grown))
}
