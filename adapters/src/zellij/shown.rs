//! Captures the pane from the first message of a subscription to it, which lists the rows of the screen separately.
//!
//! `action dump-screen` is not used: it puts no line break before a row that is marked as the continuation of the one
//! above, and after a change of width rows keep that mark when something else is drawn into them (0.45.1: seen).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Zellij;
use super::argv::{self, PANE};
use super::client::{RETRIES, failed};
use super::home::Home;
use super::look::Up;
use super::rows;
use crate::command::{Answer, Output};
use crate::runtime::{Capture, RuntimeError, RuntimeKind, Size, Target};
use crate::terminal;

/// The longest answer that is read: some 10,000 rows of history with all their colours. A longer one is an error.
const LONGEST: usize = 64 << 20;

/// How long a pane that was at its bottom with no client attached is assumed to stay there. No user attaches, scrolls
/// and leaves within that time between two observations; with a longer time, observations at a slow rate would miss it.
const BOTTOM_VALID: Duration = Duration::from_secs(1);

/// When panes were last seen at their bottom with no client attached, by session directory.
#[derive(Clone, Debug, Default)]
pub(super) struct BottomCache(Arc<Mutex<HashMap<PathBuf, Instant>>>);

impl BottomCache {
    /// Returns `true` if the pane is still at its bottom, given that no client is attached now. This counts as an
    /// observation and extends the time.
    fn stays(&self, dir: &Path) -> bool {
        let mut seen = self.0.lock().expect("no holder of this lock panics");
        let at = seen.get_mut(dir).filter(|at| at.elapsed() < BOTTOM_VALID);
        at.map(|at| *at = Instant::now()).is_some()
    }

    /// Records that the pane is at its bottom with no client attached.
    pub(super) fn note(&self, dir: &Path) {
        self.0.lock().expect("no holder of this lock panics").insert(dir.to_owned(), Instant::now());
    }

    fn forget(&self, dir: &Path) {
        self.0.lock().expect("no holder of this lock panics").remove(dir);
    }
}

/// A line of the subscription.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    PaneUpdate {
        pane_id: String,
        viewport: Vec<String>,
        #[serde(default)]
        scrollback: Option<Vec<String>>,
    },
    PaneClosed {
        pane_id: String,
    },
}

impl Zellij {
    /// Returns the rows of the pane, newest last. If no client is attached, the pane is scrolled to its bottom first:
    /// the position that a user left it at is not the agent's screen.
    pub(super) async fn shown(&self, target: &Target, how: Capture) -> Result<String, RuntimeError> {
        let (home, up) = Self::up(target, "subscribe")?;
        let client = self.with_compatible_client(up.server).await?;
        if up.clients > 0 {
            self.bottoms.forget(home.dir());
        } else if !self.bottoms.stays(home.dir()) {
            match client.to_bottom(&home, target).await {
                Ok(()) => self.bottoms.note(home.dir()),
                // Normally the pane is closed, which is reported better below.
                Err(RuntimeError::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (above, visible) = client.subscribe(&home, target, how).await?;
        let size = size(&up);
        let columns = size.map(|size| usize::from(size.columns));
        let above = if how.history == 0 { Vec::new() } else { rows::wrapped(&above, columns, how.history as usize) };
        // On the alternate screen zellij keeps the content outside of a pane that has shrunk (0.45.1, `change_size`).
        let shown = visible.iter().take(size.map_or(usize::MAX, |size| usize::from(size.rows)));
        let shown = shown.map(|row| columns.map_or(row.as_str(), |columns| rows::cut(row, columns)));
        Ok(above.iter().map(String::as_str).chain(shown).fold(String::new(), |mut text, row| {
            rows::push(&mut text, row);
            text
        }))
    }

    /// Ends a user's scrolling, as any key they press would. zellij holds back the output of a scrolled pane, so there
    /// is no other way to see what is new (0.45.1).
    pub(super) async fn to_bottom(&self, home: &Home, target: &Target) -> Result<(), RuntimeError> {
        let argv = argv::action(&self.binary, home, &target.session, "scroll-to-bottom").args(["--pane-id", PANE]);
        self.ask(home, &target.session, "scroll-to-bottom", &argv, false).await.map(drop)
    }

    /// Ends a user's scrolling if necessary, for a caller that is about to type.
    pub(super) async fn show_bottom(&self, target: &Target) -> Result<(), RuntimeError> {
        let (home, up) = Self::up(target, "scroll-to-bottom")?;
        if up.clients == 0 && self.bottoms.stays(home.dir()) {
            return Ok(());
        }
        self.with_compatible_client(up.server).await?.to_bottom(&home, target).await?;
        if up.clients == 0 {
            self.bottoms.note(home.dir());
        }
        Ok(())
    }

    /// Does from outside what a key that ends scrolling does; see [`super::keys::TO_BOTTOM`]. A client that is cut off
    /// leaves the frames where they were, so the pane's size shows whether they are to be toggled once more.
    pub(super) async fn lay_out_again(&self, target: &Target) -> Result<(), RuntimeError> {
        let (home, up) = Self::up(target, "toggle-pane-frames")?;
        let client = self.with_compatible_client(up.server).await?;
        let before = size(&up);
        let argv = argv::action(&client.binary, &home, &target.session, "toggle-pane-frames");
        for toggled in 1..=RETRIES + 2 {
            client.ask(&home, &target.session, "toggle-pane-frames", &argv, false).await?;
            if toggled >= 2 && size(&up) == before {
                break;
            }
        }
        client.to_bottom(&home, target).await
    }

    /// Returns the lines above the screen, if history is wanted, and its rows.
    async fn subscribe(
        &self,
        home: &Home,
        target: &Target,
        how: Capture,
    ) -> Result<(Vec<String>, Vec<String>), RuntimeError> {
        let mut argv = argv::subscribe(&self.binary, home, &target.session);
        if how.ansi {
            argv = argv.arg("--ansi");
        }
        if how.history > 0 {
            argv = argv.args(["--scrollback".to_owned(), how.history.to_string()]);
        }
        match self.first_line(home, &target.session, "subscribe", &argv, LONGEST).await? {
            Answer::Line(line) => parse(&line, target),
            Answer::Ended(output) if says_no_such_pane(&output) => Err(closed(target)),
            Answer::Ended(output) => {
                Self::judge(home, &target.session, "subscribe", &output, true)?;
                Err(failed("subscribe", "it printed nothing, as a client does that was cut off"))
            }
        }
    }
}

/// Returns the pane's size according to its terminal; if it is not known, rows are not cut.
fn size(up: &Up) -> Option<Size> {
    let size = terminal::size(up.pane?.pid).ok()?;
    Some(size).filter(|size| size.columns > 0 && size.rows > 0)
}

pub(super) fn parse(line: &[u8], target: &Target) -> Result<(Vec<String>, Vec<String>), RuntimeError> {
    match serde_json::from_slice(line) {
        Ok(Event::PaneUpdate { pane_id, viewport, scrollback }) if pane_id == PANE => {
            Ok((scrollback.unwrap_or_default(), viewport))
        }
        Ok(Event::PaneClosed { pane_id }) if pane_id == PANE => Err(closed(target)),
        Ok(other) => Err(failed("subscribe", format!("it printed something of another pane: {}", begin(&other)))),
        Err(error) => Err(failed("subscribe", format!("it printed what cannot be read: {error}"))),
    }
}

fn begin(event: &Event) -> String {
    match event {
        Event::PaneUpdate { pane_id, .. } | Event::PaneClosed { pane_id } => pane_id.chars().take(40).collect(),
    }
}

/// # Source
/// zellij-client 0.45.1, `start_subscribe_client`: the server's complaint on stderr, and exit code 2. A pane that is
/// replaced by an editor with its scrollback, which a user can open, is not found either.
fn says_no_such_pane(output: &Output) -> bool {
    output.stderr.lines().any(|line| line.starts_with("Pane ") && line.ends_with(" not found"))
}

fn closed(target: &Target) -> RuntimeError {
    RuntimeError::NoSuchSession {
        runtime: RuntimeKind::Zellij,
        session: target.session.clone(),
        detail: format!("its pane {PANE} is closed or covered by another pane"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            server: "/s/zellij/a".into(),
            server_process: None,
            session: "a".into(),
            session_id: "a".into(),
            pane: PANE.into(),
            pane_pid: None,
        }
    }

    fn read(line: &str) -> Result<(Vec<String>, Vec<String>), RuntimeError> {
        parse(line.as_bytes(), &target())
    }

    #[test]
    fn an_update_is_read_with_and_without_history() {
        let line = r#"{"event":"pane_update","is_initial":true,"pane_id":"terminal_0","scrollback":null,"viewport":["a","b"]}"#;
        assert_eq!(read(line).expect("rows"), (vec![], vec!["a".to_owned(), "b".to_owned()]));
        let line = r#"{"event":"pane_update","pane_id":"terminal_0","scrollback":["x"],"viewport":[],"new":{}}"#;
        assert_eq!(read(line).expect("rows"), (vec!["x".to_owned()], vec![]));
    }

    #[test]
    fn a_pane_that_was_closed_is_not_there() {
        let line = r#"{"event":"pane_closed","pane_id":"terminal_0"}"#;
        assert!(matches!(read(line), Err(RuntimeError::NoSuchSession { .. })));
    }

    #[test]
    fn anything_else_is_an_error() {
        let whole = r#"{"event":"pane_update","pane_id":"terminal_0","viewport":["a"]}"#;
        for cut in 0..whole.len() {
            assert!(matches!(read(&whole[..cut]), Err(RuntimeError::Failed { .. })), "{cut}");
        }
        let deep = "[".repeat(100_000);
        for line in [
            "null",
            "[]",
            "\"pane_update\"",
            r#"{"event":"pane_update","pane_id":"terminal_1","viewport":[]}"#,
            r#"{"event":"pane_update","pane_id":0,"viewport":[]}"#,
            r#"{"event":"pane_update","pane_id":"terminal_0","viewport":"a"}"#,
            r#"{"event":"pane_update","pane_id":"terminal_0","viewport":[1]}"#,
            r#"{"event":"pane_update","pane_id":"terminal_0","viewport":[null]}"#,
            r#"{"event":"pane_update","pane_id":"terminal_0"}"#,
            r#"{"event":"pane_update","pane_id":"terminal_0","viewport":[],"scrollback":{}}"#,
            r#"{"event":"pane_update","pane_id":"terminal_0","viewport":[]} {}"#,
            r#"{"event":"other","pane_id":"terminal_0"}"#,
            "Session 'a' not found.",
            &deep,
        ] {
            assert!(matches!(read(line), Err(RuntimeError::Failed { .. })), "{line:.80}");
        }
        assert!(
            parse(b"{\"event\":\"pane_update\",\"pane_id\":\"terminal_0\",\"viewport\":[\"\xff\"]}", &target())
                .is_err()
        );
    }

    #[test]
    fn a_bottom_is_believed_for_a_moment_and_not_when_somebody_came() {
        let (bottoms, dir) = (BottomCache::default(), Path::new("/a"));
        assert!(!bottoms.stays(dir));
        bottoms.note(dir);
        assert!(bottoms.stays(dir) && !bottoms.stays(Path::new("/b")));
        bottoms.forget(dir);
        assert!(!bottoms.stays(dir));
    }
}
