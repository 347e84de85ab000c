//! Validation before a client is started, of requests that tmux would accept and carry out differently.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::argv::Line;
use super::classify::{self, Asked};
use super::listing::{self, is_id};
use crate::runtime::{NewSession, RuntimeError, Target};

/// Longest command, in bytes of its words including terminators. tmux sends it as one message: 16 200 bytes went
/// through 3.3a, 16 300 did not. If this were larger, tmux would report `command too long`; if it were smaller, we
/// would refuse what tmux accepts.
const MAX_COMMAND: usize = 16_250;

/// Longest session name: zellij's limit, so that both runtimes accept the same names.
const MAX_NAME: usize = 64;

/// Validates a new session. `line` is the command built from it.
pub(super) fn new_session(new: &NewSession, line: &Line, asked: Asked<'_>) -> Result<(), RuntimeError> {
    let refuse = |detail: String| Err(classify::failed(asked, detail));
    if !is_name(&new.session) {
        return refuse(format!("{:?} is not a session name", new.session));
    }
    if !listing::is_tag(&new.tag) {
        return refuse(format!("{:?} is not a tag", new.tag));
    }
    if new.argv.len() < 2 {
        return refuse("a command of one word would go through a shell".to_owned());
    }
    let bytes: usize = line.0.iter().map(|word| word.as_bytes().len() + 1).sum();
    if bytes > MAX_COMMAND {
        return refuse(format!("the command is too long: {bytes} bytes, and a tmux message takes {MAX_COMMAND}"));
    }
    // If the directory is missing, tmux would silently run the command elsewhere.
    match fs::metadata(&new.cwd) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => refuse(format!("working directory {}: not a directory", new.cwd.display())),
        Err(error) => refuse(format!("working directory {}: {error}", new.cwd.display())),
    }
}

/// Validates a target. Names and ids go back into tmux's own command language, so nothing else may pass for one. The
/// session's name does not go back, and may be anything a user has renamed it to, unless it is the only way to identify
/// the pane.
pub(super) fn target(target: &Target, asked: Asked<'_>) -> Result<(), RuntimeError> {
    let Target { session, session_id, pane, pane_pid, .. } = target;
    if is_id(pane, '%') && (pane_pid.is_some() || (is_name(session) && is_id(session_id, '$'))) {
        return Ok(());
    }
    Err(classify::failed(
        asked,
        format!("session {session:?} with id {session_id:?} and pane {pane:?} is none of ours"),
    ))
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}
