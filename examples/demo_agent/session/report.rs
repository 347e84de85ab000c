//! What the agent says of itself: to its hook, and in its status file.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use super::Session;

impl Session<'_> {
    /// Reports to the hook. Only the next report waits for it: an agent's turn takes longer than a hook takes to start, and
    /// one of ours does not.
    pub(super) fn report(&mut self, what: &str, answer: &str) {
        let Some(command) = &self.flags.hook else { return };
        self.hook.take().map(thread::JoinHandle::join);
        let handed = serde_json::json!({ "conversation": self.transcript.id(), "answer": answer }).to_string();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command, "hook", what]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut hook) = shell.spawn() else { return };
        self.hook = Some(thread::spawn(move || {
            let told = hook.stdin.take().map(|mut stdin| stdin.write_all(handed.as_bytes()));
            drop((told, hook.wait()));
        }));
    }

    /// Writes the status file when it is due.
    pub(super) fn tell(&mut self) -> io::Result<()> {
        let due = self.tell_at.take_if(|at| Instant::now() >= *at).is_some();
        if due && self.flags.status_file { self.transcript.tell() } else { Ok(()) }
    }
}
