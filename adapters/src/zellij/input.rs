//! Sends text and keys to the pane.

use super::Zellij;
use super::argv::{self, Input, PANE};
use super::client::failed;
use super::home::Home;
use super::look::Up;
use crate::process::ProcessId;
use crate::runtime::{Key, RuntimeError, RuntimeKind, Target, strip_control_chars};

/// The longest text that one argument can hold: Linux allows 128 KiB with the terminating zero (`MAX_ARG_STRLEN`). More
/// fails with `E2BIG` before zellij runs; macOS allows more.
const ARGUMENT_MAX: usize = 131_071;

/// What a terminal sends before and after pasted text, as arguments of `zellij action write`.
const PASTE_BEGINS: [&str; 6] = ["27", "91", "50", "48", "48", "126"];
const PASTE_ENDS: [&str; 6] = ["27", "91", "50", "48", "49", "126"];

impl Zellij {
    pub(super) async fn paste_text(&self, target: &Target, text: &str) -> Result<(), RuntimeError> {
        let (home, up) = Self::takes_input(target, "paste")?;
        let text = strip_control_chars(text);
        if text.is_empty() {
            return Ok(());
        }
        if text.len() <= ARGUMENT_MAX {
            return self.with_compatible_client(up.server).await?.act(&home, target, "paste", &[&text]).await;
        }
        let client = self.with_compatible_client(up.server).await?;
        // zellij omits the brackets if the program has not requested them, here as in its own paste action.
        client.act(&home, target, "write", &PASTE_BEGINS).await?;
        let mut sent = Ok(());
        for chunk in chunks(&text, ARGUMENT_MAX) {
            sent = client.act(&home, target, "write-chars", &[chunk]).await;
            if sent.is_err() {
                break;
            }
        }
        // Always closed: otherwise the program would treat everything the user types from now on as pasted text.
        let closed = client.act(&home, target, "write", &PASTE_ENDS).await;
        sent.and(closed)
    }

    /// Presses each key with a client of its own, and characters in a row with one. `send-keys` with several keys makes several requests on one connection,
    /// and may wait for ever for the answer to the second.
    ///
    /// # Source
    /// zellij 0.45.1, `individual_messages_client` and `remove_client!`: a client first connects to ask whether the
    /// session exists, and then again; the number of the first connection is freed twice, and if the second time comes
    /// after the number was given to the second connection, the server stops answering that one (3 of 14 at a load of
    /// 12). A client with one request takes that for its end. The request is carried out all the same.
    pub(super) async fn press_keys(&self, target: &Target, keys: &[Key]) -> Result<(), RuntimeError> {
        let (home, up) = Self::takes_input(target, "send-keys")?;
        if keys.is_empty() {
            return Ok(());
        }
        let client = self.with_compatible_client(up.server).await?;
        let inputs: Vec<Input> = keys.iter().map(argv::input).collect();
        for run in inputs.chunk_by(|one, next| matches!((one, next), (Input::Text(_), Input::Text(_)))) {
            let (verb, words) = match run {
                [Input::Key(word)] => ("send-keys", vec![word.clone()]),
                [Input::Bytes(bytes)] => ("write", bytes.iter().map(u8::to_string).collect()),
                text => ("write-chars", vec![text.iter().filter_map(Input::character).collect()]),
            };
            client.act(&home, target, verb, &words).await?;
        }
        Ok(())
    }

    /// Checks that the pane takes input. An Enter in a pane whose command has ended runs that command again (0.45.1),
    /// so nothing is sent to one.
    fn takes_input(target: &Target, verb: &str) -> Result<(Home, Up), RuntimeError> {
        let (home, up) = Self::up(target, verb)?;
        let runs_it = |pane: ProcessId| target.pane_pid.is_none_or(|pid| pid == pane.pid);
        if up.pane.is_some_and(runs_it) {
            return Ok((home, up));
        }
        Err(RuntimeError::PaneDead { runtime: RuntimeKind::Zellij, session: target.session.clone() })
    }

    async fn act<S: AsRef<str>>(
        &self,
        home: &Home,
        target: &Target,
        verb: &str,
        words: &[S],
    ) -> Result<(), RuntimeError> {
        let argv = argv::action(&self.binary, home, &target.session, verb)
            .args(["--pane-id", PANE, "--"])
            .args(words.iter().map(AsRef::as_ref));
        let output = self.ask(home, &target.session, verb, &argv, false).await?;
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        Err(failed(verb, format!("it printed {:?}", String::from_utf8_lossy(&output.stdout))))
    }
}

/// Splits `text` into pieces of at most `size` bytes between characters.
fn chunks(text: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = (0..=rest.len().min(size)).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(0);
        let (chunk, left) = rest.split_at(end);
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_cannot_end_its_own_bracket() {
        assert_eq!(strip_control_chars("a\x1b[201~b\r\n\tc\u{9b}d\0é\u{7f}"), "a[201~b\n\tcdé");
    }

    #[test]
    fn chunks_are_cut_between_characters_and_lose_nothing() {
        let text = "aé漢😀".repeat(50);
        for size in 4..20 {
            let pieces: Vec<&str> = chunks(&text, size).collect();
            assert!(pieces.iter().all(|piece| piece.len() <= size), "{size}");
            assert_eq!(pieces.concat(), text);
        }
        assert_eq!(chunks("", 4).count(), 0);
    }
}
